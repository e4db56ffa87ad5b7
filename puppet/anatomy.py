"""Where the parts of a portrait's face are, in coordinates of their own.

A mouth's X runs from corner to corner (-1 to 1, picture's left to right), its Y down, both in half widths of the mouth;
an eye's likewise in half widths of the eye. The networks place lips and lids to within a few pixels; the picture itself
says the rest, so the lines between lips and between lip and teeth are moved to where the picture shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .landmarks import CHIN, FOREHEAD
from .portrait import Portrait

Floats = npt.NDArray[np.floating[Any]]
"""Single precision wherever something is drawn from it."""

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

SAMPLES = 81
"""Points on a line from corner to corner."""
LINE_X: Floats = np.linspace(-1, 1, SAMPLES, dtype=np.float32)

_OPEN = 0.09
"""Gap between the lips, in half widths, from which a mouth counts as open."""
_SEEN_OPEN = 0.16
"""The same of the gap that the mesh sees. It puts the lips of a photographed closed mouth up to 0.07 apart, those of a
drawn one, whose line is thick, up to 0.14."""


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
class Eye:
    frame: Frame
    upper: Floats
    """Y of the upper lid's edge at `LINE_X`, eye as in the picture."""
    lower: Floats
    iris: tuple[float, float]
    """Local coordinates of its middle."""
    radius: float
    """Of the iris, local."""
    covered: bool = False
    """Whether something dark lies over it, such as sunglasses: then nothing of it moves."""

    def scaled(self, scale: float) -> Eye:
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


def _line(points: Floats) -> Floats:
    """Y at `LINE_X` of a line of local points from corner to corner, smoothed."""
    order = np.argsort(points[:, 0])
    x, y = np.clip(points[order, 0], -1, 1), points[order, 1]
    # The mesh is coarse: a parabola through what remains after the corners are joined keeps the line round.
    dense = np.interp(np.linspace(-1, 1, 4 * SAMPLES - 3), x, y)
    kernel = np.exp(-0.5 * (np.arange(-24, 25) / 12.0) ** 2)
    padded = np.pad(dense, 24, mode="reflect", reflect_type="odd")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), "valid")[::4], np.float32)


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
    upper, lower = (_line(frame.local(points[list(line), :2])) for line in (UPPER_INNER, LOWER_INNER))
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


def _eye(rim: Floats, left: bool) -> Eye:
    outer, inner = rim[0], rim[8]
    start, end = (outer, inner) if left else (inner, outer)
    across = (end - start) / np.linalg.norm(end - start)
    frame = Frame((start + end) / 2, across.astype(np.float32), float(np.linalg.norm(end - start)) / 2)
    local = frame.local(rim)
    lower, upper = _line(local[[0, *range(1, 8), 8]]), _line(local[[0, *range(9, 16), 8]])
    radius = float(np.linalg.norm(local[17:21] - local[16], axis=1).mean())
    return Eye(frame, upper, lower, (float(local[16, 0]), float(local[16, 1])), radius)


_DRAWN = 0.6
"""How unlike skin the picture may be just below the eyes, as a share of how unlike skin they are, in the mean of both.
Photographs and paintings stay below 0.5; where the large eyes of a drawing go on below the rim it is 0.7 and more."""
_PALE = 0.55
"""Colourfulness of an eye's white, as a share of the skin's."""


def _runs(shape: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and last row of each column's longest run: a crease that touches the eye somewhere is none of it."""
    length = np.zeros(shape.shape[1], np.intp)
    longest, last = length.copy(), length.copy()
    for row, here in enumerate(shape):
        length = (length + 1) * here
        better = length > longest
        longest, last = np.where(better, length, longest), np.where(better, row, last)
    return last - np.maximum(longest - 1, 0), last


def _grown(bgr: npt.NDArray[np.uint8], eye: Eye) -> tuple[Eye, float]:
    """Eyes larger than any person's, as drawings have them: the network draws human rims into them. Here the eye is all
    that hangs together and is not skin. Beside it how unlike skin the picture is just below the rim, of what the eye
    is; 0 and the eye as it was where nothing is found."""
    per_unit, box = 30.0, (-2.2, -1.9, 2.2, 1.9)
    strip = eye.frame.unrolled(bgr, box, per_unit)
    lab = cv2.cvtColor(np.clip(strip, 0, 255).astype(np.uint8), cv2.COLOR_BGR2LAB).astype(np.float32)
    x = box[0] + (np.arange(lab.shape[1], dtype=np.float32)[None] + 0.5) / per_unit
    y = box[1] + (np.arange(lab.shape[0], dtype=np.float32)[:, None] + 0.5) / per_unit
    upper, lower = (np.interp(x, LINE_X, line) for line in (eye.upper, eye.lower))
    reach = np.abs(x)
    skin = np.median(lab[(y > lower + 0.45) & (y < lower + 0.8) & (reach < 0.8)], axis=0)
    unlike = np.linalg.norm((lab - skin) * np.array([0.7, 1, 1], np.float32), axis=2)
    core = (y > upper + 0.05) & (y < lower - 0.05)
    inside = float(np.median(unlike[core & (reach < 0.8)])) if core.any() else 0.0
    rim = float(np.median(unlike[(y > lower + 0.04) & (y < lower + 0.16) & (reach < 0.45)]))
    if inside < 8:
        return eye, 0.0
    # Beside an iris so dark, the white is hardly unlike light skin: it is told by its colour.
    colourful, of_skin = np.hypot(*(lab[..., 1:] - 128).transpose(2, 0, 1)), float(np.hypot(*(skin[1:] - 128)))
    pale = (colourful < _PALE * of_skin) & (unlike > 10)
    _, labels = cv2.connectedComponents(((unlike > 0.4 * inside) | pale).astype(np.uint8))
    within = labels[core & (reach < 0.6)]
    if not (within > 0).any():
        return eye, 0.0
    shape = labels == np.bincount(within[within > 0]).argmax()
    # Rims of glints and the light of a brown iris are as skin is; so is what lies between the eye and a crease above.
    _, holes, found, _ = cv2.connectedComponentsWithStats((~shape).astype(np.uint8), connectivity=4)
    filled = found[:, cv2.CC_STAT_AREA] < 0.06 * per_unit**2
    filled[np.unique(holes[core & (reach < 0.6)])] = True
    filled[np.unique(np.concatenate([holes[[0, -1]].ravel(), holes[:, [0, -1]].ravel()]))] = False
    shape |= filled[holes]
    top, bottom = _runs(shape)
    # Thin ends are lashes and brush strokes.
    tall = np.flatnonzero(shape.any(0) & (bottom - top > 0.16 * per_unit))
    if len(tall) < per_unit or top[tall].min() == 0 or bottom[tall].max() == shape.shape[0] - 1:
        return eye, 0.0
    ends = [(float(x[0, i]), float(y[(top[i] + bottom[i]) // 2, 0])) for i in (tall[0], tall[-1])]
    left, right = eye.frame.pixels(ends)
    length = float(np.linalg.norm(right - left))
    frame = Frame((left + right) / 2, ((right - left) / length).astype(np.float32), length / 2)
    lines = []
    for rows in (top, bottom):
        rim_points = np.stack([x[0, tall], y[rows[tall], 0]], -1)
        lines.append(
            _line(np.concatenate([frame.local(eye.frame.pixels(rim_points)), [(-1, 0), (1, 0)]]).astype(np.float32))
        )
    ratio = eye.frame.half / frame.half
    iris = frame.local(eye.frame.pixels(eye.iris))
    return Eye(frame, lines[0], lines[1], (float(iris[0]), float(iris[1])), eye.radius * ratio), rim / inside


_MAX_GROWN = 1.8
"""How much larger than a person's the eyes of a drawing may be; wrinkles and brows have joined what seems larger."""


def _eyes(bgr: npt.NDArray[np.uint8], rims: Floats) -> tuple[Eye, Eye]:
    """Both eyes; those of a drawing are large on both sides, or what seems so is none."""
    left, right = _eye(rims[0], True), _eye(rims[1], False)
    grown, goes_on = zip(_grown(bgr, left), _grown(bgr, right), strict=True)
    if min(goes_on) == 0 or sum(goes_on) / 2 < _DRAWN:
        return left, right
    ratios = [new.frame.half / old.frame.half for new, old in zip(grown, (left, right), strict=True)]
    alike = max(ratios) < 1.3 * min(ratios) and max(ratios) < _MAX_GROWN
    return (grown[0], grown[1]) if alike else (left, right)


CHEEKS = ((50, 205), (280, 425))
"""Below the left and the right eye: half a face may lie in the shade."""
_COVERED = 0.5
"""Brightness of the skin around a covered eye, as a share of its cheek's. Deep-set eyes in the shade keep 0.6."""


def _is_covered(bgr: npt.NDArray[np.uint8], eye: Eye, cheek: float) -> bool:
    """Whether the lids above and below are as dark as no skin of this face is."""
    per_unit, box = 20.0, (-0.8, -1.2, 0.8, 1.2)
    grey = eye.frame.unrolled(bgr, box, per_unit).mean(2)
    x = box[0] + (np.arange(grey.shape[1], dtype=np.float32)[None] + 0.5) / per_unit
    y = box[1] + (np.arange(grey.shape[0], dtype=np.float32)[:, None] + 0.5) / per_unit
    upper, lower = (np.interp(x, LINE_X, line) for line in (eye.upper, eye.lower))
    bands = (y > upper - 0.35) & (y < upper - 0.12), (y > lower + 0.08) & (y < lower + 0.35)
    return all(float(np.median(grey[band])) < _COVERED * cheek for band in bands)


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
        replace(eye, covered=_is_covered(bgr, eye, float(soft[pixels[list(cheek), 1], pixels[list(cheek), 0]].mean())))
        for eye, cheek in zip(_eyes(bgr, portrait.eyes), CHEEKS, strict=True)
    )
    return Anatomy(_mouth(bgr, points, height), (left, right), face, points)
