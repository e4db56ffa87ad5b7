"""The lower face of a portrait in motion: lips that part, round, spread and press, a chin that follows.

Every motion is a smooth field over the picture, linear in the coefficients, one for what belongs to the upper lip and
one for what belongs to the lower. The two agree everywhere but between the corners, where the mouth is cut along the
line between the lips. A picture is drawn by asking, for each pixel, where it came from under either field (the inverse,
found by fixed-point iteration on a coarse grid); what lies beyond both lips is the inside of the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import LINE_X, Floats, Mouth, smoothstep
from .coefficients import Coefficients
from .oral import Oral
from .scratch import Scratch

Bgr = npt.NDArray[np.uint8]

_NODES = 10
"""Grid nodes in a half width: closer ones change nothing that is seen."""
_MIN_STEP = 5
"""Pixels between nodes at least: small pictures need fewer."""
_ROUNDS = 5
"""Of the fixed-point iteration. Each leaves a third of the error; the first error is at most one half width."""


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
        return cls(
            part=(0.60 + 0.25 * c.pucker) * opening + 0.03 * bite,
            chin=0.34 * c.jaw * (1 - 0.3 * c.press),
            narrow=(0.10 * opening + 0.08 * opening**2) * (1 - c.wide) * (1 - c.pucker),
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
            flat=0.8 * c.pucker,
            close=1.0,
            opening=opening,
            tongue=c.tongue,
            teeth=c.teeth,
        )

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
        # The lower lip does most of the closing, and the chin comes along a little.
        both(
            zero,
            0.38 * gap * np.exp(-((above / 0.6) ** 2)) * calm,
            -0.62 * gap * np.exp(-((below / 0.8) ** 2)),
        ),
    ]
    upper, lower = zip(*pairs, strict=True)
    return np.stack(upper).astype(np.float32), np.stack(lower).astype(np.float32)


def _inverse(field: Floats, here: Floats) -> Floats:
    """Where each node's content came from, in nodes, for a displacement `field` of shape (h, w, 2) in nodes; `here`
    are the nodes' own coordinates."""
    source = here - field
    for _ in range(_ROUNDS):
        source = here - cv2.remap(field, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(source, np.float32)


class Lips:
    """The lower face of one picture. Never changes; `draw` may be called from several threads."""

    def __init__(self, mouth: Mouth, picture: Bgr) -> None:
        """`picture` is the portrait, `mouth` its mouth in pixels of it."""
        self._mouth = mouth
        self._picture = picture
        self._step = max(_MIN_STEP, round(mouth.frame.half / _NODES))
        height, width = picture.shape[:2]
        corners = mouth.frame.pixels([(x, y) for x in (-2.5, 2.5) for y in (-1.7, 1.85 * mouth.chin)])
        low = np.clip(np.floor(corners.min(0)).astype(int), 0, None)
        high = np.minimum(np.ceil(corners.max(0)).astype(int), (width, height))
        columns, rows = (high - low) // self._step
        step = self._step
        self._corner = low.astype(np.float32)
        self.box = (
            int(low[0]) + step,
            int(low[1]) + step,
            int(low[0] + (columns - 1) * step),
            int(low[1] + (rows - 1) * step),
        )
        """x0, y0, x1, y1 of the part of the picture that moves. The grid has a cell more on every side."""
        nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).astype(np.float32)
        self._here = nodes
        self._local = mouth.frame.local(self._pixels(nodes))
        upper, lower = _fields(mouth, self._local[..., 0], self._local[..., 1])
        axes = np.stack([mouth.frame.across, mouth.frame.down]) * np.float32(mouth.frame.half / self._step)
        # The fields end within the box, so that the part fits into its picture without a seam.
        fade = self._fade(int(columns), int(rows), (width, height))
        self._fields = np.stack([(f @ axes) * fade[..., None] for f in (upper, lower)])
        self._shape = (2, int(rows), int(columns), 2)
        self._fields = self._fields.reshape(2, len(upper), -1)
        self._oral = Oral(mouth, picture)

    def _pixels(self, nodes: Floats) -> Floats:
        """Pixels of the picture at node coordinates: nodes are the middles of square cells."""
        return np.asarray((nodes + np.float32(0.5)) * np.float32(self._step) + self._corner - np.float32(0.5))

    def _fade(self, columns: int, rows: int, size: tuple[int, int]) -> Floats:
        """1 inside, 0 at the box's edges where the picture goes on beyond them."""

        def ramp(count: int, start: bool, end: bool) -> Floats:
            place = np.arange(count, dtype=np.float32)
            rising = smoothstep(1, 5, place) if start else np.ones(count, np.float32)
            falling = smoothstep(1, 5, count - 1 - place) if end else np.ones(count, np.float32)
            return rising * falling

        x0, y0, x1, y1 = self.box
        step = self._step
        across = ramp(columns, x0 > step, x1 < size[0] - 2 * step)
        down = ramp(rows, y0 > step, y1 < size[1] - 2 * step)
        return np.asarray(down[:, None] * across[None], np.float32)

    def draw(self, shape: Shape, scratch: Scratch) -> Bgr:
        """What the picture's `box` shows, in `scratch`."""
        upper_field, lower_field = (shape.weights() @ f for f in self._fields)
        upper, upper_depth, cut = self._traced(upper_field.reshape(self._shape[1:]), self._mouth.upper, -1)
        lower, lower_depth, _ = self._traced(lower_field.reshape(self._shape[1:]), self._mouth.lower, 1)
        # Above the first of these rows of nodes all is the upper lip's side, below the last all is the lower's.
        # (A chin at the picture's edge may leave no row below.)
        crossed = np.flatnonzero((upper_depth < 2).any(1)), np.flatnonzero((lower_depth < 2).any(1))
        first = max(0, int(crossed[0][0]) - 2) if len(crossed[0]) else len(lower) - 1
        last = min(len(lower), int(crossed[1][-1]) + 3) if len(crossed[1]) else first + 1
        step = self._step
        whole = scratch.take("lips", (self._shape[1] * step, self._shape[2] * step, 3), np.uint8)
        y0, y1 = first * step, last * step
        self._see(upper, (0, first), whole[:y0], scratch)
        self._see(lower, (last, len(lower)), whole[y1:], scratch)
        # Between them both lips, and what is seen between those.
        rows = first, last
        over, under = (scratch.take(name, (y1 - y0, *whole.shape[1:]), np.uint8) for name in ("upper lip", "lower lip"))
        self._see(upper, rows, over, scratch)
        self._see(lower, rows, under, scratch)
        over_depth = self._fine(upper_depth, rows, "upper depth", scratch)
        under_depth = self._fine(lower_depth, rows, "lower depth", scratch)
        cover = np.clip(over_depth + 0.5, 0, 1)
        # The lower lip reaches a little under the upper one, so that nothing shines through where they touch.
        inside = 1 - np.clip(under_depth + 1.7, 0, 1)
        if self._mouth.is_open:
            self._join(shape, over, over_depth, cut[first:last])
            self._join(shape, under, under_depth, cut[first:last])
        hole = (1 - cover) * inside
        xs, ys = np.flatnonzero(hole.any(0)), np.flatnonzero(hole.any(1))
        if len(xs):
            part = slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1)
            corner = (int(self._corner[0] + xs[0]), int(self._corner[1] + y0 + ys[0]))
            light = self._oral.draw(corner, shape, -over_depth[part], -under_depth[part])
            open_ = np.ascontiguousarray(inside[part])
            under[part] = cv2.blendLinear(light, np.ascontiguousarray(under[part]), open_, 1 - open_)
        cv2.blendLinear(over, under, cover, 1 - cover, dst=whole[y0:y1])
        return whole[step:-step, step:-step]

    def _traced(self, field: Floats, line: Floats, side: int) -> tuple[Floats, Floats, Floats]:
        """Where the nodes' content came from, in pixels of the picture; how deep it lay within its lip's side of the
        cut, in pixels; and how far from the corners, inwards, in half widths."""
        source = _inverse(field, self._here)
        local = cv2.remap(self._local, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        x, y = local[..., 0], local[..., 1]
        depth = (y - np.interp(x, LINE_X, line).astype(np.float32)) * side
        if side > 0:
            # Beyond the corners there is no cut: the lower side reaches over the upper, and both show the same.
            depth = depth + np.maximum(np.abs(x) - 1, 0)
        return self._pixels(source), depth * np.float32(self._mouth.frame.half), 1 - np.abs(x)

    def _fine(self, nodes: Floats, rows: tuple[int, int], name: str, scratch: Scratch) -> Floats:
        """Values of the nodes in `rows` (first, one past the last) at full resolution."""
        # With a row of nodes more on either side: a row's pixels lie between it and the next.
        low, high = max(0, rows[0] - 1), min(len(nodes), rows[1] + 1)
        step = self._step
        full = scratch.take(name, ((high - low) * step, nodes.shape[1] * step, *nodes.shape[2:]), np.float32)
        cv2.resize(nodes[low:high], full.shape[1::-1], dst=full, interpolation=cv2.INTER_LINEAR)
        return full[(rows[0] - low) * step : (rows[1] - low) * step]

    def _see(self, sources: Floats, rows: tuple[int, int], into: Bgr, scratch: Scratch) -> None:
        """Draws the picture where it came from `sources`."""
        if rows[0] < rows[1]:
            where = self._fine(sources, rows, "lips' sources", scratch)
            cv2.remap(self._picture, where, None, cv2.INTER_LINEAR, dst=into, borderMode=cv2.BORDER_REPLICATE)

    def _join(self, shape: Shape, lip: Bgr, depth: Floats, cut: Floats) -> None:
        """Where lips that the picture shows open are closed, the line between them: a soft shadow in which they meet.
        `cut` is how far a node's content lay from the corners, inwards."""
        apart = shape.part + shape.upper - shape.lower
        strength = 0.35 * (1 - float(smoothstep(0.0, 0.10, apart)))
        if strength > 0.01:
            near = np.exp(-((depth / (0.03 * np.float32(self._mouth.frame.half))) ** 2))
            near *= cv2.resize(smoothstep(-0.02, 0.15, cut), depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
            lip[:] = lip * (1 - strength * near)[..., None]
