"""Registered sources on disk, by the hash of what they were made from: plain arrays, no pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..source import Source, SourceFrame
from .crop import Rgb
from .register import Registered

log = logging.getLogger(__name__)

VERSION: Final = 1
_INFO: Final = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
MOST_BYTES: Final = 4_000_000_000


def key(pictures: Sequence[Rgb], made_with: str) -> str:
    """Of the pixels, and of what names the networks and options."""
    digest = hashlib.sha256(f"{VERSION}|{made_with}".encode())
    for picture in pictures:
        digest.update(repr(picture.shape).encode())
        digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()[:32]


class SourceCache:
    """A directory of sources, for its user only. The oldest go when it is full."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most = most_bytes

    def get(self, name: str) -> Registered | None:
        path = self._directory / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as loaded:
                return _registered({k: loaded[k] for k in loaded.files})
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged file costs a registration, nothing else
            log.warning("The stored source %s cannot be read (%s): made again.", path.name, type(error).__name__)
            return None

    def put(self, name: str, registered: Registered) -> None:
        """A full disk costs the cache, not the registration."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as out:
                    np.savez(out, **_arrays(registered))  # type: ignore[arg-type]
                Path(temporary).replace(self._directory / f"{name}.npz")
            finally:
                Path(temporary).unlink(missing_ok=True)
            self._forget()
        except OSError as error:
            log.warning("The source cannot be kept on disk: %s.", error.strerror or error)

    def _forget(self) -> None:
        stored = sorted(self._directory.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
        total = 0
        for i, path in enumerate(stored):
            total += path.stat().st_size
            if total > self._most and i > 0:
                path.unlink(missing_ok=True)


def _arrays(registered: Registered) -> dict[str, np.ndarray[Any, Any]]:
    own = registered.source
    out: dict[str, np.ndarray[Any, Any]] = {}
    facts = {"faces": registered.faces, "box": registered.box, "notes": registered.notes, "frames": len(own.frames)}
    out["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    out["kp"] = own.kp
    for i, frame in enumerate(own.frames):
        for name in _INFO:
            out[f"{i}.{name}"] = frame.info[name]
        for name in ("eye_open", "eye_ball", "to_frame", "features", "picture"):
            if (value := getattr(frame, name)) is not None:
                out[f"{i}.{name}"] = value
    return out


def _registered(arrays: dict[str, np.ndarray[Any, Any]]) -> Registered:
    facts = json.loads(arrays["facts"].tobytes().decode())
    frames = tuple(
        SourceFrame(
            {name: arrays[f"{i}.{name}"] for name in _INFO},
            *(arrays[f"{i}.{name}"] for name in ("eye_open", "eye_ball", "to_frame", "features", "picture")),
        )
        for i in range(int(facts["frames"]))
    )
    x, y, w, h = (int(v) for v in facts["box"])
    return Registered(Source(frames, arrays["kp"]), int(facts["faces"]), (x, y, w, h), tuple(facts["notes"]))
