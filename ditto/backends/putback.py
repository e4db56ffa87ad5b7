"""Where a drawn face goes in its picture: the soft mask, the box that it touches, the blend (specification §7).

The original warps mask and face over the whole frame, every frame. Here everything that does not depend on the face is
kept for each source frame and size: the picture as I420, and inside the crop's box the warp's coordinates, the warped
mask and the picture already multiplied by what the mask leaves of it.

Coordinates are rounded to 1/32 pixel as OpenCV's `warpAffine` does, so that results equal the original's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .looks import CROP, I420, RGB, Look

Floats = npt.NDArray[np.float32]

RATIO = 0.9
"""Of the crop's side that the mask leaves untouched; the rest is its ramp."""

_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_BLUE = np.array([-37.797, -74.203, 112.0]) / 255
_RED = np.array([112.0, -93.786, -18.214]) / 255
TO_YUV = np.stack([_LUMA, _BLUE, _RED]).astype(np.float32)
"""BT.601, RGB 0 … 255 to limited range, without the offsets 16, 128, 128."""


@lru_cache(maxsize=4)
def soft_mask(width: int = CROP, height: int = CROP, ratio_w: float = RATIO, ratio_h: float = RATIO) -> Floats:
    """[height, width]: one inside, falling to zero over the border, round at the corners."""
    inner_w, inner_h = int(width * ratio_w), int(height * ratio_h)
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    right, bottom = left + inner_w, top + inner_h

    def away(size: int, low: int, high: int) -> npt.NDArray[np.float64]:
        """Distance from the inner box along one axis, 0 inside to 1 at the edge."""
        found = np.zeros(size)
        found[:low] = np.linspace(1, 0, low)
        found[high:] = np.linspace(0, 1, size - high)
        return found

    distance = np.hypot(away(height, top, bottom)[:, None], away(width, left, right)[None, :])
    mask = (1 - np.clip(distance, 0, 1)).astype(np.float32)
    mask.setflags(write=False)
    return mask


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the picture, in pixels; all even."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.right - self.left, self.bottom - self.top


def touched(to_frame: npt.NDArray[Any], width: int, height: int) -> Box:
    """The box around the crop's corners, inside the picture and on even pixels. Empty when the crop lies outside."""
    ends = np.array([[-1, -1], [CROP, -1], [-1, CROP], [CROP, CROP]], np.float64)
    corners = ends @ to_frame[:2, :2].T.astype(np.float64) + to_frame[:2, 2]
    low = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (width, height)).astype(int)
    left, top = (int(v) // 2 * 2 for v in low)
    right, bottom = (-(-int(v) // 2) * 2 for v in high)
    return Box(left, top, max(left, min(right, width)), max(top, min(bottom, height)))


def coordinates(to_frame: npt.NDArray[Any], box: Box) -> npt.NDArray[np.int64]:
    """For every pixel of the box, where in the crop it comes from: [h, w, 2] (x, y) in 1/32 pixel.

    The same fixed-point steps as OpenCV's: 10 bits a matrix product, rounded to 5.
    """
    inverse = np.linalg.inv(to_frame.astype(np.float64))[:2]
    x = np.arange(box.left, box.right)
    y = np.arange(box.top, box.bottom)
    steps = np.rint(inverse[:, :1] * x * 1024).astype(np.int64)
    starts = np.rint((inverse[:, 1:2] * y + inverse[:, 2:]) * 1024).astype(np.int64) + 16
    return np.stack([(starts[i][:, None] + steps[i][None, :]) >> 5 for i in (0, 1)], axis=-1)


@dataclass(frozen=True, slots=True)
class PutBack:
    """One source frame at one size, ready to receive faces."""

    width: int
    height: int
    box: Box
    where: npt.NDArray[np.int64]
    """[h, w, 2]: see `coordinates`."""
    mask: Floats
    """[h, w] in the box."""
    behind: Floats
    """[h, w, 3]: (1 − mask) · picture in the box, RGB."""
    picture: RGB
    """At this size."""
    base: I420
    """The whole picture; the box is drawn over."""

    def cv_maps(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
        """The same coordinates as `cv2.remap` takes them: whole pixels, and an index of the fraction."""
        whole, part = self.where >> 5, self.where & 31
        whole = np.clip(whole, -32768, 32767)
        return whole.astype(np.int16), (part[..., 1] * 32 + part[..., 0]).astype(np.uint16)

    def unit_grid(self) -> Floats:
        """The same as a sampling grid with `align_corners`: −1 … 1 over the crop's pixel centres."""
        return np.asarray(self.where / 32 * 2 / (CROP - 1) - 1, np.float32)


def put_back(look: Look, width: int = 0, height: int = 0, mask: Floats | None = None) -> PutBack:
    """Everything of the blend that does not depend on the face. `mask` [512,512] replaces the generated one."""
    full_height, full_width = look.picture.shape[:2]
    width, height = width or full_width, height or full_height
    picture, to_frame = look.picture, np.array(look.to_frame, np.float64)
    if (width, height) != (full_width, full_height):
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        ratio = np.array([width / full_width, height / full_height])
        # Pixel centres keep their place: x' = (x + ½)·r − ½.
        to_frame[:2] = np.diag(ratio) @ to_frame[:2]
        to_frame[:2, 2] += ratio / 2 - 0.5
    box = touched(to_frame, width, height)
    where = coordinates(to_frame, box)
    empty = PutBack(width, height, box, where, *(np.zeros(0, np.float32),) * 2, picture, to_i420(picture))
    warped = np.clip(warp(soft_mask() if mask is None else mask, empty), 0, 1)
    inside = picture[box.top : box.bottom, box.left : box.right].astype(np.float32)
    behind = (1 - warped)[..., None] * inside
    return PutBack(width, height, box, where, warped, behind, picture, empty.base)


def warp(crop: Floats, place: PutBack) -> Floats:
    """A crop-sized picture [512,512] or [512,512,3] in the box, bilinear, zero outside."""
    if 0 in place.box.size:
        return np.zeros((*place.where.shape[:2], *crop.shape[2:]), np.float32)
    whole, part = place.cv_maps()
    return np.asarray(cv2.remap(crop, whole, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0))


def blend(face: Floats, place: PutBack) -> Floats:
    """The box [h,w,3] with the face [512,512,3] RGB 0 … 255 in it, not rounded."""
    mixed: Floats = place.mask[..., None] * warp(face, place) + place.behind
    return np.clip(mixed, 0, 255, out=mixed)


def as_rgb(face: Floats, place: PutBack) -> RGB:
    """The whole picture as the original writes it: truncated."""
    out, box = place.picture.copy(), place.box
    out[box.top : box.bottom, box.left : box.right] = blend(face, place).astype(np.uint8)
    return out


def as_i420(face: Floats, place: PutBack) -> I420:
    """The whole picture for an encoder: rounded once, at the end."""
    return overlay(blend(face, place), place)


def overlay(inside: Floats, place: PutBack) -> I420:
    """The picture with the box's pixels [h,w,3] RGB."""
    out, box = place.base.copy(), place.box
    if 0 in box.size:
        return out
    yuv = inside @ TO_YUV.T
    width, height = place.width, place.height
    luma, chroma = out[:height], out[height:].reshape(2, height // 2, width // 2)
    luma[box.top : box.bottom, box.left : box.right] = np.rint(yuv[..., 0] + 16)
    halves = yuv[..., 1:].reshape(yuv.shape[0] // 2, 2, yuv.shape[1] // 2, 2, 2).mean(axis=(1, 3)) + 128
    chroma[:, box.top // 2 : box.bottom // 2, box.left // 2 : box.right // 2] = np.rint(halves).transpose(2, 0, 1)
    return out


def to_i420(picture: RGB) -> I420:
    """A whole RGB picture, both sides even."""
    height, width = picture.shape[:2]
    yuv = picture.astype(np.float32) @ TO_YUV.T
    halves = yuv[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3)) + 128
    out = np.empty((height * 3 // 2, width), np.uint8)
    out[:height] = np.rint(yuv[..., 0] + 16)
    out[height:].reshape(2, height // 2, width // 2)[:] = np.rint(halves).transpose(2, 0, 1)
    return out
