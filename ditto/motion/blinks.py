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


_PAUSE = 8
"""Frames that eyes are open between two blinks at least."""


def in_places(loop: int, length: int, mean: float, seed: int) -> npt.NDArray[np.int64]:
    """Blinks of `length` frames for a face whose idle life is a loop of `loop` frames, `mean` frames apart; ≤ 0: none.

    As `blinks`, over some two minutes, a whole number of loops. They come by chance, but begin only at a few places of
    the loop: so a few pictures more than the loop has are all that a face which listens ever shows.
    """
    out = np.zeros(max(1, round(PERIOD / loop)) * loop, np.int64)
    if mean <= 0:
        return out
    length = min(length, loop)
    places = max(1, min(round(loop / max(mean / 2, length + _PAUSE)), loop // (length + _PAUSE)))
    starts = [round(k * loop / places) for k in range(places)]
    chance = np.random.default_rng((seed & (2**63 - 1), 7))
    at, place = 0.0, -1
    while True:
        at += mean * chance.uniform(0.6, 1.4) * places / loop
        place = max(place + 1, round(at))
        if place >= len(out) // loop * places:
            return out
        first = place // places * loop + starts[place % places]
        out[first : first + length] = np.arange(length)
