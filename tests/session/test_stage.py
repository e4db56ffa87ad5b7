"""The stage: sound of any rate and any chunking becomes whole slices, each with its own frame."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.clock import AUDIO_SAMPLES
from avatar.errors import EngineError
from avatar.face.stage import Resampler, Stage
from avatar.tunables import Tunables
from avatar.types import Accent, AudioChunk, Choice, Clause, Frame, Pcm, Phone, Slice, Word


class Scripted:
    """A performance that looks ahead by some frames and writes down what it is asked."""

    def __init__(self, rate: int, ahead: int) -> None:
        self.slot, self.ahead = rate // 25, ahead
        self.owed = 0
        self.serial = -1
        self.cuts: list[int] = []
        self.phones: list[Phone] = []
        self.sound: list[Pcm] = []
        self.busy = False
        self.broken = False

    def _frames(self, count: int) -> list[Frame]:
        made = []
        for _ in range(count):
            self.serial += 1
            made.append(Frame(self.serial, None))
        self.owed -= count
        return made

    def feed(self, pcm: Pcm, phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()) -> list[Frame]:
        assert not self.busy, "entered twice"
        if self.broken:
            raise RuntimeError("no more paint")
        self.busy = True
        self.phones += phones
        self.sound.append(pcm)
        self.owed += len(pcm) // self.slot
        frames = self._frames(max(0, self.owed - self.ahead))
        self.busy = False
        return frames

    def finish(self) -> list[Frame]:
        return self._frames(self.owed)

    def idle(self, user_level: float = 0.0) -> Frame:
        assert not self.busy
        self.serial += 1
        return Frame(self.serial, None)

    def cut(self, shown: int) -> None:
        self.cuts.append(shown)
        self.owed = 0

    def tune(self, tunables: Tunables) -> None: ...

    def close(self) -> None: ...


class ScriptedFace:
    choice = Choice("face", "scripted", "for the test")
    ignores: frozenset[str] = frozenset()

    def __init__(self, rate: int, ahead: int) -> None:
        self.rate = rate
        self.performance = Scripted(rate, ahead)

    def perform(self, rig: object, tunables: Tunables, seed: int) -> Scripted:
        return self.performance


async def chunked(pcm: Pcm, rate: int, cuts: Sequence[int]) -> AsyncIterator[AudioChunk]:
    edges = sorted({0, len(pcm), *(cut % (len(pcm) + 1) for cut in cuts)})
    words = (Word("all", 0, len(pcm)),)
    for begin, end in itertools.pairwise(edges):
        yield AudioChunk(pcm[begin:end], rate, begin, words if begin == 0 else (), (Phone("a", begin, end),))


def stage_of(face: ScriptedFace, pool: ThreadPoolExecutor) -> Stage:
    return Stage(face, object(), Tunables(), 1, pool)  # type: ignore[arg-type]


async def perform(face: ScriptedFace, pcm: Pcm, rate: int, cuts: Sequence[int]) -> list[Slice]:
    with ThreadPoolExecutor(1) as pool:
        stage = stage_of(face, pool)
        return [piece async for piece in stage.perform(Clause("all", 0, "t"), chunked(pcm, rate, cuts))]


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(0, 20_000),
    rate=st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]),
    face_rate=st.sampled_from([16000, 48000]),
    ahead=st.integers(0, 7),
    cuts=st.lists(st.integers(0, 20_000), max_size=6),
)
def test_any_sound_gives_exactly_its_slices(
    samples: int, rate: int, face_rate: int, ahead: int, cuts: list[int]
) -> None:
    face = ScriptedFace(face_rate, ahead)
    pcm = np.full(samples, 4000, np.int16)
    slices = asyncio.run(perform(face, pcm, rate, cuts))
    at_wire = round(samples * 48000 / rate)
    assert len(slices) == -(-at_wire // AUDIO_SAMPLES)
    assert all(len(piece.pcm) == AUDIO_SAMPLES for piece in slices)
    assert [piece.frame.serial for piece in slices] == list(range(len(slices)))
    assert [piece.clause_end for piece in slices] == [index == len(slices) - 1 for index in range(len(slices))]
    assert [piece.clause_start for piece in slices] == [index == 0 for index in range(len(slices))]
    fed = sum(len(piece) for piece in face.performance.sound)
    assert fed == len(slices) * face_rate // 25
    if slices:
        assert slices[0].words[0].text == "all"
        ends = face.performance.phones[-1].end
        assert abs(ends - samples * face_rate / rate) <= 1


async def test_a_cancelled_speech_leaves_the_performance_usable() -> None:
    face = ScriptedFace(16000, 2)
    with ThreadPoolExecutor(2) as pool:
        stage = stage_of(face, pool)
        got: list[Slice] = []

        async def endless() -> AsyncIterator[AudioChunk]:
            start = 0
            while True:
                yield AudioChunk(np.zeros(1600, np.int16), 16000, start)
                start += 1600
                await asyncio.sleep(0)

        async def speak() -> None:
            async for piece in stage.perform(Clause("x", 0, "t"), endless()):
                got.append(piece)

        task = asyncio.create_task(speak())
        while len(got) < 20:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        shown = got[4].frame.serial
        stage.cut(shown)
        frame = await stage.idle(shown)
        assert frame is not None
        assert face.performance.cuts == [shown]
        more = [
            piece async for piece in stage.perform(Clause("y", 0, "u"), chunked(np.zeros(3200, np.int16), 16000, []))
        ]
        assert len(more) == 5


async def test_idle_waits_for_frames_that_were_made_and_not_shown() -> None:
    face = ScriptedFace(16000, 0)
    with ThreadPoolExecutor(1) as pool:
        stage = stage_of(face, pool)
        clause = Clause("x", 0, "t")
        slices = [piece async for piece in stage.perform(clause, chunked(np.zeros(6400, np.int16), 16000, []))]
        assert await stage.idle(slices[3].frame.serial) is None
        assert await stage.idle(slices[-1].frame.serial) is not None


async def test_a_cut_halts_what_is_being_drawn() -> None:
    face = ScriptedFace(16000, 0)
    drawing, halted = threading.Event(), threading.Event()
    order: list[str] = []

    def feed(pcm: Pcm, phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()) -> list[Frame]:
        order.append("feed")
        drawing.set()
        assert halted.wait(30), "told only when the call was over"
        return [Frame(0, None)]

    def halt() -> None:
        order.append("halt")
        halted.set()

    performance = face.performance
    performance.feed, performance.halt = feed, halt  # type: ignore[method-assign,attr-defined]
    with ThreadPoolExecutor(1) as pool:
        stage = stage_of(face, pool)
        slices = stage.perform(Clause("x", 0, "t"), chunked(np.zeros(6400, np.int16), 16000, []))
        task = asyncio.ensure_future(anext(slices, None))
        assert await asyncio.to_thread(drawing.wait, 30)
        stage.cut(-1)
        assert await task is None
        assert await stage.idle(-1) is not None
    assert order == ["feed", "halt"] and performance.cuts == [-1]


@pytest.mark.parametrize("after", [0, 3])
async def test_a_face_that_breaks_costs_pictures_not_sound(after: int) -> None:
    face = ScriptedFace(16000, 2)
    with ThreadPoolExecutor(1) as pool:
        stage = stage_of(face, pool)
        pcm = np.arange(16_000, dtype=np.int16)
        troubles: list[EngineError] = []
        slices: list[Slice] = []
        face.performance.broken = after == 0
        chunks = chunked(pcm, 48000, [1000, 9000, 12_000])
        async for piece in stage.perform(Clause("x", 0, "t"), chunks, on_trouble=troubles.append):
            slices.append(piece)
            face.performance.broken = len(slices) >= after
        assert len(troubles) == 1 and "paint" not in troubles[0].message
        sound = np.concatenate([piece.pcm for piece in slices])
        assert np.array_equal(sound[: len(pcm)], pcm) and len(sound) == 9 * AUDIO_SAMPLES
        assert slices[-1].clause_end and not any(piece.clause_end for piece in slices[:-1])
        face.performance.broken = False
        assert await stage.idle(slices[-1].frame.serial) is not None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30_000), st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]), st.integers(1, 5000))
def test_the_resampler_is_exact_in_length(samples: int, rate: int, step: int) -> None:
    resampler = Resampler(rate, 48000)
    pcm = np.zeros(samples, np.int16)
    total = sum(len(resampler.feed(pcm[at : at + step])) for at in range(0, samples, step))
    assert total + len(resampler.flush()) == round(samples * 48000 / rate)
