"""A portrait's head in motion: it turns, nods and leans in depth; the brows rise; the chest breathes.

The depth comes from the face mesh, smoothed, because the raw depth of a face's edge would tear the cheek. What moves is
the person, as the segmentation saw it, most at the head and hardly at the shoulders; next to the outline the background
is drawn along and beyond that rim it never moves.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import BROW_ENDS, BROWS, OVAL, Anatomy
from .coefficients import Coefficients
from .frame import Floats, smoothstep
from .landmarks import CHIN
from .portrait import Portrait
from .scratch import Scratch

_NODES = 52
"""Grid nodes along the picture's long side: all of this is smooth."""
_MIN_STEP = 8
"""Pixels between nodes at least."""
_ROUNDS = 3
"""Of the fixed-point iteration: the fields are gentle."""
_RIM = 0.22
"""Width of the rim of background that is drawn along, in face heights: the largest shift fits in without folding."""
_BORDER = 0.06
"""Share of the picture along its edges in which motion dies away: beyond the edge there is nothing to show."""
_SHOULDERS = 0.12
"""How much of the head's motion the trunk takes part in."""
_BREATH = 0.006
"""How far the chest rises, in picture widths."""
_BROW = 0.028
"""How far a brow rises, in face heights: half of what there is between it and the lid."""


def _spread(points: Floats, values: Floats, size: tuple[int, int], sigmas: tuple[float, ...]) -> Floats:
    """Scattered values as a smooth field of `size` (width, height): normalised convolution, the widest kernel where no
    narrower one reaches."""
    width, height = size
    weight, total = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    columns, rows = np.rint(points).astype(int).T
    kept = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    np.add.at(weight, (rows[kept], columns[kept]), 1)
    np.add.at(total, (rows[kept], columns[kept]), values[kept])
    field = np.full((height, width), values.mean(), np.float32)
    for sigma in sorted(sigmas, reverse=True):
        w, t = (cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT) for a in (weight, total))
        trust = np.clip(w * sigma**2 * 20, 0, 1)
        field += trust * (t / np.maximum(w, 1e-9) - field)
    return field


class Turning:
    """How one portrait's picture moves as a whole, drawn at one size. Never changes."""

    def __init__(self, portrait: Portrait, anatomy: Anatomy, size: tuple[int, int], source_scale: float) -> None:
        """`size` (width, height) is what is drawn; the picture that it is drawn from is `source_scale` times that."""
        width, height = size
        self.step = max(_MIN_STEP, round(max(width, height) / _NODES))
        # Pixels of the picture that is drawn from are `_scale` · node − `_offset`.
        self._scale = np.float32(self.step * source_scale)
        self._offset = np.float32(0.5) * self._scale + np.float32(0.5)
        columns, rows = -(-width // self.step), -(-height // self.step)
        # Nodes are the middles of square cells. A ring of them lies outside the picture, so that every pixel has nodes
        # on all sides: node 1 is the first within.
        columns, rows = columns + 2, rows + 2
        here = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).astype(np.float32)
        self._here = here
        scale = width / portrait.width  # drawn pixels in one of the working size
        nodes_per_pixel = scale / self.step

        def to_nodes(points: npt.ArrayLike) -> Floats:
            return (np.asarray(points, np.float32) + np.float32(0.5)) * np.float32(nodes_per_pixel) + np.float32(0.5)

        face = anatomy.face.half * 2 * nodes_per_pixel  # face height in nodes
        points = to_nodes(anatomy.landmarks[:, :2])
        depth = anatomy.landmarks[:, 2] * np.float32(nodes_per_pixel)
        # Where the face ends the head goes on backwards: no deeper than the ears.
        depth = np.minimum(depth, np.float32(0.36 * face))
        oval = list(OVAL)
        field = _spread(points, depth, (columns, rows), (0.06 * face, 0.16 * face))
        rim = cv2.GaussianBlur(_spread(points[oval], depth[oval], (columns, rows), (0.25 * face,)), (0, 0), 0.1 * face)
        outline = cv2.convexHull(points[oval]).reshape(-1, 2)
        mask = np.zeros((rows, columns), np.float32)
        cv2.fillConvexPoly(mask, np.rint(outline * 16).astype(np.int32), 1.0, cv2.LINE_8, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), 0.05 * face)
        self._depth = np.asarray(cv2.GaussianBlur(rim + (field - rim) * mask, (0, 0), 0.045 * face), np.float32)

        frame = anatomy.face
        local = np.stack(
            [(here - to_nodes(frame.centre)) @ frame.across, (here - to_nodes(frame.centre)) @ frame.down], -1
        )
        x, y = local[..., 0] / face, local[..., 1] / face  # face heights from the face's middle; the chin is at y 0.5
        place = (here - np.float32(0.5)) * np.float32(self.step) / np.array(size, np.float32)  # shares of the picture
        where = place * np.array(portrait.person.shape[::-1], np.float32) - np.float32(0.5)
        person = cv2.remap(portrait.person, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        person = person.astype(np.float32) / 255
        head = 1 - smoothstep(0.85, 1.5, np.hypot(x / 1.05, (y + 0.12) / 1.15))
        inside = (np.maximum(person, 1 - smoothstep(0.40, 0.55, np.hypot(x / 0.85, y))) > 0.5).astype(np.uint8)
        away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / face
        near = 1 - smoothstep(0.0, _RIM, away - 0.02)
        below = smoothstep(0.40, 1.15, y)
        sides = smoothstep(0, _BORDER, place[..., 0]) * smoothstep(0, _BORDER, 1 - place[..., 0])
        border = sides * smoothstep(0, _BORDER, place[..., 1]) * smoothstep(0, 0.6 * _BORDER, 1 - place[..., 1])
        self._weight = np.asarray(head * near * (1 - (1 - _SHOULDERS) * below) * border, np.float32)
        chest = smoothstep(0.58, 1.1, y) * (1 - smoothstep(0.0, 0.08, away)) * (1 - self._weight)
        self._chest = np.asarray(chest * sides, np.float32)

        # The head turns about where the neck meets it, a little below the chin and behind the face.
        chin = to_nodes(anatomy.landmarks[CHIN, :2])
        away = here - (chin + frame.down * np.float32(0.12 * face))
        behind = self._depth - np.float32(0.38 * face)
        brows = np.zeros((rows, columns), np.float32)
        eye_line = np.mean([to_nodes(eye.frame.centre) for eye in anatomy.eyes], axis=0)
        above = (here - eye_line) @ frame.down / face
        for brow in BROWS:
            gap = np.linalg.norm(here[:, :, None] - points[list(brow)], axis=3).min(2) / face
            brows = np.maximum(brows, np.exp(-((gap / 0.085) ** 2)))
        brows *= 1 - smoothstep(-0.10, -0.03, above)
        furrow = np.zeros((rows, columns, 2), np.float32)
        for end, side in zip(BROW_ENDS, (1, -1), strict=True):
            near = np.exp(-((np.linalg.norm(here - points[list(end)].mean(0), axis=2) / (0.095 * face)) ** 2))
            near *= 1 - smoothstep(-0.09, -0.02, above)
            furrow += near[..., None] * (frame.down * 0.9 + frame.across * (0.6 * side)) * np.float32(_BROW * face)
        still = np.zeros((rows, columns), np.float32)
        # The motion is linear in the entries of the head's rotation, its shift, the breath and the brows.
        moved = [self._weight * part for part in (away[..., 0], away[..., 1], behind, np.float32(width / self.step))]
        chest = self._chest * np.float32(-_BREATH * width / self.step)
        fields = [np.stack(pair, -1) for part in moved for pair in ((part, still), (still, part))]
        fields += [np.stack((still, chest), -1), brows[..., None] * (frame.down * np.float32(-_BROW * face)), furrow]
        self._fields = np.stack(fields).astype(np.float32).reshape(len(fields), -1)

        moving = (self._weight > 0) | (self._chest > 0) | (brows > 1e-3)
        ys, xs = np.flatnonzero(moving.any(1)), np.flatnonzero(moving.any(0))
        low = max(1, int(xs[0]) - 1), max(1, int(ys[0]) - 1)
        high = min(columns - 2, int(xs[-1]) + 1), min(rows - 2, int(ys[-1]) + 1)
        self._part = slice(low[1] - 1, high[1] + 2), slice(low[0] - 1, high[0] + 2)
        step = self.step
        self.box = ((low[0] - 1) * step, (low[1] - 1) * step, min(width, high[0] * step), min(height, high[1] * step))
        """x0, y0, x1, y1: outside it nothing ever moves."""

    def nodes(self, c: Coefficients) -> Floats:
        """Where each node of the grid comes from in the picture that is drawn from, shape (rows, columns, 2)."""
        (sy, cy), (sp, cp), (sr, cr) = (
            (math.sin(math.radians(a)), math.cos(math.radians(a))) for a in (c.yaw, c.pitch, c.roll)
        )
        # Yaw, then pitch, then roll; of each point the part that lies in the picture.
        first = cy, 0.0, -sy
        second = -sy * sp, cp, -cy * sp
        entries = [e for a, b in zip(first, second, strict=True) for e in (a * cr - b * sr, a * sr + b * cr)]
        entries[0] -= 1
        entries[3] -= 1
        weights = np.array([*entries, c.tx, c.ty, c.breath, c.brow, c.furrow], np.float32)
        field = (weights @ self._fields).reshape(self._here.shape)
        source = self._here - field
        for _ in range(_ROUNDS):
            source = self._here - cv2.remap(field, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source *= self._scale
        source -= self._offset
        return source

    def full(self, nodes: Floats, scratch: Scratch) -> Floats:
        """Values of `nodes` at each pixel of `box`, in `scratch`."""
        part = nodes[self._part]
        step = self.step
        full = scratch.take("sources", (part.shape[0] * step, part.shape[1] * step, 2), np.float32)
        cv2.resize(part, full.shape[1::-1], dst=full, interpolation=cv2.INTER_LINEAR)
        left, top, right, bottom = self.box
        return full[step : step + bottom - top, step : step + right - left]

    def sources(self, c: Coefficients, scratch: Scratch) -> Floats:
        """Where each pixel of `box` comes from in the picture that is drawn from, shape (h, w, 2), in `scratch`."""
        return self.full(self.nodes(c), scratch)
