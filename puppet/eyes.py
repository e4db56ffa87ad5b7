"""Where a portrait's eyes are: by the networks, and by the picture where eyes are larger than any person's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from .frame import LINE_X, Floats, Frame, line_of


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


def _eye(rim: Floats, left: bool) -> Eye:
    outer, inner = rim[0], rim[8]
    start, end = (outer, inner) if left else (inner, outer)
    across = (end - start) / np.linalg.norm(end - start)
    frame = Frame((start + end) / 2, across.astype(np.float32), float(np.linalg.norm(end - start)) / 2)
    local = frame.local(rim)
    lower, upper = line_of(local[[0, *range(1, 8), 8]]), line_of(local[[0, *range(9, 16), 8]])
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
            line_of(np.concatenate([frame.local(eye.frame.pixels(rim_points)), [(-1, 0), (1, 0)]]).astype(np.float32))
        )
    ratio = eye.frame.half / frame.half
    iris = frame.local(eye.frame.pixels(eye.iris))
    return Eye(frame, lines[0], lines[1], (float(iris[0]), float(iris[1])), eye.radius * ratio), rim / inside


_MAX_GROWN = 1.8
"""How much larger than a person's the eyes of a drawing may be; wrinkles and brows have joined what seems larger."""


def find_eyes(bgr: npt.NDArray[np.uint8], rims: Floats) -> tuple[Eye, Eye]:
    """Both eyes; those of a drawing are large on both sides, or what seems so is none."""
    left, right = _eye(rims[0], True), _eye(rims[1], False)
    (new_left, left_goes_on), (new_right, right_goes_on) = _grown(bgr, left), _grown(bgr, right)
    if min(left_goes_on, right_goes_on) == 0 or (left_goes_on + right_goes_on) / 2 < _DRAWN:
        return left, right
    grown = new_left, new_right
    ratios = [new.frame.half / old.frame.half for new, old in zip(grown, (left, right), strict=True)]
    alike = max(ratios) < 1.3 * min(ratios) and max(ratios) < _MAX_GROWN
    return grown if alike else (left, right)


CHEEKS = ((50, 205), (280, 425))
"""Below the left and the right eye: half a face may lie in the shade."""
_COVERED = 0.5
"""Brightness of the skin around a covered eye, as a share of its cheek's. Deep-set eyes in the shade keep 0.6."""


def is_covered(bgr: npt.NDArray[np.uint8], eye: Eye, cheek: float) -> bool:
    """Whether the lids above and below are as dark as no skin of this face is."""
    per_unit, box = 20.0, (-0.8, -1.2, 0.8, 1.2)
    grey = eye.frame.unrolled(bgr, box, per_unit).mean(2)
    x = box[0] + (np.arange(grey.shape[1], dtype=np.float32)[None] + 0.5) / per_unit
    y = box[1] + (np.arange(grey.shape[0], dtype=np.float32)[:, None] + 0.5) / per_unit
    upper, lower = (np.interp(x, LINE_X, line) for line in (eye.upper, eye.lower))
    bands = (y > upper - 0.35) & (y < upper - 0.12), (y > lower + 0.08) & (y < lower + 0.35)
    return all(float(np.median(grey[band])) < _COVERED * cheek for band in bands)
