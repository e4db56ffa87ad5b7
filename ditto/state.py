"""A session's state as bytes: JSON and plain arrays, no pickle. What is read back gives the same frames."""

from __future__ import annotations

import io
import json
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np

from .actor import ActorState, Moment, Speech
from .audio.chunks import Chunks
from .audio.features import Hearing
from .chunking import Pace
from .controls import Manner
from .motion.clips import Fusing, Motion
from .motion.online import Online

VERSION: Final = 3
_KINDS: Final = {
    kind.__name__: kind for kind in (ActorState, Moment, Speech, Chunks, Hearing, Pace, Manner, Fusing, Motion, Online)
}


def to_bytes(state: ActorState) -> bytes:
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        if is_dataclass(value) and not isinstance(value, type):
            return {"kind": type(value).__name__, "of": {f.name: plain(getattr(value, f.name)) for f in fields(value)}}
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        if isinstance(value, np.generic):
            return value.item()
        if value is None or isinstance(value, str | int | float | bool):
            return value
        raise TypeError(f"A state holds no {type(value).__name__}.")

    text = json.dumps({"version": VERSION, "state": plain(state)})
    out = io.BytesIO()
    np.savez(out, json=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def from_bytes(data: bytes) -> ActorState:
    """Raises `ValueError` in words for bytes that are no state."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        document = json.loads(arrays["json"].tobytes().decode())

        def whole(value: Any) -> Any:
            if isinstance(value, list):
                return tuple(whole(item) for item in value)
            if isinstance(value, dict) and "array" in value:
                return arrays[value["array"]]
            if isinstance(value, dict):
                return _KINDS[value["kind"]](**{name: whole(item) for name, item in value["of"].items()})
            return value

        state = whole(document["state"]) if document["version"] == VERSION else None
    except Exception as error:  # whatever a stranger's bytes make of it
        raise ValueError(f"This is no state of a session: {type(error).__name__}.") from None
    if not isinstance(state, ActorState):
        raise ValueError("This is no state of a session, or one of another version.")
    return state
