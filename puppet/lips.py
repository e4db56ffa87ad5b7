"""The lower face of a portrait in motion: lips that part, round, spread and press, a chin that follows.

Every motion is a smooth field over the picture, linear in the coefficients, one for what belongs to the upper lip and
one for what belongs to the lower. The two agree everywhere but between the corners, where the mouth is cut along the
line between the lips. A picture is drawn by asking, for each pixel, where it came from under either field (the inverse,
found by fixed-point iteration on a coarse grid); what lies beyond both lips is the inside of the mouth. Lips and head
are moved in one go (`puppet.warp`): only where the lips meet is a picture drawn of each and the two are composed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import Mouth
from .coefficients import Coefficients
from .frame import LINE_X, Floats, eased, smoothstep
from .oral import Oral

Bgr = npt.NDArray[np.uint8]

_NODES = 8
"""Grid nodes in a half width: closer ones change nothing that is seen."""
_MIN_STEP = 6
"""Pixels between nodes at least: small pictures need fewer."""
_ROUNDS = 4
"""Of the fixed-point iteration. Each leaves a third of the error: at most a twentieth of a node."""
_GUARD = 4
"""Rows of nodes between the two lips' grids: fields fade out towards them."""
_DENSER = 2
"""Nodes of what is known of the picture at rest for each of a grid's, a side: lines between lips are not straight."""
_JOIN = 0.03
"""Half the thickness of the line between closed lips, in half widths."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the lips do, as weights of the fields."""

    part: float
    chin: float
    narrow: float
    upper: float
    lower: float
    pucker: float
    wide: float
    press: float
    smile: float
    flat: float
    sneer: float
    left: float
    right: float
    arch: float
    bowl: float
    close: float
    opening: float
    """How open the mouth is meant to be, 0 to 1: lights the inside."""
    tongue: float
    teeth: float

    @classmethod
    def of(cls, c: Coefficients, mouth: Mouth) -> Shape:
        """The weights for `c`. A smiling mouth has further to go until it is round."""
        shown = (1 - c.press) * (1 - 0.75 * c.fv)
        opening = c.jaw * shown
        smiling = 1 - mouth.relaxed
        bite = c.teeth * (1 - c.press) * (1 - c.fv)
        sorrow = max(0.0, -c.smile)
        begun = 0.05 * min(1.0, 5 * opening)
        return cls(
            part=0.60 * (1 - c.pucker) * opening + 0.03 * bite,
            chin=0.34 * c.jaw * (1 - 0.3 * c.press),
            # Who is sad or angry does not smile, whatever the picture shows.
            narrow=(0.10 * opening + 0.08 * opening**2) * (1 - c.wide) * (1 - c.pucker) + 0.5 * smiling * sorrow,
            upper=0.07 * opening * (1 - c.pucker) + 0.11 * c.fv * (1 - c.press) + 0.07 * bite * (1 - 0.4 * c.pucker),
            lower=0.03 * c.fv * (1 - c.press) - 0.06 * bite,
            pucker=(0.46 + 0.4 * smiling) * c.pucker,
            wide=0.20 * c.wide * (1 - c.pucker),
            press=0.42 * c.press,
            smile=c.smile * (0.16 * (1 - 2.5 * smiling) if c.smile > 0 else 0.2 + 0.3 * smiling)
            - (0.07 + 0.2 * smiling) * c.pucker
            - 0.05 * opening
            # Nobody closes the lips over a broad smile and leaves the corners where they were.
            - (0.38 * smiling if mouth.is_open else 0.0),
            flat=max(0.8 * c.pucker, 0.6 * sorrow, 0.35 * (1 - c.smile) if mouth.is_open else 0.0),
            sneer=0.13 * c.sneer,
            left=0.27 * max(0.0, -c.skew),
            right=0.27 * max(0.0, c.skew),
            arch=(0.20 * opening + begun) * c.pucker,
            bowl=(0.72 * opening + 1.8 * begun) * c.pucker,
            close=1.0,
            opening=opening,
            tongue=c.tongue,
            teeth=c.teeth,
        )

    @property
    def drop(self) -> float:
        """How far the lower lip goes down in the middle, in half widths, besides the chin."""
        return self.part + self.bowl

    def weights(self) -> Floats:
        return np.array(
            [
                self.part,
                self.chin,
                self.narrow,
                self.upper,
                self.lower,
                self.pucker,
                self.wide,
                self.press,
                self.smile,
                self.flat,
                self.sneer,
                self.left,
                self.right,
                self.arch,
                self.bowl,
                self.close,
            ],
            np.float32,
        )


def _fields(mouth: Mouth, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Displacements at unit weight of what belongs to the upper and to the lower lip, at local coordinates x, y.

    Shape (fields, ..., 2), along the mouth's axes in half widths, in the order of `Shape.weights`.
    """
    zero = np.zeros_like(x)
    slit_upper, slit_lower = (np.interp(x, LINE_X, line).astype(np.float32) for line in (mouth.upper, mouth.lower))
    below, above = np.maximum(y - slit_lower, 0), np.maximum(slit_upper - y, 0)
    from_slit_u, from_slit_l = -above, below
    side = np.tanh(3 * x)
    reach = np.abs(x)
    # How far lips part along the mouth: flat in the middle, steep at the corners, so that it opens like a lens.
    lens = np.where(reach < 1, np.clip(1 - reach**2.4, 0, 1) ** 0.62, 0).astype(np.float32)
    circle = (np.clip(1 - (x / 0.8) ** 2, 0, 1) ** 0.6).astype(np.float32)
    chin = mouth.chin
    # The jaw bone: from the lower lip to the chin, fading into the neck and the cheeks.
    jaw = smoothstep(0.0, 0.95 * chin, below) * (1 - smoothstep(chin, 1.75 * chin, y))
    jaw *= 1 - smoothstep(0.9, 2.3, reach * (1 + 0.25 * np.clip(y, 0, 2)))
    corner = np.exp(-((reach - 1) ** 2 / 0.12 + y**2 / 0.18))
    gap = np.interp(x, LINE_X, mouth.gap).astype(np.float32) * (reach < 1) if mouth.is_open else zero
    meeting = mouth.upper + 0.38 * mouth.gap if mouth.is_open else mouth.upper
    level = np.float32(np.mean(meeting[np.abs(LINE_X) < 0.5])) - np.interp(x, LINE_X, meeting).astype(np.float32)
    level = level * np.exp(-((np.maximum(reach - 1, 0) / 0.35) ** 2))
    nose = min(-0.3, mouth.nose)
    # Nothing reaches the nostrils; beside the nose the cheek goes along.
    calm = 1 - np.exp(-((x / 0.75) ** 2)) * (1 - smoothstep(1.25 * nose, 0.4 * nose, y))

    def both(dx: Floats, dy_upper: Floats, dy_lower: Floats) -> tuple[Floats, Floats]:
        return np.stack([dx, dy_upper], -1), np.stack([dx, dy_lower], -1)

    ring = np.exp(-((x / 1.35) ** 2) - (y / 0.95) ** 2) * calm
    full = 0.5 * np.exp(-((x / 0.8) ** 2))
    spread = np.exp(-((x / 1.3) ** 2) - (y / 0.8) ** 2) * calm
    lift = np.exp(-((reach - 1.1) ** 2 / 0.25 + (y + 0.05) ** 2 / 0.5)) * calm
    thin = 1 - smoothstep(0.8, 1.2, reach)
    raised = np.exp(-(((reach - 0.45) / 0.45) ** 2)) * (1 - smoothstep(1.1, 1.65, -y))
    corners = smoothstep(-0.3, 0.8, -x), smoothstep(-0.3, 0.8, x)
    pairs = [
        both(zero, zero, lens * np.exp(-((below / (0.9 * chin)) ** 2))),
        both(zero, zero, jaw),
        both(-side * np.exp(-((reach - 1) ** 2 / 0.3 + y**2 / 0.5)) * calm, 0.25 * corner, 0.25 * corner),
        both(zero, -lens * np.exp(-((above / 0.55) ** 2)) * calm, zero),
        both(zero, zero, -lens * np.exp(-((below / 0.45) ** 2))),
        both(
            -x * ring,
            full * from_slit_u * np.exp(-((above / 0.5) ** 2)),
            full * from_slit_l * np.exp(-((below / 0.5) ** 2)),
        ),
        both(
            x * spread,
            -0.15 * from_slit_u * np.exp(-((above / 0.5) ** 2)) - 0.15 * corner,
            -0.15 * from_slit_l * np.exp(-((below / 0.5) ** 2)) - 0.15 * corner,
        ),
        both(
            zero,
            -from_slit_u * np.exp(-((above / 0.42) ** 2)) * thin,
            -from_slit_l * np.exp(-((below / 0.42) ** 2)) * thin,
        ),
        both(0.6 * side * lift, -lift, -lift),
        # A round mouth has no curve of a smile in the line between its lips.
        both(zero, level * np.exp(-((above / 0.6) ** 2)) * calm, level * np.exp(-((below / 0.7) ** 2))),
        # Beside the nose the upper lip rises, and what is between them; the lower lip follows.
        both(zero, -raised * np.exp(-((above / 0.9) ** 2)), -raised * np.exp(-((below / 0.4) ** 2))),
        *(both(0.5 * side * lift * one, -lift * one, -lift * one) for one in corners),
        # Lips that are pushed forward part as a circle does: what is beyond it stays closed.
        both(zero, -circle * np.exp(-((above / 0.5) ** 2)) * calm, zero),
        both(zero, zero, circle * np.exp(-((below / (0.9 * chin)) ** 2))),
        # The lower lip does most of the closing, and the chin comes along a little.
        both(
            zero,
            0.38 * gap * np.exp(-((above / 0.6) ** 2)) * calm,
            -0.62 * gap * np.exp(-((below / 0.8) ** 2)),
        ),
    ]
    upper, lower = zip(*pairs, strict=True)
    return np.stack(upper).astype(np.float32), np.stack(lower).astype(np.float32)


Motion = Floats
"""Where the nodes of a mouth's grid come from in one pose, shape (rows, columns, 7). Channels 0 to 3: from a node to
where its content came from, x and y in pixels of the picture, if it belongs to the upper lip and if to the lower.
4 and 5: how deep that content lay within the upper lip's side of the cut and within the lower lip's, in pixels drawn.
6: 1 between the corners, 0 beyond them."""


class Lips:
    """The lower face of one picture. Never changes; may be used by several threads."""

    def __init__(self, mouth: Mouth, picture: Bgr, fine: float) -> None:
        """`picture` is the portrait, `mouth` its mouth in pixels of it; `fine` are its pixels in one drawn."""
        self._mouth = mouth
        self._fine = np.float32(fine)
        self._half = np.float32(mouth.frame.half / fine)
        """Of the mouth's width, in pixels drawn."""
        self.step = max(_MIN_STEP, round(mouth.frame.half / _NODES))
        """Pixels of the picture between nodes."""
        height, width = picture.shape[:2]
        corners = mouth.frame.pixels([(x, y) for x in (-2.5, 2.5) for y in (-1.7, 1.85 * mouth.chin)])
        low = np.clip(np.floor(corners.min(0)).astype(int), 0, None)
        high = np.minimum(np.ceil(corners.max(0)).astype(int), (width, height))
        columns, rows = (high - low) // self.step
        step = self.step
        self.box = (
            int(low[0]) + step,
            int(low[1]) + step,
            int(low[0] + (columns - 1) * step),
            int(low[1] + (rows - 1) * step),
        )
        """x0, y0, x1, y1 of the part of the picture that moves. The grid has a cell more on every side."""
        # Nodes are the middles of square cells: node n is pixel (n + 0.5) · step + low − 0.5.
        self._start = (low.astype(np.float32) + np.float32(0.5 * step - 0.5)).astype(np.float32)
        nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).astype(np.float32)
        local = mouth.frame.local(nodes * np.float32(step) + self._start)
        axes = np.stack([mouth.frame.across, mouth.frame.down]) * np.float32(mouth.frame.half / step)
        # The fields end within the box, so that the part fits into its picture without a seam.
        fade = self._fade(int(columns), int(rows), (width, height))
        fields = [(f @ axes) * fade[..., None] for f in _fields(mouth, local[..., 0], local[..., 1])]
        # Both lips are traced at once, one grid below the other, apart from each other by rows that both repeat.
        guard = ((0, 0), (_GUARD, _GUARD), (0, 0), (0, 0))
        both = np.concatenate([np.pad(f, guard, mode="edge") for f in fields], axis=1)
        self._rows, self._shape = int(rows), both.shape[1:]
        self._fields = np.ascontiguousarray(both.reshape(len(both), -1), np.float32)
        self._here = np.stack(np.meshgrid(np.arange(columns), np.arange(both.shape[1])), -1).astype(np.float32)
        self._places = np.concatenate([self._known(int(columns), int(rows), low, side) for side in (-1, 1)])
        self._oral = Oral(mouth, picture)

    def _known(self, columns: int, rows: int, low: Any, side: int) -> Floats:
        """What `Motion` tells of one lip's content, of the picture at rest: depth, and whether it is between the
        corners, at `_DENSER` times the nodes, with the guard's rows."""
        place = [(np.arange(n * _DENSER, dtype=np.float32) + 0.5) / _DENSER for n in (columns, rows + 2 * _GUARD)]
        place[1] -= _GUARD
        pixels = np.stack(np.meshgrid(*place), -1) * np.float32(self.step) + low - np.float32(0.5)
        local = self._mouth.frame.local(pixels)
        x, y = local[..., 0], local[..., 1]
        line = self._mouth.upper if side < 0 else self._mouth.lower
        depth = (y - np.interp(x, LINE_X, line).astype(np.float32)) * side
        if side > 0:
            # Beyond the corners there is no cut: the lower side reaches over the upper, and both show the same.
            depth = depth + np.maximum(np.abs(x) - 1, 0)
        return np.stack([depth * self._half, smoothstep(-0.02, 0.15, 1 - np.abs(x))], -1).astype(np.float32)

    def _fade(self, columns: int, rows: int, size: tuple[int, int]) -> Floats:
        """1 inside, 0 at the box's edges where the picture goes on beyond them."""

        def ramp(count: int, start: bool, end: bool) -> Floats:
            place = np.arange(count, dtype=np.float32)
            rising = smoothstep(1, 5, place) if start else np.ones(count, np.float32)
            falling = smoothstep(1, 5, count - 1 - place) if end else np.ones(count, np.float32)
            return rising * falling

        x0, y0, x1, y1 = self.box
        step = self.step
        across = ramp(columns, x0 > step, x1 < size[0] - 2 * step)
        down = ramp(rows, y0 > step, y1 < size[1] - 2 * step)
        return np.asarray(down[:, None] * across[None], np.float32)

    def trace(self, shape: Shape) -> Motion:
        """Where everything comes from for lips of that shape."""
        field = (shape.weights() @ self._fields).reshape(self._shape)
        source = self._here - field
        for _ in range(_ROUNDS):
            source = self._here - cv2.remap(field, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        dense = source * np.float32(_DENSER)
        dense += np.float32((_DENSER - 1) / 2)
        places = cv2.remap(self._places, dense, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source -= self._here
        source *= np.float32(self.step)
        upper, lower = (slice(start, start + self._rows) for start in (_GUARD, self._rows + 3 * _GUARD))
        return np.concatenate([source[upper], source[lower], places[upper, :, :1], places[lower]], 2)

    def over(self, motion: Motion, pixels: Floats) -> Motion:
        """`motion` at other nodes, that show the picture's `pixels`, shape (h, w, 2), where the lips hold still."""
        where = pixels - self._start
        where *= np.float32(1 / self.step)
        seen = cv2.remap(motion, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, np.float32)

    def compose(self, shape: Shape, lips: tuple[Bgr, Bgr], places: Floats, view: Floats) -> Bgr:
        """A part of the drawn picture in which the lips meet. `lips`: the part as it looks if all of it is the upper
        lip's, and the lower's; `places` the last channels of `Motion`, shape (h, w, 3); `view`, 2 × 3: the part's
        pixels to the picture's."""
        over, under = lips
        over_depth, under_depth = places[..., 0], places[..., 1]
        cover = np.minimum(np.maximum(over_depth + np.float32(0.5), 0), 1)
        # The lower lip reaches a little under the upper one, so that nothing shines through where they touch.
        inside = np.minimum(np.maximum(np.float32(-0.7) - under_depth, 0), 1)
        x, y, width, height = cv2.boundingRect(((cover < 1) & (inside > 0)).view(np.uint8))
        if width:
            part = slice(y, y + height), slice(x, x + width)
            here = view.copy()
            here[:, 2] += view[:, :2] @ (x, y)
            light = self._oral.draw(here, shape, -over_depth[part] / self._half, -under_depth[part] / self._half)
            open_ = np.ascontiguousarray(inside[part])
            under[part] = cv2.blendLinear(light, np.ascontiguousarray(under[part]), open_, 1 - open_)
        seen = cv2.blendLinear(over, under, cover, 1 - cover)
        strength = self._joined(shape)
        if strength > 0:
            near = np.exp(-((np.maximum(over_depth, under_depth) / (_JOIN * self._half)) ** 2))
            near *= strength * places[..., 2]
            seen = (seen * (1 - near)[..., None]).astype(np.uint8)
        return np.asarray(seen, np.uint8)

    def reach(self, shape: Shape) -> float:
        """How deep within a lip, in pixels drawn, the other lip or what lies between them changes the picture."""
        return float(2.5 * _JOIN * self._half) if self._joined(shape) else 1.0

    def _joined(self, shape: Shape) -> float:
        """Where lips that the picture shows open are closed, the line between them: a soft shadow in which they meet.
        Its strength, 0 to 1."""
        if not self._mouth.is_open:
            return 0.0
        strength = 0.35 * (1 - eased(0.0, 0.10, shape.drop + shape.arch + shape.upper - shape.lower))
        return strength if strength > 0.01 else 0.0
