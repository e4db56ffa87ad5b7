"""Stand-ins for the networks that answer at once and depend on everything they are given."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ditto.audio import features
from ditto.deterministic import Deterministic
from ditto.motion.options import Options
from ditto.persona import Persona
from ditto.source import Source, SourceFrame, source

RULE = Deterministic("stub")
_HEAR = RULE.normal("hear", (3, 1024), 3.0)
_COND = RULE.normal("cond", (64, 265), 0.5)
_REST = RULE.normal("rest", (79, 265), 0.1)
_POSE = RULE.normal("pose", (265,), 0.5)
_SIZE = np.ones(265, np.float32)
_SIZE[1:199] = 3.0
_SIZE[199:] = 0.1
"""Logits of angles are large, expressions small, as in life."""


class StubEncoder:
    def encode(self, windows: Any) -> Any:
        return np.stack([_rows(window) for window in windows])


def _rows(window: Any) -> Any:
    count = (len(window) - 80) // 320
    spans = np.lib.stride_tricks.sliding_window_view(window, 400)[::320][:count]
    parts = np.stack([spans.mean(axis=1), np.abs(spans).mean(axis=1), spans[:, 0]], axis=1)
    # Not a matrix product: threads of a matrix library would wait for each other on a busy machine.
    return np.tanh(np.einsum("rk,kd->rd", parts, _HEAR)).astype(np.float32)


class StubWork:
    """`Work` in numpy."""

    def __init__(self) -> None:
        self.heard = self.moved = 0

    def hear(self, window: Any) -> Any:
        self.heard += 1
        return _rows(window)

    def move(self, condition: Any, pose: Any, start: Any, noises: Any) -> Any:
        self.moved += 1
        heard = condition[:, :1024].reshape(len(condition), 64, 16).mean(axis=2)
        told = np.einsum("k,kd->d", condition[0, 1024:], _REST)
        made = 0.3 * np.tanh(np.einsum("rk,kd->rd", heard, _COND) + told + pose * _POSE) + 0.02 * start
        for noise in noises:
            made = made + 0.005 * noise
        made = made * _SIZE
        # Neighbouring frames of a real clip are alike.
        smoothed = np.cumsum(np.concatenate([made[:1]] * 4 + [made] + [made[-1:]] * 4), axis=0)
        return ((smoothed[8:] - np.concatenate([smoothed[:1] * 0, smoothed[:-9]])) / 9).astype(np.float32)


def frames(tag: str, count: int) -> Source:
    parts = RULE.source(tag, count)
    names = ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")
    made = [SourceFrame({k: f[k] for k in names}, f["eye_open"], f["eye_ball"]) for f in parts]
    return source(made, 13)


ONLINE = {
    "online_mode": True,
    "overlap_v2": 70,
    "fix_kp_cond": 1,
    "fix_kp_cond_dim": [0, 202],
    "sampling_timesteps": 4,
    "delta_eye_arr": np.sin(np.linspace(0, np.pi, 15))[:, None] * RULE.normal("blink", (1, 63), 0.02),
    "overall_ctrl_info": {"delta_pitch": 2},
}


@cache
def persona(count: int = 1) -> Persona:
    made = Persona(frames("stub", count), Options.of(ONLINE), features.silence(StubEncoder(), 80))
    made.ready(StubWork())
    return made


def voice(samples: int, seed: int = 0) -> Any:
    """Sound with the ups and downs of speech."""
    t = np.arange(samples) / 16_000
    rng = np.random.default_rng(seed)
    return ((0.5 + 0.5 * np.sin(7 * t + seed)) * rng.uniform(-0.6, 0.6, samples)).astype(np.float32)
