"""The playout of slices: order, pairing, fading, what was heard. Time runs as fast as the test."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from avatar.clock import AUDIO_SAMPLES, MediaClock
from avatar.play import playout as module
from avatar.play.playout import FADE_SAMPLES, QUEUE_SLICES, TICK_SAMPLES, Playout
from avatar.types import I420, Frame, Pcm, Slice

PICTURE: I420 = np.zeros((6, 4), np.uint8)


class Wire:
    """Records what is sent."""

    def __init__(self) -> None:
        self.pictures: list[tuple[int, I420 | None]] = []
        self.sounds: list[tuple[int, Pcm]] = []

    def send_picture(self, slot: int, i420: I420 | None) -> None:
        self.pictures.append((slot, i420))

    def send_sound(self, tick: int, pcm: Pcm) -> None:
        self.sounds.append((tick, pcm.copy()))


class Time:
    """A clock that jumps to whatever is slept for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.stalls: dict[int, float] = {}
        self.sleeps = 0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module, "_sleep_until", self.sleep_until)

    async def sleep_until(self, due: float) -> None:
        self.now = max(self.now, due) + self.stalls.pop(self.sleeps, 0.0)
        self.sleeps += 1
        for _ in range(20):
            await asyncio.sleep(0)


class House:
    """A playout with a face that counts its frames."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.wire = Wire()
        self.made = -1
        self.sent: list[tuple[Slice, int]] = []
        self.playout = Playout(MediaClock(), self.wire, self.idle, lambda piece, slot: self.sent.append((piece, slot)))

    async def idle(self, shown: int) -> Frame | None:
        if self.made != shown:
            return None
        self.made += 1
        return Frame(self.made, PICTURE)

    def slices(self, turn: str, count: int, *, value: int = 1000, clause: int = 0, text: str = "") -> list[Slice]:
        pieces = []
        for index in range(count):
            self.made += 1
            pieces.append(
                Slice(
                    Frame(self.made, PICTURE),
                    np.full(AUDIO_SAMPLES, value, np.int16),
                    turn,
                    clause,
                    clause_start=index == 0,
                    clause_end=index == count - 1,
                    text=text if index == 0 else "",
                )
            )
        return pieces


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    house = House(Time(monkeypatch))
    task = asyncio.create_task(house.playout.run())
    yield house
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


async def test_the_picture_never_stops_and_stamps_advance_by_one(house: House) -> None:
    await until(lambda: len(house.wire.sounds) >= 40)
    assert [slot for slot, _ in house.wire.pictures][:20] == list(range(20))
    assert [tick for tick, _ in house.wire.sounds][:40] == list(range(40))
    assert all(i420 is not None for _, i420 in house.wire.pictures[1:20])
    assert all(not pcm.any() and len(pcm) == TICK_SAMPLES for _, pcm in house.wire.sounds)


async def test_speech_is_sent_as_the_pairs_it_was_made_in(house: House) -> None:
    house.playout.begin("a")
    pieces = house.slices("a", 5)
    for piece in pieces:
        assert await house.playout.put(piece)
    await house.playout.finish()
    assert [piece for piece, _ in house.sent] == pieces
    slots = [slot for _, slot in house.sent]
    assert slots == list(range(slots[0], slots[0] + 5))
    spoken = dict(house.wire.sounds)
    for slot in slots:
        assert (spoken[2 * slot] == 1000).all() and (spoken[2 * slot + 1] == 1000).all()
    assert house.playout.heard().complete


async def test_frames_are_shown_in_the_order_in_which_they_were_made(house: House) -> None:
    shown: list[int] = []
    original = house.wire.send_picture

    def record(slot: int, i420: I420 | None) -> None:
        shown.append(house.playout.shown)
        original(slot, i420)

    house.wire.send_picture = record  # type: ignore[method-assign]
    for turn in range(10):
        house.playout.begin(str(turn))
        for piece in house.slices(str(turn), 1 + turn % 4):
            await house.playout.put(piece)
        await house.playout.finish()
        await until(lambda: house.playout.queued == 0)
    assert shown == sorted(shown)


async def test_back_pressure_holds_a_fast_face(house: House) -> None:
    house.playout.begin("a")
    most = 0
    for piece in house.slices("a", 3 * QUEUE_SLICES):
        await house.playout.put(piece)
        most = max(most, house.playout.queued)
    assert most == QUEUE_SLICES


@pytest.mark.parametrize("after", [1, 2, 7])
async def test_a_flush_fades_the_next_packet_and_leaves_nothing(house: House, after: int) -> None:
    house.playout.begin("a")
    for piece in house.slices("a", 12, text="one two three four five six"):
        await house.playout.put(piece)
    await until(lambda: len(house.sent) >= after)
    before = len(house.wire.sounds)
    heard = house.playout.flush()
    await until(lambda: len(house.wire.sounds) >= before + 20)
    packets = [pcm for _, pcm in house.wire.sounds[before:]]
    fading = packets[0].astype(int)
    assert (np.diff(fading[:FADE_SAMPLES]) <= 0).all() and fading[0] > 900
    assert not fading[FADE_SAMPLES:].any()
    assert not any(pcm.any() for pcm in packets[1:])
    assert math.isclose(heard.seconds, 0.04 * len(house.sent))
    assert len(house.sent) < 12


async def test_a_fade_never_sounds_later_than_the_next_packet(house: House) -> None:
    house.playout.begin("a")
    for piece in house.slices("a", 8):
        await house.playout.put(piece)
    await until(lambda: len(house.sent) >= 3)
    while len(house.wire.sounds) % 2:  # between two slots: the fade waits for the next one
        await asyncio.sleep(0)
    house.playout.flush()
    house.made = house.playout.shown
    house.playout.begin("b")
    for piece in house.slices("b", 4, value=500):
        await house.playout.put(piece)
    await house.playout.finish()
    before = len(house.wire.sounds)
    await until(lambda: len(house.wire.sounds) >= before + 6)
    assert not any(pcm.any() for _, pcm in house.wire.sounds[-4:])


async def test_a_cut_turn_can_never_speak_again(house: House) -> None:
    house.playout.begin("a")
    pieces = house.slices("a", 3)
    assert await house.playout.put(pieces[0])
    house.playout.flush()
    assert not await house.playout.put(pieces[1])
    house.playout.begin("b")
    assert not await house.playout.put(pieces[2])


async def test_a_flush_frees_who_waits_for_room(house: House) -> None:
    house.playout.begin("a")
    pieces = house.slices("a", QUEUE_SLICES + 30)

    async def fill() -> bool:
        return all([await house.playout.put(piece) for piece in pieces])

    task = asyncio.create_task(fill())
    await until(lambda: house.playout.queued == QUEUE_SLICES)
    house.playout.flush()
    assert await asyncio.wait_for(task, 5) is False


async def test_oversleeping_moves_both_tracks_together(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    time.stalls[30] = 1.0
    house = House(time)
    task = asyncio.create_task(house.playout.run())
    await until(lambda: len(house.wire.sounds) >= 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    slots = [slot for slot, _ in house.wire.pictures]
    ticks = [tick for tick, _ in house.wire.sounds]
    assert house.playout.jumps == 1
    assert slots == sorted(set(slots)) and ticks == sorted(set(ticks))
    assert {tick // 2 for tick in ticks} <= set(slots)
    gap = max(b - a for a, b in itertools.pairwise(slots))
    assert 24 <= gap <= 26


async def test_a_slow_face_costs_pictures_never_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(Time(monkeypatch))
    gate = asyncio.Event()

    async def stuck(shown: int) -> Frame | None:
        await gate.wait()
        return Frame(0, PICTURE)

    house.playout._idle = stuck
    task = asyncio.create_task(house.playout.run())
    await until(lambda: len(house.wire.sounds) >= 20)
    assert all(i420 is None for _, i420 in house.wire.pictures)
    assert [tick for tick, _ in house.wire.sounds][:20] == list(range(20))
    assert house.playout.held >= 9
    gate.set()
    await until(lambda: any(i420 is not None for _, i420 in house.wire.pictures))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_speech_does_not_wait_for_an_idle_picture_that_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(Time(monkeypatch))
    pieces: list[Slice] = []
    slot = 0

    async def idle(shown: int) -> Frame | None:
        nonlocal slot
        frame = await House.idle(house, shown)
        if len(house.wire.pictures) >= 10 and not pieces:
            slot = house.wire.pictures[-1][0] + 1
            house.playout.begin("t")
            pieces.extend(house.slices("t", 3))
            for piece in pieces:
                assert await house.playout.put(piece)
        return frame

    house.playout._idle = idle
    task = asyncio.create_task(house.playout.run())
    await until(lambda: len(house.wire.pictures) >= 20)
    assert [at for _, at in house.sent] == [slot, slot + 1, slot + 2]
    assert house.playout.held == 0 and house.playout.shown > pieces[-1].frame.serial
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_speech_does_not_wait_for_an_idle_picture_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the stage: an idle picture that is asked for while speech is drawn has to wait, and is not wanted then."""
    house = House(Time(monkeypatch))
    drawing = asyncio.Lock()
    asked: list[int] = []

    async def idle(shown: int) -> Frame | None:
        asked.append(shown)
        async with drawing:
            return await House.idle(house, shown)

    house.playout._idle = idle
    task = asyncio.create_task(house.playout.run())
    await until(lambda: len(house.wire.pictures) >= 5)
    house.playout.begin("t")
    await drawing.acquire()
    count = len(asked)
    await until(lambda: len(asked) > count)  # the idle picture of the next slot waits now
    slot = house.wire.pictures[-1][0] + 1
    pieces = house.slices("t", 3)
    for piece in pieces:
        assert await house.playout.put(piece)
    await until(lambda: len(house.sent) == 3)
    drawing.release()
    assert [at for _, at in house.sent] == [slot, slot + 1, slot + 2]
    await until(lambda: len(house.wire.pictures) > slot + 6)  # and idle life goes on after it
    assert house.made > pieces[-1].frame.serial
    assert house.playout.shown > pieces[-1].frame.serial
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
