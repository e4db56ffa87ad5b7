"""Which voice speaks: the table from a setting to an engine."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ..errors import Invalid, NotReady
from ..seams import TTS
from .cache import CachingTTS
from .endpoint_find import endpoint
from .espeak import Espeak, espeak
from .flite import flite
from .openjtalk import openjtalk
from .piper import piper
from .router import Engine, Router

log = logging.getLogger(__name__)


NAMES = "auto, piper[:FILE.onnx], openjtalk, flite, espeak or a base URL"

_Build = Callable[[], Awaitable[Engine]]


async def choose_tts(spec: str, data_dir: Path) -> TTS:
    """The voice that `spec` names: `auto`, `piper[:FILE.onnx]`, `openjtalk`, `flite`, `espeak`, or the base URL of an
    OpenAI-compatible endpoint with an optional `#model`, whose key is `OPENAI_API_KEY`.

    `auto` always finds something: for each clause the best voice there is for its language. An engine that is named
    speaks the languages it can, and the others go as with `auto`. Raises `Invalid` for what is not in the list and
    `NotReady`, with the fix, for what is not there.
    """
    spec = spec.strip()
    name, _, rest = spec.partition(":")
    name = name.lower()
    if name in ("http", "https"):
        return await endpoint(spec)
    if (rest and name != "piper") or name not in ("auto", "piper", "openjtalk", "flite", "espeak"):
        raise Invalid(f"tts must be {NAMES}, not {spec[:80]!r}.", field="tts")
    fallback = await _or_none("espeak", espeak, asked_for=name == "espeak")
    reader = fallback.british if isinstance(fallback, Espeak) else None
    builders: dict[str, _Build] = {
        "piper": lambda: _now(lambda: piper(data_dir / "piper", Path(rest).expanduser() if rest else None)),
        "openjtalk": lambda: _now(lambda: openjtalk(reader)),
        "flite": flite,
    }
    engines: list[Engine] = []
    try:
        for other, build in sorted(builders.items(), key=lambda item: item[0] != name):
            if name != "espeak" or other == "openjtalk":  # nothing reads Japanese as badly as espeak-ng does
                engine = await _or_none(other, build, asked_for=other == name)
                engines += [engine] if engine else []
    except BaseException:
        for engine in [*engines, *([fallback] if fallback else [])]:
            await engine.close()
        raise
    engines += [fallback] if fallback else []
    if name == "auto":
        return Router(engines, "the best voice there is for each language")
    return Router(engines, f"{name} was asked for", name)


async def _or_none(name: str, build: _Build, *, asked_for: bool) -> Engine | None:
    """The engine, or None where it is not there and nobody asked for it."""
    try:
        return await build()
    except NotReady as error:
        if asked_for:
            raise
        log.info("no voice from %s: %s", name, error.message)
        return None


async def _now(build: Callable[[], Engine]) -> Engine:
    return build()


def voices(tts: TTS | CachingTTS) -> list[dict[str, Any]]:
    """The voices that a session may name, for `/config`."""
    return [
        {"name": voice.name, "language": voice.language, "engine": voice.engine}
        for voice in getattr(tts, "voices", ())
        if voice.listed
    ]
