"""pocketsphinx on recorded speech, in its worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import psutil
import pytest

from avatar.errors import EngineError
from avatar.hear.language import LANGUAGE_UNAVAILABLE
from avatar.hear.sphinx import PocketSphinx
from avatar.types import AudioChunk, Transcript
from tests.hear.sounds import TEXTS, clip, recognise, silence


def workers() -> list[psutil.Process]:
    """The live decoder processes of this one."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any("sphinx_worker" in part for part in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


@pytest.fixture
async def engine() -> AsyncIterator[PocketSphinx]:
    engine = PocketSphinx("for the test")
    await engine.warm()
    yield engine
    await engine.close()
    assert workers() == []


@pytest.mark.parametrize("name", ["time", "thanks", "yes"])
async def test_short_sentences_are_recognised(engine: PocketSphinx, name: str) -> None:
    transcript, _ = await recognise(engine, clip(name))
    assert transcript == Transcript(TEXTS[name], "en")


async def test_longer_speech_is_mostly_recognised(engine: PocketSphinx) -> None:
    transcript, _ = await recognise(engine, clip("weather"))
    assert len(set(transcript.text.split()) & set(TEXTS["weather"].split())) >= 7


async def test_partials_grow_while_the_user_speaks(engine: PocketSphinx) -> None:
    stream = engine.open("en")
    partials: list[str] = []
    sound = clip("weather")
    at = 0
    while "weather" not in "".join(partials[-1:]):  # a busy machine decodes later than real time: it gets its time
        partial = await stream.feed(AudioChunk(sound[at : at + 512], 16_000, at))
        at = min(at + 512, len(sound))
        if partial is not None:
            partials.append(partial)
        await asyncio.sleep(0.016)
    await stream.finish()
    assert len(partials) >= 3
    assert all(a != b for a, b in pairwise(partials))


async def test_what_was_said_before_a_pause_is_decided_in_it(engine: PocketSphinx) -> None:
    stream = engine.open("en")
    shown = ""
    sound = np.concatenate([clip("time"), silence(0.5, 16_000)])
    at = 0
    while shown != TEXTS["time"] or at < len(sound):
        shown = await stream.feed(AudioChunk(sound[at : at + 512], 16_000, at)) or shown
        at = min(at + 512, len(sound))
        await asyncio.sleep(0.005)
    assert (await stream.finish()).text == shown


async def test_words_on_both_sides_of_a_pause_are_one_utterance(engine: PocketSphinx) -> None:
    sound = np.concatenate([clip("time"), silence(0.5, 16_000), clip("thanks"), silence(0.5, 16_000)])
    transcript, _ = await recognise(engine, sound)
    assert transcript.text == f"{TEXTS['time']} {TEXTS['thanks']}"


async def test_nobody_holds_a_decoder_while_silent(engine: PocketSphinx) -> None:
    """More users than decoders, who have spoken and are not finished with: a turn may wait in its session's queue."""
    paused = np.concatenate([clip("yes"), silence(0.5, 16_000)])
    streams = [engine.open("en") for _ in range(7)]
    for stream in streams:
        for at in range(0, len(paused), 512):
            await stream.feed(AudioChunk(paused[at : at + 512], 16_000, at))
    assert (await recognise(engine, clip("time")))[0].text == TEXTS["time"]
    assert [(await stream.finish()).text for stream in streams] == ["yes"] * 7


async def test_closed_while_finishing(engine: PocketSphinx) -> None:
    stream = engine.open("en")
    await stream.feed(AudioChunk(np.tile(clip("hello"), 3), 16_000, 0))
    finishing = asyncio.create_task(stream.finish())
    await asyncio.sleep(0)
    await stream.close()
    assert (await finishing).text == ""


async def test_silence_is_no_text(engine: PocketSphinx) -> None:
    transcript, _ = await recognise(engine, silence(1.0, 16_000))
    assert transcript.text == ""


async def test_nothing_fed_is_no_text(engine: PocketSphinx) -> None:
    assert (await engine.open("en").finish()).text == ""


async def test_many_users_at_once(engine: PocketSphinx) -> None:
    names = ["time", "thanks", "yes", "time", "thanks", "yes"]
    heard = await asyncio.gather(*(recognise(engine, clip(name)) for name in names))
    assert [transcript.text for transcript, _ in heard] == [TEXTS[name] for name in names]
    assert len(workers()) <= 4


async def test_one_utterance_leaves_nothing_to_the_next(engine: PocketSphinx) -> None:
    first, _ = await recognise(engine, clip("weather"))
    await recognise(engine, (clip("hello") / 8).astype(np.int16))
    again, _ = await recognise(engine, clip("weather"))
    assert again == first


async def test_a_dropped_utterance_frees_its_decoder_at_once(engine: PocketSphinx) -> None:
    for _ in range(6):
        stream = engine.open("en")
        await stream.feed(AudioChunk(np.tile(clip("hello"), 6), 16_000, 0))
        await stream.close()
        await stream.close()
    transcript, _ = await recognise(engine, clip("time"))
    assert transcript.text == TEXTS["time"]


async def test_cancelling_leaves_the_engine_usable(engine: PocketSphinx) -> None:
    async def speak() -> None:
        await recognise(engine, np.tile(clip("hello"), 4))

    for delay in (0.0, 0.01, 0.1):
        task = asyncio.create_task(speak())
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    transcript, _ = await recognise(engine, clip("thanks"))
    assert transcript.text == TEXTS["thanks"]


async def test_a_decoder_that_dies_is_reported_and_replaced(engine: PocketSphinx) -> None:
    stream = engine.open("en")
    await stream.feed(AudioChunk(clip("hello"), 16_000, 0))
    for process in workers():
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="starts again"):
        await stream.finish()
    transcript, _ = await recognise(engine, clip("time"))
    assert transcript.text == TEXTS["time"]


@pytest.mark.parametrize("language", ["en", "en-GB", "EN_us", "auto"])
async def test_english_in_all_spellings(engine: PocketSphinx, language: str) -> None:
    transcript, _ = await recognise(engine, clip("yes"), language)
    assert transcript.text == "yes"


async def test_another_language_is_an_error_not_nonsense(engine: PocketSphinx) -> None:
    with pytest.raises(EngineError, match="English only") as caught:
        await recognise(engine, clip("time"), "ja")
    assert caught.value.code == LANGUAGE_UNAVAILABLE
    assert "English only" in engine.choice.note


async def test_waiting_streams_are_told_of_the_shutdown() -> None:
    engine = PocketSphinx("for the test")
    stream = engine.open("en")
    finishing = asyncio.create_task(stream.finish())
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineError):
        await finishing
    with pytest.raises(EngineError):
        engine.open("en")
    assert workers() == []


async def test_the_event_loop_is_never_blocked(engine: PocketSphinx) -> None:
    """The decoder's own threads of work are in another process: while it decodes, the loop only passes bytes on."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await recognise(engine, np.tile(clip("hello"), 3), piece=1 << 20)
    ticking.cancel()
    assert ticks > 20
