"""The eyes, brows and mouth of a built-in character, drawn from coefficients in drawing units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .canvas import Box, Canvas, Points, bezier, lowered
from .cast import Brows, Eyes, Mouth

IRIS_RINGS = 12
"""Steps that the iris' glow is drawn in: more are not seen."""


def _mix(a: str, b: str, share: float) -> str:
    """Colour `a` with `share` of `b`."""
    mixed = (round(int(a[i : i + 2], 16) * (1 - share) + int(b[i : i + 2], 16) * share) for i in (1, 3, 5))
    return "#" + "".join(f"{v:02x}" for v in mixed)


class EyeArt:
    """One eye with its brow."""

    TRAVEL = (44.0, 9.0, 6.0, 9.0)
    """Units that the lid, the iris (x, y) and the brow go with their coefficients."""

    def __init__(self, eyes: Eyes, brows: Brows, *, left: bool) -> None:
        self._eyes = eyes
        self._centre = np.array(eyes.left if left else eyes.right)
        self._ear = np.array([-1.0 if left else 1.0, 1.0])
        """Turns offsets that point towards the ear into the picture's."""
        self._upper = self._place(bezier(eyes.upper, 24))
        first, second = eyes.lower
        self._lower = self._place(np.concatenate([bezier(first, 12), bezier(second, 13)[1:]]))
        self._crease = self._place(bezier(eyes.crease, 16))
        self._under = self._place(bezier(eyes.under, 14))
        tail = brows.bottom[3], brows.top[0]
        end = (tail[0], (tail[0][0] - 6, tail[0][1]), (tail[1][0] - 6, tail[1][1] - 1), tail[1])
        self._brow = self._place(np.concatenate([bezier(brows.top, 16), bezier(brows.bottom, 16), bezier(end, 6)]))
        self._brow_colour = brows.colour
        t = np.linspace(0.0, 1.0, 24)
        # A shut lid rests a little above the lower lid's curve.
        self._shut = np.stack([0.5 * self._upper[:, 0] + 0.5 * self._lower[:, 0], self._lower[:, 1]], axis=1)
        self._shut[:, 1] -= 4 * np.sin(np.pi * t)
        self._lash = (1.2 + (eyes.lash - 1.2) * np.sin(np.pi * (0.74 * t + 0.08)))[:, None]

    def _place(self, offsets: Points) -> Points:
        return np.asarray(offsets * self._ear + self._centre)

    @property
    def box(self) -> Box:
        points = np.concatenate([self._upper, self._lower, self._crease, self._brow])
        x0, y0 = points.min(axis=0) - 14
        x1, y1 = points.max(axis=0) + 14
        return x0, y0, x1, y1

    def draw(self, canvas: Canvas, pose: Sequence[float]) -> None:
        """`pose`: blink, gaze x and y, brow, as in `Coefficients`."""
        closed, gaze_x, gaze_y, brow = pose
        eyes, ear = self._eyes, self._ear[0]
        x, y = self._centre
        # The upper lid follows the gaze down and up, as lids do.
        # Scaled so that lids nearly shut are shut: no sliver of the iris is left below them.
        blink = float(np.clip(1.08 * closed + 0.16 * gaze_y * (1 - closed), -0.12, 1.0))
        lid = self._upper * (1 - blink) + self._shut * blink
        low = lowered(self._lower, -2.5 * max(0.0, blink))
        if blink < 0.97:
            ball = canvas.like()
            opening = np.concatenate([lid, low[::-1]])
            ball.fill(opening, "#fbf7f2")
            cx, cy = x + 9 * gaze_x, y - 1 + 6 * gaze_y + 2 * max(0.0, blink)
            glow, middle, rim = eyes.iris_colours
            ball.circle((cx, cy), eyes.iris + 1.2, rim)
            for i in range(IRIS_RINGS):
                share = i / (IRIS_RINGS - 1)
                colour = _mix(rim, middle, 2 * share) if share < 0.5 else _mix(middle, glow, 2 * share - 1)
                ball.circle((cx, cy + 7 * share), eyes.iris * (0.97 - 0.62 * share), colour)
            ball.circle((cx, cy), eyes.pupil, "#14232a")
            ball.tint(np.concatenate([lowered(lid, -8), lowered(lid, 11)[::-1]]), "#5b3a38", 0.36)
            shine = 1 - min(1.0, max(0.0, blink) / 0.75)
            if shine > 0.05:
                ball.circle((cx - 7, cy - 8), 6 * shine**0.5, "#ffffff")
                ball.circle((cx + 8, cy + 9), 3 * shine**0.5, "#f4f8f8")
            canvas.inside(opening, ball)
        if blink > 0.02:
            canvas.fill(np.concatenate([lowered(self._upper, -2), lid[::-1]]), eyes.lid_colour)
        canvas.line(self._under, _mix(eyes.line_colour, eyes.lid_colour, 0.45), 0.85 * eyes.line_width)
        canvas.line(
            lowered(self._crease, 6 * max(0.0, blink)), _mix(eyes.line_colour, eyes.lid_colour, 0.2), eyes.line_width
        )
        top = lid - np.concatenate([np.zeros_like(self._lash), self._lash * (1 - 0.42 * max(0.0, blink))], axis=1)
        band = [top]
        if eyes.wing:
            outer = lid[-1]
            band.append(
                outer + np.array([[ear * 8 * eyes.wing, -12 * eyes.wing + 15 * max(0.0, blink)], [ear * 1.0, 4.0]])
            )
        band.append(lowered(lid, 1.2)[::-1])
        canvas.fill(np.concatenate(band), eyes.lash_colour)
        canvas.fill(lowered(self._brow, -9 * brow), self._brow_colour)


@dataclass(frozen=True, slots=True)
class MouthPose:
    jaw: float
    wide: float
    pucker: float
    press: float
    fv: float
    tongue: float
    teeth: float
    smile: float


class MouthArt:
    """The mouth: lips, cavity, tongue and teeth. The upper teeth belong to the skull and never move."""

    POINTS = 41
    TRAVEL = (48.0, 8.0, 22.0, 16.0, 16.0, 15.0, 14.0, 8.0)
    """Units that the lips go with each field of `MouthPose`."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth
        self._s = np.linspace(-1.0, 1.0, self.POINTS)
        a = np.abs(self._s)
        self._arch = 1 - self._s**2
        bow = (0.62 + 0.38 * np.exp(-(((a - 0.2) / 0.2) ** 2))) * np.clip(1 - a**1.7, 0, 1)
        self._upper_lip = bow - mouth.cupid * np.exp(-((self._s / 0.1) ** 2))
        self._lower_lip = np.clip(1 - a**2.6, 0, 1) ** 0.66
        self._ring = np.clip(1 - a**2.2, 0, 1) ** 0.5

    @property
    def box(self) -> Box:
        x, y = self._mouth.centre
        w = 1.3 * self._mouth.half_width + 10
        return x - w, y - self._mouth.upper - 26, x + w, y + self._mouth.drop + self._mouth.lower + 22

    def draw(self, canvas: Canvas, values: Sequence[float]) -> None:
        """`values`: as the fields of `MouthPose`."""
        pose = MouthPose(*values)
        m, s = self._mouth, self._s
        cx, cy = m.centre
        free = 1 - pose.press
        opening = pose.jaw * free * (1 - 0.7 * pose.fv)
        width = m.half_width * (
            1 + 0.15 * pose.wide + 0.08 * pose.smile - 0.40 * pose.pucker - 0.13 * opening * (1 - pose.wide)
        )
        bared = pose.teeth * free * (1 - 0.5 * pose.pucker)
        # Rounded lips open evenly up and down, spread ones by the jaw alone.
        gap = m.drop * opening * (1 - 0.15 * pose.pucker) + 12.5 * bared + 5.5 * pose.fv * free + 4 * pose.pucker * free
        raised = 0.08 + 0.32 * pose.pucker + 0.35 * bared * (1 - opening) + 0.4 * pose.fv * (1 - opening)
        up = gap * raised
        down = gap - up
        flat = 1 - 0.75 * pose.pucker
        lift = (5.5 if pose.smile > 0 else 9.0) * pose.smile
        corner = cy - m.sag * flat - lift + 3.5 * opening + 1.5 * pose.pucker
        sag = m.sag * flat + lift - 2.0 * opening
        slit = corner + sag * self._arch
        # The bow of the closed line flattens as the mouth opens.
        slit = slit - 2 * np.exp(-((s / 0.12) ** 2)) * (1 - min(1.0, gap / 8))
        # From a lens when nearly shut to a round opening: sharp corners on a wide mouth look like a beak.
        power = 2.1 + 0.4 * opening + 0.5 * pose.pucker
        parting = np.clip(1 - np.abs(s) ** power, 0, 1) ** (0.66 - 0.12 * opening - 0.14 * pose.pucker)
        x = cx + width * s
        upper_in = np.stack([x, slit - up * parting], axis=1)
        lower_in = np.stack([x, slit + down * parting], axis=1)
        high = m.upper * (1 + 0.12 * pose.pucker) * (1 - 0.45 * pose.press) * (1 - 0.2 * opening)
        # Rounded lips are of one thickness all around.
        upper = high * (self._upper_lip * (1 - 0.6 * pose.pucker) + 0.6 * pose.pucker * 0.86 * self._ring)
        low = m.lower * (1 - 0.06 * pose.pucker) * (1 - 0.42 * pose.press) * (1 - 0.22 * opening)
        lower = (
            low
            * (1 - 0.4 * pose.fv)
            * (self._lower_lip * (1 - 0.6 * pose.pucker) + 0.6 * pose.pucker * 0.9 * self._ring)
        )
        x_out = x + 3.5 * pose.pucker * s
        upper_out = np.stack([x_out, upper_in[:, 1] - upper], axis=1)
        lower_out = np.stack([x_out, lower_in[:, 1] + lower], axis=1)
        # The lips' outer rims meet in one point at the corners, so no notch shows.
        canvas.fill(np.concatenate([upper_out, lower_out[::-1]]), m.lower_colour)
        canvas.fill(np.concatenate([upper_out, upper_in[::-1]]), m.upper_colour)
        self._shine(canvas, lower_in, lower)
        if gap > 0.8:
            inner = canvas.like()
            self._inside(inner, pose, upper_in, width=width, opening=opening, down=down, bared=bared)
            canvas.inside(np.concatenate([upper_in, lower_in[::-1]]), inner)
        if gap < 5:
            canvas.line((upper_in + lower_in) / 2, m.line_colour, m.line_width * (1 - 0.12 * gap))
        for end, side in ((0, -1.0), (-1, 1.0)):
            tip = upper_in[end]
            length = 5 - 3 * min(1.0, 1.6 * opening) - 4.5 * pose.pucker
            if length < 1:
                continue
            crease = np.stack([tip - [3 * side, -0.6], tip, tip + np.array([side, -0.55 - 0.4 * pose.smile]) * length])
            canvas.line(crease, m.line_colour, m.line_width)

    def _shine(self, canvas: Canvas, lower_in: Points, lower: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        middle = np.abs(self._s) < 0.42
        rest = lower_in[middle] + np.stack([np.zeros(middle.sum()), 0.42 * lower[middle]], axis=1)
        swell = 0.26 * lower[middle] * (1 - (self._s[middle] / 0.42) ** 2)
        canvas.fill(
            np.concatenate([rest, (rest + np.stack([np.zeros_like(swell), swell], axis=1))[::-1]]),
            self._mouth.shine_colour,
        )

    def _inside(
        self,
        canvas: Canvas,
        pose: MouthPose,
        upper_in: Points,
        *,
        width: float,
        opening: float,
        down: float,
        bared: float,
    ) -> None:
        cx, cy = self._mouth.centre
        canvas.pixels[:] = (38, 26, 82, 255)
        around = np.linspace(0, 2 * np.pi, 32)
        ring = np.stack([np.cos(around), np.sin(around)], axis=1)
        floor = cy + 1 + 0.92 * down
        tongue_y = floor + 8 - 6 * pose.tongue - 2 * opening + 7 * pose.pucker
        canvas.fill(ring * [0.66 * width, 14] + [cx, tongue_y], "#d0696a")
        canvas.fill(ring * [0.34 * width, 5] + [cx, tongue_y - 4.5], "#dd8480")
        q = np.linspace(-1.0, 1.0, 25)
        if opening < 0.75 and pose.tongue < 0.6 and pose.pucker < 0.5:
            edge = np.stack([cx + 0.7 * width * q, floor + 1.5 - 5.5 * (1 - q**2) * bared + 6 * opening], axis=1)
            canvas.fill(np.concatenate([edge, lowered(edge, 20)[::-1]]), "#ebe1da")
        # Rounded lips hide the teeth.
        shown = 1 - min(1.0, pose.pucker * 1.4) * (1 - 0.8 * bared)
        half = min(0.95 * width, 44.0)
        bite = cy + (9.0 * shown - 9.0 * (1 - shown)) * (1 - 0.5 * q**4) - 5 * q**2
        teeth = np.stack([cx + half * q, bite], axis=1)
        canvas.fill(np.concatenate([lowered(teeth, -34), teeth[::-1]]), "#fbf6f1")
        if bared > 0.4:
            canvas.line(teeth, "#d9cac2", 1.3 * min(1.0, 3 * bared - 1.2))
        if pose.tongue > 0.3:
            tip = cy + 9.0 + 12 * (1 - pose.tongue)
            canvas.fill(ring * [0.42 * width, 7] + [cx, tip + 2], "#dd7b78")
            canvas.fill(ring * [0.22 * width, 2.2] + [cx, tip - 1], "#e99a94")
        canvas.tint(np.concatenate([lowered(upper_in, -5), lowered(upper_in, 3)[::-1]]), "#6e323c", 0.40)
