"""The puppet on a session's stage: one motion, whatever is asked of it and however often the settings change."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from avatar.face.puppet import PuppetPerformance
from avatar.tunables import EMOTIONS, Tunables
from avatar.types import Frame
from puppet import CAST, load_rig
from puppet.actor import MAX_MOUTH_STEP
from puppet.coefficients import MOUTH, Coefficients
from puppet.emotions import EMOTIONS as PUPPET_EMOTIONS
from puppet.renderer import picture_size
from puppet.sound import FRAME, RATE

CALM = 50
"""Pictures after which a face that has fallen silent is idle."""
LIDS = 0.65
"""The fastest picture of a blink."""
LIMITS = {"smile": 0.1, "brow": 0.4, "gaze_x": 1.3, "gaze_y": 0.8, "tx": 0.004, "ty": 0.004, "breath": 0.12}
"""Largest steps from one picture to the next, of a mood and of life."""


class Watched(PuppetPerformance):
    """Keeps the pose of every frame."""

    def __init__(self, rig: str, tunables: Tunables, seed: int) -> None:
        super().__init__(load_rig(rig), tunables, seed)
        self.poses: dict[int, Coefficients] = {}

    def _frame(self, pose: Coefficients, serial: int) -> Frame:
        self.poses[serial] = pose
        return super()._frame(pose, serial)


def speech(rng: np.random.Generator, frames: float) -> np.ndarray:
    t = np.arange(round(frames * FRAME)) / RATE
    voice = np.sign(np.sin(2 * np.pi * rng.uniform(90, 220) * t)) * np.abs(np.sin(2 * np.pi * rng.uniform(2, 5) * t))
    return (6000 * voice + rng.normal(0, 50, len(t))).astype(np.int16)


def head_step(a: Coefficients, b: Coefficients) -> float:
    return math.dist((a.yaw, a.pitch, a.roll), (b.yaw, b.pitch, b.roll))


def test_moods_have_the_names_that_sessions_know() -> None:
    assert set(EMOTIONS) == set(PUPPET_EMOTIONS)


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_random_sequences_never_jump(seed: int) -> None:
    """Idle, speech, cuts, moods, chunks, rates and sizes in any order. Four seeds, fifty sequences each."""
    rng = np.random.default_rng(seed)
    tunables = Tunables(frame_scale=0.1)
    performance = Watched(list(CAST)[seed % len(CAST)], tunables, seed)
    width, height = load_rig("default").width, load_rig("default").height
    shown: list[tuple[int, bool]] = []  # serial, whether it is idle for long
    quiet = 0
    drawn = owed = 0

    def show(frames: list[Frame], idle: bool) -> None:
        nonlocal quiet, drawn
        for frame in frames:
            quiet = quiet + 1 if idle else 0
            shown.append((frame.serial, quiet > CALM))
            if frame.i420 is not None:
                drawn += 1
                w, h = picture_size(width, height, tunables.frame_scale)
                assert frame.i420.shape == (h * 3 // 2, w)

    show([performance.idle()], idle=True)
    for _ in range(50):
        if rng.random() < 0.5:
            chunk = tuple(int(v) for v in rng.integers(1, (11, 21, 11)))
            tunables = replace(
                tunables,
                emotion=str(rng.choice(EMOTIONS)),
                fps=int(rng.integers(5, 31)),
                frame_scale=float(rng.choice((0.1, 0.13, 0.2))),
                chunk_config=chunk,
            )
            performance.tune(tunables)
        match rng.integers(0, 3):
            case 0:
                level = float(rng.choice((0.0, 0.8)))
                for _ in range(rng.integers(1, 110)):
                    show([performance.idle(level)], idle=level == 0)
            case 1:
                sound = speech(rng, rng.uniform(0.5, 40))
                frames: list[Frame] = []
                for start in range(0, len(sound), 3000):
                    frames += performance.feed(sound[start : start + 3000])
                frames += performance.finish()
                # However few pictures are drawn, there is a frame for every 40 ms of sound.
                assert len(frames) == -(-len(sound) // FRAME)
                show(frames, idle=False)
            case _:
                frames = performance.feed(speech(rng, rng.uniform(5, 60)))
                show(frames[: int(rng.integers(0, len(frames) + 1))], idle=False)
                performance.cut(shown[-1][0])
    owed = len(shown)
    assert owed > 800
    assert 0.2 * owed < drawn <= owed
    for (a, _), (b, calm) in pairwise(shown):
        before, after = performance.poses[a], performance.poses[b]
        assert head_step(before, after) <= (0.5 if calm else 1.0)
        for name, limit in LIMITS.items():
            assert abs(getattr(after, name) - getattr(before, name)) <= limit, name
        assert abs(after.blink_left - before.blink_left) <= LIDS
        steps = np.array([getattr(after, n) - getattr(before, n) for n in MOUTH])
        assert (np.abs(steps) <= MAX_MOUTH_STEP + 1e-5).all()


@pytest.mark.parametrize("fps", [5, 12, 24, 25, 30])
def test_a_lower_rate_draws_less_and_says_all(fps: int) -> None:
    sound = speech(np.random.default_rng(1), 100)
    performance = PuppetPerformance(load_rig("default"), Tunables(frame_scale=0.1, fps=fps), 1)
    frames = performance.feed(sound) + performance.finish()
    assert len(frames) == 100
    assert [frame.serial for frame in frames] == list(range(100))
    assert sum(frame.i420 is not None for frame in frames) == pytest.approx(4 * min(fps, 25), abs=1)
