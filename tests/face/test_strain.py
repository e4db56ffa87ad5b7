"""Fewer pictures for a machine that cannot draw more, and more again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatar.face.strain import ENOUGH, LONGEST, Strain


def settle(strain: Strain, sound_ms: float, picture_ms: float, blocks: int = 400) -> list[int]:
    """`fps` after each block of four slots, of which each costs `sound_ms` and each picture `picture_ms`."""
    seen = []
    for _ in range(blocks):
        strain.spent(4, 4 * (sound_ms + picture_ms * strain.fps / 25) / 1000)
        seen.append(strain.fps)
    return seen


def test_a_quick_face_draws_everything() -> None:
    assert set(settle(Strain(), 1, 20)) == {25}


def test_a_slow_face_draws_less_within_a_second_and_keeps_up() -> None:
    seen = settle(Strain(), 2, 200)
    assert seen[LONGEST // 4] < 8
    assert 2 + 200 * seen[-1] / 25 <= 40


def test_a_passing_load_is_forgotten() -> None:
    strain = Strain()
    settle(strain, 2, 200, 20)
    assert strain.fps < 8
    assert settle(strain, 1, 12)[-1] == 25


@given(st.floats(0, 20), st.floats(1, 2000))
def test_it_comes_to_rest(sound_ms: float, picture_ms: float) -> None:
    """A number that goes up and down again is seen as a stutter."""
    seen = settle(Strain(), sound_ms, picture_ms)
    assert len(set(seen[200:])) == 1
    assert sound_ms + picture_ms * seen[-1] / 25 <= 40 or seen[-1] == 1


def test_one_late_block_is_no_judgement() -> None:
    """A face that works in chunks gives nothing for some slots and then many at once."""
    strain = Strain()
    assert not strain.spent(4, 0.3)
    assert not strain.spent(ENOUGH - 5, 0.0)
    assert strain.fps == 25
