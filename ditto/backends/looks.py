"""What a renderer is given and gives back. No torch here, so that everybody may import it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
I420 = npt.NDArray[np.uint8]
"""One picture, planar 4:2:0, BT.601 limited range, shape (height * 3 // 2, width); both sides even."""
RGB = npt.NDArray[np.uint8]
"""[height, width, 3]"""

CROP = 512
"""Pixels: the side of the face that the decoder draws."""


@dataclass(frozen=True, slots=True)
class Look:
    """One source frame: everything about an avatar that rendering needs. Made once, at registration."""

    features: Array
    """f_s, as the appearance extractor found it: [1,32,16,64,64]."""
    kp_source: Array
    """x_s [21,3]."""
    picture: RGB
    """The whole source frame, both sides even."""
    to_frame: npt.NDArray[np.float64] | Array
    """[3,3]: from the 512-pixel crop to the picture (M_c2o)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A look on a renderer's device. Shared by sessions; opaque but for its look."""

    look: Look
    state: Any = field(repr=False)
    """The renderer's own."""


@dataclass(frozen=True, slots=True)
class Job:
    """One frame to draw."""

    prepared: Prepared
    kp_driving: Array
    """x_d [21,3]."""
    width: int = 0
    """Pixels of the result, even; 0: the source frame's own size."""
    height: int = 0

    def size(self) -> tuple[int, int]:
        """(width, height)"""
        height, width = self.prepared.look.picture.shape[:2]
        return self.width or width, self.height or height


class Renderer(Protocol):
    """Warp, decoder and put-back on one device. Calls come from one thread at a time; weights never change."""

    name: str
    """Backend and precision, for logs: `torch-cuda-graph bf16`."""
    batch: int
    """Frames that one call of `render` takes at most."""
    note: str
    """What `warm` could not have, and what is done in its place; empty where nothing is amiss."""

    def warm(self) -> None:
        """Pays for everything that the first frames would pay for otherwise: captures, builds, algorithm searches."""
        ...

    def prepare(self, look: Look) -> Prepared:
        """Puts a look on the device with what depends on it alone."""
        ...

    def render(self, jobs: Sequence[Job]) -> list[I420]:
        """1 … `batch` frames of any avatars and sizes; each result is the caller's own array."""
        ...

    def faces(self, jobs: Sequence[Job]) -> Array:
        """The decoder's own pictures, before put-back: [B,512,512,3] RGB, 0 … 255. For tests and tools."""
        ...

    def close(self) -> None:
        """Gives the device's memory back."""
        ...
