"""478 points of a face in the 512-pixel crop by BlazeFace and the face mesh (§2.6; arXiv:1907.05047, 1907.06724)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .crop import Rgb
from .nets import Net

Floats = npt.NDArray[np.float32]

FACE_SIDE, MESH_SIDE = 128, 256
SCORE, SAME = 0.5, 0.3
ROI_SCALE = 1.5


def anchors() -> npt.NDArray[np.float64]:
    """[896,4]: centre x, y as shares of the input, and a size of 1."""
    rows = []
    for cells, each in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / cells
        rows.append(np.repeat(centres, each, axis=0))
    every = np.concatenate(rows)
    return np.concatenate([every, np.ones_like(every)], axis=1)


def face_input(cut: Rgb) -> Floats:
    """[1,128,128,3], −1 to 1."""
    small = cv2.resize(cut, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(small.astype(np.float32)[None] / np.float32(127.5) - 1, np.float32)


def detections(regressors: Floats, scores: Floats) -> Floats:
    """Faces [k,17], best first: box x1, y1, x2, y2 in pixels of the 128 × 128 input, six points in 0…1, score."""
    raw, at = regressors.reshape(-1, 16).astype(np.float64), anchors()
    sure = 1 / (1 + np.exp(-np.clip(scores.reshape(-1).astype(np.float64), -50, 100)))
    keep = sure >= SCORE
    raw, at, sure = raw[keep], at[keep], sure[keep]
    centre = raw[:, :2] / FACE_SIDE + at[:, :2]
    half = raw[:, 2:4] / FACE_SIDE / 2
    spots = raw[:, 4:].reshape(-1, 6, 2) / FACE_SIDE + at[:, None, :2]
    rows = np.concatenate(
        [(centre - half) * FACE_SIDE, (centre + half) * FACE_SIDE, spots.reshape(-1, 12), sure[:, None]], axis=1
    )
    return _merged(rows).astype(np.float32)


def _merged(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Boxes that overlap become their mean, weighted by score."""
    left, out = rows[np.argsort(-rows[:, 16], kind="stable")], []
    while len(left):
        together = _overlap(left[0], left) > SAME
        together[0] = True
        group, left = left[together], left[~together]
        if len(group) == 1:
            out.append(group[0])
            continue
        weight = group[:, 16:]
        out.append(np.append((group[:, :16] * weight).sum(axis=0) / weight.sum(), weight.mean()))
    return np.array(out).reshape(-1, 17)


def _overlap(one: npt.NDArray[np.float64], many: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.maximum(0, np.minimum(one[2:4], many[:, 2:4]) - np.maximum(one[:2], many[:, :2]))
    shared = size.prod(axis=1)
    area = np.prod(one[2:4] - one[:2]) + (many[:, 2:4] - many[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(area, 1e-9))


@dataclass(frozen=True, slots=True)
class Roi:
    """The turned square that the mesh sees: centre and size in pixels of the crop, angle in radians."""

    x: float
    y: float
    width: float
    height: float
    angle: float

    def corners(self) -> Floats:
        """Top left, bottom left, bottom right, top right; [4,2]."""
        half_w, half_h = self.width / 2, self.height / 2
        square = np.array([[-half_w, -half_h], [-half_w, half_h], [half_w, half_h], [half_w, -half_h]])
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.asarray(square @ np.array([[c, s], [-s, c]]) + (self.x, self.y), np.float32)


def roi(face: Floats, height: int, width: int) -> Roi:
    """Of a detection [17] the square for the mesh. The published code swaps the axes, which a square does not mind."""
    x1, x2 = (float(face[i]) * height / FACE_SIDE for i in (0, 2))
    y1, y2 = (float(face[i]) * width / FACE_SIDE for i in (1, 3))
    side = ROI_SCALE * max(x2 - x1, y2 - y1)
    angle = -math.atan2(float(face[5] - face[7]), float(face[6] - face[4]))
    angle -= 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
    return Roi((x1 + x2) / 2, (y1 + y2) / 2, side, side, angle)


def mesh_input(cut: Rgb, where: Roi) -> Floats:
    """[1,256,256,3], 0 to 1."""
    side = float(MESH_SIDE)
    target = np.array([[0, 0], [0, side], [side, side], [side, 0]], np.float32)
    matrix = cv2.getPerspectiveTransform(where.corners(), target)
    seen = cv2.warpPerspective(cut, matrix, (MESH_SIDE, MESH_SIDE), flags=cv2.INTER_LINEAR)
    return np.asarray(seen.astype(np.float32)[None] / np.float32(255), np.float32)


def points(raw: Floats, where: Roi, height: int, width: int) -> Floats:
    """[1,478,3]: the mesh in shares of the crop's width, height and width."""
    q = raw.reshape(-1, 3).astype(np.float64) / MESH_SIDE - (0.5, 0.5, 0)
    c, s = math.cos(where.angle), math.sin(where.angle)
    turned = np.stack([q[:, 0] * c - q[:, 1] * s, q[:, 0] * s + q[:, 1] * c, q[:, 2]], axis=1)
    placed = turned * (where.width, where.height, where.width) + (where.x, where.y, 0)
    return np.asarray(placed / (width, height, width), np.float32)[None]


class Mesh:
    """478 points of the face in a crop."""

    def __init__(self, face: Net, mesh: Net) -> None:
        self._face = face
        self._mesh = mesh

    def place(self, cut: Rgb) -> Floats | None:
        """[1,478,3], or None where no face is seen."""
        outputs = self._face(face_input(cut))
        regressors = next(o for o in outputs if o.shape[-1] == 16)
        scores = next(o for o in outputs if o.shape[-1] == 1)
        found = detections(regressors, scores)
        if not len(found):
            return None
        where = roi(found[0], *cut.shape[:2])
        raw = next(o for o in self._mesh(mesh_input(cut, where)) if o.size == 478 * 3)
        return points(raw, where, *cut.shape[:2])
