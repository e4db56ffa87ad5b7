"""The rig of any portrait: the picture itself, moved.

A frame is drawn in two steps. In the picture as it is, enlarged, the lower face and the eyes are redrawn where their
coefficients changed (`puppet.lips`, `puppet.lids`). Then the whole is turned and drawn at its size (`puppet.turning`).
The enlargement keeps fine detail through both samplings.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import Anatomy, study
from .coefficients import Coefficients
from .lids import Lid
from .lips import Lips, Shape
from .portrait import Portrait, load
from .renderer import I420, Renderer, picture_size
from .scratch import Scratch
from .turning import Turning

Bgr = npt.NDArray[np.uint8]

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
        self.lips = Lips(anatomy.mouth.scaled(scale), self.picture)
        self.lids = tuple(None if eye.covered else Lid(eye.scaled(scale), self.picture) for eye in anatomy.eyes)
        self.turning = Turning(portrait, anatomy, size, fine_size[0] / width)
        whole = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        where = (whole + np.float32(0.5)) * np.float32(fine_size[0] / width) - np.float32(0.5)
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

    def draw(self, coefficients: Coefficients, scale: float) -> I420:
        """See `puppet.renderer.Renderer.draw`."""
        c = coefficients
        size = picture_size(self._rig.width, self._rig.height, scale)
        if self._stage is None or size != self._size:
            self._stage, self._size = self._rig.stage(size), size
            self._picture, self._frame, self._parts = self._stage.picture.copy(), self._stage.still.copy(), {}
        stage = self._stage
        mouth = (c.jaw, c.wide, c.pucker, c.press, c.fv, c.tongue, c.teeth, c.smile)
        if self._parts.get("mouth") != mouth:
            self._put(stage.lips.box, stage.lips.draw(Shape.of(c, self._rig.anatomy.mouth), self._scratch))
            self._parts["mouth"] = mouth
        for name, lid, blink in zip(("left", "right"), stage.lids, (c.blink_left, c.blink_right), strict=True):
            if lid is None:
                continue
            eye = lid.seen(blink, c.gaze_x, c.gaze_y)
            if self._parts.get(name, (0.0, 0.0, 0.0)) != eye:
                self._put(lid.box, lid.draw(*eye))
                self._parts[name] = eye
        x0, y0, x1, y1 = stage.turning.box
        moved = self._scratch.take("moved", (y1 - y0, x1 - x0, 3), np.uint8)
        sources = stage.turning.sources(c, self._scratch)
        cv2.remap(self._picture, sources, None, cv2.INTER_LINEAR, dst=moved, borderMode=cv2.BORDER_REPLICATE)
        self._frame[y0:y1, x0:x1] = moved
        return np.asarray(cv2.cvtColor(self._frame, cv2.COLOR_BGR2YUV_I420), np.uint8)

    def _put(self, box: tuple[int, int, int, int], part: Bgr) -> None:
        x0, y0, x1, y1 = box
        self._picture[y0:y1, x0:x1] = part


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
