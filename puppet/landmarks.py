"""Faces in a picture: where they are, and 468 points on each.

The two published networks run in OpenCV's DNN module: the short-range BlazeFace detector (Bazarevsky et al., 2019,
arXiv:1907.05047) proposes, the face mesh (Kartynnik et al., 2019, arXiv:1907.06724) places its points and says whether
it saw a face at all. The detector was made for selfies: it misses a face that is small in its 128-pixel input or
leans by more than about 30°. So it is shown the whole picture, overlapping tiles of it, and, where that found nothing,
turned copies.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .detail import IRIS, PERSON, DetailModels
from .views import Rgb, Square, load_network, view

Points = npt.NDArray[np.float32]
"""Shape (468, 3): x to the right, y down, z away from the viewer, all in pixels of the picture."""

DETECTOR = "face_detection_short_range.tflite"
MESH = "face_landmark.tflite"

POINTS = 468
FOREHEAD, CHIN = 10, 152
EYE_LEFT, EYE_RIGHT = 33, 263
"""Outer corners of the eyes at the picture's left and right."""
CHEEK_LEFT, CHEEK_RIGHT = 234, 454

_DETECTOR_SIDE = 128
_MESH_SIDE = 192
_ROI_SCALE = 1.5
"""The mesh was trained on squares 1.5 times as large as the face."""

_PROPOSAL = 0.5
"""Detector score from which the mesh is asked. Low on purpose: the mesh is the stricter of the two."""
_SAME_FACE = 0.35
"""Boxes that overlap by more (intersection over union) are one face seen twice."""


def _anchors() -> npt.NDArray[np.float32]:
    """Centres of the detector's 896 anchors as shares of its input: two per cell at stride 8, six at stride 16."""
    centres: list[tuple[float, float]] = []
    for stride, per_cell in ((8, 2), (16, 6)):
        cells = _DETECTOR_SIDE // stride
        for y in range(cells):
            for x in range(cells):
                centres += [((x + 0.5) / cells, (y + 0.5) / cells)] * per_cell
    return np.array(centres, np.float32)


@dataclass(frozen=True, slots=True)
class Face:
    """One face."""

    box: tuple[int, int, int, int]
    """x, y, width, height in pixels around the points, within the picture."""
    score: float
    """How sure the mesh is that this is a face, 0 to 1."""
    landmarks: Points = field(compare=False, repr=False)

    @property
    def height(self) -> float:
        """Pixels from the top of the forehead to the chin, along the face."""
        return float(np.linalg.norm(self.landmarks[CHIN, :2] - self.landmarks[FOREHEAD, :2]))

    @property
    def roll(self) -> float:
        """Degrees the face leans, positive clockwise in the picture."""
        across = self.landmarks[EYE_RIGHT] - self.landmarks[EYE_LEFT]
        return math.degrees(math.atan2(float(across[1]), float(across[0])))

    @property
    def yaw(self) -> float:
        """Degrees the face is turned away from the viewer, positive to the picture's right."""
        across = self.landmarks[CHEEK_RIGHT] - self.landmarks[CHEEK_LEFT]
        return math.degrees(math.atan2(float(across[2]), float(np.hypot(across[0], across[1]))))


def _tiles(width: int, height: int, level: int) -> Iterator[Square]:
    """Squares of 1/2^level of the long side that cover the picture, each overlapping the next by half."""
    side = max(width, height) / 2**level
    columns, rows = (max(1, math.ceil((n - side) / (side / 2)) + 1) if n > side else 1 for n in (width, height))
    for y in np.linspace(side / 2, height - side / 2, rows) if rows > 1 else [height / 2]:
        for x in np.linspace(side / 2, width - side / 2, columns) if columns > 1 else [width / 2]:
            yield Square(float(x), float(y), side)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over union; 1 as well where the smaller box lies wholly within the other."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    smaller = min(a[2] * a[3], b[2] * b[3])
    return 1.0 if w * h > 0.85 * smaller else w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


class FaceModels:
    """The networks, loaded once. Calls from several threads wait for each other."""

    def __init__(self, directory: Path) -> None:
        """Raises `FileNotFoundError` naming the file that `directory` lacks, `ValueError` where it is not a model."""
        self._lock = threading.Lock()
        self._anchors = _anchors()
        self._detector, self._mesh = (load_network(directory / name) for name in (DETECTOR, MESH))
        self.detail = DetailModels(directory)

    @staticmethod
    def present(directory: Path) -> bool:
        return all((directory / name).is_file() for name in (DETECTOR, MESH, IRIS, PERSON))

    def find(self, rgb: Rgb) -> list[Face]:
        """All faces of the picture, the largest first; empty when there is none."""
        height, width = rgb.shape[:2]
        with self._lock:
            faces = self._search(rgb, [0.0], [-0.5, 0, 1, 2])
            if not faces:
                # Half turns of 45° reach every lean, as the detector takes about 30° to either side by itself.
                faces = self._search(rgb, [math.radians(a) for a in (45, -45, 90, -90, 135, -135, 180)], [-0.5, 0, 1])
            if not faces and max(width, height) > 8 * _DETECTOR_SIDE:
                faces = self._search(rgb, [0.0], [3])
        return sorted(faces, key=lambda face: face.box[2] * face.box[3], reverse=True)

    def follow(self, rgb: Rgb, face: Face) -> Face | None:
        """The face that was `face` in the picture before, at a twentieth of a search's cost; None when it is lost."""
        with self._lock:
            return self._place(rgb, _around(face.landmarks))

    def _search(self, rgb: Rgb, angles: list[float], levels: list[float]) -> list[Face]:
        height, width = rgb.shape[:2]
        proposals: list[tuple[float, Square]] = []
        for level in levels:
            # Between a whole picture and its tiles: one view from further away, for a face that fills the picture.
            squares = (
                [Square(width / 2, height / 2, max(width, height) * 2**-level)]
                if level < 0
                else list(_tiles(width, height, int(level)))
            )
            for square in squares:
                for angle in angles:
                    proposals += self._propose(rgb, Square(square.x, square.y, square.side, angle))
        found: list[Face] = []
        for _, square in _distinct(proposals):
            face = self._place(rgb, square)
            if face is None:
                continue
            twins = [other for other in found if _overlap(face.box, other.box) > _SAME_FACE]
            if all(face.score > twin.score for twin in twins):
                found = [other for other in found if other not in twins] + [face]
        return found

    def _propose(self, rgb: Rgb, square: Square) -> list[tuple[float, Square]]:
        """Detections in one view: score, and the square that the mesh wants to see."""
        seen = view(rgb, square, _DETECTOR_SIDE, cv2.BORDER_CONSTANT).astype(np.float32)
        self._detector.setInput((seen / 127.5 - 1).transpose(2, 0, 1)[None])
        # By name: some builds return only the first output unless both are asked for.
        logits, boxes = self._detector.forward(["classificators", "regressors"])
        logits, boxes = logits.ravel(), boxes.reshape(-1, 16)
        likely = np.flatnonzero(logits > math.log(_PROPOSAL / (1 - _PROPOSAL)))
        inverse = cv2.invertAffineTransform(square.matrix(_DETECTOR_SIDE))
        proposals = []
        for i in likely:
            row = boxes[i]
            to_pixels = self._anchors[i] * _DETECTOR_SIDE - 0.5
            x, y = inverse[:, :2] @ (row[:2] + to_pixels) + inverse[:, 2]
            # The first two key points are the eyes, left of the picture first.
            eye = inverse[:, :2] @ (row[6:8] - row[4:6])
            side = float(max(row[2], row[3])) * square.side / _DETECTOR_SIDE * _ROI_SCALE
            if side > 8:
                score = 1 / (1 + math.exp(-min(50.0, float(logits[i]))))
                proposals.append((score, Square(float(x), float(y), side, math.atan2(eye[1], eye[0]))))
        return proposals

    def _mesh_of(self, rgb: Rgb, square: Square) -> tuple[float, Points]:
        seen = view(rgb, square, _MESH_SIDE, cv2.BORDER_REPLICATE).astype(np.float32)
        self._mesh.setInput((seen / 255).transpose(2, 0, 1)[None])
        outputs = self._mesh.forward(self._mesh.getUnconnectedOutLayersNames())
        presence = next(o for o in outputs if o.size == 1)
        points = next(o for o in outputs if o.size == POINTS * 3).reshape(POINTS, 3)
        inverse = cv2.invertAffineTransform(square.matrix(_MESH_SIDE))
        placed = np.empty((POINTS, 3), np.float32)
        placed[:, :2] = (points[:, :2] - 0.5) @ inverse[:, :2].T + inverse[:, 2]
        placed[:, 2] = points[:, 2] * (square.side / _MESH_SIDE)
        return 1 / (1 + math.exp(-float(np.clip(presence.ravel()[0], -50, 50)))), placed

    def _place(self, rgb: Rgb, square: Square) -> Face | None:
        """The mesh on a proposal: once from the detector's square, then from its own points."""
        for _ in range(2):
            score, points = self._mesh_of(rgb, square)
            if score < _PRESENCE:
                return None
            square = _around(points)
        # The points depend a little on how the square lies; the mean over several is steadier than any one.
        looks = [
            self._mesh_of(rgb, Square(square.x + dx * square.side, square.y, square.side * zoom, square.angle + turn))
            for zoom, turn, dx in _LOOKS
        ]
        score = float(np.mean([s for s, _ in looks]))
        every = np.stack([p for _, p in looks])
        points = every.mean(0, dtype=np.float32)
        scatter = float(np.linalg.norm((every - points)[..., :2], axis=2).mean()) * _ROI_SCALE / square.side
        if score < _SURE or scatter > _MAX_SCATTER or not _plausible(points):
            return None
        height, width = rgb.shape[:2]
        x0, y0 = np.clip(np.floor(points[:, :2].min(0)), 0, (width - 1, height - 1)).astype(int)
        x1, y1 = np.clip(np.ceil(points[:, :2].max(0)), 0, (width, height)).astype(int)
        return Face((int(x0), int(y0), int(x1 - x0), int(y1 - y0)), score, points)


_PRESENCE = 0.5
"""Mesh score below which the first looks end."""
_SURE = 0.9
_MAX_SCATTER = 0.009
"""Mean distance of the looks from each other as a share of the face. Measured on eight photographs and drawings, faces
24 to 600 pixels high and turned by any angle: true ones score 1.00 and scatter by 0.003 to 0.006; the same faces taken
upside down, ears and collars either score less or scatter by more than 0.012."""
_LOOKS = ((1.0, 0.0, 0.0), (0.93, 0.05, 0.02), (1.07, -0.05, -0.02), (1.0, -0.08, 0.02), (1.0, 0.08, -0.02))
"""Zoom, turn in radians and sideways shift of the squares that are averaged."""


def _around(points: Points) -> Square:
    """The square for the mesh, from the points of an earlier look."""
    across = points[EYE_RIGHT, :2] - points[EYE_LEFT, :2]
    angle = math.atan2(float(across[1]), float(across[0]))
    c, s = math.cos(angle), math.sin(angle)
    upright = points[:, :2] @ np.array([[c, -s], [s, c]])
    low, high = upright.min(0), upright.max(0)
    centre = np.array([[c, -s], [s, c]]) @ ((low + high) / 2)
    return Square(float(centre[0]), float(centre[1]), float(max(high - low)) * _ROI_SCALE, angle)


def _plausible(points: Points) -> bool:
    """Whether the points lie as on a face: eyes above the nose, the nose above the mouth, the mouth above the chin."""
    up = points[CHIN, :2] - points[FOREHEAD, :2]
    length = float(np.linalg.norm(up))
    if length < 1:
        return False
    heights = [(points[i, :2] - points[FOREHEAD, :2]).mean(0) @ up / length**2 for i in _LADDER]
    return all(a < b for a, b in pairwise(heights))


_LADDER = ([EYE_LEFT, EYE_RIGHT, 133, 362], [1, 4], [13, 14], [CHIN])


def _distinct(proposals: list[tuple[float, Square]]) -> list[tuple[float, Square]]:
    """The best-scored of each heap of proposals, best first."""
    kept: list[tuple[float, Square]] = []
    for score, square in sorted(proposals, key=lambda p: p[0], reverse=True):
        near = (
            math.hypot(square.x - k.x, square.y - k.y) < 0.2 * k.side and 0.5 < square.side / k.side < 2
            for _, k in kept
        )
        if not any(near):
            kept.append((score, square))
    return kept
