"""Memory that a renderer uses again for every picture.

Arrays of this size fresh from the system are mapped page by page when they are first written: measured at 512 × 512,
that takes ten times as long as filling them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Scratch:
    """One thread's arrays, by name. What is taken holds anything until it is written, and is valid until its name is
    taken again."""

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A C-contiguous array."""
        size = int(np.prod(shape))
        array = self._arrays.get(name)
        if array is None or array.size < size or array.dtype != dtype:
            array = self._arrays[name] = np.empty(size, dtype)
        return array[:size].reshape(shape)
