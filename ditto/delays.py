"""What a chunk configuration costs: delay, runs of the network, and how smoothly blocks meet.

The delays follow from how the loop waits (specification §12). Time and jitter are measured with whatever diffusion
network is given; without a checkpoint that is one with weights made by the rule of the test weights, whose time is the
real one's and whose motion is not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .actor import Actor, ActorState
from .audio.chunks import FRAME, Chunks
from .audio.features import WIDTH
from .chunking import Pace
from .deterministic import Deterministic
from .motion.clips import LENGTH
from .motion.options import Options
from .motion.sampler import Sampler
from .motion.vector import Array
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


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    pace: Pace
    steps: int
    clip_ms: float
    """Of one clip, at `steps`."""
    inside: float
    """Median jump of the driven points' speed from frame to frame, thousandths of the face's unit."""
    border: float
    """The same where one block meets the next."""

    @property
    def clips_per_s(self) -> float:
        return 25 / self.pace.new


class _Sounds:
    """Features that are made up, a row a frame, and a real network for clips."""

    def __init__(self, sampler: Sampler, chunks: Chunks, rule: Deterministic) -> None:
        self._sampler, self._chunks = sampler, chunks
        rows = rule.normal("delays/feat", (4000, WIDTH), 0.3)
        # Speech changes from frame to frame, but not as noise does.
        self._rows = (rows[:-2] + rows[1:-1] + rows[2:]) / np.float32(np.sqrt(3))
        self._heard = 0
        self.took: list[float] = []

    def hear(self, window: Array) -> Array:
        c = self._chunks
        out = np.zeros((2 * c.total, WIDTH), np.float32)
        now = self._rows[self._heard : self._heard + c.current]
        out[2 * c.past : 2 * (c.past + c.current)] = np.repeat(now, 2, axis=0)
        self._heard += c.current
        return out

    def move(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        began = time.perf_counter()
        made: Array = self._sampler.sample(condition[None], pose[None], start[None], noises[:, None])[0]
        self.took.append((time.perf_counter() - began) * 1000)
        return made


def persona(rule: Deterministic, options: Options, work: _Sounds) -> Persona:
    """An avatar that is nobody."""
    (parts,) = rule.source("delays/source", 1)
    info = {k: parts[k] for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")}
    own = source([SourceFrame(info, parts["eye_open"], parts["eye_ball"])])
    made = Persona(own, options, rule.normal("delays/silence", (LENGTH, WIDTH), 0.1))
    made.ready(work)
    return made


def measure(sampler: Sampler, pace: Pace, steps: int, frames: int = 60, rule: Deterministic | None = None) -> Row:
    """Time and jitter of a speech of `frames` frames."""
    rule = rule or Deterministic()
    work = _Sounds(sampler, pace.chunks, rule)
    options = Options.of({"online_mode": True, "overlap_v2": 70, "fix_kp_cond": 1, "fix_kp_cond_dim": [0, 202]})
    actor = Actor(persona(rule, options, work), work, ActorState(1, pace=pace, steps=steps))
    work.took.clear()
    poses = [*actor.feed(np.zeros(frames * FRAME, np.float32)), *actor.finish()]
    points = np.stack([pose.drawn.x_d for pose in poses])
    turns = np.abs(np.diff(points, n=2, axis=0)).mean(axis=(1, 2)) * 1000
    at = np.arange(1, len(points) - 1)
    # The speed changes across a border in the frame before it and in the first one behind it.
    border = np.isin(at % pace.new, (0, pace.new - 1)) & (at >= pace.new - 1)
    inside = turns[~border] if (~border).any() else turns
    return Row(pace, steps, float(np.median(work.took)), float(np.median(inside)), float(np.median(turns[border])))


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| (p,c,f) | V | given | steps | first picture ms | least | mean | most | clips/s | ms/clip | jitter inside "
        "| at borders |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        c, (least, mean, most) = row.pace.chunks, row.pace.delays_ms()
        measured = f"{row.clip_ms:.0f} | {row.inside:.2f} | {row.border:.2f}" if row.clip_ms else "– | – | –"
        lines.append(
            f"| ({c.past},{c.current},{c.future}) | {row.pace.new} | {'early' if row.pace.early else 'fused'} "
            f"| {row.steps} | {row.pace.delay_ms(0):.0f} | {least:.0f} | {mean:.0f} | {most:.0f} "
            f"| {row.clips_per_s:.1f} | {measured} |"
        )
    return "\n".join(lines)


def paces() -> list[Pace]:
    return [Pace.of(config, new, early) for config, new, early in CONFIGS]


def made_up(width: str) -> Sampler:
    """A diffusion network with weights made by the rule."""
    import torch

    from .motion.sampler import TorchSampler
    from .nets.family import FAMILY
    from .nets.widths import FULL, TINY

    module: Any = FAMILY["lmdm"](FULL if width == "full" else TINY)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    weights = Deterministic().weights("lmdm", shapes)
    module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in weights})
    return TorchSampler(module.eval().requires_grad_(False))
