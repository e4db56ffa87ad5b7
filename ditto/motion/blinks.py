"""When the eyes close, where the configuration brings a blink of its own (`delta_eye_arr`, §6.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PERIOD = 3000
"""Frames after which the blinks repeat where a performance's length is unknown: two minutes."""
SHORTEST, LONGEST = 60, 100
"""Frames of a gap that is left to chance."""


def blinks(
    count: int, length: int, gaps: int | Sequence[int], rng: np.random.Generator | None = None
) -> npt.NDArray[np.int64]:
    """For each of `count` frames the index of the blink's frame to show, 0 to `length` − 1; 0 is open.

    `gaps`: frames between blinks, taken in turn; −1: no blinks; 0: gaps by chance, for which `rng` is asked.
    """
    out = np.zeros(count, np.int64)
    if isinstance(gaps, int) and gaps < 0:
        return out
    if isinstance(gaps, int) and gaps == 0:
        chance = rng or np.random.default_rng()
        series = [int(g) for g in chance.integers(SHORTEST, LONGEST + 1, count // SHORTEST + 1)]
    else:
        series = [gaps] if isinstance(gaps, int) else [int(g) for g in gaps]
    at, k = series[0], 1
    while at < count - max(series[-1], length):
        out[at : at + length] = np.arange(length)
        at += length + series[k % len(series)]
        k += 1
    return out
