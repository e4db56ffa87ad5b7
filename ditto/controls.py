"""What a performance may be told about its manner: emotion, intensity, gaze, head, blinks; three manners by name.

Degrees count as a viewer sees them: yaw and gaze to the picture's right, pitch and gaze upwards, roll clockwise.
Changes are not jumped to: `eased` takes a step towards them each frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from .motion.condition import EMOTIONS
from .motion.vector import Array

RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "intensity": (0.0, 1.5),
        "gaze_x": (-20.0, 20.0),
        "gaze_y": (-20.0, 20.0),
        "head_pitch": (-15.0, 15.0),
        "head_yaw": (-20.0, 20.0),
        "head_roll": (-15.0, 15.0),
        "blink_rate": (0.0, 40.0),
    }
)
"""Lowest and highest: further out the published networks were shown nothing."""
_EASE = 0.15
"""Share of the way that is gone each frame: half of it in 180 ms."""
_NEAR = 0.01
"""Degrees, or share of an intensity, at which a change has arrived."""
_EYE_PER_DEGREE = 0.001
"""Expression of an eye's point per degree of gaze: the network's own compensation of the head's turns (§6.3)."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a face carries itself."""

    emotion: str | None = None
    """One of `EMOTIONS`; None: what the configuration says."""
    intensity: float = 1.0
    """Gain of the expression; 0 is the portrait's own."""
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    head_pitch: float = 0.0
    head_yaw: float = 0.0
    head_roll: float = 0.0
    blink_rate: float = 15.0
    """A minute. Only where the configuration brings a blink."""

    def __post_init__(self) -> None:
        """Raises `ValueError` in words."""
        if self.emotion is not None and self.emotion not in EMOTIONS:
            raise ValueError(f"There is no emotion {self.emotion!r}: there are {', '.join(EMOTIONS)}.")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, not {value!r}.")


PRESETS: Final[Mapping[str, Manner]] = MappingProxyType(
    {
        "natural": Manner(),
        "calm": Manner(emotion="neutral", intensity=0.8, blink_rate=10.0),
        "warm": Manner(emotion="happy", intensity=0.9, head_pitch=1.0, blink_rate=14.0),
        "lively": Manner(emotion="happy", intensity=1.25, blink_rate=20.0),
    }
)


def manner(preset: str = "natural", **told: Any) -> Manner:
    """A manner by name, with what is told otherwise; None leaves the preset's own. Raises `ValueError` in words."""
    if preset not in PRESETS:
        raise ValueError(f"There is no preset {preset!r}: there are {', '.join(PRESETS)}.")
    unknown = sorted(set(told) - {f.name for f in fields(Manner)})
    if unknown:
        raise ValueError(f"There is no control {unknown[0]!r}.")
    return replace(PRESETS[preset], **{k: v for k, v in told.items() if v is not None})


def eased(now: Manner, target: Manner) -> Manner:
    """One frame's step from `now` towards `target`. What is not a number changes at once."""
    if now == target:
        return target
    there, here = asdict(target), asdict(now)
    for name in RANGES:
        gap = there[name] - here[name]
        if name != "blink_rate" and math.fabs(gap) > _NEAR:
            there[name] = here[name] + gap * _EASE
    return Manner(**there)


def controls_of(manner: Manner, base: Mapping[str, Any]) -> dict[str, Any]:
    """The stitching's controls; `base` are the configuration's (`overall_ctrl_info`), which the head's turns add to."""
    told = dict(base)
    for name, value in (("pitch", -manner.head_pitch), ("yaw", manner.head_yaw), ("roll", manner.head_roll)):
        if value:
            told[f"delta_{name}"] = told.get(f"delta_{name}", 0.0) + value
    if manner.gaze_x or manner.gaze_y:
        exp: Array = np.zeros((1, 63), np.float32)
        exp[0, [33, 45]] = manner.gaze_x * _EYE_PER_DEGREE
        exp[0, [34, 46]] = -manner.gaze_y * _EYE_PER_DEGREE
        told["delta_exp"] = told.get("delta_exp", 0.0) + exp
    return told


def blink_gap(manner: Manner) -> float:
    """Mean frames from one blink to the next; 0 where there are none."""
    return 25 * 60 / manner.blink_rate if manner.blink_rate > 0 else 0.0
