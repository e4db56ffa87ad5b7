"""A built-in character's bitmaps at one size, and the smooth fields that move them.

Every layer is displaced by a sum of fixed fields, one per degree of freedom, weighted by the pose. The fields are
smooth, so they are kept on a grid of 64 × 64 nodes and the sum is enlarged bilinearly: a twentieth of the work of
summing them at every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .canvas import Affine, Box, Sprite, blend
from .cast import UNITS, Character
from .coefficients import Coefficients

Field = npt.NDArray[np.float32]
"""Displacements in pixels, shape (…, rows, columns, 2)."""

NODES = 64
DEGREES = ("tx", "ty", "roll", "yaw", "pitch", "breath", "jaw")
RIGID = 6
"""The first so many degrees of freedom carry the features along; the mouth draws its own jaw."""
MARGIN = 40
"""Units around a layer's pixels within which it can move."""
_CROSS = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
STILL = 2e-4
"""Largest entry of a field, as a share of the picture's side, that is no motion: a hundredth of a pixel at 10°."""
BREATH = 3.2
"""Units by which full lungs lift the shoulders: visible at 512 pixels, never a shrug."""


def smoothstep(low: float, high: float, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def weights(c: Coefficients) -> npt.NDArray[np.float32]:
    """How much of each degree of freedom a pose asks for."""
    lean, turn, nod = np.sin(np.deg2rad([c.roll, c.yaw, c.pitch]))
    return np.array([c.tx, c.ty, lean, turn, nod, c.breath, c.jaw * (1 - 0.4 * c.press)], np.float32)


class Layer:
    """A bitmap with its fields, cut to the box in which anything of it is seen and moves."""

    def __init__(self, bitmap: Sprite, fields: Field) -> None:
        side = bitmap.shape[0]
        self._still = bitmap if bitmap[:, :, 3].min() == 255 else None
        """An opaque layer fills the picture; around its box it never moves."""
        if self._still is None:
            seen, margin = bitmap[:, :, 3], round(MARGIN * side / UNITS)
        else:
            motion = np.abs(fields).max(axis=(0, 3)) > STILL * side
            seen, margin = (
                cv2.resize(motion.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST),
                side // NODES,
            )
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        self.x0, self.x1 = max(0, columns[0] - margin), min(side, columns[-1] + 1 + margin)
        self.y0, self.y1 = max(0, rows[0] - margin), min(side, rows[-1] + 1 + margin)
        self._source = bitmap if self._still is not None else self._cut(bitmap)
        self.fields = fields.reshape(len(DEGREES), -1)
        self._side = side
        y, x = np.mgrid[0 : self.y1 - self.y0, 0 : self.x1 - self.x0].astype(np.float32)
        self._home = np.dstack([x, y])
        if self._still is not None:
            self._home += (self.x0, self.y0)

    def _cut(self, picture: Sprite) -> Sprite:
        return np.ascontiguousarray(picture[self.y0 : self.y1, self.x0 : self.x1])

    def displacement(self, pose: npt.NDArray[np.float32]) -> Field:
        """Shape (NODES, NODES, 2)."""
        return (pose @ self.fields).reshape(NODES, NODES, 2)

    def _moved(self, displacement: Field) -> Sprite:
        """The layer in its box, moved by the field."""
        full = cv2.resize(displacement, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        source = cv2.subtract(self._home, full[self.y0 : self.y1, self.x0 : self.x1])
        border = cv2.BORDER_REPLICATE if self._still is not None else cv2.BORDER_CONSTANT
        moved: Sprite = cv2.remap(self._source, source, None, cv2.INTER_LINEAR, borderMode=border)
        return moved

    def picture(self, displacement: Field) -> Sprite:
        """A new picture of an opaque layer."""
        assert self._still is not None
        whole = self._still.copy()
        whole[self.y0 : self.y1, self.x0 : self.x1] = self._moved(displacement)
        return whole

    def lay_on(self, picture: Sprite, displacement: Field) -> None:
        """Draws the moved layer over `picture`, in place."""
        blend(self._moved(displacement), picture[self.y0 : self.y1, self.x0 : self.x1])


@lru_cache(maxsize=6)
def _full(path: Path) -> Sprite:
    """A PNG as premultiplied BGRA. Two characters' worth are kept, 24 MB: a session that changes its size in full
    flight must not wait for files."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FileNotFoundError(f"The character's picture {path.name} is missing: run python -m puppet.rasterise.")
    if image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    straight = image.astype(np.float32)
    straight[:, :, :3] *= straight[:, :, 3:] / 255
    premultiplied: Sprite = np.rint(straight).astype(np.uint8)
    return premultiplied


def _load(path: Path, side: int) -> Sprite:
    """A PNG as premultiplied BGRA at `side` pixels."""
    full = _full(path)
    if side == full.shape[0]:
        return full
    small: Sprite = cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA)
    return small


class Stack:
    """All layers of a character at `side` × `side` pixels."""

    def __init__(self, character: Character, folder: Path, side: int) -> None:
        self.side = side
        self.scale = side / UNITS
        head = character.head
        # Nodes lie where cv2.resize samples them, in drawing units.
        nodes = (np.arange(NODES, dtype=np.float32) + 0.5) * (UNITS / NODES)
        x, y = np.meshgrid(nodes, nodes)
        mask = cv2.imread(str(folder / "weights.png"))
        mask = cv2.resize(mask, (NODES, NODES), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        back, body = mask[:, :, 2], mask[:, :, 1]

        cx, cy = head.centre
        rx, ry, rz = head.radii
        # 1.3: the ellipsoid's own edge would be infinitely steep; beyond the face the slope just runs out.
        dome = np.sqrt(np.clip(1.3 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2, 0.02, None)) - 0.35
        nose = 0.16 * np.exp(-((x - head.nose[0]) ** 2 / 32**2 + (y - head.nose[1]) ** 2 / 48**2))
        depth = rz * (dome + nose)
        # Level with the back of the hair at its outline, so that no rim opens between them.
        hair = rz * (np.sqrt(np.clip(1.25 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2, 0.02, None)) - 0.42)
        # The neck follows the head at its top and the shoulders at its foot.
        follow = (1 - smoothstep(head.chin - 150, head.pivot[1], y)) * np.maximum(back, body)
        behind = rz * (0.10 * body - 0.14 * (1 - body))
        chin = smoothstep(head.chin - 58, head.chin - 4, y) * (1 - smoothstep(100, 190, np.abs(x - cx)))
        still = np.zeros_like(x)
        ones = np.ones_like(x)
        back_breath = -BREATH * body * smoothstep(head.pivot[1] - 90, head.pivot[1] + 40, y)

        def fields(weight: Field, z: Field, breath: Field, jaw: Field) -> Field:
            px, py = head.pivot
            rows = {
                "tx": (UNITS * ones, still),
                "ty": (still, UNITS * ones),
                "roll": (-(y - py), x - px),
                "yaw": (z, still),
                "pitch": (still, z),
            }
            moving = [np.dstack(rows[name]) * weight[:, :, None] for name in DEGREES[:5]]
            return np.stack([*moving, np.dstack([still, breath]), np.dstack([still, jaw])]).astype(np.float32) * (
                side / UNITS
            )

        lift = -0.3 * BREATH * ones
        self.back = Layer(_load(folder / "back.png", side), fields(follow, behind, back_breath, still))
        self.head = Layer(_load(folder / "head.png", side), fields(ones, depth, lift, head.jaw * chin))
        self.hair = Layer(_load(folder / "hair.png", side), fields(ones, hair, lift, still))
        self._rigid = self.head.fields[:RIGID]

    def carry(self, pose: npt.NDArray[np.float32], boxes: Sequence[Box]) -> list[Affine]:
        """How the head's pose carries what is drawn in each of `boxes` (units): drawing units to pixels."""
        x0, y0, x1, y1 = np.array(boxes).T
        centre = np.stack([x0 + x1, y0 + y1], axis=1) / 2
        reach = ((x1 - x0) / 4)[:, None, None]
        probes = centre[:, None] + reach * _CROSS
        rigid = (pose[:RIGID] @ self._rigid).reshape(NODES, NODES, 2)
        # A picture's point is where the field, read there, points back to it: one step of the fixed point is enough.
        pixels = probes * self.scale + _read(rigid, probes + _read(rigid, probes) / self.scale)
        along = (pixels[:, 1] - pixels[:, 2]) / (2 * reach[:, 0])
        across = (pixels[:, 3] - pixels[:, 4]) / (2 * reach[:, 0])
        start = pixels[:, 0] - along * centre[:, :1] - across * centre[:, 1:]
        return list(np.stack([along, across, start], axis=2))


def _read(field: Field, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A field of shape (NODES, NODES, 2) at points (units) of shape (…, 2), between its nodes."""
    at = np.clip(points * (NODES / UNITS) - 0.5, 0, NODES - 1.001)
    i = at.astype(int)
    f = at - i
    columns, rows, fx, fy = i[..., 0], i[..., 1], f[..., :1], f[..., 1:]
    top = field[rows, columns] * (1 - fx) + field[rows, columns + 1] * fx
    low = field[rows + 1, columns] * (1 - fx) + field[rows + 1, columns + 1] * fx
    return np.asarray(top * (1 - fy) + low * fy)
