"""What each option of a published configuration may be: a wrong one would be met only when a face is moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from .stitching import ALL_KEYS
from .vector import SIZE

_PARTS = (*ALL_KEYS, "scale", "kp")


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and bool(np.isfinite(value))


def _flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (_whole(value) and value in (0, 1))


def _list(value: Any, item: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) > 0 and all(item(v) for v in value)


def _columns(value: Any) -> bool:
    return value is None or (_list(value, _whole) and len(value) == 2 and 0 <= value[0] <= value[1] <= SIZE)


def _part(value: Any) -> bool:
    return isinstance(value, str) and value in _PARTS


def _keys(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_part(key) and _number(gain) for key, gain in value.items())
    return value is None or value in ((), []) or _list(value, _part)


def _controls(value: Any) -> bool:
    def finite(told: Any) -> bool:
        try:
            return bool(np.isfinite(np.asarray(told, np.float32)).all())
        except (TypeError, ValueError):
            return False

    return isinstance(value, Mapping) and all(
        finite(told) for name, told in value.items() if str(name).startswith(("delta_", "alpha_", "vad_"))
    )


_COUNT: Final = (_whole, "a whole number")
_SWITCH: Final = (_flag, "true or false")
FORMS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    **dict.fromkeys(("max_size", "template_n_frames", "overlap_v2", "fix_kp_cond", "sampling_timesteps"), _COUNT),
    **dict.fromkeys(("smo_k_s", "smo_k_d"), (lambda v: _whole(v) and v >= 0, "a whole number of frames")),
    **dict.fromkeys(("online_mode", "crop_flag_do_rot", "eye_f0_mode", "relative_d", "flag_stitching"), _SWITCH),
    "drive_eye": (lambda v: v is None or _flag(v), "true, false or nothing"),
    "crop_scale": (lambda v: _number(v) and v > 0, "a number above 0"),
    "crop_vy_ratio": (_number, "a number"),
    "fix_kp_cond_dim": (_columns, f"two columns from 0 to {SIZE}"),
    "delta_eye_open_n": (lambda v: _whole(v) or _list(v, _whole), "a whole number of frames or a list of them"),
    "use_d_keys": (_keys, f"some of {', '.join(_PARTS)}, or a gain for each"),
    "fade_out_keys": (lambda v: _keys(v) and v is not None, f"some of {', '.join(_PARTS)}"),
    "fade_type": (lambda v: isinstance(v, str) and v in ("", "d0", "s"), "d0, s or empty"),
    "ch_info": (lambda v: v is None or isinstance(v, Mapping), "a character's values or nothing"),
    "overall_ctrl_info": (_controls, "controls with finite numbers"),
}
"""Option → whether a value can be, and what it should have been."""
