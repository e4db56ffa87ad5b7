"""Where a face's crop lies in its picture (§2.1, §2.4): matrices from landmarks, and pictures cut by them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
"""[h,w,3]."""
Points = npt.NDArray[np.float32]
"""[n,2]: x, y in pixels."""
Matrix = npt.NDArray[np.float32]
"""[3,3]."""

MAX_SIDE = 1920
FIRST_SIDE, FIRST_SCALE, FIRST_UP = 224, 1.5, -0.1
"""The crop that the 203-point network sees."""
SIDE, SCALE, UP = 512, 2.3, -0.125
"""The avatar's crop, unless its configuration says otherwise."""

_EYES_AND_LIPS: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
}
"""Points around the eye at the picture's left, at its right, and at the lips, by how many points there are."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square cut out of a picture."""

    to_crop: Matrix
    """M_o2c."""
    to_frame: Matrix
    """M_c2o."""
    side: int

    def cut(self, picture: Rgb) -> Rgb:
        return np.asarray(
            cv2.warpAffine(picture, self.to_crop[:2], (self.side, self.side), flags=cv2.INTER_LINEAR), np.uint8
        )

    def into(self, points: Points) -> Points:
        return move(points, self.to_crop)


def move(points: Points, matrix: Matrix) -> Points:
    """Points mapped by an affine matrix."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2], np.float32)


def crop(points: Points, side: int, scale: float, up: float, rotate: bool = True) -> Crop:
    """The square around the landmarks of a face, upright where `rotate` is set; `up` moves it along the face.

    Raises `ValueError` for a number of landmarks that is not known, or points that all lie on one spot.
    """
    if len(points) not in _EYES_AND_LIPS:
        raise ValueError(f"A crop needs 106 or 203 landmarks, not {len(points)}.")
    left, right, lips = (points[list(index)].mean(axis=0) for index in _EYES_AND_LIPS[len(points)])
    return crop_around(points, (left + right) / 2, lips, side, scale, up, rotate)


def crop_around(
    points: Points, eyes: Points, lips: Points, side: int, scale: float, up: float, rotate: bool = True
) -> Crop:
    """As `crop`, for landmarks of any kind whose middle of the eyes [2] and of the lips [2] are known."""
    down = lips - eyes
    length = float(np.linalg.norm(down))
    uy = down / length if length > 1e-3 else np.array([0, 1], np.float32)
    ux = np.array([uy[1], -uy[0]], np.float32)
    angle = float(np.arccos(np.clip(ux[0], -1, 1)))
    if ux[1] < 0:
        angle = -angle
    middle = points.mean(axis=0)
    along = (points - middle) @ np.stack([ux, uy], axis=1)
    low, high = along.min(axis=0), along.max(axis=0)
    size = float((high - low).max()) * scale
    if size <= 0:
        raise ValueError("The landmarks of the face all lie on one spot.")
    at = (low + high) / 2
    cx, cy = (float(v) for v in middle + ux * at[0] + uy * (at[1] + up * size))
    s, half = side / size, side / 2
    c, n = (np.cos(angle), np.sin(angle)) if rotate else (1.0, 0.0)
    to_crop = np.array(
        [
            [s * c, s * n, half - s * (c * cx + n * cy)],
            [-s * n, s * c, half - s * (-n * cx + c * cy)],
            [0, 0, 1],
        ],
        np.float32,
    )
    return Crop(to_crop, np.linalg.inv(to_crop).astype(np.float32), side)


def fitted(height: int, width: int, max_side: int = MAX_SIDE) -> tuple[int, int]:
    """Height and width of a picture that is no larger than it may be, and even both ways."""
    longer = max(height, width)
    if 0 < max_side < longer:
        if height >= width:
            height, width = max_side, round(width * max_side / longer)
        else:
            height, width = round(height * max_side / longer), max_side
    return height // 2 * 2, width // 2 * 2


def fit(picture: Rgb, max_side: int = MAX_SIDE) -> Rgb:
    """The picture at the size that registration works with."""
    height, width = fitted(picture.shape[0], picture.shape[1], max_side)
    if (height, width) == picture.shape[:2]:
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def network_input(cut: Rgb, side: int = 256) -> npt.NDArray[np.float32]:
    """[1,3,side,side], 0 to 1: what both extractors see of the 512-pixel crop."""
    small = cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255))
