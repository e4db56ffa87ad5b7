"""The squares of a picture that a network is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .picture import Rgb

__all__ = ["Rgb", "Square", "load_network", "view"]


def load_network(path: Path) -> cv2.dnn.Net:
    """A TensorFlow Lite model in OpenCV's DNN module. Raises `FileNotFoundError`, or `ValueError` where the file is
    not a model."""
    try:
        return cv2.dnn.readNetFromTFLite(np.frombuffer(path.read_bytes(), np.uint8))
    except cv2.error as error:
        raise ValueError(f"{path.name} cannot be read as a TensorFlow Lite model: fetch it again.") from error


@dataclass(frozen=True, slots=True)
class Square:
    """A turned square of the picture that a network looks at."""

    x: float
    y: float
    """Its centre in pixels."""
    side: float
    angle: float = 0.0
    """Radians, positive clockwise."""

    def matrix(self, out: int) -> npt.NDArray[np.float64]:
        """2 × 3: picture → network input of `out` pixels a side, pixel centres at whole numbers."""
        c, s = math.cos(self.angle) * out / self.side, math.sin(self.angle) * out / self.side
        turn = np.array([[c, s], [-s, c]])
        shift = (out - 1) / 2 - turn @ (self.x, self.y)
        return np.hstack([turn, shift[:, None]])


def view(rgb: Rgb, square: Square, out: int, border: int) -> Rgb:
    """What `square` shows, at `out` pixels a side, without aliasing."""
    reach = square.side * (abs(math.cos(square.angle)) + abs(math.sin(square.angle))) / 2 + 2
    height, width = rgb.shape[:2]
    x0, x1 = max(0, math.floor(square.x - reach)), min(width, math.ceil(square.x + reach))
    y0, y1 = max(0, math.floor(square.y - reach)), min(height, math.ceil(square.y + reach))
    matrix = square.matrix(out)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return np.zeros((out, out, 3), np.uint8)
    part = rgb[y0:y1, x0:x1]
    # warpAffine samples four pixels: shrink by area first, or fine detail turns into noise.
    shrink = min(1.0, out / square.side)
    if shrink < 0.75:
        size = (max(2, round((x1 - x0) * shrink)), max(2, round((y1 - y0) * shrink)))
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    fx, fy = part.shape[1] / (x1 - x0), part.shape[0] / (y1 - y0)
    # Pixel centres: x = (u + 0.5) / f - 0.5 + x0.
    to_picture = np.array([[1 / fx, 0, 0.5 / fx - 0.5 + x0], [0, 1 / fy, 0.5 / fy - 0.5 + y0], [0, 0, 1]])
    seen = cv2.warpAffine(part, matrix @ to_picture, (out, out), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(seen, np.uint8)
