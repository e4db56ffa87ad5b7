"""A strip of expressions of one rig: what a person is shown to judge whether a portrait will do."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from .coefficients import NEUTRAL, Coefficients
from .picture import Rgb
from .renderer import Rig
from .warp import PortraitRig

EXPRESSIONS: Final = (
    NEUTRAL,
    Coefficients(jaw=0.8),
    Coefficients(jaw=0.25, wide=0.9, teeth=0.3),
    Coefficients(jaw=0.25, pucker=1.0),
    Coefficients(smile=0.8, brow=0.4),
    Coefficients(blink_left=1.0, blink_right=1.0, yaw=4.0),
)
"""At rest, "ah", "ee", "oo", a smile, eyes shut with the head turned."""
_AROUND: Final = 1.3
"""Side of a tile in face heights: the mouth is what is to be judged."""


def strip(rig: Rig, side: int) -> Rgb:
    """`EXPRESSIONS` side by side, squares of `side` pixels around the face."""
    renderer = rig.open()
    x, y, shown = _square(rig)
    # Drawn larger than shown, as a video would be, and then shrunk: that is how most people will see it.
    scale = min(1.0, 1.5 * side / shown)
    tiles = []
    for expression in EXPRESSIONS:
        picture = cv2.cvtColor(renderer.draw(expression, scale), cv2.COLOR_YUV2RGB_I420)
        height, width = picture.shape[:2]
        # Drawn sizes are even, so the scale is not quite what was asked for.
        fx, fy = width / rig.width, height / rig.height
        x0, y0 = round(x * fx), round(y * fy)
        tile = picture[y0 : y0 + round(shown * fy), x0 : x0 + round(shown * fx)]
        tiles.append(cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA))
    return np.hstack(tiles)


def _square(rig: Rig) -> tuple[float, float, float]:
    """x, y and side of the part that is shown, in pixels of the working size."""
    side = float(min(rig.width, rig.height))
    x, y = (rig.width - side) / 2, (rig.height - side) / 2
    if isinstance(rig, PortraitRig):
        face = rig.anatomy.face
        side = min(side, 2 * face.half * _AROUND)
        x, y = (float(v) - side / 2 for v in face.centre)
    return max(0.0, min(x, rig.width - side)), max(0.0, min(y, rig.height - side)), side
