"""One utterance on its way to text, and an utterance that goes on where it only seemed to end."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatar.errors import EngineError
from avatar.hear.agreement import join
from avatar.recognition import Recognition
from avatar.types import AudioChunk, Transcript

CHUNK = AudioChunk(np.zeros(512, np.int16), 16_000, 0)


class Scripted:
    """A recogniser that says what it is told to, once it may."""

    def __init__(self, text: str, *, fails: bool = False) -> None:
        self.text, self.fails = text, fails
        self.may, self.closed, self.finished = asyncio.Event(), 0, 0

    async def feed(self, chunk: AudioChunk) -> str | None:
        return self.text

    async def guess(self) -> Transcript | None:
        return Transcript(self.text)

    async def finish(self) -> Transcript:
        self.finished += 1
        await self.may.wait()
        if self.fails:
            raise EngineError("it failed")
        return Transcript(f" {self.text} ")

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        ("", "a", "a"),
        ("a", "", "a"),
        ("a b", "c", "a b c"),
        ("明日は", "雨ですか", "明日は雨ですか"),
        ("OK", "はい", "OK はい"),
    ],
)
def test_pieces_are_joined_as_their_script_is_written(before: str, after: str, whole: str) -> None:
    assert join(before, after) == whole


async def test_who_goes_on_is_understood_as_one() -> None:
    first, second = Scripted("what is"), Scripted("the time")
    earlier, later = Recognition(first), Recognition(second)
    waiting = asyncio.create_task(earlier.text())
    await asyncio.sleep(0)
    waiting.cancel()  # the turn that waited was superseded; the recognition goes on
    await asyncio.gather(waiting, return_exceptions=True)
    later.follow(earlier)
    first.may.set()
    second.may.set()
    assert later.revision == earlier.revision == 0, "nothing of it was told: there is no text to replace"
    assert await later.guess() == "what is the time"
    assert await later.feed(CHUNK) == "what is the time"
    assert await later.text() == "what is the time"
    assert first.finished == second.finished == 1
    await later.close()
    assert first.closed and second.closed


async def test_a_text_that_was_told_is_replaced() -> None:
    first, second = Scripted("what is"), Scripted("the time")
    earlier, later = Recognition(first), Recognition(second)
    await earlier.feed(CHUNK)
    later.follow(earlier)
    assert later.revision == 1


async def test_what_was_meant_for_nobody_begins_no_line() -> None:
    first, second = Scripted("uh-huh"), Scripted("what is the time")
    earlier, later = Recognition(first), Recognition(second)
    later.follow(earlier)

    async def judge() -> None:
        if await earlier.text() == "uh-huh":
            earlier.disregard()

    judging = asyncio.create_task(judge())
    asking = asyncio.create_task(later.text())
    second.may.set()
    await asyncio.sleep(0)
    first.may.set()
    assert await asking == "what is the time"
    await judging
    await later.close()


async def test_a_second_part_that_was_nothing_leaves_the_first() -> None:
    first, second = Scripted("what is the time"), Scripted("", fails=True)
    later = Recognition(second, Recognition(first))
    first.may.set()
    second.may.set()
    assert await later.text() == "what is the time"
    await later.close()


async def test_an_utterance_that_failed_says_so_however_often_it_is_asked() -> None:
    stream = Scripted("", fails=True)
    stream.may.set()
    heard = Recognition(stream)
    for _ in range(2):
        with pytest.raises(EngineError):
            await heard.text()
    assert stream.finished == 1
    await heard.close()


async def test_closing_ends_whoever_waits() -> None:
    heard = Recognition(Scripted("never"))
    waiting = asyncio.create_task(heard.text())
    await asyncio.sleep(0)
    await heard.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
