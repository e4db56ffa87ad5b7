"""The inside of a portrait's mouth: cavity, tongue and teeth, seen through the lips.

The upper teeth are fixed to the skull and never move in the picture of a face that holds still; the lower ones and the
tongue go with the jaw. Where the portrait shows its own teeth they are used as they are: no drawn ones fit as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import Mouth
from .frame import LINE_X, Floats, eased, smoothstep

if TYPE_CHECKING:
    from .lips import Shape

Bgr = npt.NDArray[np.uint8]
Layer = npt.NDArray[np.float32]
"""Premultiplied BGRA, shape (h, w, 4), 0 to 255 and alpha 0 to 1."""

OWN_TEETH: Final = 0.22
"""Gap in half widths from which the portrait's own mouth shows enough of the teeth to use them."""
_WIDE_OPEN: Final = 0.55
"""Gap from which lower teeth and tongue show too: those must go with the jaw."""
_TEETH_TINT: Final = 0.75
"""Colour of what is seen between open lips, as a share of the skin's, up to which it is teeth. Between lips taken for
open because they are drawn as a thick line, or because a beard's edge was taken for a lip, is more skin."""
_BEARD: Final = 0.6
"""Brightness of the chin, as a share of the cheeks', below which it is not the skin that says how the face is lit."""
_UPPER_TEETH: Final = (0.33, 0.25, 0.21, 0.15, 0.11)
"""Widths from the middle outwards in half widths of the mouth: central incisors of 8.5 mm in a mouth 52 mm wide, the
ones behind foreshortened."""
_LOWER_TEETH: Final = (0.21, 0.22, 0.2, 0.15, 0.1)
_BOX: Final = (-1.12, -0.6, 1.12, 1.25)
"""Local coordinates of all that can ever be seen through the lips."""


class Oral:
    """The inside of one mouth. Never changes."""

    def __init__(self, mouth: Mouth, picture: Bgr) -> None:
        frame = mouth.frame
        self._half = np.float32(frame.half)
        self._across, self._down, self._centre = frame.across, frame.down, frame.centre
        corners = frame.pixels([(x, y) for x in (_BOX[0], _BOX[2]) for y in (_BOX[1], _BOX[3])])
        low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        self._origin = low.astype(np.float64)
        width, height = int(high[0] - low[0]), int(high[1] - low[1])
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32) + low
        local = frame.local(grid)
        self._x, self._y = np.ascontiguousarray(local[..., 0]), np.ascontiguousarray(local[..., 1])
        middle = slice(len(LINE_X) * 2 // 5, len(LINE_X) * 3 // 5)
        self._top, self._bottom = float(mouth.upper[middle].mean()), float(mouth.lower[middle].mean())
        """Y of the lips' edges in the middle, lips as in the picture."""
        bend_up, bend_down = (
            np.interp(self._x, LINE_X, line - line[middle].mean()).astype(np.float32)
            for line in (mouth.upper, mouth.lower)
        )
        skin, lip = _colours(mouth, picture)
        light = float(np.clip(1.35 * skin.mean() / 215, 0.35, 1.0))
        """How brightly the face is lit: the inside of its mouth no less and no more."""
        # What tints the skin tints the teeth, if less: compared with skin in white light.
        tint = np.clip(skin / max(1.0, float(skin.mean())) / np.array([0.78, 0.95, 1.27], np.float32), 0.6, 1.6)
        self._ivory = np.array([196, 218, 232], np.float32) * np.float32(light) * tint**0.3
        self._cavity = np.array([32, 24, 58], np.float32) * light
        self._gap = float(mouth.gap.max()) if mouth.is_open else 0.0
        self._own_lower: Layer | None = None
        own = self._own(mouth, picture, skin) if self._gap >= OWN_TEETH else None
        if own is not None:
            self._upper, self._own_lower = own
        else:
            edge = self._top + 0.09 + 0.6 * bend_up - 0.05 * self._x**2
            self._upper = self._row(_UPPER_TEETH, edge, 0.42, 1)
        edge = self._bottom + 0.5 * bend_down + 0.04 * self._x**2
        self._lower = self._row(_LOWER_TEETH, edge, 0.35, -1)
        self._lower[..., :3] *= 0.86
        self._tongue = self._mound(np.array([92, 86, 178], np.float32) * light * 0.7 + lip * 0.3)

    def _row(self, widths: tuple[float, ...], edge: Floats, height: float, side: int) -> Layer:
        """A row of teeth whose biting edges lie at `edge`; `side` is 1 where they hang down from it, else -1."""
        away = (edge - self._y) * side  # from the biting edge towards the gum
        soft = 1.2 / self._half
        reach = np.abs(self._x)
        borders = np.concatenate([[0.0], np.cumsum(widths)]).astype(np.float32)
        index = np.clip(np.searchsorted(borders, reach) - 1, 0, len(widths) - 1)
        across = (reach - borders[index]) / np.array(widths, np.float32)[index] * 2 - 1
        # Each tooth: corners rounded off at the biting edge, a fine shadow where it meets the next.
        rounded = away - 0.045 * np.abs(across) ** 4
        alpha = smoothstep(-soft, soft, rounded) * smoothstep(-soft, soft, borders[-1] - reach)
        alpha *= smoothstep(0, 0.1, height - away)
        shade = 1 - 0.20 * smoothstep(1 - 0.1 / np.array(widths, np.float32)[index], 1.0, np.abs(across))
        shade *= 0.90 + 0.10 * np.cos(across * 1.2)
        # The row bends back around the jaw into the dark of the cheeks.
        shade *= 1 - 0.55 * smoothstep(0.35, 1.0, reach)
        # Translucent at the edge, warmer and darker towards the gum.
        shade *= 0.93 + 0.07 * smoothstep(0, 0.07, away)
        gum = smoothstep(0.18, 0.42, away)[..., None]
        colour = self._ivory * (1 - gum) + self._ivory * np.array([0.72, 0.74, 0.88], np.float32) * gum
        return np.dstack([colour * (shade * alpha)[..., None], alpha]).astype(np.float32)

    def _mound(self, colour: Floats) -> Layer:
        """The tongue, its highest point at Y 0."""
        radius = np.sqrt((self._x / 0.66) ** 2 + ((self._y - 0.36) / 0.36) ** 2)
        alpha = smoothstep(-1.5, 1.5, (1 - radius) * self._half * 0.36)
        shade = 0.70 + 0.34 * np.exp(-((self._x / 0.42) ** 2) - ((self._y - 0.13) / 0.15) ** 2)
        shade *= 1 - 0.16 * np.exp(-((self._x / 0.05) ** 2)) * smoothstep(0.02, 0.12, self._y)
        return np.dstack([colour * (shade * alpha)[..., None], alpha]).astype(np.float32)

    def _own(self, mouth: Mouth, picture: Bgr, skin: Floats) -> tuple[Layer, Layer | None] | None:
        """What the portrait shows between its lips: what stays with the skull, and what goes with the jaw. None where
        those are no teeth."""
        height, width = self._x.shape
        shift = np.column_stack([np.eye(2), self._origin])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(picture, shift, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        upper, lower = (np.interp(self._x, LINE_X, line).astype(np.float32) for line in (mouth.upper, mouth.lower))
        soft = 1.5 / self._half
        # A little more than the hole, up where the lip never leaves again what it hides, and a little less below,
        # where the lip's own edge must not stay behind on the teeth.
        alpha = smoothstep(-soft, soft, self._y - upper + 0.02) * smoothstep(-soft, soft, lower - self._y - 0.035)
        alpha *= np.abs(self._x) < 1
        bright = seen[alpha > 0.9]
        if len(bright):
            best = np.percentile(bright.reshape(-1, 3), 80, axis=0)
            if best.mean() < skin.mean() and _tint(best) > _TEETH_TINT * _tint(skin) + 3:
                return None
            # The teeth that have to be drawn match those that are there.
            own = np.percentile(bright.reshape(-1, 3), 80, axis=0).astype(np.float32)
            self._ivory = own if own.mean() > 0.5 * self._ivory.mean() else self._ivory
        jaw = np.zeros_like(alpha)
        if self._gap > _WIDE_OPEN:
            # The dark between the rows lies at about two fifths of the gap.
            jaw = alpha * smoothstep(-0.05, 0.05, self._y - (0.58 * upper + 0.42 * lower))
        layers = [np.dstack([seen * a[..., None], a]).astype(np.float32) for a in (alpha - jaw, jaw)]
        return layers[0], layers[1] if self._gap > _WIDE_OPEN else None

    def draw(self, view: Floats, shape: Shape, under: Floats, over: Floats) -> Bgr:
        """The inside as seen by a part of a drawn picture; `view`, 2 × 3, takes its pixels to the picture's. The edges
        of the lips are `under` half widths above and `over` half widths below each pixel; both of the part's shape."""
        height, width = under.shape
        size = width, height
        opening = shape.opening
        drop = shape.drop - 0.62 * self._gap * shape.close
        shadow = (0.45 + 0.55 * smoothstep(0.0, 0.20, under)) * (0.70 + 0.30 * smoothstep(0.0, 0.10, over))
        shadow *= 0.55 + 0.45 * eased(0.0, 0.35, opening)
        light = np.empty((height, width, 3), np.float32)
        light[:] = self._cavity
        # Lips pushed forward hide the teeth, unless the teeth are what is being shown, as in "sh".
        shown = np.float32(max(1 - 0.93 * min(1.0, 2.2 * shape.pucker), 0.95 * shape.teeth))
        rise = self._bottom + drop - 0.12 - 0.16 * eased(0.2, 0.8, opening)
        rise += min(0.0, self._top + 0.06 - rise) * min(1.0, shape.tongue)
        _lay(light, self._moved(self._tongue, rise, view, size))
        if self._own_lower is not None:
            _lay(light, self._moved(self._own_lower, drop, view, size))
        else:
            peek = drop + 0.03 - 0.10 * eased(0.15, 0.6, opening) - 0.03 * shape.teeth
            _lay(light, self._moved(self._lower, peek, view, size) * shown)
        light *= np.maximum(shadow * (0.6 + 0.4 * shown), 0.42)[..., None]
        teeth = self._moved(self._upper, 0.0, view, size)
        teeth[..., :3] *= (0.60 + 0.40 * smoothstep(-0.02, 0.09, under))[..., None]
        _lay(light, teeth * shown)
        # The corners lie deep.
        along = self._across @ view / self._half
        start = float(along[2] - self._across @ self._centre / self._half)
        x = along[0] * np.arange(width, dtype=np.float32) + (along[1] * np.arange(height) + start)[:, None]
        light *= (1 - 0.45 * smoothstep(0.6, 1.1, np.abs(x)))[..., None]
        return np.clip(light, 0, 255).astype(np.uint8)

    def _moved(self, layer: Layer, y: float, view: Floats, size: tuple[int, int]) -> Layer:
        """`layer` as seen by `view`, after it went down by `y` half widths."""
        shift = view.copy()
        shift[:, 2] -= self._origin + self._down * self._half * np.float32(y)
        return np.asarray(cv2.warpAffine(layer, shift, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float32)


def _tint(colour: npt.ArrayLike) -> float:
    """How far a BGR colour is from grey, in CIELAB."""
    lab = cv2.cvtColor(np.asarray(colour, np.float32).reshape(1, 1, 3) / np.float32(255), cv2.COLOR_BGR2LAB)
    return float(np.hypot(*lab[0, 0, 1:]))


def _lay(below: Floats, layer: Layer) -> None:
    below *= 1 - layer[..., 3:]
    below += layer[..., :3]


def _colours(mouth: Mouth, picture: Bgr) -> tuple[Floats, Floats]:
    """Median colour of the skin beside and below the mouth, and of the lips."""
    per_unit = 24.0
    box = (-1.6, -0.9, 1.6, 1.4)
    seen = mouth.frame.unrolled(picture, box, per_unit)
    height, width = seen.shape[:2]
    x = box[0] + (np.arange(width, dtype=np.float32) + 0.5) / per_unit
    y = (box[1] + (np.arange(height, dtype=np.float32) + 0.5) / per_unit)[:, None]
    upper, lower, top, bottom = (
        np.interp(x, LINE_X, line)[None] for line in (mouth.upper, mouth.lower, mouth.upper_outer, mouth.lower_outer)
    )
    within = (np.abs(x) < 0.8)[None]
    lips = within & (((y > top + 0.06) & (y < upper - 0.04)) | ((y > lower + 0.06) & (y < bottom - 0.06)))
    chin = (y > bottom + 0.2) & (y < 1.2) & (np.abs(x) < 1.2)[None]
    cheeks = (y < -0.25) & (np.abs(x) > 0.95)[None]
    found = [np.median(seen[m], axis=0) if m.any() else seen.mean((0, 1)) for m in (chin, cheeks, lips)]
    # A chin far darker than the cheeks is a beard.
    skin = found[1] if found[0].mean() < _BEARD * found[1].mean() else found[0]
    return skin.astype(np.float32), found[2].astype(np.float32)
