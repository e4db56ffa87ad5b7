"""A language that an engine does not know: no nonsense, an error that says what to do."""

from __future__ import annotations

from ..errors import EngineError
from ..types import AudioChunk, Transcript

LANGUAGE_UNAVAILABLE = "language_unavailable"
"""`EngineError.code` of a language that the engine does not know."""


def primary_tag(language: str) -> str:
    """`ja` of `ja-JP`; `auto` stays."""
    return language.replace("_", "-").split("-", maxsplit=1)[0].lower()


class UnknownLanguage:
    """The stream of an utterance that cannot be recognised: `finish` raises `EngineError`, so that the session can tell
    the user instead of answering to noise."""

    def __init__(self, message: str) -> None:
        self._message = message

    async def feed(self, chunk: AudioChunk) -> str | None:
        return None

    async def guess(self) -> Transcript | None:
        return None

    async def finish(self) -> Transcript:
        raise EngineError(self._message, code=LANGUAGE_UNAVAILABLE)

    async def close(self) -> None:
        pass
