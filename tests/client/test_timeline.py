import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.timeline import SLACK, PictureLine, SoundLine

TICK = 960


def packet(value: int = 1) -> np.ndarray:
    return np.full(TICK, value, np.int16)


def test_sound_that_follows_is_joined_without_a_seam() -> None:
    line = SoundLine()
    for n in range(5):
        assert len(line.place(n * TICK + n, packet())) == TICK  # a report that wanders by a sample a packet
    assert line.end == 5 * TICK
    assert not line.gaps


def test_the_first_sound_is_padded_to_its_place() -> None:
    line = SoundLine()
    placed = line.place(100, packet())
    assert len(placed) == TICK + 100
    assert not placed[:100].any()
    assert placed[100:].all()
    assert not line.gaps


def test_what_did_not_come_is_silence_and_is_counted() -> None:
    line = SoundLine()
    line.place(0, packet())
    placed = line.place(3 * TICK, packet())
    assert len(placed) == 3 * TICK
    assert not placed[: 2 * TICK].any()
    assert line.gaps == [2 * TICK]


def test_sound_from_before_the_start_or_twice_is_cut() -> None:
    line = SoundLine()
    assert len(line.place(-TICK // 2, packet())) == TICK // 2
    assert len(line.place(-TICK // 2, packet())) == 0
    assert len(line.place(-2 * TICK, packet())) == 0
    assert line.end == TICK // 2


def test_a_broken_clock_does_not_fill_the_disk() -> None:
    line = SoundLine()
    line.place(0, packet())
    assert len(line.place(10**12, packet())) == TICK
    assert len(line.place(10**12 + TICK, packet())) == TICK


@given(st.lists(st.tuples(st.integers(-5000, 200_000), st.integers(1, 2000)), min_size=1, max_size=40))
def test_sound_never_has_holes_and_stands_within_the_slack(pieces: list[tuple[int, int]]) -> None:
    line, track = SoundLine(), np.zeros(0, np.int16)
    for at, length in pieces:
        before = len(track)
        track = np.concatenate([track, line.place(at, np.full(length, 7, np.int16))])
        assert line.end == len(track)
        if len(track) > before:
            assert abs(len(track) - (at + length)) <= SLACK


def test_pictures_keep_their_own_times() -> None:
    line = PictureLine()
    assert line.place(0.0) == ([], 0.0)
    assert line.place(0.04) == ([], 0.04)
    assert line.place(0.097) == ([], 0.097)  # late, yet none is missing before it


def test_the_first_picture_is_held_from_the_start() -> None:
    assert PictureLine().place(0.08) == ([0.0, 0.04], 0.08)


def test_a_missing_picture_is_held() -> None:
    line = PictureLine()
    line.place(0.0)
    held, at = line.place(0.16) or ([], -1)
    assert held == pytest.approx([0.04, 0.08, 0.12])
    assert at == 0.16
    assert line.fill(0.28) == pytest.approx([0.20, 0.24])


def test_a_slower_rate_has_no_missing_pictures() -> None:
    line = PictureLine(interval=0.1)
    line.place(0.0)
    assert line.place(0.1) == ([], 0.1)


def test_a_picture_out_of_order_is_dropped() -> None:
    line = PictureLine()
    line.place(0.2)
    assert line.place(0.1) is None
    assert line.place(0.2) is None


def test_pictures_survive_a_broken_clock() -> None:
    line = PictureLine()
    line.place(0.0)
    assert line.place(1e9) == ([], 0.04)
    held, at = line.place(1e9 + 0.04) or ([], -1)
    assert held == []
    assert at == pytest.approx(0.08, abs=1e-6)
