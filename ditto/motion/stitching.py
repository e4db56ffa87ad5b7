"""From a motion vector to the key points that a picture is warped by (§6): driving and source mixed, eyes, controls.

A performance's part in it is `StitchState`, a value; `Stitching` is the constant part. The order of the steps, and what
each does to logits or to degrees, is the published one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..source import Source
from .vector import ANGLES, POINTS, Array, Info, degrees, transform

LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)
"""Points of the expression."""
ALL_KEYS = ("exp", "pitch", "yaw", "roll", "t")

Stitch = Callable[[Array, Array], Array]
"""The stitching network: key points of source and driving [b,21,3] → driving, made to fit the shoulders."""
Controls = Mapping[str, Any]


def _mask(points: tuple[int, ...]) -> Array:
    mask = np.zeros((POINTS, 3), np.float32)
    mask[list(points)] = 1
    return mask.reshape(1, -1)


@dataclass(frozen=True, slots=True)
class StitchState:
    """What a performance remembers from frame to frame."""

    first: Info | None = None
    """The frame that motion is relative to (d0)."""
    fade_to: Info | None = None
    gaze_from: tuple[float, float] | None = None
    """Yaw and pitch of the source in degrees, from which the gaze is made up for."""
    count: int = 0


@dataclass(frozen=True)
class Stitching:
    """How driving motion is put on a source. Defaults are the published code's."""

    source: Source
    stitch: Stitch | None = None
    """None: key points are left as they come."""
    keys: Mapping[str, float] | tuple[str, ...] | None = None
    """Parts that are driven, with a gain each; None: all for a photograph, the expression for a video."""
    drive_eye: bool | None = None
    relative: bool = True
    blink: Array | None = None
    """[b,63]: a blink frame by frame, as change of the expression (`delta_eye_arr`)."""
    blink_index: npt.NDArray[np.int64] | None = None
    """Which of its frames to show when, taken in turn."""
    fade: str = ""
    """"d0": fade to the first frame of the motion; "s": to the source; "": never."""
    fade_keys: tuple[str, ...] = ("exp",)
    overall: Controls = field(default_factory=dict)
    """Controls of all frames; a frame's own win."""
    ratio: float = 1.0
    """Size of the character that is imitated over the source's (`ch_info`)."""

    def __post_init__(self) -> None:
        still = self.source.still
        eyes = still if self.drive_eye is None else self.drive_eye
        keys = self.keys if self.keys is not None else (ALL_KEYS if still else ("exp",))
        gains = dict(keys) if isinstance(keys, Mapping) else dict.fromkeys(keys, 1.0)
        if self.ratio != 1:
            gains = {k: g * (self.ratio if k in ("exp", *ANGLES) else 1.0) for k, g in gains.items()}
        own = self.blink is not None
        a1 = _mask(LIPS + EYES) if eyes and not own else _mask(LIPS)
        a2 = _mask(EYES) if eyes and own else np.zeros_like(a1)
        object.__setattr__(self, "_eyes", eyes)
        object.__setattr__(self, "_gains", gains)
        object.__setattr__(self, "_scaled", isinstance(keys, Mapping) or self.ratio != 1)
        object.__setattr__(self, "_masks", (a1 * (1 - a2), (1 - a1) + a1 * a2, a2))

    _eyes: bool = field(init=False, repr=False)
    _gains: dict[str, float] = field(init=False, repr=False)
    _scaled: bool = field(init=False, repr=False)
    _masks: tuple[Array, Array, Array] = field(init=False, repr=False)

    def blink_at(self, count: int) -> Array | float:
        if self.blink is None or self.blink_index is None:
            return 0.0
        return np.asarray(self.blink[int(self.blink_index[count % len(self.blink_index)])][None], np.float32)

    def frame(
        self, state: StitchState, driving: Info, index: int, controls: Controls | None = None
    ) -> tuple[StitchState, Array, Array]:
        """One frame: the new state, and the key points [1,21,3] of the source and of the picture to be.

        `driving` is one vector's parts, `index` the source's frame in a performance of any length.
        """
        told: dict[str, Any] = {**self.overall, **(controls or {})}
        rest = self.source.at(index).info
        if self.relative and state.first is None:
            state = replace(state, first={k: v.copy() for k, v in driving.items()})
        mixed = self._mix(driving, rest, state.first if self.relative else None)
        keep, own, blink = self._masks
        mixed["exp"] = mixed["exp"] * keep + rest["exp"] * own + self.blink_at(state.count) * blink
        if (alpha := told.get("vad_alpha", 1)) < 1:
            mixed["exp"] = mixed["exp"] * alpha + rest["exp"] * (1 - alpha)
        _control(mixed, told)
        if self.fade == "d0" and state.fade_to is None:
            state = replace(state, fade_to={k: v.copy() for k, v in mixed.items()})
        if "fade_alpha" in told and self.fade in ("d0", "s"):
            target = state.fade_to if self.fade == "d0" else rest
            assert target is not None
            a = told["fade_alpha"]
            for k in told.get("fade_out_keys", self.fade_keys):
                if k != "kp":
                    mixed[k] = mixed[k] * a + target[k] * (1 - a)
        if self._eyes:
            if state.gaze_from is None:
                state = replace(state, gaze_from=(_one(rest["yaw"]), _one(rest["pitch"])))
            assert state.gaze_from is not None
            _look_straight(mixed, state.gaze_from)
        x_s, x_d = transform(rest), transform({**mixed, "kp": rest["kp"], "scale": rest["scale"]})
        if self.stitch is not None:
            x_d = self.stitch(x_s, x_d)
        return replace(state, count=state.count + 1), x_s, x_d

    def _mix(self, driving: Info, rest: Info, first: Info | None) -> Info:
        mixed: Info = {}
        for key, value in driving.items():
            if key not in self._gains or key in ("scale", "kp"):
                mixed[key] = rest[key]
            elif first is not None:
                mixed[key] = rest[key] + (value - first[key]) * np.float32(self._gains[key])
            else:
                mixed[key] = value * np.float32(self._gains[key]) if self._scaled else value
        return mixed


def _one(angle: Array) -> float:
    return float(degrees(angle)[0])


def _control(mixed: Info, told: Controls) -> None:
    for name in ANGLES:
        if f"delta_{name}" in told:
            mixed[name] = np.asarray(degrees(mixed[name]) + told[f"delta_{name}"], np.float32)
    for name in ANGLES:
        if f"alpha_{name}" in told:
            mixed[name] = np.asarray(mixed[name] * told[f"alpha_{name}"], np.float32)
    if "delta_exp" in told:
        mixed["exp"] = np.asarray(mixed["exp"] + told["delta_exp"], np.float32)


def _look_straight(mixed: Info, gaze_from: tuple[float, float]) -> None:
    """The eyes turn against the head, so that the look stays on the viewer."""
    dx = 0.26 * (_one(mixed["yaw"]) - gaze_from[0])
    dy = 0.28 * (_one(mixed["pitch"]) - gaze_from[1])
    exp = mixed["exp"].copy()
    exp[0, 33] += dx * (0.0007 if dx > 0 else 0.001)
    exp[0, 45] += dx * (0.001 if dx > 0 else 0.0007)
    exp[0, 34] -= 0.001 * dy
    exp[0, 46] -= 0.001 * dy
    mixed["exp"] = exp


def size_ratio(imitated: Source | None, own: Source) -> float:
    """Size of the character that is imitated over the source's own; 1 where none is."""
    if imitated is None:
        return 1.0
    return float(imitated.frames[0].info["scale"].reshape(-1)[0] / own.frames[0].info["scale"].reshape(-1)[0])


def fades(count: int, fade_in: int, fade_out: int, controls: Mapping[int, Controls]) -> dict[int, dict[str, Any]]:
    """Controls with the fades of a performance of `count` frames; what was handed in stays as it was (§5.7)."""
    out: dict[int, dict[str, Any]] = {i: dict(c) for i, c in controls.items()}
    for i in range(fade_in) if fade_in > 0 else ():
        out.setdefault(i, {})["fade_alpha"] = i / fade_in
    if fade_out > 0:
        start, end = count - fade_out - 1, count - 1
        for i in range(start, count):
            out.setdefault(i, {})["fade_alpha"] = max((end - i) / (end - start), 0.0)
    return out
