"""The one vector that everything which moves a puppet speaks in: sound, phonemes and life write it, renderers read it.

Neutral is all zeros: the portrait as it was drawn or photographed, mouth closed, eyes open, looking at the viewer.
Directions are those of the picture (its left is the viewer's left), never the depicted person's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One pose. Shares run from 0 to 1 unless said otherwise; a renderer may rely on the ranges."""

    jaw: float = 0.0
    """How far the jaw is dropped: 0 closed, 1 the widest open vowel."""
    wide: float = 0.0
    """Lips spread as in "ee"."""
    pucker: float = 0.0
    """Lips rounded and pushed forward as in "oo"."""
    press: float = 0.0
    """Lips closed and pressed together as in m, b, p. It wins over `jaw`: at 1 the mouth is shut."""
    fv: float = 0.0
    """Lower lip tucked under the upper teeth as in f, v. It narrows what `jaw` opens."""
    tongue: float = 0.0
    """Tongue tip raised behind or between the teeth as in l, th."""
    teeth: float = 0.0
    """Teeth shown close together as in s, sh."""
    smile: float = 0.0
    """Mouth corners up and cheeks lifted, beyond the portrait's own expression; -1 (corners down) to 1."""
    blink_left: float = 0.0
    """Lids of the eye at the picture's left: 0 as in the portrait, 1 shut."""
    blink_right: float = 0.0
    brow: float = 0.0
    """Eyebrows: 1 raised, -1 lowered."""
    furrow: float = 0.0
    """Inner ends of the brows: 1 down and together, as in anger, -1 up, as in sorrow."""
    sneer: float = 0.0
    """Nose wrinkled and upper lip raised, as in disgust."""
    skew: float = 0.0
    """One mouth corner raised: 1 that at the picture's right, -1 that at its left."""
    gaze_x: float = 0.0
    """Where the eyes look, -1 (picture's left) to 1 (its right); 0 is the viewer while the head faces the viewer."""
    gaze_y: float = 0.0
    """-1 up, 1 down."""
    yaw: float = 0.0
    """Degrees the head is turned, positive to the picture's right; within ±20."""
    pitch: float = 0.0
    """Degrees the head is tilted forward, positive down (a nod); within ±15."""
    roll: float = 0.0
    """Degrees the head leans, positive clockwise in the picture; within ±15."""
    tx: float = 0.0
    """Shift of the head to the picture's right, as a share of the picture's width; within ±0.03."""
    ty: float = 0.0
    """Shift of the head downwards, as a share of the picture's width; within ±0.03."""
    breath: float = 0.0
    """How full the lungs are: the chest and shoulders rise with it."""


NEUTRAL: Final = Coefficients()

MOUTH: Final = ("jaw", "wide", "pucker", "press", "fv", "tongue", "teeth")
"""The coefficients that speech drives, in the order of every mouth array in this package."""
