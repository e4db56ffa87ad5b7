"""The whole sender where the path becomes narrow or lossy, in simulated time (`virtual`)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from avatar.clock import VIDEO_TICKS, MediaClock
from avatar.play import repair
from avatar.play.congestion import Congestion
from avatar.play.source import Broadcast
from avatar.play.video import Encoded
from avatar.types import I420

from .links import Link
from .virtual import Far, Sender, Time, run

SIDE = 512
NARROW_S = 6.0
"""When the path changes."""


def moving(slot: int) -> I420:
    """A picture that keeps an encoder busy: soft shapes that drift, under a little noise."""
    rng = np.random.default_rng(3)
    shapes = cv2.resize(rng.integers(0, 255, (20, 20), np.uint8), (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
    at = slot % 100 * 3
    noise = np.random.default_rng(slot % 7).integers(0, 6, (SIDE, SIDE), np.uint8)
    picture = np.full((SIDE * 3 // 2, SIDE), 128, np.uint8)
    picture[:SIDE] = shapes[at : at + SIDE, at // 2 : at // 2 + SIDE] // 2 + noise + 40
    return picture


def shown(link: Link, seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Far, Sender]:
    async def work(time: Time) -> tuple[Far, Sender]:
        sender = Sender(time, link, 750)
        return await sender.show(moving, seconds), sender

    return run(work, monkeypatch)


@pytest.mark.parametrize("cap", [350_000, 560_000])
def test_a_queue_is_emptied_at_once_and_lips_wait_for_their_sound(cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Link(rate=lambda now: cap if now > 1000 + NARROW_S else 1e9)
    far, _ = shown(path, 20, monkeypatch)
    before = [lag for stamp, lag in far.sounds if stamp < NARROW_S - 0.2]
    assert max(before) < 0.04
    assert max(wait for at, wait in far.waits if at < NARROW_S) == 0
    late = [stamp for stamp, lag in far.sounds if lag > 0.15]
    assert len(late) * 0.02 < 1.2, "what fills the queue again after it has overflowed?"
    assert far.frozen(NARROW_S, 20) < 1.5
    assert 0.75 * cap < far.rate(NARROW_S + 5, 20) < 1.02 * cap
    settled = [lag for stamp, lag in far.pictures if stamp > NARROW_S + 4]
    assert len(settled) > 22 * (20 - NARROW_S - 4)
    assert np.percentile(settled, 95) < 0.2
    # The receiver has heard sound come 0.3 s late: it will hold it back for some seconds, and so must the pictures.
    assert 0.1 < np.median([wait for at, wait in far.waits if NARROW_S + 1 < at < NARROW_S + 4]) < 0.35


def test_a_path_that_loses_little_is_repaired_before_anybody_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    far, sender = shown(Link(loss=0.02, seed=4), 25, monkeypatch)
    lags = np.array([lag for stamp, lag in far.pictures if stamp > 5])
    assert len(lags) > 0.98 * 25 * 19
    assert np.mean(lags > np.median(lags) + 0.04) < 0.05
    assert 0.2 < sender.picture.copy_share < 1
    assert far.frozen(1, 24) < 0.5


def test_a_path_that_loses_much_gets_a_third_copy_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    far, sender = shown(Link(loss=0.1, seed=1), 16, monkeypatch)
    lags = np.array([lag for stamp, lag in far.pictures if stamp > 8])
    assert len(lags) > 0.97 * 25 * 7
    assert np.mean(lags > np.median(lags) + 0.04) < 0.06
    assert 1.1 < sender.picture.copy_share <= 1.5
    assert far.frozen(8, 15) < 0.5


@pytest.mark.parametrize(("path", "video"), [(60_000, False), (80_000, True)])
def test_sound_is_in_time_on_the_thinnest_paths(path: int, video: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    far, sender = shown(Link(rate=lambda now: path if now > 1001 else 1e9), 26, monkeypatch)
    lags = [lag for stamp, lag in far.sounds if stamp > 8]
    assert len(lags) > 0.98 * 50 * 18
    assert np.median(lags) < 0.08
    assert np.mean(np.array(lags) > 0.15) < 0.2
    assert len([stamp for stamp, _ in far.pictures if stamp > 8]) > (75 if video else 0)
    assert sender.rung.needs < 60_000


def test_a_picture_that_was_missed_gives_no_bits_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(time: Time) -> list[int]:
        told: list[int] = []
        pictures = Broadcast(MediaClock()).pictures("vp9")
        pictures._clock.start(time.now)
        monkeypatch.setattr(
            pictures, "_encode", lambda i420, pts, key, target: told.append(pts) or Encoded([b""], key, SIDE, SIDE)
        )
        pictures.join(SimpleNamespace(taking=True, leads=True, target=1, blocked=lambda now: False, take=id))  # type: ignore[arg-type]
        for slot in range(12):
            late = 0.1 if slot in (4, 5, 9) else 0.0
            await asyncio.sleep(max(0.0, pictures._clock.due(slot) + late - time.now))
            pictures.push(slot, np.zeros((SIDE * 3 // 2, SIDE), np.uint8))
        await asyncio.sleep(0.2)
        assert pictures.dropped_late + pictures.dropped_waiting >= 3
        return told

    told = run(work, monkeypatch)
    assert {after - before for before, after in pairwise(told)} == {VIDEO_TICKS}


def test_a_good_path_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    far, sender = shown(Link(), 12, monkeypatch)
    assert sender.picture.copies == 0
    assert sender.picture.retransmitted == 0
    assert {wait for _, wait in far.waits} == {0.0}
    assert max(lag for _, lag in far.pictures) < 0.12
    assert len(far.pictures) >= 25 * 12 - 8


def test_a_watcher_on_a_thin_path_is_not_paid_for_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(time: Time) -> tuple[Far, Sender, Sender]:
        client, watcher = Sender(time, Link(), 750), Sender(time, Link(rate=lambda now: 150_000), 750)
        return await client.show(moving, 10, watcher), client, watcher

    far, client, watcher = run(work, monkeypatch)
    assert far.frozen(1, 10) == 0
    assert watcher.picture.held_up > 0
    assert 2 <= client.key_frames <= 5, "half a second lay between key frames, for everybody"


async def test_what_could_not_be_repaired_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    monkeypatch.setattr(repair, "time", time)
    sender = repair.RepairingSender(SimpleNamespace(state="connected"), MediaClock(), Congestion())
    for sequence in range(20_000):
        time.now += 0.02
        sender._abroad[sequence % repair.HISTORY_PACKETS] = 1
        sender._fated(sequence, None, None)
    assert len(sender._missing) <= repair.HISTORY_PACKETS
    assert sender.missing(time.now) == pytest.approx(repair.REPAIR_S / 0.02, abs=1)
