"""An eye of a portrait in motion: a lid that closes over it, and a gaze that wanders.

The lid is not the picture's own skin stretched (which would drag lashes, creases and the rims of glasses along) but a
new one: its colours are taken from the skin above and below the eye, it slides out from under the fold with the lash
line at its edge, as a lid does. Nothing outside the eye's immediate surroundings moves.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import LINE_X, Eye, Floats, smoothstep

Bgr = npt.NDArray[np.uint8]

_BOX = (-1.3, -1.15, 1.3, 1.0)
"""Local coordinates of what an eye's motion may touch."""
_FOLD = 0.20
"""How far above the open lid's edge the new lid comes out: the lashes and their shadow lie below that."""
_MARGIN = 0.10
"""How far below the lower lid's edge its lashes reach."""
_TEXTURE = (64, 48)
"""Columns and rows of the lid's own picture: its colours are smooth."""
_GAZE = (0.24, 0.10)
"""How far the iris goes to the side and up or down at full gaze, in half widths of the eye."""


class Lid:
    """One eye. Never changes; `draw` may be called from several threads."""

    def __init__(self, eye: Eye, picture: Bgr) -> None:
        frame = eye.frame
        height, width = picture.shape[:2]
        corners = frame.pixels([(x, y) for x in (_BOX[0], _BOX[2]) for y in (_BOX[1], _BOX[3])])
        low = np.clip(np.floor(corners.min(0)).astype(int), 0, (width - 1, height - 1))
        high = np.clip(np.ceil(corners.max(0)).astype(int), low + 1, (width, height))
        self.box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        """x0, y0, x1, y1 of the part of the picture that moves."""
        x0, y0, x1, y1 = self.box
        self._open: Bgr = np.ascontiguousarray(picture[y0:y1, x0:x1])
        pixels = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32)
        local = frame.local(pixels)
        x, self._y = np.ascontiguousarray(local[..., 0]), np.ascontiguousarray(local[..., 1])
        self._upper, self._lower = (np.interp(x, LINE_X, line).astype(np.float32) for line in (eye.upper, eye.lower))
        self._pixel = np.float32(1 / frame.half)
        within = smoothstep(-1.0, 1.0, (1 - np.abs(x)) / self._pixel)
        self._opening = (
            within
            * smoothstep(-0.5, 1.0, (self._y - self._upper) / self._pixel)
            * smoothstep(-0.5, 1.0, (self._lower - self._y) / self._pixel)
        )[..., None]
        # The new lid reaches a little beyond the corners and ends in a point there.
        self._sides = smoothstep(0.0, 0.16, 1.10 - np.abs(x))
        self._x = x
        skin, self._lash = self._colours(eye, picture)
        self._texture = self._skin(skin)
        # Skin without the picture's grain would look like wax. The same grain every time: it belongs to the lid.
        below = (self._y > self._lower + 0.12) & (self._y < self._lower + 0.45) & (np.abs(x) < 0.8)
        grey = self._open.mean(2)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
        strength = float(np.median(np.abs(fine[below]))) if below.any() else 0.0
        noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=grey.shape), (0, 0), 1.0)
        # The median of absolute values is 0.67 standard deviations; blurring left 0.28 of the noise.
        self._grain = np.asarray(noise * min(6.0, strength / 0.67 / 0.28), np.float32)[..., None]
        bell = np.clip(1 - x**2, 0, 1) ** 2
        height_here = np.maximum(self._lower - self._upper, 0.05)
        t = np.clip((self._y - self._upper) / height_here, 0, 1)
        self._shift = (
            np.stack([_GAZE[0] * bell, np.zeros_like(x)], -1),
            np.stack([np.zeros_like(x), _GAZE[1] * 4 * t * (1 - t) * (np.abs(x) < 1)], -1),
        )
        axes = np.stack([frame.across, frame.down]) * np.float32(frame.half)
        self._shift_x, self._shift_y = (np.asarray(shift @ axes, np.float32) for shift in self._shift)
        self._here = np.stack(np.meshgrid(np.arange(x1 - x0), np.arange(y1 - y0)), -1).astype(np.float32)

    def _colours(self, eye: Eye, picture: Bgr) -> tuple[tuple[Floats, Floats], Floats]:
        """Skin above and below the eye for each of the texture's columns, and the colour of the lashes."""
        columns = _TEXTURE[0]
        per_unit = columns / 2.3
        box = (-1.15, -1.1, 1.15, 1.1)
        strip = eye.frame.unrolled(picture, box, per_unit)
        strip = strip[:, :columns]
        y = box[1] + (np.arange(strip.shape[0], dtype=np.float32)[:, None] + 0.5) / per_unit
        x = np.linspace(-1.15, 1.15, columns, dtype=np.float32)
        upper, lower = (np.interp(x, LINE_X, line)[None] for line in (eye.upper, eye.lower))

        def band(low: Floats, high: Floats) -> Floats:
            chosen = np.where(((y >= low) & (y <= high))[..., None], strip, np.nan)
            return np.asarray(np.nanmedian(chosen, axis=0), np.float32)

        above = band(upper - _FOLD - 0.16, upper - _FOLD)
        below = band(lower + _MARGIN, lower + _MARGIN + 0.18)
        cheek = np.median(below, axis=0)
        # Rims of glasses, brows and deep shadows are no skin: no colour may leave the neighbourhood of the cheek's.
        light = above.mean(1, keepdims=True) / max(1.0, float(cheek.mean()))
        above = above * (np.clip(light, 0.55, 1.12) / np.maximum(light, 1e-3))
        above, below = (
            cv2.GaussianBlur(c[None], (0, 0), columns / 9, borderType=cv2.BORDER_REPLICATE)[0] for c in (above, below)
        )
        line = np.where((np.abs(y - upper + 0.02) < 0.09)[..., None], strip, np.nan)
        lash = np.nanpercentile(line[:, columns // 5 : -columns // 5].reshape(-1, 3), 20, axis=0)
        return (above, below), np.asarray(lash, np.float32)

    @staticmethod
    def _skin(skin: tuple[Floats, Floats]) -> Floats:
        """The closed lid from its fold (top row) to its edge."""
        rows = np.linspace(0, 1, _TEXTURE[1], dtype=np.float32)[:, None, None]
        above, below = skin
        colour = above[None] * (1 - rows) + (0.65 * below + 0.35 * above)[None] * rows
        # It lies on a ball: lighter in the middle, in its own shadow at the edge.
        ball = 1 + 0.06 * np.sin(np.pi * rows) - 0.10 * smoothstep(0.72, 1.0, rows)
        return np.asarray(colour * ball, np.float32)

    def draw(self, blink: float, gaze_x: float, gaze_y: float) -> Bgr:
        """What the picture's `box` shows. `blink` 0 is the eye as it is, 1 shut; gazes from -1 to 1."""
        picture = self._open.astype(np.float32)
        if gaze_x or gaze_y:
            source = self._here - self._shift_x * np.float32(gaze_x) - self._shift_y * np.float32(gaze_y)
            ball = cv2.remap(self._open, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            picture += (ball - picture) * self._opening
        # Who looks down lowers the lid.
        closed = 1 - (1 - blink) * (1 - 0.2 * max(0.0, gaze_y))
        if closed > 0.005:
            self._close(picture, np.float32(closed))
        return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)

    def _close(self, picture: Floats, closed: np.float32) -> None:
        """Lays the lid over `picture`, its edge `closed` of the way down."""
        begun = smoothstep(0.0, 0.18, closed)
        bottom = self._lower + np.float32(0.03)
        edge = self._upper + (bottom - self._upper) * closed
        # The eye lies in the shadow of lid and lashes.
        shade = 0.40 * begun * np.exp(-np.maximum(self._y - edge, 0) / 0.14) * self._opening[..., 0]
        picture *= (1 - shade)[..., None]
        length = bottom - self._upper + np.float32(_FOLD)
        along = 1 - (edge - self._y) / length
        columns, rows = _TEXTURE
        where_x = (self._x / 2.3 + 0.5) * columns - 0.5
        lid = cv2.remap(self._texture, where_x, along * (rows - 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lid = lid + self._grain
        cover = smoothstep(-1.0, 1.0, (edge - self._y) / self._pixel)
        cover *= smoothstep(-_FOLD, -0.35 * _FOLD, self._y - self._upper) * self._sides * begun
        # Shut, it also hides what is left of the lower rim's dark.
        picture += (lid - picture) * cover[..., None]
        thick = 0.06 + 0.025 * (1 - self._x**2)
        lash = np.exp(-(((self._y - edge + 0.02) / thick) ** 2)) * smoothstep(0.0, 0.25, 1.06 - np.abs(self._x))
        picture += (self._lash - picture) * (0.7 * begun * lash)[..., None]
