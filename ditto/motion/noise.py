"""Where a session's noise comes from: a seed and the number of the frame, nothing else.

Windows of neighbouring clips share most of their frames. Noise that belongs to the frame and not to the clip makes
them share their noise as well, so that they imagine nearly the same motion for it; and a session that goes back to an
earlier state finds the same noise again without having kept it.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from .vector import SIZE, Array

_BLOCK = 16
"""Frames of one generator: making one takes longer than drawing a few frames from it."""
_KEPT = 12
"""Blocks kept: a window touches six."""
_ORIGIN = 1 << 40
"""Frames are counted from below zero; seeds are not."""


class FrameNoise:
    """Noise of one seed. Only a cache is kept. Not safe for several threads at once."""

    def __init__(self, seed: int) -> None:
        self._seed = seed & (2**64 - 1)
        self._blocks: OrderedDict[int, Array] = OrderedDict()

    def _block(self, number: int, steps: int) -> Array:
        block = self._blocks.get(number)
        if block is None or len(block) < steps:
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self._seed, number + _ORIGIN))))
            # Steps come first: a sampling in more steps begins with the same noise.
            block = rng.standard_normal((steps, _BLOCK, SIZE), dtype=np.float32)
            self._blocks[number] = block
            while len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return block

    def window(self, first: int, count: int, steps: int) -> tuple[Array, Array]:
        """x_T [count,265] and the noise of the steps [steps − 1,count,265] for the frames from `first` on."""
        low, high = first // _BLOCK, (first + count - 1) // _BLOCK
        rows = np.concatenate([self._block(n, steps)[:steps] for n in range(low, high + 1)], axis=1)
        at = first - low * _BLOCK
        every = rows[:, at : at + count]
        return every[0].copy(), every[1:].copy()
