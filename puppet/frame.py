"""Coordinates of a part of the face.

Of a mouth or an eye, X runs from corner to corner (-1 to 1, picture's left to right) and Y down, both in half widths of
the part; lines along it are Y at fixed X.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
"""Single precision wherever something is drawn from it."""

SAMPLES = 81
"""Points on a line from corner to corner."""
LINE_X: Floats = np.linspace(-1, 1, SAMPLES, dtype=np.float32)


def smoothstep(low: Any, high: Any, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """0 below `low`, 1 above `high`, 3t² - 2t³ between."""
    t = (np.asarray(x, np.float32) - low) / (high - low)
    t = np.minimum(np.maximum(t, 0), 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def eased(low: float, high: float, x: float) -> float:
    """`smoothstep` of one number: twenty times as fast."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, slots=True)
class Frame:
    """Coordinates of a part of the face."""

    centre: Floats
    """Pixels, shape (2,)."""
    across: Floats
    """Unit vector towards the picture's right along the part."""
    half: float
    """Pixels in one unit."""

    @property
    def down(self) -> Floats:
        return np.array([-self.across[1], self.across[0]], np.float32)

    def local(self, pixels: npt.ArrayLike) -> Floats:
        """Pixels, shape (..., 2), to coordinates of the part."""
        away = np.asarray(pixels, np.float32) - self.centre
        return np.stack([away @ self.across, away @ self.down], -1) / np.float32(self.half)

    def pixels(self, local: npt.ArrayLike) -> Floats:
        points = np.asarray(local, np.float32) * np.float32(self.half)
        return self.centre + points[..., :1] * self.across + points[..., 1:] * self.down

    def scaled(self, scale: float) -> Frame:
        """For a picture `scale` times as large; pixel centres lie at whole numbers."""
        return Frame(
            (self.centre + np.float32(0.5)) * np.float32(scale) - np.float32(0.5), self.across, self.half * scale
        )

    def unrolled(
        self, picture: npt.NDArray[np.uint8], box: tuple[float, float, float, float], per_unit: float
    ) -> Floats:
        """The part of `picture` with local coordinates in `box` = (x0, y0, x1, y1), upright, at `per_unit` pixels."""
        x0, y0, x1, y1 = box
        size = round((x1 - x0) * per_unit), round((y1 - y0) * per_unit)
        step = self.half / per_unit
        corner = self.pixels((x0 + 0.5 / per_unit, y0 + 0.5 / per_unit))
        matrix = np.column_stack([self.across * step, self.down * step, corner])
        # Fewer samples than pixels would pick noise: average them first.
        ready = cv2.GaussianBlur(picture, (0, 0), 0.4 * step) if step > 1.2 else picture
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(ready, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, np.float32)


def line_of(points: Floats) -> Floats:
    """Y at `LINE_X` of a line of local points from corner to corner, smoothed."""
    order = np.argsort(points[:, 0])
    x, y = np.clip(points[order, 0], -1, 1), points[order, 1]
    # The mesh is coarse: a parabola through what remains after the corners are joined keeps the line round.
    dense = np.interp(np.linspace(-1, 1, 4 * SAMPLES - 3), x, y)
    kernel = np.exp(-0.5 * (np.arange(-24, 25) / 12.0) ** 2)
    padded = np.pad(dense, 24, mode="reflect", reflect_type="odd")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), "valid")[::4], np.float32)
