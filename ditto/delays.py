"""What a chunk configuration costs: delay, runs of the network, and how smoothly blocks meet.

The delays follow from how the loop waits (specification §12). Time and jitter are measured with whatever diffusion
network is given. Without a checkpoint its weights are made by the rule of the test weights: the time of the full width
is the real one's, the motion is not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .actor import Actor, ActorState
from .audio.chunks import FRAME, Chunks
from .audio.features import WIDTH
from .chunking import LOW_LATENCY, Pace
from .deterministic import Deterministic
from .motion.clips import LENGTH
from .motion.options import Options
from .motion.sampler import Sampler
from .motion.vector import SIZE, Array
from .persona import Persona
from .source import SourceFrame, source

CONFIGS: tuple[tuple[tuple[int, int, int], int | None, bool], ...] = (
    ((3, 5, 2), 10, False),
    ((3, 5, 2), None, False),
    ((3, 5, 2), None, True),
    ((3, 5, 2), 1, False),
    ((2, 3, 2), None, False),
    ((2, 3, 2), None, True),
    ((2, 4, 2), None, False),
    ((3, 1, 2), None, False),
    ((3, 1, 2), 1, False),
    ((4, 8, 3), None, False),
    ((5, 10, 3), None, False),
    ((3, 15, 2), None, False),
)
"""History, chunk and look-ahead; V, None for the one that fits; whether frames are given early."""


TOLD = 1103
"""Numbers that the network is told of a frame (§4)."""
STEPS: tuple[int, ...] = (5, 20, 50)
"""Other numbers of steps than ten, for the two settings that are used most."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    pace: Pace
    steps: int
    inside: float
    """Median jump of the driven points' speed from frame to frame, thousandths of the face's unit."""
    border: float
    """The same where one block meets the next."""

    @property
    def clips_per_s(self) -> float:
        return 25 / self.pace.new


@dataclass(frozen=True, slots=True)
class Work:
    """What one clip costs at a number of steps."""

    gflop: float
    """Counted on the published width."""
    ms: float
    """Measured."""


class _Sounds:
    """Features that are made up, a row a frame, and a real network for clips."""

    def __init__(self, sampler: Sampler, chunks: Chunks, rule: Deterministic) -> None:
        self._sampler, self._chunks = sampler, chunks
        rows = rule.normal("delays/feat", (4000, WIDTH), 0.3)
        # Speech changes from frame to frame, but not as noise does.
        self._rows = (rows[:-2] + rows[1:-1] + rows[2:]) / np.float32(np.sqrt(3))
        self._heard = 0

    def hear(self, window: Array) -> Array:
        c = self._chunks
        out = np.zeros((2 * c.total, WIDTH), np.float32)
        now = self._rows[self._heard : self._heard + c.current]
        out[2 * c.past : 2 * (c.past + c.current)] = np.repeat(now, 2, axis=0)
        self._heard += c.current
        return out

    def move(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        return np.asarray(self._sampler.sample(condition[None], pose[None], start[None], noises[:, None])[0])


def persona(rule: Deterministic, options: Options, work: _Sounds) -> Persona:
    """An avatar that is nobody."""
    (parts,) = rule.source("delays/source", 1)
    info = {k: parts[k] for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")}
    own = source([SourceFrame(info, parts["eye_open"], parts["eye_ball"])])
    made = Persona(own, options, rule.normal("delays/silence", (LENGTH, WIDTH), 0.1))
    made.ready(work)
    return made


class Bench:
    """Jitter of the settings, with one network; a nobody's face is made once for all of them."""

    def __init__(self, sampler: Sampler, rule: Deterministic | None = None) -> None:
        self._sampler, self._rule = sampler, rule or Deterministic()
        options = Options.of({"online_mode": True, "overlap_v2": 70, "fix_kp_cond": 1, "fix_kp_cond_dim": [0, 202]})
        options = replace(options, sampling_timesteps=10)
        self._persona = persona(self._rule, options, _Sounds(sampler, Pace().chunks, self._rule))

    def row(self, pace: Pace, steps: int, frames: int = 60) -> Row:
        """Of a speech of `frames` frames."""
        work = _Sounds(self._sampler, pace.chunks, self._rule)
        actor = Actor(self._persona, work, ActorState(1, pace=pace, steps=steps))
        poses = [*actor.feed(np.zeros(frames * FRAME, np.float32)), *actor.finish()]
        points = np.stack([pose.drawn.x_d for pose in poses])
        turns = np.abs(np.diff(points, n=2, axis=0)).mean(axis=(1, 2)) * 1000
        at = np.arange(1, len(points) - 1)
        # The speed changes across a border in the frame before it and in the first one behind it.
        border = np.isin(at % pace.new, (0, pace.new - 1)) & (at >= pace.new - 1)
        inside = turns[~border] if (~border).any() else turns
        return Row(pace, steps, float(np.median(inside)), float(np.median(turns[border])))


def clip_ms(sampler: Sampler, steps: int, clips: int = 3) -> float:
    """Milliseconds of one clip by itself, the least of `clips`."""
    rule = Deterministic("bench")
    condition, pose = rule.normal("condition", (1, LENGTH, TOLD), 0.3), rule.normal("pose", (1, SIZE), 0.3)
    noise = rule.normal("noise", (steps, 1, LENGTH, SIZE))
    took = []
    for _ in range(clips + 1):  # the first makes what the steps alone decide
        began = time.perf_counter()
        sampler.sample(condition, pose, noise[0], noise[1:])
        took.append((time.perf_counter() - began) * 1000)
    return min(took[1:])


HEAD = (
    "| (p,c,f) | V | given | steps | first ms | least | mean | most | clips/s | GFLOP/s | ms/clip | jitter inside "
    "| at borders |\n|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)
"""Of the table, as Markdown."""


def line(row: Row, work: Work) -> str:
    """One row of the table, as Markdown."""
    c, (least, mean, most) = row.pace.chunks, row.pace.delays_ms()
    return (
        f"| ({c.past},{c.current},{c.future}) | {row.pace.new} | {'early' if row.pace.early else 'fused'} "
        f"| {row.steps} | {row.pace.delay_ms(0):.0f} | {least:.0f} | {mean:.0f} | {most:.0f} | {row.clips_per_s:.1f} "
        f"| {work.gflop * row.clips_per_s:.0f} | {work.ms:.{0 if work.ms >= 10 else 1}f} | {row.inside:.2f} "
        f"| {row.border:.2f} |"
    )


def settings() -> list[tuple[Pace, int]]:
    """What the table has rows for: how sound becomes frames, and steps."""
    ten = [(Pace.of(config, new, early), 10) for config, new, early in CONFIGS]
    return ten + [(pace, steps) for pace in (Pace(), LOW_LATENCY) for steps in STEPS]


def made_up(width: str, device: str = "cpu") -> Sampler:
    """A diffusion network with weights made by the rule, of the width `tiny` or `full`."""
    import torch

    from .motion.sampler import TorchSampler
    from .nets.family import FAMILY
    from .nets.widths import FULL, TINY

    module: Any = FAMILY["lmdm"](FULL if width == "full" else TINY)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    weights = Deterministic().weights("lmdm", shapes)
    module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in weights})
    return TorchSampler(module.eval().requires_grad_(False).to(device), device)
