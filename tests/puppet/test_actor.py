"""A performance without pictures: one continuous motion, whatever is asked of it."""

from __future__ import annotations

import math
from dataclasses import astuple, fields
from itertools import pairwise

import numpy as np
import pytest

from puppet.actor import MAX_MOUTH_STEP, Actor, Chunk
from puppet.coefficients import MOUTH, NEUTRAL, Coefficients
from puppet.emotions import EMOTIONS
from puppet.life import Life
from puppet.sound import FRAME, RATE

NAMES = [f.name for f in fields(Coefficients)]


def speech(rng: np.random.Generator, frames: float) -> np.ndarray:
    n = round(frames * FRAME)
    t = np.arange(n) / RATE
    buzz = np.sign(np.sin(2 * np.pi * rng.uniform(90, 220) * t)) * np.abs(np.sin(2 * np.pi * rng.uniform(2, 5) * t))
    return (6000 * buzz + rng.normal(0, 50, n)).astype(np.int16)


def head_step(a: Coefficients, b: Coefficients) -> float:
    return math.dist((a.yaw, a.pitch, a.roll), (b.yaw, b.pitch, b.roll))


def mouth(c: Coefficients) -> np.ndarray:
    return np.array([getattr(c, n) for n in MOUTH])


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_random_turns_make_one_motion(seed: int) -> None:
    """Idle, speech and cuts in any order: what is seen never jumps, and frames are exactly as many as slots."""
    rng = np.random.default_rng(seed)
    actor = Actor(seed)
    seen: list[Coefficients] = [actor.idle()]
    queue: list[Coefficients] = []  # made, not shown yet

    def show(count: int) -> None:
        for _ in range(min(count, len(queue))):
            seen.append(queue.pop(0))

    for _ in range(50):  # four seeds: two hundred
        match rng.integers(0, 3):
            case 0:
                queue += [actor.idle(float(rng.uniform(0, 1))) for _ in range(rng.integers(1, 40))]
                show(len(queue))
            case 1:
                sound = speech(rng, rng.uniform(0.5, 40))
                made = []
                for i in range(0, len(sound), 3000):
                    made += actor.feed(sound[i : i + 3000])
                made += actor.finish()
                assert len(made) == -(-len(sound) // FRAME)
                queue += made
                show(len(queue))
            case _:
                queue += actor.feed(speech(rng, rng.uniform(5, 60)))
                show(int(rng.integers(0, len(queue) + 1)))
                actor.cut(actor.made - len(queue) - 1)
                queue.clear()
    assert len(seen) > 500
    for a, b in pairwise(seen):
        assert head_step(a, b) <= 1.0
        assert (np.abs(mouth(b) - mouth(a)) <= MAX_MOUTH_STEP + 1e-5).all()
        assert abs(b.gaze_x - a.gaze_x) < 1.3
        assert abs(b.breath - a.breath) < 0.12
        assert abs(b.tx - a.tx) < 0.004
        assert abs(b.brow - a.brow) < 0.4


def test_after_a_cut_the_next_pose_follows_the_one_that_was_shown() -> None:
    rng = np.random.default_rng(3)
    actor = Actor(1)
    poses = [actor.idle() for _ in range(30)]
    poses += actor.feed(speech(rng, 80))
    shown = 70
    actor.cut(shown)
    closing = [actor.idle() for _ in range(12)]
    assert head_step(poses[shown], closing[0]) < 1
    assert (mouth(closing[0]) <= mouth(poses[shown]) + 1e-6).all()
    # Nothing of the cut speech is left: the mouth closes in five pictures and stays shut.
    assert mouth(closing[2]).max() < 0.25
    assert mouth(closing[4]).max() < 0.05
    assert not mouth(closing[7]).any()
    assert actor.finish() == []


def test_a_cut_of_pictures_long_forgotten_still_goes_on() -> None:
    actor = Actor(2)
    for _ in range(400):
        actor.idle()
    actor.cut(0)
    assert actor.idle() != NEUTRAL


def test_in_silence_the_mouth_is_exactly_shut() -> None:
    actor = Actor(5)
    assert all(not mouth(actor.idle(0.5)).any() for _ in range(500))


def test_a_seed_is_a_life() -> None:
    def live(seed: int) -> list[Coefficients]:
        actor = Actor(seed)
        rng = np.random.default_rng(0)
        return [actor.idle() for _ in range(50)] + actor.feed(speech(rng, 30)) + actor.finish()

    assert live(7) == live(7)
    assert live(7) != live(8)


def idle_minutes(seed: int, minutes: float, *, voice: float = 0.0, user: float = 0.0) -> list[Coefficients]:
    life = Life(seed)
    return [life.step(voice=voice, loudness=voice * 0.5, user_level=user) for _ in range(round(minutes * 1500))]


def blinks(poses: list[Coefficients]) -> int:
    shut = np.array([p.blink_left for p in poses]) > 0.9
    return int((np.diff(shut.astype(int)) == 1).sum())


def test_blinks_come_as_often_as_people_blink() -> None:
    assert 12 * 10 <= blinks(idle_minutes(1, 10)) <= 22 * 10
    assert 15 * 10 <= blinks(idle_minutes(1, 10, voice=1)) <= 30 * 10


def test_idle_heads_sway_gently_and_never_still() -> None:
    poses = idle_minutes(3, 4)
    steps = [head_step(a, b) for a, b in pairwise(poses)]
    assert max(steps) <= 0.5
    assert 0.4 < np.std([p.yaw for p in poses]) < 3
    assert all(abs(p.yaw) < 12 and abs(p.pitch) < 9 and abs(p.roll) < 9 for p in poses)
    longest = max(len(run) for run in "".join("0" if s < 1e-4 else " " for s in steps).split(" "))
    assert longest < 3


def test_speech_moves_more_than_silence() -> None:
    assert np.std([p.yaw for p in idle_minutes(4, 4, voice=1)]) > 1.2 * np.std([p.yaw for p in idle_minutes(4, 4)])


def test_the_listener_nods_when_the_user_pauses() -> None:
    life = Life(6)
    still = Life(6)
    with_user, without = [], []
    for i in range(25 * 60):
        level = 0.8 if i % 125 < 75 else 0.0
        with_user.append(life.step(user_level=level).pitch)
        without.append(still.step().pitch)
    difference = np.abs(np.array(with_user) - without)
    assert difference.max() > 1.0
    assert 0.03 < (difference > 0.3).mean() < 0.5


def test_every_value_stays_in_its_range() -> None:
    for poses in (idle_minutes(9, 3), idle_minutes(9, 3, voice=1)):
        for p in poses:
            values = dict(zip(NAMES, astuple(p), strict=True))
            for name in ("blink_left", "blink_right", "breath", *MOUTH):
                assert 0 <= values[name] <= 1
            for name in ("gaze_x", "gaze_y", "brow", "smile"):
                assert -1 <= values[name] <= 1
            assert abs(p.tx) < 0.03
            assert abs(p.ty) < 0.03


@pytest.mark.parametrize("chunk", [Chunk(1, 1, 1), Chunk(3, 5, 2), Chunk(10, 20, 10), Chunk(2, 3, 2)])
def test_a_chunk_changes_when_pictures_come_and_not_how_many(chunk: Chunk) -> None:
    rng = np.random.default_rng(5)
    actor = Actor(1, chunk)
    for samples in (1, 640, 640 * 7 + 1, 640 * 47):
        sound = speech(rng, samples / FRAME)
        given = [len(actor.feed(sound[i : i + 640])) for i in range(0, len(sound), 640)]
        begun = next((i for i, total in enumerate(np.cumsum(given)) if total >= chunk.step), len(given))
        assert all(n % chunk.step == 0 for n in given[begun + 1 :])
        assert sum(given) + len(actor.finish()) == -(-len(sound) // FRAME)


def test_a_new_chunk_waits_for_the_next_speech() -> None:
    rng = np.random.default_rng(5)
    actor = Actor(1)
    actor.feed(speech(rng, 10))
    actor.chunk = Chunk(3, 5, 3)
    assert len(actor.feed(speech(rng, 1))) == 1
    actor.finish()
    given = [len(actor.feed(speech(rng, 1))) for _ in range(13)]
    assert given == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 5]


@pytest.mark.parametrize("name", sorted(EMOTIONS))
def test_a_mood_comes_and_goes_without_a_jump(name: str) -> None:
    plain, moody = Actor(4), Actor(4)
    moody.feel(name)
    pairs = [(plain.idle(), moody.idle()) for _ in range(100)]
    reached = EMOTIONS[name]
    calm, felt = pairs[-1]
    assert felt.smile - calm.smile == pytest.approx(reached.smile, abs=0.02)
    assert all(b.blink_left >= a.blink_left - 1e-9 for a, b in pairs)
    moody.feel("neutral")
    after = [felt, *(moody.idle() for _ in range(100))]
    for a, b in pairwise([b for _, b in pairs] + after[1:]):
        assert head_step(a, b) < 1
        assert abs(b.smile - a.smile) < 0.1
    assert not any(mouth(b).any() for _, b in pairs)


def test_an_unknown_mood_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="happy"):
        Actor().feel("bored")
