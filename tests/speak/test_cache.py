"""Clauses spoken before come from memory, within a bound."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
import pytest

from avatar.errors import EngineError
from avatar.speak.cache import CachingTTS
from avatar.types import AudioChunk, Choice, Clause, Word
from tests.speak.voice_checks import clause, say


class Counting:
    """A scripted voice: each clause is ten chunks, and it counts how often it is asked."""

    choice = Choice("tts", "counting", "for the test")

    def __init__(self) -> None:
        self.spoken: list[tuple[str, str | None]] = []
        self.fail = False

    async def warm(self) -> None: ...

    async def speak(self, clause: Clause, voice: str | None) -> AsyncGenerator[AudioChunk]:
        self.spoken.append((clause.text, voice))
        for index in range(10):
            if self.fail and index == 5:
                raise EngineError("It broke.")
            yield AudioChunk(
                np.full(500, index, np.int16), 16_000, 500 * index, (Word("w", 500 * index, 500 * index + 9),)
            )

    async def close(self) -> None: ...


async def test_the_second_time_is_free_and_the_same() -> None:
    voice = Counting()
    tts = CachingTTS(voice)
    assert not tts.holds(clause("Hello."), None)
    first = await say(tts, "Hello.")
    assert tts.holds(clause("Hello."), None)
    second = await say(tts, "Hello.")
    assert first.chunks == second.chunks
    assert (tts.hits, tts.misses, len(voice.spoken)) == (1, 1, 1)


async def test_text_voice_and_language_are_told_apart() -> None:
    voice = Counting()
    tts = CachingTTS(voice)
    for text, language, name in (("Hi.", "en", None), ("Hi!", "en", None), ("Hi.", "fr", None), ("Hi.", "en", "x")):
        await say(tts, text, language, name)
    assert (tts.hits, len(voice.spoken)) == (0, 4)


async def test_what_was_broken_off_is_not_kept() -> None:
    voice = Counting()
    tts = CachingTTS(voice)
    async with aclosing(tts.speak(clause("Hello."), None)) as chunks:
        await anext(chunks)
    voice.fail = True
    with pytest.raises(EngineError):
        await say(tts, "Hello.")
    voice.fail = False
    assert tts.size == 0
    assert len((await say(tts, "Hello.")).chunks) == 10


async def test_it_stays_within_its_bound() -> None:
    tts = CachingTTS(Counting(), max_bytes=200_000)
    for number in range(40):
        await say(tts, f"Number {number}.")
        assert tts.size <= 200_000
    assert tts.holds(clause("Number 39."), None)
    assert not tts.holds(clause("Number 0."), None)
    small = CachingTTS(Counting(), max_bytes=10_000)
    await say(small, "Too large for its share.")
    assert small.size == 0
