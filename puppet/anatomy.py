"""Where the parts of a portrait's face are, each in a frame of its own.

The networks place lips to within a few pixels; the picture itself says the rest, so the lines between lips and between
lip and teeth are moved to where the picture shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from .eyes import CHEEKS, Eye, find_eyes, is_covered
from .frame import LINE_X, SAMPLES, Floats, Frame, line_of, smoothstep
from .landmarks import CHIN, FOREHEAD
from .portrait import Portrait

UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
"""Lower edge of the upper lip in the mesh, picture's left to right; the other lines likewise."""
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
BROWS = ((70, 63, 105, 66, 107, 46, 53, 52, 65, 55), (336, 296, 334, 293, 300, 285, 295, 282, 283, 276))
BROW_ENDS = ((107, 55), (336, 285))
"""Where the brows end beside the nose."""
NOSE_BASE = 2
OVAL: tuple[int, ...] = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The outline of the face, clockwise from the forehead."""

_OPEN = 0.09
"""Gap between the lips, in half widths, from which a mouth counts as open."""
_SEEN_OPEN = 0.16
"""The same of the gap that the mesh sees. It puts the lips of a photographed closed mouth up to 0.07 apart, those of a
drawn one, whose line is thick, up to 0.14."""


@dataclass(frozen=True, slots=True)
class Mouth:
    frame: Frame
    upper: Floats
    """Y of the upper lip's lower edge at `LINE_X`."""
    lower: Floats
    """Y of the lower lip's upper edge; of a closed mouth the same line."""
    upper_outer: Floats
    """Y of the lips' outer edges at `LINE_X`."""
    lower_outer: Floats
    chin: float
    """Y of the chin's lowest point."""
    nose: float
    """Y where the nose meets the upper lip; negative."""
    relaxed: float
    """How wide the mouth would be at rest, as a share of how wide it is: below 1 where it smiles."""

    @property
    def gap(self) -> Floats:
        return self.lower - self.upper

    @property
    def is_open(self) -> bool:
        return bool(self.gap.max() > _OPEN)

    def scaled(self, scale: float) -> Mouth:
        return replace(self, frame=self.frame.scaled(scale))


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A portrait's face, in pixels of its working size."""

    mouth: Mouth
    eyes: tuple[Eye, Eye]
    """At the picture's left and right."""
    face: Frame
    """Origin between forehead and chin, the unit half the face's height."""
    landmarks: Floats


def _path(cost: Floats, stiffness: float) -> npt.NDArray[np.intp]:
    """Row of each column on the cheapest way from left to right through `cost`; a step up or down costs `stiffness`."""
    total = cost.copy()
    came = np.zeros(cost.shape, np.int8)
    for column in range(1, cost.shape[1]):
        before = total[:, column - 1]
        options = np.stack([np.roll(before, 1) + stiffness, before, np.roll(before, -1) + stiffness])
        options[0, 0] = options[2, -1] = np.inf
        best = options.argmin(0)
        came[:, column] = best - 1
        total[:, column] += options[best, np.arange(len(before))]
    rows = np.empty(cost.shape[1], np.intp)
    rows[-1] = total[:, -1].argmin()
    for column in range(cost.shape[1] - 1, 0, -1):
        rows[column - 1] = rows[column] + came[rows[column], column]
    return rows


_PER_UNIT = (SAMPLES - 1) / 2
_INTO_LIPS = 0.02
_STRIP = (-1 - 0.5 / _PER_UNIT, -0.75, 1 + 0.5 / _PER_UNIT, 0.95)
"""Around the lips; one column for each point of a line."""


def _follow(cost: Floats, start: Floats, reach: float) -> Floats:
    """`start` moved to where `cost` is low, by `reach` at most; the corners stay."""
    y = _STRIP[1] + (np.arange(cost.shape[0], dtype=np.float32)[:, None] + 0.5) / _PER_UNIT
    free = reach * np.sqrt(np.clip(1 - LINE_X**2, 0, 1)) + 0.02
    away = np.abs(y - start[None, :]) / free[None, :]
    bounded = cost + 0.25 * away**2 + np.where(away > 1, 1e3, 0)
    rows = _path(bounded.astype(np.float32), 0.04)
    found = _STRIP[1] + (rows + 0.5) / _PER_UNIT
    moved = cv2.GaussianBlur((found - start)[None].astype(np.float32), (0, 0), 3.5, borderType=cv2.BORDER_REPLICATE)[0]
    return np.asarray(start + moved * smoothstep(0.0, 0.15, 1 - np.abs(LINE_X)), np.float32)


def _between(strip: Floats, upper: Floats, lower: Floats) -> Floats:
    """The dark line between closed lips, near the middle of what the mesh says."""
    grey = cv2.GaussianBlur(strip.mean(2), (0, 0), 0.7)
    grey -= cv2.GaussianBlur(grey, (0, 0), 6.0)
    return _follow(grey / max(4.0, float(grey.std()) * 2), (upper + lower) / 2, 0.14)


def _edge(strip: Floats, start: Floats, lip_side: int, depth: Floats, gap: Floats) -> Floats:
    """The edge between a lip and what is seen between the lips. `lip_side` is -1 where the lip lies above the line.

    Lip and inside are told apart by the colour direction that parts them best here (Fisher's discriminant).
    """
    lab = cv2.cvtColor(np.clip(strip, 0, 255).astype(np.uint8), cv2.COLOR_BGR2LAB).astype(np.float32)
    y = _STRIP[1] + (np.arange(lab.shape[0], dtype=np.float32)[:, None] + 0.5) / _PER_UNIT
    away = (y - start[None]) * lip_side
    middle = np.abs(LINE_X)[None] < 0.75
    lip = lab[(away > 0.45 * depth[None]) & (away < 0.85 * depth[None]) & middle]
    inside = lab[(away < -0.02) & (away > -0.5 * gap[None]) & middle]
    if len(lip) < 40 or len(inside) < 40:
        return start
    spread = np.cov(lip.T) + np.cov(inside.T) + 4 * np.eye(3)
    direction = np.linalg.solve(spread, lip.mean(0) - inside.mean(0))
    likeness = cv2.GaussianBlur((lab @ direction).astype(np.float32), (0, 0), 0.7)
    step = cv2.Sobel(likeness, cv2.CV_32F, 0, 1, ksize=3) * lip_side
    return _follow(-step / max(1e-6, float(np.abs(step).max())) * 1.5, start, 0.16)


def _mouth(bgr: npt.NDArray[np.uint8], points: Floats, face_height: float) -> Mouth:
    # The slit of a closed mouth ends nearer to the outer corners than to the inner ones of the mesh.
    left, right = (0.35 * points[inner, :2] + 0.65 * points[outer, :2] for inner, outer in ((78, 61), (308, 291)))
    across = (right - left) / np.linalg.norm(right - left)
    frame = Frame((left + right) / 2, across.astype(np.float32), float(np.linalg.norm(right - left)) / 2)
    upper, lower = (line_of(frame.local(points[list(line), :2])) for line in (UPPER_INNER, LOWER_INNER))
    outer_upper, outer_lower = (frame.local(points[list(line), :2]) for line in (UPPER_OUTER, LOWER_OUTER))
    upper_outer = np.interp(LINE_X, outer_upper[:, 0], outer_upper[:, 1]).astype(np.float32)
    lower_outer = np.interp(LINE_X, outer_lower[:, 0], outer_lower[:, 1]).astype(np.float32)
    strip = frame.unrolled(bgr, _STRIP, _PER_UNIT)
    gap = lower - upper
    if gap.max() > _SEEN_OPEN:
        upper_edge = _edge(strip, upper, -1, upper - upper_outer, gap)
        lower = _edge(strip, lower, 1, lower_outer - lower, gap)
        upper = upper_edge
        middle = (upper + lower) / 2
        # A little into the lips, so that no white of teeth stays on their edges.
        inwards = _INTO_LIPS * smoothstep(0.0, 0.3, 1 - np.abs(LINE_X))
        upper, lower = np.minimum(upper, middle) - inwards, np.maximum(lower, middle) + inwards
    else:
        upper = lower = _between(strip, upper, lower)
    # A resting mouth is about 0.31 face heights wide between its inner corners.
    relaxed = float(np.clip(0.155 * face_height / frame.half, 0.6, 1.0))
    return Mouth(
        frame,
        upper,
        lower,
        upper_outer,
        lower_outer,
        chin=float(frame.local(points[CHIN, :2])[1]),
        nose=float(frame.local(points[NOSE_BASE, :2])[1]),
        relaxed=relaxed,
    )


def study(portrait: Portrait) -> Anatomy:
    """The anatomy of a portrait's face."""
    bgr = np.ascontiguousarray(portrait.rgb[:, :, ::-1])
    points = portrait.landmarks
    up = points[FOREHEAD, :2] - points[CHIN, :2]
    height = float(np.linalg.norm(up))
    across = np.array([-up[1], up[0]], np.float32) / np.float32(height)
    face = Frame((points[FOREHEAD, :2] + points[CHIN, :2]) / 2, across, height / 2)
    soft = cv2.GaussianBlur(bgr, (0, 0), max(1.0, height / 40)).mean(2)
    pixels = np.clip(np.rint(points[:, :2]).astype(int), 0, (portrait.width - 1, portrait.height - 1))
    left, right = (
        replace(eye, covered=is_covered(bgr, eye, float(soft[pixels[list(cheek), 1], pixels[list(cheek), 0]].mean())))
        for eye, cheek in zip(find_eyes(bgr, portrait.eyes), CHEEKS, strict=True)
    )
    return Anatomy(_mouth(bgr, points, height), (left, right), face, points)
