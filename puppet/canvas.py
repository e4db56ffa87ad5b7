"""A small supersampled canvas with alpha on which eyes and mouth are drawn as polygons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""Shape (n, 2)."""
Affine = npt.NDArray[np.float64]
"""Shape (2, 3): drawing units to pixels of the picture, pixel i covering [i, i + 1)."""
Sprite = npt.NDArray[np.uint8]
"""Premultiplied BGRA, shape (h, w, 4)."""
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in drawing units."""

SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


@lru_cache(maxsize=256)
def bgra(colour: str) -> tuple[int, int, int, int]:
    """ "#rrggbb" as opaque BGRA."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16), 255


@lru_cache(maxsize=16)
def _bernstein(n: int) -> npt.NDArray[np.float64]:
    t = np.linspace(0.0, 1.0, n)
    return np.stack([(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3], axis=1)


def bezier(curve: tuple[tuple[float, float], ...], n: int) -> Points:
    """`n` points on a cubic Bézier curve."""
    return np.asarray(_bernstein(n) @ np.array(curve))


def lowered(points: Points, by: float) -> Points:
    """The points, moved down the picture."""
    return np.asarray(points + np.array((0.0, by)))


class Canvas:
    """Covers `box` (drawing units); `density` is its pixels in a unit."""

    def __init__(self, box: Box, density: float) -> None:
        x0, y0, x1, y1 = box
        self._unit = density
        self._corner = np.array((x0, y0))
        shape = (math.ceil((y1 - y0) * density), math.ceil((x1 - x0) * density), 4)
        self.pixels: Sprite = np.zeros(shape, np.uint8)
        # OpenCV puts integer coordinates on pixel centres: hence the half pixel.
        self._start = -self._corner * density * (1 << SHIFT) - 0.5 * (1 << SHIFT)

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        return np.rint(points * (self._unit * (1 << SHIFT)) + self._start).astype(np.int32)

    def fill(self, points: Points, colour: str) -> None:
        cv2.fillPoly(self.pixels, [self._fixed(points)], bgra(colour), cv2.LINE_AA, SHIFT)

    def line(self, points: Points, colour: str, width: float) -> None:
        thickness = max(1, round(width * self._unit))
        cv2.polylines(self.pixels, [self._fixed(points)], False, bgra(colour), thickness, cv2.LINE_AA, SHIFT)

    def circle(self, centre: tuple[float, float], radius: float, colour: str) -> None:
        x, y = self._fixed(np.array([centre]))[0]
        r = round(radius * self._unit * (1 << SHIFT))
        cv2.circle(self.pixels, (int(x), int(y)), r, bgra(colour), -1, cv2.LINE_AA, SHIFT)

    def _coverage(self, points: Points, level: int) -> tuple[tuple[slice, slice], Sprite]:
        """The window of this canvas that a polygon touches, and the polygon's coverage of it in all four channels."""
        fixed = self._fixed(points)
        (x0, y0), (x1, y1) = (fixed.min(axis=0) >> SHIFT) - 1, (fixed.max(axis=0) >> SHIFT) + 3
        x0, y0 = max(0, x0), max(0, y0)
        window = slice(y0, max(y0, y1)), slice(x0, max(x0, x1))
        mask = np.zeros(self.pixels[window].shape, np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [fixed - (x0 << SHIFT, y0 << SHIFT)], (level,) * 4, cv2.LINE_AA, SHIFT)
        return window, mask

    def tint(self, points: Points, colour: str, opacity: float) -> None:
        """Lays a translucent polygon over what is there."""
        window, alpha = self._coverage(points, round(255 * opacity))
        if alpha.size:
            flat = cv2.multiply(
                np.broadcast_to(np.array(bgra(colour), np.uint8), alpha.shape).copy(), alpha, scale=1 / 255
            )
            blend(np.asarray(flat, np.uint8), self.pixels[window])

    def inside(self, points: Points, inner: Canvas) -> None:
        """Shows `inner`, a canvas of the same box, through the window that the polygon cuts."""
        window, mask = self._coverage(points, 255)
        if mask.size:
            seen = cv2.multiply(inner.pixels[window], mask, scale=1 / 255)
            kept = cv2.multiply(self.pixels[window], cv2.bitwise_not(mask), scale=1 / 255)
            self.pixels[window] = cv2.add(seen, kept)

    def like(self) -> Canvas:
        """An empty canvas of the same box."""
        twin = object.__new__(Canvas)
        twin._unit, twin._corner, twin._start = self._unit, self._corner, self._start
        twin.pixels = np.zeros_like(self.pixels)
        return twin

    def drawing(self, fineness: int) -> Drawing:
        """What was drawn, `fineness` times coarser."""
        height, width = self.pixels.shape[:2]
        size = (width // fineness, height // fineness)
        pixels = self.pixels[: size[1] * fineness, : size[0] * fineness]
        if fineness > 1:
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return Drawing(pixels, self._unit / fineness, self._corner)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished canvas, to be laid on pictures."""

    pixels: Sprite
    density: float
    """Pixels in a unit."""
    corner: Points
    """Its upper left, drawing units, shape (2,)."""

    def lay_on(self, picture: Sprite, carry: Affine) -> None:
        """Draws it on a picture of opaque BGRA, in place, where `carry` (units to pixels) takes it."""
        height, width = self.pixels.shape[:2]
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) / self.density + self.corner
        reached = corners @ carry[:, :2].T + carry[:, 2]
        limit = picture.shape[1], picture.shape[0]
        x0, y0 = (max(0, math.floor(v)) for v in reached.min(axis=0))
        x1, y1 = (min(top, math.ceil(v)) for v, top in zip(reached.max(axis=0), limit, strict=True))
        if x1 <= x0 or y1 <= y0:
            return
        matrix = np.empty((2, 3))
        matrix[:, :2] = carry[:, :2] / self.density
        matrix[:, 2] = carry @ [*(self.corner + 0.5 / self.density), 1.0] - (x0 + 0.5, y0 + 0.5)
        sprite = cv2.warpAffine(self.pixels, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        blend(sprite, picture[y0:y1, x0:x1])


def blend(sprite: Sprite, below: Sprite) -> None:
    """Premultiplied BGRA over an opaque BGRA view, in place."""
    keep = cv2.merge([cv2.bitwise_not(sprite[:, :, 3])] * 4)
    cv2.multiply(below, keep, dst=keep, scale=1 / 255)
    cv2.add(sprite, keep, dst=below)
