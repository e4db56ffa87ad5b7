"""What the face mesh is too coarse for: the rim of each eye, and where the person ends and the background begins.

Both networks lie in the same package as the mesh. The rims come from the iris landmark network (Ablavatski et al.,
2020, arXiv:2006.11341), whose 71 eye points follow the lids closer than the mesh does; the person from selfie
segmentation (The MediaPipe Authors). Both work on paintings and drawings too.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .views import Rgb, Square, load_network, view

IRIS = "iris_landmark.tflite"
PERSON = "selfie_segmentation.tflite"

EyePoints = npt.NDArray[np.float32]
"""Shape (2, 21, 2), the eye at the picture's left first, x and y in pixels. Points 0 and 8 are the outer and the inner
corner, 1 to 7 the lower lid between them, 9 to 15 the upper one, 16 the middle of the iris, 17 to 20 its edge."""

Mask = npt.NDArray[np.uint8]
"""Shape (256, 256), the whole picture stretched to a square: 255 where the person is."""

CORNERS = ((33, 133), (263, 362))
"""Outer and inner corner of the left and of the right eye in the mesh."""

MASK_SIDE = 256
_SIDE = 64
_ROI_SCALE = 2.3
"""Side of the square that the network wants, in eye widths."""
_LOOKS = ((1.0, 0.0), (0.92, 0.06), (1.08, -0.06))
"""Zoom and turn in radians of the squares that are averaged."""


class DetailModels:
    """The two networks, loaded once. Calls from several threads wait for each other."""

    def __init__(self, directory: Path) -> None:
        """Raises as `puppet.landmarks.FaceModels`."""
        self._lock = threading.Lock()
        self._iris, self._person = (load_network(directory / name) for name in (IRIS, PERSON))

    def eyes(self, rgb: Rgb, landmarks: npt.NDArray[np.float32]) -> EyePoints:
        """The rims of both eyes of a face whose mesh points are `landmarks`, shape (468, 3)."""
        with self._lock:
            return np.stack([self._eye(rgb, landmarks[list(corners), :2]) for corners in CORNERS])

    def _eye(self, rgb: Rgb, corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        outer, inner = corners
        mirrored = outer[0] > inner[0]  # the network knows eyes whose outer corner lies to the left
        across = inner - outer if not mirrored else outer - inner
        angle, width = math.atan2(across[1], across[0]), float(np.hypot(*across))
        seen = []
        for zoom, turn in _LOOKS:
            x, y = (outer + inner) / 2
            square = Square(float(x), float(y), width * _ROI_SCALE * zoom, angle + turn)
            eye = view(rgb, square, _SIDE, cv2.BORDER_REPLICATE)
            eye = np.ascontiguousarray(eye[:, ::-1]) if mirrored else eye
            self._iris.setInput((eye.astype(np.float32) / 255).transpose(2, 0, 1)[None])
            rim, iris = self._iris.forward(["output_eyes_contours_and_brows", "output_iris"])
            points = np.concatenate([rim.reshape(-1, 3)[:16, :2], iris.reshape(-1, 3)[:, :2]])
            if mirrored:
                points = points * (-1, 1) + (_SIDE, 0)
            inverse = cv2.invertAffineTransform(square.matrix(_SIDE))
            seen.append((points - 0.5) @ inverse[:, :2].T + inverse[:, 2])
        return np.asarray(np.mean(seen, axis=0), np.float32)

    def person(self, rgb: Rgb) -> Mask:
        """Where the person is."""
        small = cv2.resize(rgb, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        with self._lock:
            self._person.setInput((small / 255).transpose(2, 0, 1)[None])
            share = self._person.forward().reshape(MASK_SIDE, MASK_SIDE)
        return np.asarray(np.rint(np.clip(share, 0, 1) * 255), np.uint8)
