"""The diffusion's schedule and its sampling: DDIM with η = 1 over a cosine schedule of 1000 steps (§5.1).

Nichol & Dhariwal 2021, arXiv:2102.09672 (schedule); Song et al. 2021, arXiv:2010.02502 (DDIM). The constants are
computed in float64 and what is left of the direction's weight is held at 0 from below: in float32 it rounds to less
than 0 for some numbers of steps, and the published samplers return NaN there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

TIMES = 1000
MOST_STEPS = 50


@cache
def alphas() -> npt.NDArray[np.float32]:
    """ᾱ [1000]."""
    u = np.arange(TIMES + 1, dtype=np.float64) / TIMES
    g = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
    g /= g[0]
    betas = np.clip(1 - g[1:] / g[:-1], 0, 0.999).astype(np.float32)
    return np.cumprod(np.float32(1) - betas, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the sampling: x ← x̂0 · guess + x · state + z · noise."""

    time: int
    guess: float
    state: float
    noise: float
    last: bool
    """x̂0 is the result."""


@cache
def steps(count: int) -> tuple[Step, ...]:
    """The steps of a sampling in `count` of them, 1 to 50. Raises `ValueError` for another number."""
    if not 1 <= count <= MOST_STEPS:
        raise ValueError(f"The sampling takes 1 to {MOST_STEPS} steps, not {count}.")
    out = []
    for now, then in pairwise(times(count)):
        if then < 0:
            out.append(Step(now, 1.0, 0.0, 0.0, last=True))
            continue
        keep, sigma, direction = weights(now, then)
        bar = float(alphas()[now])
        # ε̂ = x / √(1 − ᾱ) − x̂0 / √(1/ᾱ − 1)
        out.append(Step(now, keep - direction / np.sqrt(1 / bar - 1), direction / np.sqrt(1 - bar), sigma, last=False))
    return tuple(out)


def times(count: int) -> list[int]:
    """The points in time of a sampling in `count` steps, falling; the last is −1, beyond the last step."""
    return [int(t) for t in np.linspace(-1, TIMES - 1, count + 1, dtype=np.float32).astype(np.int64)[::-1]]


def weights(now: int, then: int) -> tuple[float, float, float]:
    """√ᾱ of the next time, σ, and the direction's weight √(1 − ᾱ − σ²)."""
    a, b = float(alphas()[now]), float(alphas()[then])
    variance = (1 - a / b) * (1 - b) / (1 - a)
    return float(np.sqrt(b)), float(np.sqrt(variance)), float(np.sqrt(max(0.0, 1 - b - variance)))


def sample(start: Any, noises: Callable[[int], Any], count: int, denoise: Callable[[Any, int, int], Any]) -> Any:
    """x̂0 after `count` steps.

    `start` is x_T, `noises(i)` the noise z_i of step i, `denoise(x, time, i)` the guided x̂0. Arrays of numpy and
    tensors of torch alike: only arithmetic is done on them.
    """
    x = start
    for i, step in enumerate(steps(count)):
        guess = denoise(x, step.time, i)
        if step.last:
            return guess
        x = guess * step.guess + x * step.state + noises(i) * step.noise
    raise AssertionError("the last step returns")
