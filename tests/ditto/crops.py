"""The crop that the original cut for the whole chain, to the pixel.

Stored are a part of the crop and the inverse of its matrix, in float32. A bit of the matrix moves a few of the crop's
786,432 values by one level, and a level at the input is several at the output of networks with random weights. So the
matrices around the inverse's inverse are tried: those whose own inverse is the stored one to the bit, and whose crop
is what is stored of it, come into question.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from tests.ditto.golden import GOLDEN, Array

SIDE = 512


def moved(value: Any, units: int) -> Any:
    """By some units in the last place."""
    for _ in range(abs(units)):
        value = np.nextafter(value, np.float32(np.inf * units))
    return value


def near(to_frame: Array) -> Iterator[Array]:
    """The rotations with scale whose inverse is `to_frame` in float32."""
    start = np.linalg.inv(to_frame.astype(np.float64)).astype(np.float32)
    units = sorted(
        itertools.product(range(-4, 5), range(-4, 5), range(-2, 3), range(-2, 3)), key=lambda u: sum(map(abs, u))
    )
    for c, s, x, y in units:
        found = start.copy()
        found[0, 0] = found[1, 1] = moved(start[0, 0], c)
        found[0, 1] = moved(start[0, 1], s)
        found[1, 0] = -found[0, 1]
        found[0, 2], found[1, 2] = moved(start[0, 2], x), moved(start[1, 2], y)
        if np.array_equal(np.linalg.inv(found), to_frame):
            yield found


def main_crops() -> list[Array]:
    """Every [512,512,3] RGB that may be the one; at least one, within the stored tolerance."""
    vectors = GOLDEN.vectors("crop_putback")
    picture = GOLDEN.picture(*GOLDEN.frame_size("crop_putback"))
    found: dict[bytes, Array] = {}
    nearest, fewest = None, np.inf
    for to_crop in near(vectors["main_M_c2o"]):
        cut = np.asarray(cv2.warpAffine(picture, to_crop[:2], (SIDE, SIDE), flags=cv2.INTER_LINEAR))
        wrong = np.count_nonzero(vectors.part("main_img_crop", cut) != vectors["main_img_crop"])
        if wrong < fewest:
            nearest, fewest = cut, wrong
        if not wrong:
            found[cut.tobytes()] = cut
    if not found:
        assert nearest is not None
        vectors.check("main_img_crop", nearest, absolute=GOLDEN.tolerance("crop_putback", "image_levels_other_opencv"))
        return [nearest]
    return list(found.values())
