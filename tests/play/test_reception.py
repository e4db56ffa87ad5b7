"""Counters of a receiver, and the mapping onto the sender's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.clock import MediaClock
from avatar.play.reception import Reception, SenderTimeline, Unwrapper


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-500, 3000), max_size=200))
def test_wrapping_counters_are_followed(first: int, steps: list[int]) -> None:
    unwrap = Unwrapper(16)
    value = highest = first
    assert unwrap(first) == first
    for step in steps:
        value = max(0, highest + step)
        assert unwrap(value & 0xFFFF) == value
        highest = max(highest, value)


def test_padding_is_neither_lost_nor_late() -> None:
    plain, padded = Reception(48_000), Reception(48_000)
    for n in range(100):
        plain.add(n, n * 960, n * 0.02)
        padded.add(2 * n, n * 960, n * 0.02)
        padded.add(2 * n + 1, n * 960, n * 0.02 + 0.01, padding=True)
    assert padded.lost == 0
    assert padded.received == 200
    assert padded.jitter == plain.jitter == pytest.approx(0, abs=1e-6)


def test_loss_is_counted_as_the_rfc_says() -> None:
    reception = Reception(90_000)
    for n in range(65_500, 65_700):
        if n % 10:
            reception.add(n & 0xFFFF, n * 3600 & 0xFFFFFFFF, n * 0.04)
    assert reception.expected == 199  # the first of them never came, so nobody can know of it
    assert reception.lost == 19
    assert reception.highest == 65_699
    assert reception.fraction() == (19 << 8) // 199
    assert reception.fraction() == 0  # nothing new
    reception.add(65_701 & 0xFFFF, 0, 9e3)
    assert reception.fraction() == 128


def test_jitter_is_none_when_packets_come_as_they_were_sent() -> None:
    reception = Reception(48_000)
    for n in range(100):
        reception.add(n, n * 960, 5.0 + n * 0.02)
    assert reception.jitter == pytest.approx(0, abs=1e-3)
    for n in range(100, 400):
        reception.add(n, n * 960, 5.0 + n * 0.02 + (n % 2) * 0.01)
    assert reception.jitter / 48_000 == pytest.approx(0.01, rel=0.05)


def test_two_streams_meet_on_the_senders_clock() -> None:
    clock = MediaClock()
    clock.start(1000.0)
    sound, picture = SenderTimeline(48_000), SenderTimeline(90_000)
    assert sound.seconds(0) is None
    sound.update(7 + 48_000 * 3, clock.ntp(1003.0))  # streams start at random timestamps
    picture.update(99 + 90_000 * 5, clock.ntp(1005.0))
    a, b = sound.seconds(7 + 48_000 * 10), picture.seconds(99 + 90_000 * 10)
    assert a is not None
    assert b is not None
    assert a == pytest.approx(b, abs=1e-6)
