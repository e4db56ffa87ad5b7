"""The ladder, by numbers."""

from __future__ import annotations

import itertools

import pytest

from avatar.play.ladder import RELAPSE_S, RUNGS, UP_MAX_S, Ladder

PIXELS = 512 * 512


class Walk:
    """Feeds a ladder ten times a second."""

    def __init__(self, pixels: int = PIXELS) -> None:
        self.ladder = Ladder()
        self.now = 0.0
        self.pixels = pixels
        self.changes: list[tuple[float, str]] = []

    def at(self, rate: float, seconds: float, *, lossy: bool = False) -> str:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            if self.ladder.update(rate, self.pixels, lossy, self.now):
                self.changes.append((self.now, self.ladder.rung.name))
        return self.ladder.rung.name


def test_each_rung_is_smaller_than_the_one_above() -> None:
    for above, below in itertools.pairwise(RUNGS):
        assert below.needs < above.needs
        assert below.fps <= above.fps or not below.video
    names = [rung.name for rung in RUNGS]
    assert names.index("fewer pictures") < names.index("smaller pictures") < names.index("fewer steps")
    assert not RUNGS[-1].video
    assert RUNGS[0].fps == 30
    assert RUNGS[0].scale == 1.0


def test_a_good_path_is_left_alone() -> None:
    walk = Walk()
    assert walk.at(750_000, 60) == "full"
    assert walk.at(240_000, 60) == "full"
    assert walk.changes == []


def test_a_dip_is_sat_out() -> None:
    walk = Walk()
    for _ in range(10):
        walk.at(100_000, 1.0)
        walk.at(400_000, 1.0)
    assert walk.changes == []


def test_down_step_by_step_and_back_again() -> None:
    walk = Walk()
    assert walk.at(1_000, 20) == "sound only"
    assert [name for _, name in walk.changes] == [rung.name for rung in RUNGS[1:]]
    walk.at(600_000, 120)
    assert walk.ladder.rung.name == "full"
    assert [name for _, name in walk.changes[5:]] == [rung.name for rung in RUNGS[-2::-1]]


@pytest.mark.parametrize(
    ("rate", "rung"),
    [(100_000, "fewer pictures"), (70_000, "smaller pictures"), (50_000, "small pictures"), (30_000, "fewer steps")],
)
def test_a_path_has_its_rung(rate: int, rung: str) -> None:
    walk = Walk()
    assert walk.at(rate, 20) == rung
    count = len(walk.changes)
    assert walk.at(rate, 100) == rung
    assert len(walk.changes) == count


def test_large_pictures_give_way_earlier() -> None:
    assert Walk(1024 * 1024).at(300_000, 10) != "full"
    assert Walk(256 * 256).at(100_000, 10) == "full"


def test_a_rung_that_is_too_high_is_tried_less_and_less_often() -> None:
    walk = Walk()
    walk.at(100_000, 10)
    pauses, fell = [], walk.now
    for _ in range(6):
        while walk.ladder.rung.name != "full":
            walk.at(200_000, 0.1)  # looks good until it is used
        pauses.append(walk.now - fell)
        walk.at(100_000, 3)
        fell = walk.now
    assert all(later >= 1.5 * earlier for earlier, later in itertools.pairwise(pauses[1:4]))
    assert max(pauses) <= UP_MAX_S + 5
    walk.at(200_000, UP_MAX_S + 4 * RELAPSE_S)
    assert walk.ladder.rung.name == "full"


def test_without_pictures_they_are_tried_again_unless_sound_itself_is_lost() -> None:
    walk = Walk()
    walk.at(1_000, 20)
    count = len(walk.changes)
    assert walk.at(1_000, 60, lossy=True) == "sound only"
    assert len(walk.changes) == count
    walk.at(20_000, 60)
    assert len(walk.changes) > count
