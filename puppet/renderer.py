"""What draws a puppet: a rig, shared and unchanging, opens a renderer for each performance.

Two kinds fulfil it: the layered built-in characters (`puppet.character`) and the mesh warp of a portrait
(`puppet.warp`). Neither knows about sound or time.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .coefficients import Coefficients

I420 = npt.NDArray[np.uint8]
"""One picture, planar 4:2:0, BT.601 limited range, shape (height * 3 // 2, width); both sides even."""

MAX_SIDE = 1024
"""Pixels of a rig's long side at most: the working size that `frame_scale` counts from."""


class Renderer(Protocol):
    """One performance's drawing hand. It may keep what did not change since its last picture; it is used by one
    thread at a time."""

    def draw(self, coefficients: Coefficients, scale: float) -> I420:
        """Draws a pose straight at `picture_size(rig.width, rig.height, scale)`. `scale` may change with every call.

        The array is the caller's own: it is never written to again.
        """
        ...


@runtime_checkable
class Rig(Protocol):
    """A portrait made ready to move. Shared between threads; what it caches per size is bounded and locked."""

    @property
    def width(self) -> int:
        """Working size in pixels; the long side is at most `MAX_SIDE`."""
        ...

    @property
    def height(self) -> int: ...

    def open(self) -> Renderer:
        """A renderer for one performance."""
        ...


def picture_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """(width, height) in pixels of a `width` × `height` rig drawn at `scale`: rounded to even, at least 16, so that
    chroma halves exactly and every codec takes it."""
    return max(16, 2 * round(width * scale / 2)), max(16, 2 * round(height * scale / 2))
