"""Faces in a picture by the published detector (SCRFD, arXiv:2105.04714; §2.2). Its weights are for research only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .crop import Rgb
from .nets import Net

SIDE = 512
STRIDES = (8, 16, 32)
PER_CELL = 2
SCORE = 0.5
SAME = 0.4
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """A face: corners in pixels of the picture, and how sure the detector is."""

    x1: float
    y1: float
    x2: float
    y2: float
    score: float

    @property
    def area(self) -> float:
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    @property
    def side(self) -> float:
        return max(self.x2 - self.x1, self.y2 - self.y1)


def letterbox(picture: Rgb) -> tuple[Floats, float]:
    """The network's input [1,3,512,512], and its scale. The network was given blue first, and still is (§13.4)."""
    height, width = picture.shape[:2]
    ratio = height / width
    new = (SIDE, int(SIDE / ratio)) if ratio > 1 else (int(SIDE * ratio), SIDE)
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[: new[0], : new[1]] = cv2.resize(picture, (new[1], new[0]), interpolation=cv2.INTER_LINEAR)
    blob = (canvas[:, :, ::-1].astype(np.float32) - np.float32(127.5)) / np.float32(128)
    return np.ascontiguousarray(blob.transpose(2, 0, 1)[None]), new[0] / height


def decode(outputs: Sequence[Floats], scale: float) -> tuple[Floats, Floats]:
    """Faces [k,5] (x1, y1, x2, y2, score) and their five points [k,5,2], best first, doubles left out.

    `outputs`: three arrays of scores, three of boxes, three of points, for the strides in order.
    """
    found_boxes, found_points = [], []
    for i, stride in enumerate(STRIDES):
        scores, boxes, points = (outputs[i + 3 * k].reshape(-1, n) for k, n in enumerate((1, 4, 10)))
        cells = SIDE // stride
        rows, columns = np.mgrid[:cells, :cells]
        centres = np.repeat(np.stack([columns, rows], -1).reshape(-1, 2), PER_CELL, axis=0).astype(np.float32) * stride
        keep = scores[:, 0] >= SCORE
        at, reach = centres[keep], boxes[keep] * stride
        corners = np.concatenate([at - reach[:, :2], at + reach[:, 2:]], axis=1) / scale
        found_boxes.append(np.concatenate([corners, scores[keep]], axis=1))
        found_points.append((at[:, None] + points[keep].reshape(-1, 5, 2) * stride) / scale)
    every, spots = np.concatenate(found_boxes), np.concatenate(found_points)
    order = np.argsort(-every[:, 4], kind="stable")
    every, spots = every[order], spots[order]
    kept = suppress(every)
    return every[kept].astype(np.float32), spots[kept].astype(np.float32)


def suppress(boxes: Floats, same: float = SAME) -> list[int]:
    """Indices of the boxes that are not doubles of a better one; pixels count as squares ("+1")."""
    x1, y1, x2, y2 = boxes[:, :4].T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    left, kept = np.arange(len(boxes)), []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(int(best))
        w = np.maximum(0, np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1)
        h = np.maximum(0, np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1)
        shared = w * h
        left = rest[shared / (areas[best] + areas[rest] - shared) <= same]
    return kept


class Detector:
    """Finds faces."""

    def __init__(self, net: Net) -> None:
        self._net = net

    def find(self, picture: Rgb) -> list[Box]:
        """All faces, the largest first."""
        blob, scale = letterbox(picture)
        boxes, _ = decode(self._net(blob), scale)
        return sorted((Box(*(float(v) for v in row)) for row in boxes), key=lambda box: box.area, reverse=True)
