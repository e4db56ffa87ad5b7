"""Clauses that were spoken before, kept as sound: the greeting, fillers and repeated answers cost nothing twice.

A wrapper around any TTS. A clause is kept once it was spoken to its end; what was broken off is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..seams import TTS
from ..types import AudioChunk, Choice, Clause
from .language import language_of

MAX_BYTES = 32 << 20
"""About five minutes of 48 kHz sound: a conversation repeats its greeting and a few phrases, not whole speeches."""
MAX_SHARE = 8
"""No clause may take more than this part of the cache."""

_Key = tuple[str, str, str, str]
_WORD_BYTES = 200
"""Roughly what a mark weighs in memory."""


class CachingTTS:
    """Speaks from memory what `tts` has spoken before with the same engine, voice and exact text."""

    def __init__(self, tts: TTS, max_bytes: int = MAX_BYTES) -> None:
        self._tts = tts
        self._max_bytes = max_bytes
        self._clauses: OrderedDict[_Key, tuple[AudioChunk, ...]] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    @property
    def choice(self) -> Choice:
        return self._tts.choice

    @property
    def voices(self) -> object:
        return getattr(self._tts, "voices", ())

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def holds(self, clause: Clause, voice: str | None) -> bool:
        """Whether the clause would be spoken from memory."""
        return self._key(clause, voice) in self._clauses

    async def warm(self) -> None:
        await self._tts.warm()

    async def speak(self, clause: Clause, voice: str | None) -> AsyncGenerator[AudioChunk]:
        key = self._key(clause, voice)
        kept = self._clauses.get(key)
        if kept is not None:
            self.hits += 1
            self._clauses.move_to_end(key)
            for chunk in kept:
                yield chunk
            return
        self.misses += 1
        spoken: list[AudioChunk] = []
        size = 0
        async with aclosing(self._tts.speak(clause, voice)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                size += _weight(chunk)
                if size <= self._max_bytes // MAX_SHARE:
                    spoken.append(chunk)
                yield chunk
        if spoken and size <= self._max_bytes // MAX_SHARE:
            self._keep(key, tuple(spoken), size)

    async def close(self) -> None:
        self._clauses.clear()
        self._bytes = 0
        await self._tts.close()

    def _key(self, clause: Clause, voice: str | None) -> _Key:
        return self._tts.choice.name, voice or "", clause.language or language_of(clause.text), clause.text

    def _keep(self, key: _Key, chunks: tuple[AudioChunk, ...], size: int) -> None:
        if key in self._clauses:  # two sessions spoke it at once
            return
        self._clauses[key] = chunks
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, dropped = self._clauses.popitem(last=False)
            self._bytes -= sum(_weight(chunk) for chunk in dropped)


def _weight(chunk: AudioChunk) -> int:
    return chunk.pcm.nbytes + _WORD_BYTES * (1 + len(chunk.words) + len(chunk.phones) + len(chunk.accents))
