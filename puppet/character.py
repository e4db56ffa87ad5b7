"""The built-in characters: still layers that move, and eyes and mouth drawn anew for every picture."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from .canvas import Affine, Box, Canvas, Drawing, Sprite
from .cast import CAST, UNITS, Character
from .coefficients import Coefficients
from .features import EyeArt, MouthArt
from .layers import Stack, weights
from .renderer import I420, MAX_SIDE, picture_size

ASSETS = Path(__file__).parent / "assets"
KEPT_SIZES = 4
"""Sizes whose bitmaps stay in memory: a 512 × 512 stack is about 10 MB."""


class CharacterRig:
    """A built-in character, shared by all who perform it."""

    width = MAX_SIDE
    height = MAX_SIDE

    def __init__(self, name: str = "default") -> None:
        if name not in CAST:
            raise ValueError(f"There is no built-in character {name!r}: there are {', '.join(CAST)}.")
        self.character: Character = CAST[name]
        self._stacks: OrderedDict[int, Stack] = OrderedDict()
        self._lock = threading.Lock()
        eyes, brows = self.character.eyes, self.character.brows
        self.left = EyeArt(eyes, brows, left=True)
        self.right = EyeArt(eyes, brows, left=False)
        self.mouth = MouthArt(self.character.mouth)

    def stack(self, side: int) -> Stack:
        """The layers at one size, made on first use."""
        with self._lock:
            stack = self._stacks.get(side)
            if stack is None:
                stack = Stack(self.character, ASSETS / self.character.name, side)
                self._stacks[side] = stack
                if len(self._stacks) > KEPT_SIZES:
                    self._stacks.popitem(last=False)
            self._stacks.move_to_end(side)
            return stack

    def open(self) -> CharacterRenderer:
        return CharacterRenderer(self)


def fineness(side: int) -> int:
    """Canvas pixels for each of a drawing's, a side: edges are antialiased besides, so it shrinks as pixels do."""
    return 1 if side >= 200 else 2


DENSITY = 2
"""A drawing's pixels for each of the picture's, a side: laid down at any angle it stays sharp."""
QUANTUM = 0.5
"""Pixels that the fastest point of a feature must move before it is drawn anew."""

FURROW = 0.3
"""How much of a furrow a drawn brow shows by sinking."""
RAISED = 0.7
"""How far the brow above a raised mouth corner rises."""
LEAN = 5.0
"""Degrees by which a mouth leans towards a raised corner."""
RISE = 7.0
"""Units by which it rises when the nose is wrinkled."""


class Feature:
    """An eye or the mouth, drawn anew only when its own pose has changed enough to be seen."""

    def __init__(self, box: Box, travel: Sequence[float]) -> None:
        """`travel`: how far, in units, each coefficient of the pose moves its fastest point."""
        self.box = box
        self._travel = travel
        self._key: tuple[int, ...] = ()
        self._drawing: Drawing | None = None

    def drawing(self, side: int, pose: Sequence[float], draw: Callable[[Canvas, list[float]], None]) -> Drawing:
        """`draw` gets an empty canvas and the pose, rounded to what can be seen."""
        scale = side / UNITS
        steps = [max(4, math.ceil(t * scale / QUANTUM)) for t in self._travel]
        key = (side, *(round(v * n) for v, n in zip(pose, steps, strict=True)))
        if self._drawing is None or key != self._key:
            fine = fineness(side)
            canvas = Canvas(self.box, scale * DENSITY * fine)
            draw(canvas, [v / n for v, n in zip(key[1:], steps, strict=True)])
            self._drawing, self._key = canvas.drawing(fine), key
        return self._drawing


class CharacterRenderer:
    """Draws one performance of a character."""

    def __init__(self, rig: CharacterRig) -> None:
        self._rig = rig
        self._eyes = [(art, Feature(art.box, art.TRAVEL)) for art in (rig.left, rig.right)]
        self._mouth = Feature(rig.mouth.box, rig.mouth.TRAVEL)
        self._boxes = [art.box for art in (rig.left, rig.right, rig.mouth)]

    def draw(self, coefficients: Coefficients, scale: float) -> I420:
        side, _ = picture_size(self._rig.width, self._rig.height, scale)
        return np.asarray(cv2.cvtColor(self.paint(coefficients, side), cv2.COLOR_BGRA2YUV_I420))

    def paint(self, c: Coefficients, side: int) -> Sprite:
        """The picture as opaque BGRA, `side` × `side` pixels."""
        rig = self._rig
        stack = rig.stack(side)
        pose = weights(c)
        picture = stack.back.picture(stack.back.displacement(pose))
        stack.head.lay_on(picture, stack.head.displacement(pose))
        *carried, mouth_carry = stack.carry(pose, self._boxes)
        # A drawn brow only rises and sinks: what it cannot furrow it lowers, and above a raised corner it rises.
        brow = c.brow - FURROW * c.furrow
        brows = (min(1.0, max(-1.0, brow + RAISED * max(0.0, sign * c.skew))) for sign in (-1, 1))
        eyes = zip(self._eyes, carried, (c.blink_left, c.blink_right), brows, strict=True)
        for (art, feature), carry, blink, raised in eyes:
            drawing = feature.drawing(side, (blink, c.gaze_x, c.gaze_y, raised), art.draw)
            drawing.lay_on(picture, carry)
        mouth = (c.jaw, c.wide, c.pucker, c.press, c.fv, c.tongue, c.teeth, c.smile)
        self._mouth.drawing(side, mouth, rig.mouth.draw).lay_on(picture, self._curled(mouth_carry, c))
        stack.hair.lay_on(picture, stack.hair.displacement(pose))
        return picture

    def _curled(self, carry: Affine, c: Coefficients) -> Affine:
        """`carry` of the mouth, leaning towards a raised corner and risen with the nose."""
        if not (c.skew or c.sneer):
            return carry
        x0, y0, x1, y1 = self._rig.mouth.box
        angle = math.radians(LEAN * c.skew)
        lean = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        shift = centre - lean @ centre - (0.0, RISE * c.sneer)
        return np.column_stack([carry[:, :2] @ lean, carry[:, :2] @ shift + carry[:, 2]])
