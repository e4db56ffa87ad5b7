"""Speech that stands still while nobody hears it, and goes on from what was lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from avatar.clock import AUDIO_SAMPLES
from avatar.play.rewind import KEPT_SLOTS, PICTURE_BYTES, Rewind
from avatar.types import Frame, Slice, Word
from tests.play.test_playout import House, house, until

__all__ = ["house"]


async def test_after_a_pause_speech_goes_on_from_the_word_that_was_lost(house: House) -> None:
    house.playout.begin("a")
    pieces = house.slices("a", 60, text="one two three")
    words = {0: "one ", 12: "two ", 30: "three"}
    pieces = [
        replace(
            piece,
            start=n * AUDIO_SAMPLES,
            words=(Word(words[n], n * AUDIO_SAMPLES, (n + 9) * AUDIO_SAMPLES),) if n in words else (),
        )
        for n, piece in enumerate(pieces)
    ]
    putting = asyncio.create_task(put_all(house, pieces))
    await until(lambda: len(house.sent) >= 25)
    last = house.sent[-1][1]
    first = house.sent[0][1]
    clock = house.playout._clock
    house.playout.pause(clock.due(first + 20))  # in the middle of "two"
    house.playout.pause(clock.due(first + 5))  # harmless
    assert house.playout.heard().seconds == pytest.approx(12 * 0.04)
    count = len(house.wire.sounds)
    await until(lambda: len(house.wire.sounds) >= count + 40)
    assert house.sent[-1][1] == last, "nothing is said while nobody hears"
    assert not any(pcm.any() for _, pcm in house.wire.sounds[count + 2 :])
    assert all(i420 is None for slot, i420 in house.wire.pictures if slot > last + 1)
    house.playout.resume()
    await putting
    await house.playout.finish()
    assert [p.frame.serial for p, _ in house.sent[25:]] == [p.frame.serial for p in pieces[12:]]
    again = house.sent[25][0]
    assert again.clause_start and again.text == "two three"
    heard = house.playout.heard()
    assert heard.complete and heard.text == "one two three" and heard.seconds == pytest.approx(60 * 0.04)


async def test_a_pause_goes_back_behind_the_end_of_the_speech(house: House) -> None:
    """The turn was over for the server when the loss was found, not for who listens."""
    house.playout.begin("a")
    pieces = house.slices("a", 10, text="end")
    await put_all(house, pieces)
    await house.playout.finish()
    count = len(house.sent)
    clock = house.playout._clock
    house.playout.pause(clock.due(house.sent[4][1]))
    assert house.playout.speaking
    house.playout.resume()
    await house.playout.finish()
    assert len(house.sent) - count == 10, "from the beginning of the clause, which is near"
    house.playout.begin("b")
    house.playout.pause(clock.due(house.sent[-1][1]))
    assert not house.playout.queued, "another turn's speech does not come back"


def test_what_is_kept_for_a_rewind_is_bounded() -> None:
    rewind = Rewind()
    big = np.zeros((1536, 1024), np.uint8)
    for slot in range(1000):
        rewind.sent(slot, Slice(Frame(slot, big), np.zeros(AUDIO_SAMPLES, np.int16), "a", 0))
    kept = rewind.since(0, "a")
    assert len(kept) == KEPT_SLOTS
    assert sum(p.frame.i420.nbytes for p in kept if p.frame.i420 is not None) <= PICTURE_BYTES
    assert kept[-2].frame.i420 is not None, "the newest keep theirs"
    assert rewind.since(0, "a") == []


async def put_all(house: House, pieces: list[Slice]) -> None:
    for piece in pieces:
        assert await house.playout.put(piece)


async def test_last_words_that_did_not_arrive_are_told_as_speech(house: House) -> None:
    told: list[bool] = []
    house.playout.on_encore = told.append
    clock = house.playout._clock

    async def say(turn: str) -> None:
        house.playout.begin(turn)
        await put_all(house, house.slices(turn, 10, text="end"))
        await house.playout.finish()

    await say("a")
    house.playout.pause(clock.due(house.sent[4][1]))
    house.playout.resume()
    await house.playout.finish()
    assert told == [True, False]

    told.clear()
    house.playout.pause(clock.due(house.sent[-1][1]))
    await say_while_paused(house, "b")
    assert told == [], "nobody has heard of them"
    assert {piece.turn_id for piece, _ in house.sent[-10:]} == {"b"}

    house.playout.pause(clock.due(house.sent[-8][1]))
    house.playout.resume()
    await until(lambda: bool(told))
    house.playout.begin("c")
    assert told == [True, False], "something newer is to be said"
    assert not house.playout.queued


async def say_while_paused(house: House, turn: str) -> None:
    house.playout.begin(turn)
    putting = asyncio.create_task(put_all(house, house.slices(turn, 10, text="new")))
    await until(lambda: house.playout.queued == 10)
    house.playout.resume()
    await putting
    await house.playout.finish()
    assert house.playout.heard().complete and house.playout.heard().text == "new"


async def test_a_turn_that_goes_on_is_no_encore(house: House) -> None:
    told: list[bool] = []
    house.playout.on_encore = told.append
    house.playout.begin("a")
    await put_all(house, house.slices("a", 10))
    await until(lambda: len(house.sent) == 10)
    house.playout.pause(house.playout._clock.due(house.sent[4][1]))
    house.playout.resume()
    await house.playout.finish()
    assert told == []
