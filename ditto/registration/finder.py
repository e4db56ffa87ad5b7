"""Faces found by networks that may be used for anything: BlazeFace, the face mesh and the iris network, Apache-2.0.

This is the default way into a registration; the published one (`detector`, `landmarks`) needs weights that are for
research only. Both give a `Found`, and whoever has another way to find a face gives one too.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from .crop import Points, Rgb
from .detector import Detector
from .eyes import eye_ball, eye_open
from .landmarks import Landmarks106
from .mesh import FACE_SIDE, ROI_SCALE, detections

Floats = npt.NDArray[np.float32]
FILES = ("face_detection_short_range.tflite", "face_landmark.tflite", "iris_landmark.tflite")
_MESH_SIDE, _EYE_SIDE = 192, 64
_EYE_SCALE = 2.3
"""Side of the square that the iris network wants, in eye widths."""
_SURE = 0.5
_SAME_FACE = 0.4
"""Share of a face's height that two ways to find it may put its middle apart."""
_EYES = ((33, 133), (263, 362))
_LIPS = (13, 14)
_TURNS = (0.0, 45.0, -45.0, 90.0, -90.0, 180.0)


@dataclass(frozen=True, slots=True)
class Found:
    """A face in a picture, as far as a crop needs it. Pixels of the picture."""

    points: Points
    """[n,2]: landmarks all over the face, chin and brows included."""
    eyes: Points
    """[2]: the middle between the eyes."""
    lips: Points
    """[2]."""
    eye_open: Floats = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    """[1,2] where the finder sees them, else empty."""
    eye_ball: Floats = field(default_factory=lambda: np.zeros((0, 6), np.float32))

    @property
    def height(self) -> float:
        return float((self.points.max(axis=0) - self.points.min(axis=0)).max())

    @property
    def lean(self) -> float:
        """Degrees that the face leans in the picture, 0 upright, positive clockwise."""
        down = self.lips - self.eyes
        return math.degrees(math.atan2(-float(down[0]), float(down[1])))


class Finder(Protocol):
    def find(self, picture: Rgb) -> list[Found]:
        """All faces, the largest first."""
        ...


@dataclass(frozen=True, slots=True)
class _Square:
    x: float
    y: float
    side: float
    angle: float = 0.0

    def matrix(self, out: int) -> npt.NDArray[np.float64]:
        c, s = math.cos(self.angle) * out / self.side, math.sin(self.angle) * out / self.side
        turn = np.array([[c, s], [-s, c]])
        return np.hstack([turn, (np.array([out / 2, out / 2]) - turn @ (self.x, self.y))[:, None]])

    def seen(self, picture: Rgb, out: int) -> Floats:
        """[1,3,out,out], 0 to 255."""
        matrix, shrink = self.matrix(out), 1.0
        if self.side > 2 * out:
            # Sampling four pixels of many is noise: shrink by area first.
            shrink = 2 * out / self.side
            picture = np.asarray(
                cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
            )
        matrix = np.hstack([matrix[:, :2] / shrink, matrix[:, 2:]])
        view = cv2.warpAffine(picture, matrix, (out, out), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(view.astype(np.float32).transpose(2, 0, 1)[None])

    def back(self, points: Floats, out: int) -> Floats:
        inverse = cv2.invertAffineTransform(self.matrix(out))
        return np.asarray(points @ inverse[:, :2].T + inverse[:, 2], np.float32)


class FreeFinder:
    """The default. Looks at the whole picture, at tiles of it, and, where those show none, at turned copies."""

    def __init__(self, directory: Path) -> None:
        """Raises `ValueError` in words for a directory that lacks a network."""
        missing = [name for name in FILES if not (directory / name).is_file()]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} not in {directory}: `python -m checkpoints.fetch face` brings the face networks."
            )
        self._lock = threading.Lock()
        self._face, self._mesh, self._iris = (
            cv2.dnn.readNetFromTFLite(np.frombuffer((directory / name).read_bytes(), np.uint8)) for name in FILES
        )

    def find(self, picture: Rgb) -> list[Found]:
        with self._lock:
            for turn in _TURNS:
                found = self._search(picture, math.radians(turn))
                if found:
                    return sorted(found, key=lambda f: f.height, reverse=True)
        return []

    def _search(self, picture: Rgb, angle: float) -> list[Found]:
        proposals: list[tuple[float, _Square]] = []
        for square in _views(picture.shape[1], picture.shape[0], angle):
            proposals += self._proposals(picture, square)
        faces: list[Found] = []
        for _, square in sorted(proposals, key=lambda p: -p[0]):
            near = (math.hypot(*(f.points.mean(axis=0) - (square.x, square.y))) < 0.3 * square.side for f in faces)
            if not any(near) and (face := self._place(picture, square)) is not None:
                faces.append(face)
        return faces

    def _proposals(self, picture: Rgb, square: _Square) -> list[tuple[float, _Square]]:
        self._face.setInput(square.seen(picture, FACE_SIDE) / np.float32(127.5) - 1)
        scores, boxes = self._face.forward(["classificators", "regressors"])
        out = []
        for row in detections(boxes.reshape(1, 896, 16), scores.reshape(1, 896, 1)):
            centre = square.back(np.array([[(row[0] + row[2]) / 2, (row[1] + row[3]) / 2]], np.float32), FACE_SIDE)[0]
            eyes = square.back(row[4:8].reshape(2, 2) * FACE_SIDE, FACE_SIDE)
            across = eyes[1] - eyes[0]
            side = float(max(row[2] - row[0], row[3] - row[1])) * square.side / FACE_SIDE * ROI_SCALE
            lean = math.atan2(float(across[1]), float(across[0]))
            out.append((float(row[16]), _Square(float(centre[0]), float(centre[1]), side, lean)))
        return out

    def _place(self, picture: Rgb, square: _Square) -> Found | None:
        points = np.empty((0, 3), np.float32)
        for _ in range(3):  # the square of the detector is rough: twice more from the mesh's own points
            self._mesh.setInput(square.seen(picture, _MESH_SIDE) / np.float32(255))
            outputs = self._mesh.forward(self._mesh.getUnconnectedOutLayersNames())
            sure = next(o for o in outputs if o.size == 1)
            if 1 / (1 + math.exp(-float(np.clip(sure.ravel()[0], -50, 50)))) < _SURE:
                return None
            raw = next(o for o in outputs if o.size == 468 * 3).reshape(468, 3)
            flat = square.back(raw[:, :2], _MESH_SIDE)
            points = np.concatenate([flat, raw[:, 2:] * (square.side / _MESH_SIDE)], axis=1).astype(np.float32)
            across = points[263, :2] - points[33, :2]
            low, high = flat.min(axis=0), flat.max(axis=0)
            centre = (low + high) / 2
            side = float((high - low).max()) * ROI_SCALE
            if side < 12:
                return None
            square = _Square(float(centre[0]), float(centre[1]), side, math.atan2(float(across[1]), float(across[0])))
        every = np.concatenate([points, self._irises(picture, points)])[None]
        every = np.asarray(every / picture.shape[1], np.float32)
        corners = points[[33, 133, 263, 362], :2]
        return Found(
            points[:, :2].copy(),
            corners.mean(axis=0),
            points[list(_LIPS), :2].mean(axis=0),
            eye_open(every),
            eye_ball(every),
        )

    def _irises(self, picture: Rgb, points: Floats) -> Floats:
        """[10,3]: five points of each iris, the left eye's first, in the mesh's order."""
        rows = []
        for outer, inner in _EYES:
            a, b = points[outer, :2], points[inner, :2]
            mirrored = bool(a[0] > b[0])
            across = a - b if mirrored else b - a
            centre, width = (a + b) / 2, float(np.hypot(*across))
            lean = math.atan2(float(across[1]), float(across[0]))
            square = _Square(float(centre[0]), float(centre[1]), max(width, 4.0) * _EYE_SCALE, lean)
            eye = square.seen(picture, _EYE_SIDE) / np.float32(255)
            self._iris.setInput(np.ascontiguousarray(eye[..., ::-1]) if mirrored else eye)
            found = self._iris.forward("output_iris").reshape(-1, 3)[:5].copy()
            if mirrored:
                found[:, 0] = _EYE_SIDE - found[:, 0]
            depth = np.full((5, 1), points[[outer, inner], 2].mean(), np.float32)
            rows.append(np.concatenate([square.back(found[:, :2], _EYE_SIDE), depth], axis=1))
        return np.concatenate(rows).astype(np.float32)


def _views(width: int, height: int, angle: float) -> Iterator[_Square]:
    """The whole picture from two distances, then overlapping tiles of half and a quarter of its longer side."""
    longer = float(max(width, height))
    for side in (longer * 1.4, longer):
        yield _Square(width / 2, height / 2, side, angle)
    for part in (2, 4):
        side = longer / part
        columns, rows = (max(1, math.ceil((n - side) / (side / 2)) + 1) if n > side else 1 for n in (width, height))
        for y in np.linspace(side / 2, height - side / 2, rows) if rows > 1 else [height / 2]:
            for x in np.linspace(side / 2, width - side / 2, columns) if columns > 1 else [width / 2]:
                yield _Square(float(x), float(y), side, angle)


class PublishedFinder:
    """The published detector and 106 points, exactly. Their weights are for research only.

    They see no eyes: those are the mesh's, and of a bundle without one those of `eyes`."""

    def __init__(self, detector: Detector, landmarks: Landmarks106, eyes: Finder | None = None) -> None:
        self._detector = detector
        self._landmarks = landmarks
        self._eyes = eyes

    def with_eyes(self, eyes: Finder) -> PublishedFinder:
        return PublishedFinder(self._detector, self._landmarks, eyes)

    def find(self, picture: Rgb) -> list[Found]:
        out = []
        for box in self._detector.find(picture):
            points = self._landmarks.place(picture, box)
            left, right = points[[33, 35, 40, 39]].mean(axis=0), points[[87, 89, 94, 93]].mean(axis=0)
            out.append(Found(points, (left + right) / 2, points[[52, 61]].mean(axis=0)))
        return self._seeing(picture, out) if self._eyes is not None and out else out

    def _seeing(self, picture: Rgb, faces: list[Found]) -> list[Found]:
        """The faces with the eyes of those that lie where they do."""
        assert self._eyes is not None
        others = [face for face in self._eyes.find(picture) if len(face.eye_open)]

        def own(face: Found) -> Found:
            def away(other: Found) -> float:
                return float(np.hypot(*(other.points.mean(axis=0) - face.points.mean(axis=0)))) / face.height

            near = min(others, key=away, default=None)
            if near is None or away(near) > _SAME_FACE:
                return face
            return replace(face, eye_open=near.eye_open, eye_ball=near.eye_ball)

        return [own(face) for face in faces]
