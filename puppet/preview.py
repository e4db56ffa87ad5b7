"""A strip of expressions of one rig: what a person is shown to judge whether a portrait will do."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from .coefficients import NEUTRAL, Coefficients
from .picture import Rgb
from .renderer import Rig

EXPRESSIONS: Final = (
    NEUTRAL,
    Coefficients(jaw=0.8),
    Coefficients(jaw=0.25, wide=0.9, teeth=0.3),
    Coefficients(jaw=0.25, pucker=1.0),
    Coefficients(smile=0.8, brow=0.4),
    Coefficients(blink_left=1.0, blink_right=1.0, yaw=4.0),
)
"""At rest, "ah", "ee", "oo", a smile, eyes shut with the head turned."""


def strip(rig: Rig, height: int) -> Rgb:
    """`EXPRESSIONS` side by side, `height` pixels high."""
    renderer = rig.open()
    # Drawn larger than shown, as a video would be, and then shrunk: that is how most people will see it.
    scale = min(1.0, 2 * height / rig.height)
    tiles = [cv2.cvtColor(renderer.draw(c, scale), cv2.COLOR_YUV2RGB_I420) for c in EXPRESSIONS]
    width = round(height * tiles[0].shape[1] / tiles[0].shape[0])
    return np.hstack([cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA) for tile in tiles])
