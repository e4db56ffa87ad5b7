"""Several engines as one voice: each clause goes to the engine that speaks its language best."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from ..errors import AvatarError, EngineError
from ..types import AudioChunk, Choice, Clause
from .language import language_of, primary
from .native import Voice

log = logging.getLogger(__name__)

_SHOWN = {"en": "English", "ja": "Japanese", "zh": "Chinese"}
"""The languages that the project is for; the choice tells who speaks them."""


class Engine(Protocol):
    """A TTS that knows its voices."""

    @property
    def choice(self) -> Choice: ...

    @property
    def engine(self) -> str:
        """Its short name."""
        ...

    @property
    def voices(self) -> Sequence[Voice]: ...

    def speaks(self, language: str) -> bool: ...

    async def warm(self) -> None: ...

    def speak(self, clause: Clause, voice: str | None) -> AsyncGenerator[AudioChunk]: ...

    async def close(self) -> None: ...


class Router:
    """Engines in the order of their quality. One that cannot be warmed is left out; the others take its clauses."""

    def __init__(self, engines: Sequence[Engine], why: str, named: str | None = None) -> None:
        """`named`: the engine that was asked for. It alone is warmed; the others start when a clause needs them."""
        self._engines = list(engines)
        self._named = named
        self._why = why
        self.choice = self._describe()

    @property
    def voices(self) -> list[Voice]:
        return [voice for engine in self._engines for voice in engine.voices]

    async def warm(self) -> None:
        """Warms the engines. Raises when the one that was asked for fails, or none is left."""
        warmed = [engine for engine in self._engines if self._named in (None, engine.engine)]
        results = await asyncio.gather(*(engine.warm() for engine in warmed), return_exceptions=True)
        for engine, result in zip(warmed, results, strict=True):
            if isinstance(result, AvatarError) and self._named is None:
                log.warning("%s is left out: %s", engine.engine, result.message)
                self._engines.remove(engine)
                await engine.close()
            elif isinstance(result, BaseException):
                raise result
        self.choice = self._describe()
        if not self._engines:
            raise EngineError(NOTHING)

    async def speak(self, clause: Clause, voice: str | None) -> AsyncGenerator[AudioChunk]:
        language = clause.language or language_of(clause.text)
        engine = self._pick(voice, language)
        own = voice is not None and any(v.answers_to(voice) for v in engine.voices)
        async with contextlib.aclosing(engine.speak(clause, voice if own else None)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        await asyncio.gather(*(engine.close() for engine in self._engines))

    def _pick(self, voice: str | None, language: str) -> Engine:
        """The engine of the named voice where that voice speaks the language, else the best that does."""
        able = [engine for engine in self._engines if engine.speaks(language)]
        if voice is not None:
            named = [(e, v) for e in self._engines for v in e.voices if v.answers_to(voice)]
            if not named:
                raise EngineError(f"There is no voice named {voice!r}; GET /config lists them.", code="unknown_voice")
            for engine, own in named:
                if primary(own.language) == primary(language):
                    return engine
        if able:
            return able[0]
        if self._engines:
            return self._engines[-1]  # the one that speaks most languages speaks this one badly
        raise EngineError(NOTHING)

    def _describe(self) -> Choice:
        if not self._engines:
            return Choice("tts", "none", "no voice is installed", NOTHING)
        parts: list[str] = []
        used: list[Engine] = []
        for language, name in _SHOWN.items():
            engine = next((e for e in self._engines if e.speaks(language)), self._engines[-1])
            voice = next((v for v in engine.voices if primary(v.language) == language), None)
            parts.append(f"{name}: {voice.name if voice else engine.engine}")
            used += [engine] if engine not in used else []
        if self._engines[-1] not in used:
            used.append(self._engines[-1])
        parts.append(f"other languages: {self._engines[-1].engine}")
        notes = [engine.choice.note for engine in used if engine.choice.note]
        if not any(engine.speaks("ja") and engine.engine != "espeak" for engine in self._engines):
            notes.append("Japanese kanji are not read: pip install pyopenjtalk-plus.")
        return Choice("tts", "+".join(e.engine for e in used), f"{self._why}; {', '.join(parts)}", " ".join(notes))


NOTHING = "No voice is installed: pip install espeakng-loader, or name an endpoint with --tts http://host:port/v1."
