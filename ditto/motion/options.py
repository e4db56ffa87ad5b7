"""The published configuration's options of a performance (§9), checked, with the published code's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..source import Source, SourceFrame, source
from .blinks import PERIOD, blinks
from .clips import Fusing
from .condition import NEUTRAL, Condition, Emotion, emotion_rows
from .schedule import MOST_STEPS
from .stitching import Stitch, Stitching, size_ratio
from .values import FORMS
from .vector import SIZE, Array


@dataclass(frozen=True, slots=True)
class Options:
    """`default_kwargs` of a configuration, by their published names."""

    online_mode: bool = False
    max_size: int = 1920
    template_n_frames: int = -1
    crop_scale: float = 2.3
    crop_vy_ratio: float = -0.125
    crop_flag_do_rot: bool = True
    smo_k_s: int = 13
    smo_k_d: int = 3
    emo: Emotion = NEUTRAL
    eye_f0_mode: bool = False
    ch_info: Mapping[str, Any] | None = None
    overlap_v2: int = 10
    fix_kp_cond: int = 0
    fix_kp_cond_dim: tuple[int, int] | None = None
    sampling_timesteps: int = 50
    v_min_max_for_clip: Array | None = None
    use_d_keys: Mapping[str, float] | tuple[str, ...] | None = None
    relative_d: bool = True
    drive_eye: bool | None = None
    delta_eye_arr: Array | None = None
    delta_eye_open_n: int | tuple[int, ...] = 0
    fade_type: str = ""
    fade_out_keys: tuple[str, ...] = ("exp",)
    flag_stitching: bool = True
    overall_ctrl_info: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(kwargs: Mapping[str, Any]) -> Options:
        """The options that a configuration names; what this face has no use for is passed over.

        Raises `ValueError` in words for a value that cannot be.
        """
        known = {f.name for f in fields(Options)}
        values = {k: v for k, v in kwargs.items() if k in known and (v is not None or k in _NULLABLE)}
        for name, value in values.items():
            fits, form = FORMS.get(name, (None, ""))
            if fits is not None and not fits(value):
                raise ValueError(f"{name} of the configuration is {str(value)[:40]!r}; it is {form}.")
        for name in ("fix_kp_cond_dim", "use_d_keys", "fade_out_keys", "delta_eye_open_n"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        for name, columns, least in (("v_min_max_for_clip", SIZE, 2), ("delta_eye_arr", 63, 1)):
            array = values.get(name)
            if array is not None:
                # float64 limits would turn everything behind them into float64 (§13.2).
                try:
                    values[name] = array = np.asarray(array, np.float32)
                except (TypeError, ValueError):
                    raise ValueError(f"{name} of the configuration is no array of numbers.") from None
                if array.ndim != 2 or array.shape[1] != columns or len(array) < least:
                    raise ValueError(
                        f"{name} of the configuration has the shape {list(array.shape)}, not [n,{columns}]."
                    )
                if not np.isfinite(array).all():
                    raise ValueError(f"{name} of the configuration holds numbers that are not finite.")
        options = Options(**values)
        if not 1 <= options.sampling_timesteps <= MOST_STEPS:
            steps = options.sampling_timesteps
            raise ValueError(f"sampling_timesteps of the configuration is 1 to {MOST_STEPS}, not {steps}.")
        try:
            if not np.isfinite(emotion_rows(options.emo)).all():
                raise ValueError("weights that are not finite")
            _ = options.imitated
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(f"emo or ch_info of the configuration is not in the published form ({what}).") from error
        _ = options.fusing
        return options

    @property
    def fusing(self) -> Fusing:
        return Fusing(self.overlap_v2, self.online_mode, self.smo_k_d, self.fix_kp_cond, self.fix_kp_cond_dim)

    @property
    def imitated(self) -> Source | None:
        """The character whose identity the network is given in place of the avatar's own (`ch_info`)."""
        if self.ch_info is None:
            return None
        infos, opens, balls = (self.ch_info[k] for k in ("x_s_info_lst", "eye_open_lst", "eye_ball_lst"))
        frames = []
        for i, info in enumerate(infos):
            own = {k: np.asarray(v, np.float32) for k, v in info.items()}
            frames.append(
                SourceFrame(
                    own,
                    np.asarray(opens[min(i, len(opens) - 1)], np.float32).reshape(1, 2),
                    np.asarray(balls[min(i, len(balls) - 1)], np.float32).reshape(1, 6),
                )
            )
        made = source(frames, window=1)
        return Source(made.frames, np.asarray(self.ch_info["sc"], np.float32).reshape(-1))

    def condition(self, own: Source, emotions: Array | None = None) -> Condition:
        rows = emotion_rows(self.emo) if emotions is None else emotions
        return Condition(self.imitated or own, rows, self.eye_f0_mode)

    def stitching(self, own: Source, stitch: Stitch | None, count: int = -1, seed: int = 0) -> Stitching:
        """How motion is put on `own`; `count` is the number of frames where it is known (`N_d`)."""
        index = None
        if self.delta_eye_arr is not None:
            rng = np.random.default_rng(seed)
            gaps = self.delta_eye_open_n
            index = blinks(count if count > 0 else PERIOD, len(self.delta_eye_arr), gaps, rng)
        return Stitching(
            own,
            stitch if self.flag_stitching else None,
            keys=self.use_d_keys,
            drive_eye=self.drive_eye,
            relative=self.relative_d,
            blink=self.delta_eye_arr,
            blink_index=index,
            fade=self.fade_type,
            fade_keys=tuple(self.fade_out_keys),
            overall=dict(self.overall_ctrl_info),
            ratio=size_ratio(self.imitated, own),
        )


_NULLABLE = {"ch_info", "fix_kp_cond_dim", "v_min_max_for_clip", "use_d_keys", "drive_eye", "delta_eye_arr"}
