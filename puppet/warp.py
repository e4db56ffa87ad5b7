"""The rig of any portrait: the picture itself, moved.

A frame is drawn in two steps. In the picture as it is, enlarged, the eyes are redrawn where their coefficients changed
(`puppet.lids`). Then the whole is drawn at its size: each pixel asks the turned head (`puppet.turning`) and then the
moved lips (`puppet.lips`) where it came from. Where the lips meet, both are drawn and composed with what lies between
them. The enlargement keeps fine detail through the samplings.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import Anatomy, study
from .coefficients import Coefficients
from .frame import Floats
from .lids import Lid
from .lips import Lips, Motion, Shape
from .portrait import Portrait, load
from .renderer import I420, Renderer, picture_size
from .scratch import Scratch
from .turning import Turning

Bgr = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
Part = TypeVar("Part", Bgr, npt.NDArray[Any])

_KEPT_STAGES: Final = 3
"""Sizes kept per rig: sessions share few, and one at 1024 × 1024 takes 20 MB."""
_FINE: Final = 1.5
"""How much larger than what is drawn the picture is that it is drawn from."""
_CRISP: Final = 0.3
"""How much is added to the finest detail, which the samplings take away again. Measured on a photograph moved by parts
of a pixel: 51 dB against the exact shift and 0.96 of its sharpness, as good as twice the enlargement without."""
_FINE_SIDE: Final = 1408
"""Its long side at most: beyond 1024 drawn pixels the eye misses nothing, and the cache does."""


class _Stage:
    """A portrait made ready to be drawn at one size. Never changes."""

    def __init__(self, portrait: Portrait, anatomy: Anatomy, size: tuple[int, int]) -> None:
        width, height = size
        bgr = np.ascontiguousarray(portrait.rgb[:, :, ::-1])
        shrinks = width < portrait.width
        plain = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        fine = float(np.clip(_FINE_SIDE / max(size), 1.0, _FINE))
        fine_size = round(width * fine), round(height * fine)
        # Through the drawn size first: finer detail than that would flicker when the head moves.
        large = cv2.resize(plain, fine_size, interpolation=cv2.INTER_LANCZOS4)
        soft = cv2.GaussianBlur(large, (0, 0), 0.6 * fine)
        self.picture: Bgr = np.asarray(cv2.addWeighted(large, 1 + _CRISP, soft, -_CRISP, 0), np.uint8)
        scale = fine_size[0] / portrait.width
        self.fine = fine_size[0] / width
        """Pixels of the picture in one drawn."""
        self.lips = Lips(anatomy.mouth.scaled(scale), self.picture, self.fine)
        self.lids = tuple(
            None if eye.covered else Lid(eye.scaled(scale), self.picture, left=eye is anatomy.eyes[0])
            for eye in anatomy.eyes
        )
        self.turning = Turning(portrait, anatomy, size, self.fine)
        whole = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        where = (whole + np.float32(0.5)) * np.float32(self.fine) - np.float32(0.5)
        self.still: Bgr = np.asarray(
            cv2.remap(self.picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )
        """The picture at rest as drawing it would show it, for all that never moves."""


class PortraitRenderer:
    """Draws one performance. It remembers what it drew last, so that only what changed is drawn again."""

    def __init__(self, rig: PortraitRig) -> None:
        self._rig = rig
        self._stage: _Stage | None = None
        self._size = (0, 0)
        self._picture: Bgr = np.empty((0, 0, 3), np.uint8)
        """What is drawn from, with the face's parts as they were drawn last."""
        self._frame: Bgr = self._picture
        self._scratch = Scratch()
        self._parts: dict[str, tuple[float, ...]] = {}
        self._shape: Shape
        self._motion: Motion

    def draw(self, coefficients: Coefficients, scale: float) -> I420:
        """See `puppet.renderer.Renderer.draw`."""
        c = coefficients
        size = picture_size(self._rig.width, self._rig.height, scale)
        if self._stage is None or size != self._size:
            self._stage, self._size = self._rig.stage(size), size
            self._picture, self._frame, self._parts = self._stage.picture.copy(), self._stage.still.copy(), {}
        stage = self._stage
        for name, lid, blink in zip(("left", "right"), stage.lids, (c.blink_left, c.blink_right), strict=True):
            if lid is None:
                continue
            eye = lid.seen(blink, c.gaze_x, c.gaze_y)
            if self._parts.get(name, (0.0, 0.0, 0.0)) != eye:
                self._put(lid.box, lid.draw(*eye))
                self._parts[name] = eye
        mouth = (c.jaw, c.wide, c.pucker, c.press, c.fv, c.tongue, c.teeth, c.smile, c.sneer, c.skew)
        if self._parts.get("mouth") != mouth:
            self._shape = Shape.of(c, self._rig.anatomy.mouth)
            self._motion = stage.lips.trace(self._shape)
            self._parts["mouth"] = mouth
        nodes = stage.turning.nodes(c)
        sources = stage.turning.full(nodes, self._scratch)
        lips = self._lips(stage, nodes, sources)
        x0, y0, x1, y1 = stage.turning.box
        self._see(sources, self._frame[y0:y1, x0:x1])
        if lips is not None:
            (left, top, right, bottom), part = lips
            self._frame[top:bottom, left:right] = part
        return np.asarray(cv2.cvtColor(self._frame, cv2.COLOR_BGR2YUV_I420), np.uint8)

    def _put(self, box: tuple[int, int, int, int], part: Bgr) -> None:
        x0, y0, x1, y1 = box
        self._picture[y0:y1, x0:x1] = part

    def _see(self, sources: Floats, into: Bgr) -> None:
        cv2.remap(self._picture, sources, None, cv2.INTER_LINEAR, dst=into, borderMode=cv2.BORDER_REPLICATE)

    def _lips(self, stage: _Stage, nodes: Floats, sources: Floats) -> tuple[Box, Bgr] | None:
        """Moves the lower face in `sources`; draws where the lips meet, and says where that is."""
        lips, turning = stage.lips, stage.turning
        x0, y0, x1, y1 = lips.box
        cell, row, columns, rows = cv2.boundingRect(cv2.inRange(nodes, (x0, y0), (x1, y1)))
        if not columns:
            return None
        # Its neighbours too, and around those one more that is not drawn: pixels lie between nodes.
        left, top = max(0, cell - 2), max(0, row - 2)
        part = nodes[top : row + rows + 2, left : cell + columns + 2]
        split = max(1, round(turning.step * stage.fine / lips.step))
        pixels = cv2.resize(part, None, fx=split, fy=split, interpolation=cv2.INTER_LINEAR)
        motion = lips.over(self._motion, pixels)
        upper, lower, places = pixels + motion[..., :2], pixels + motion[..., 2:4], motion[..., 4:]
        both = np.where(places[..., :1] > 0, upper, lower)
        origin = (left - 1) * turning.step, (top - 1) * turning.step
        corner = origin[0] + turning.step, origin[1] + turning.step
        box, moved = _cut(turning.box, corner, self._enlarged(both, turning.step, split, "moved"))
        u, v = turning.box[:2]
        sources[box[1] - v : box[3] - v, box[0] - u : box[2] - u] = moved

        meeting = np.maximum(places[..., 0], places[..., 1]) < np.float32(lips.reach(self._shape))
        x, y, width, height = cv2.boundingRect(meeting.view(np.uint8))
        rows, columns = part.shape[:2]
        c0, c1 = max(1, (x - 1) // split), min(columns - 1, -(-(x + width + 1) // split))
        r0, r1 = max(1, (y - 1) // split), min(rows - 1, -(-(y + height + 1) // split))
        if not width or c0 >= c1 or r0 >= r1:
            return None
        view = _view(pixels[r0 * split : r1 * split, c0 * split : c1 * split], turning.step / split)
        window = slice((r0 - 1) * split, (r1 + 1) * split), slice((c0 - 1) * split, (c1 + 1) * split)
        seen = []
        for name, lip in (("upper lip", upper), ("lower lip", lower)):
            where = self._enlarged(lip[window], turning.step, split, name)
            seen.append(cv2.remap(self._picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        depths = self._enlarged(places[window], turning.step, split, "places")
        drawn = lips.compose(self._shape, (seen[0], seen[1]), depths, view)
        step = turning.step
        return _cut(turning.box, (origin[0] + c0 * step, origin[1] + r0 * step), drawn)

    def _enlarged(self, nodes: Floats, step: int, split: int, name: str) -> Floats:
        """Values of nodes, `split` to a cell of `step` pixels, at each pixel of all cells but the outermost."""
        size = nodes.shape[1] // split * step, nodes.shape[0] // split * step
        full = self._scratch.take(name, (size[1], size[0], nodes.shape[2]), np.float32)
        cv2.resize(nodes, size, dst=full, interpolation=cv2.INTER_LINEAR)
        return full[step:-step, step:-step]


def _cut(limits: Box, corner: tuple[int, int], part: Part) -> tuple[Box, Part]:
    """What of `part`, whose upper left pixel is `corner`, lies within `limits`, and where."""
    height, width = part.shape[:2]
    x0, y0 = max(limits[0], corner[0]), max(limits[1], corner[1])
    x1, y1 = max(x0, min(limits[2], corner[0] + width)), max(y0, min(limits[3], corner[1] + height))
    return (x0, y0, x1, y1), part[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]


def _view(nodes: Floats, spacing: float) -> Floats:
    """The matrix, 2 × 3, that takes pixels to what their nodes, `spacing` apart, hold: all of them lie in one plane."""
    rows, columns = nodes.shape[:2]
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = nodes[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()
    across, down = 0.5 / max(1, columns - 1) / spacing, 0.5 / max(1, rows - 1) / spacing
    u, v = (columns * spacing - 1) / 2, (rows * spacing - 1) / 2
    view = [
        ((bx - ax + dx - cx) * across, (cx - ax + dx - bx) * down, (ax + bx + cx + dx) / 4),
        ((by - ay + dy - cy) * across, (cy - ay + dy - by) * down, (ay + by + cy + dy) / 4),
    ]
    return np.array([(a, b, c - a * u - b * v) for a, b, c in view])


class PortraitRig:
    """A portrait made ready to move. Shared between threads."""

    def __init__(self, portrait: Portrait) -> None:
        self.anatomy: Final = study(portrait)
        self._portrait = portrait
        self._stages: OrderedDict[tuple[int, int], _Stage] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path) -> PortraitRig:
        """The rig of a picture file; see `puppet.portrait.load` for what it raises."""
        return cls(load(path))

    @property
    def width(self) -> int:
        return self._portrait.width

    @property
    def height(self) -> int:
        return self._portrait.height

    @property
    def faces(self) -> int:
        """How many faces the picture showed; this is the largest."""
        return self._portrait.faces

    def stage(self, size: tuple[int, int]) -> _Stage:
        with self._lock:
            stage = self._stages.get(size)
            if stage is None:
                stage = self._stages[size] = _Stage(self._portrait, self.anatomy, size)
                if len(self._stages) > _KEPT_STAGES:
                    self._stages.popitem(last=False)
            self._stages.move_to_end(size)
        return stage

    def open(self) -> Renderer:
        return PortraitRenderer(self)
