"""Whose path decides what everybody hears, and what the encoder is told of time."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pytest

from avatar.clock import SLOT_S, VIDEO_TICKS, MediaClock
from avatar.play import opus
from avatar.play.opus import BITRATE
from avatar.play.source import PictureSource, SoundSource
from avatar.play.takers import Shot, Sound
from avatar.play.video import VideoEncoder
from tests.absent import absent
from tests.play.test_opus import voice


@pytest.fixture
def libopus() -> None:
    if opus._libopus() is None:
        absent("libopus cannot be reached directly here")


@dataclass
class Taker:
    leads: bool
    target: int = BITRATE
    lossy: float = 0.0
    taking: bool = True
    dtx: bool = False
    heard: list[bytes] = field(default_factory=list)

    def take(self, sound: Sound) -> None:
        self.heard.append(sound.data)


def said(*takers: Taker) -> list[bytes]:
    """Two seconds of voice, as the first of them gets it."""
    source = SoundSource()
    for taker in takers:
        taker.heard = []
        source.join(taker)
    for tick in range(100):
        source.push(tick, voice(tick))
    for taker in takers:
        source.leave(taker)
    assert all(taker.heard == takers[0].heard for taker in takers)
    return takers[0].heard


@pytest.mark.usefixtures("libopus")
def test_the_sound_follows_the_path_of_who_leads() -> None:
    client, poor = Taker(leads=True), Taker(leads=False, target=10_000, lossy=0.2)
    alone = said(client)
    assert said(client, poor) == alone, "a watcher's poor path made everybody's sound coarse"
    lossy = said(Taker(leads=True, lossy=0.2), Taker(leads=False))
    assert lossy != alone
    assert said(Taker(leads=True, lossy=0.2)) == lossy
    thin = said(Taker(leads=True, target=12_000), Taker(leads=False))
    assert sum(map(len, thin)) < 0.6 * sum(map(len, alone))


@pytest.mark.usefixtures("libopus")
def test_while_nobody_leads_a_usual_watcher_decides() -> None:
    good, poor = Taker(leads=False), Taker(leads=False, target=10_000, lossy=0.2)
    alone = said(good)
    assert said(good, Taker(leads=False), poor) == alone
    assert sum(map(len, said(poor))) < 0.6 * sum(map(len, alone))


@dataclass
class Watcher:
    """Takes no picture while its path is full."""

    full: bool = False
    taking: bool = True
    leads: bool = True
    target: int | None = None

    def blocked(self, now: float) -> bool:
        return self.full

    def take(self, shot: Shot) -> None:
        pass


class Clockwork:
    """An encoder that only notes the time that it is told of, and takes as long as it is told to."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.free = threading.Event()

    def encode(self, i420: np.ndarray, pts: int, *, key: bool) -> None:
        self.told.append(pts)
        self.free.wait(20)

    def close(self) -> None:
        pass


async def test_the_encoders_clock_never_goes_back_whatever_is_left_out() -> None:
    clock, encoder, watcher = MediaClock(), Clockwork(), Watcher()
    clock.start(time.monotonic())
    source = PictureSource(clock, "vp9")
    source.open_encoder = lambda target: cast(VideoEncoder, encoder)
    source.join(watcher)
    grey = np.full((96, 64), 128, np.uint8)

    async def idle(slot: int, *, full: bool) -> None:
        """The encoder ends its work; whether the path has room for the picture that waits."""
        clock.start(time.monotonic() - slot * SLOT_S)
        watcher.full = full
        encoder.free.set()
        while not source._idle.is_set():
            source._collect()
            await asyncio.sleep(0.001)
        encoder.free.clear()

    source.push(4, grey)
    source.push(5, grey)
    source.push(9, grey)  # instead of 5, after the machine stood still
    await idle(9, full=True)
    watcher.full = False
    source.push(10, grey)
    assert source.dropped_waiting == source.dropped_paced == 1
    await idle(10, full=False)
    source.push(11, grey)
    await idle(11, full=False)
    await source.leave(watcher)
    assert len(encoder.told) == 3
    assert [after - before for before, after in itertools.pairwise(encoder.told)] == [VIDEO_TICKS, VIDEO_TICKS]
