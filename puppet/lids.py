"""An eye of a portrait in motion: a lid that closes over it, and a gaze that wanders.

The lid is not the picture's own skin stretched (which would drag lashes, creases and the rims of glasses along) but a
new one: its colours are taken from the skin above and below the eye, it slides out from under the fold with the lash
line at its edge, as a lid does. It begins above the lashes that the picture shows, however thick they are: what stayed
of them would draw a rim around the lid. Nothing outside the eye's immediate surroundings moves.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from .eyes import Eye
from .frame import LINE_X, Floats, smoothstep

Bgr = npt.NDArray[np.uint8]

_BOX = (-1.55, -1.3, 1.55, 1.05)
"""Local coordinates of what an eye's motion may touch."""
_LASHES = (0.09, 0.30)
"""How far the lashes and their shadow may reach above the open lid's edge: found in the picture between these."""
_FOLD = 0.12
"""Further up than the lashes the new lid comes out, softly."""
_SOCKET = 0.42
"""Further up than the lashes a shut lid smooths what an open one folds: what is left of the fold is a soft crease."""
_MARGIN = 0.10
"""How far below the lower lid's edge its lashes reach."""
_GLINT = 1.4
"""Brightness from which nothing around an eye is skin, as a share of the cheek's."""
_GAZE = (0.24, 0.10)
"""How far the iris goes to the side and up or down at full gaze, in half widths of the eye."""

_FORESHORTENED = 1.6
"""How much denser the lashes of a shut eye are drawn than those of an open one."""
_TRAVEL = 0.9
"""How far a lid goes down at most, in half widths of the eye."""


class Lid:
    """One eye. Never changes; `draw` may be called from several threads."""

    def __init__(self, eye: Eye, picture: Bgr, *, left: bool) -> None:
        """`left`: at the picture's left, where its outer corner is."""
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
        self._x = x
        self._lashes = self._lash_height(eye, picture)
        self._lash = self._lash_colour(eye, picture)
        # The new lid: over the eye and its lashes, ending softly above them and beyond the corners.
        # Lashes are long at the outer corner; at the inner one the nose begins.
        inner = np.maximum(x if left else -x, 0) ** 4
        away = (self._y - self._upper) / (1 - 0.45 * inner / (1 + inner))
        sides = smoothstep(-1.45, -1.12, -np.abs(x)) * smoothstep(-0.24, -_MARGIN, self._lower - self._y)
        self._area = smoothstep(-self._lashes - _FOLD, -self._lashes, away) * sides
        self._socket = 0.85 * smoothstep(-self._lashes - _SOCKET, -self._lashes - 0.08, away) * sides
        self._skin = self._healed()
        # Beyond the outer corner it brightens little: what is dark there are lashes and shade that go on around it.
        outer = smoothstep(0.92, 1.18, -x if left else x)
        darker = 0.85 * outer * smoothstep(4, 24, (self._skin - self._open).mean(2))
        self._area *= 1 - darker
        self._socket *= 1 - darker
        lid = self._area > 0.9
        self._lash = np.minimum(self._lash, 0.55 * self._skin[lid].mean(0)) if lid.any() else self._lash
        # Skin without the picture's grain would look like wax. The same grain every time: it belongs to the lid.
        below = (self._y > self._lower + 0.12) & (self._y < self._lower + 0.45) & (np.abs(x) < 0.8)
        grey = self._open.mean(2)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
        strength = float(np.percentile(np.abs(fine[below]), 35)) if below.any() else 0.0
        noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=grey.shape), (0, 0), 1.0)
        # 35 % of absolute values lie below 0.45 standard deviations; blurring left 0.28 of the noise.
        self._grain = np.asarray(noise * min(6.0, strength / 0.45 / 0.28), np.float32)[..., None]
        # The person's own lashes, as what they take of the skin's light: they go down with the lid's edge.
        darkened = np.clip(self._open / np.maximum(self._skin, 1), 0.15, 1)
        lashes = smoothstep(-self._lashes - 0.06, -0.75 * self._lashes, away) * smoothstep(
            -0.06, 0.0, self._upper - self._y
        )
        lashes *= smoothstep(-1.25, -0.95, -np.abs(x))
        self._own_lashes = np.asarray(1 - lashes[..., None] * (1 - darkened), np.float32)
        bell = np.clip(1 - x**2, 0, 1) ** 2
        height_here = np.maximum(self._lower - self._upper, 0.05)
        t = np.clip((self._y - self._upper) / height_here, 0, 1)
        self._shift = (
            np.stack([_GAZE[0] * bell, np.zeros_like(x)], -1),
            np.stack([np.zeros_like(x), _GAZE[1] * 4 * t * (1 - t) * (np.abs(x) < 1)], -1),
        )
        axes = np.stack([frame.across, frame.down]) * np.float32(frame.half)
        self._shift_x, self._shift_y = (np.asarray(shift @ axes, np.float32) for shift in self._shift)
        self._descent = (frame.down * np.float32(frame.half)).astype(np.float32)
        """A unit down the lid, in pixels."""
        self._here = np.stack(np.meshgrid(np.arange(x1 - x0), np.arange(y1 - y0)), -1).astype(np.float32)

    @staticmethod
    def _lash_height(eye: Eye, picture: Bgr) -> float:
        """How far above the open lid's edge the dark of the lashes ends, in half widths."""
        per_unit, top = 40.0, 0.6
        strip = eye.frame.unrolled(picture, (-0.65, -1.2, 0.65, 0.6), per_unit).mean(2)
        x = -0.65 + (np.arange(strip.shape[1], dtype=np.float32) + 0.5) / per_unit
        edge = np.interp(x, LINE_X, eye.upper).astype(np.float32)
        away = np.arange(0.0, top, 1 / per_unit, dtype=np.float32)
        rows = (edge[None] - away[:, None] + np.float32(1.2)) * np.float32(per_unit) - np.float32(0.5)
        columns = np.broadcast_to(np.arange(len(x), dtype=np.float32), rows.shape)
        profile = cv2.remap(strip, np.ascontiguousarray(columns), rows, cv2.INTER_LINEAR).mean(1)
        dark, light = float(profile[: round(0.12 * per_unit)].min()), float(profile[: round(0.45 * per_unit)].max())
        clear = np.flatnonzero(profile >= dark + 0.85 * (light - dark))
        clear = clear[clear > profile[: round(0.12 * per_unit)].argmin()]
        found = float(away[clear[0]]) if len(clear) else _LASHES[1]
        return float(np.clip(found, *_LASHES))

    @staticmethod
    def _lash_colour(eye: Eye, picture: Bgr) -> Floats:
        """The dark along the open lid's edge."""
        per_unit = 28.0
        strip = eye.frame.unrolled(picture, (-0.7, -1.1, 0.7, 1.1), per_unit)
        y = -1.1 + (np.arange(strip.shape[0], dtype=np.float32)[:, None] + 0.5) / per_unit
        x = -0.7 + (np.arange(strip.shape[1], dtype=np.float32) + 0.5) / per_unit
        line = strip[np.abs(y - np.interp(x, LINE_X, eye.upper)[None] + 0.02) < 0.09]
        return np.asarray(np.percentile(line, 12, axis=0), np.float32)

    def _healed(self) -> Floats:
        """Skin where the eye and its lashes are, of the colours around them, as a lid's ball is lit."""
        picture = self._open.astype(np.float32)
        ring = (self._area < 0.02) & (np.hypot(self._x / 1.6, (self._y - (self._upper + self._lower) / 2) / 1.1) < 1)
        below = ring & (self._y > self._lower) & (np.abs(self._x) < 0.8)
        grey = picture.mean(2)
        cheek = float(np.median(grey[below])) if below.any() else float(grey.mean())
        # The darker, the less likely it is skin: lashes, brows, hair, the rims of glasses. Glints are none either.
        bright = grey / np.float32(max(1.0, cheek))
        weight = np.where(ring & (bright < _GLINT), np.minimum(bright, 1.1) ** 3 + 1e-4, 0).astype(np.float32)
        # A lid has the colour of what is above it rather than of the cheek, which may blush.
        weight *= 1 - 0.8 * smoothstep(0.0, 0.3, self._y - (self._upper + self._lower) / 2)
        total = picture * weight[..., None]
        half = 1 / float(self._pixel)
        skin = np.full_like(picture, total.sum((0, 1)) / max(1e-6, float(weight.sum())))
        for sigma in (0.5, 0.2, 0.1, 0.05):
            near = cv2.GaussianBlur(weight, (0, 0), sigma * half, borderType=cv2.BORDER_CONSTANT)
            colour = cv2.GaussianBlur(total, (0, 0), sigma * half, borderType=cv2.BORDER_CONSTANT)
            colour /= np.maximum(near, 1e-6)[..., None]
            skin += smoothstep(0.01, 0.15, near)[..., None] * (colour - skin)
        height = np.maximum(self._lower - self._upper, 0.1)
        down = np.clip((self._y - self._upper + self._lashes) / (height + self._lashes), 0, 1)
        across = np.clip(1 - self._x**2, 0, 1)
        ball = 1 + across * (0.05 * np.sin(np.pi * down) - 0.09 * smoothstep(0.7, 1.0, down))
        # A soft crease where it comes out from under the brow.
        ball -= 0.06 * across**2 * np.exp(-(((self._y - self._upper + 0.6 * self._lashes) / 0.08) ** 2))
        return np.asarray(skin * ball[..., None], np.float32)

    def seen(self, blink: float, gaze_x: float, gaze_y: float) -> tuple[float, float, float]:
        """What `draw` takes, rounded to what can be told apart: eyes that hold their goal while the head sways move by
        less than that from picture to picture."""
        steps = [max(4, math.ceil(4 * travel / float(self._pixel))) for travel in (_TRAVEL, *_GAZE)]
        blink, gaze_x, gaze_y = (round(v * n) / n for v, n in zip((blink, gaze_x, gaze_y), steps, strict=True))
        return blink, gaze_x, gaze_y

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
        area = np.maximum(self._area * begun, self._socket * smoothstep(0.1, 0.9, closed))
        over = smoothstep(-1.0, 1.0, (edge - self._y) / self._pixel)
        # Of an eye that is shut nothing shows below its lashes either, wherever a drawing's white ends.
        cover = np.maximum(over, smoothstep(0.75, 1.0, closed)) * area
        picture += (self._skin + self._grain - picture) * cover[..., None]
        # Seen from above as they come down, they are foreshortened.
        away = self._upper - edge + (self._y - edge) * (np.float32(_FORESHORTENED) * closed)
        where = self._here + away[..., None] * self._descent
        own = cv2.remap(self._own_lashes, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture *= 1 - (begun * (1 - np.float32(0.3) * closed)) * (1 - own)
        # Lashes are thickest in the middle and thin out towards the corners.
        thick = 0.035 + 0.035 * np.clip(1 - self._x**2, 0, 1)
        lash = np.exp(-(((self._y - edge + 0.02) / thick) ** 2)) * smoothstep(0.0, 0.35, 1.06 - np.abs(self._x))
        picture += (self._lash - picture) * (0.7 * begun * lash)[..., None]
