"""`python -m ditto testweights OUT`: a complete checkpoint that anybody can make, in a published layout.

The networks have weights made from their names (`ditto.deterministic`), the auxiliary ones are made by
`ditto.standins`, and the configuration has every field that the published ones have. The face is noise; everything else
is as with the published weights, at a size (`tiny`) that a CPU renders in real time, or at theirs (`full`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config, write_config
from .deterministic import Deterministic
from .layout import NETS, ONNX_FILES, PYTORCH_FILES, Kind

TAG = "testweights"
CONFIG_NAMES = {
    Kind.PYTORCH: ("v0.4_hubert_cfg_pytorch.pkl", "v0.4_hubert_cfg_pytorch_online.pkl"),
    Kind.ONNX: ("v0.4_hubert_cfg_onnx.pkl", "v0.4_hubert_cfg_onnx_online.pkl"),
}
"""Offline and online."""

Say = Callable[[str], None]


def state(net: str, width: str, rule: Deterministic) -> dict[str, Any]:
    """A network's state dictionary."""
    import torch

    from .nets.family import FAMILY
    from .nets.widths import KNOWN

    widths = next(w for w in KNOWN if w.name == width)
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in FAMILY[net](widths).state_dict().items()}
    return {key: torch.from_numpy(value.copy()) for key, value in rule.weights(net, shapes)}


def module(net: str, width: str, rule: Deterministic) -> Any:
    """The network itself."""
    from .checkpoints import fit

    return fit(net, state(net, width, rule), Path(f"{net}.pth"))


def options(rule: Deterministic, online: bool) -> dict[str, Any]:
    """`default_kwargs` (§9): as shipped online, or the offline defaults."""
    kwargs: dict[str, Any] = {
        "max_size": 1920,
        "template_n_frames": -1,
        "crop_scale": 2.3,
        "crop_vx_ratio": 0,
        "crop_vy_ratio": -0.125,
        "crop_flag_do_rot": True,
        "smo_k_s": 13,
        "smo_k_d": 3,
        "emo": 4,
        "eye_f0_mode": False,
        "ch_info": None,
        "overlap_v2": 10,
        "fix_kp_cond": 0,
        "fix_kp_cond_dim": None,
        "sampling_timesteps": 50,
        "online_mode": False,
        "v_min_max_for_clip": None,
        "N_d": -1,
        "use_d_keys": None,
        "relative_d": True,
        "drive_eye": None,
        "delta_eye_arr": None,
        "delta_eye_open_n": 0,
        "fade_type": "",
        "fade_out_keys": ("exp",),
        "flag_stitching": True,
        "ctrl_info": {},
        "overall_ctrl_info": {},
    }
    if online:
        frame = rule.source(f"{TAG}/ch", 1, 1.25)[0]
        spread = np.abs(rule.normal(f"{TAG}/vmax", (265,), 0.5)) + np.float32(0.1)
        kwargs |= {
            "emo": rule.uniform(f"{TAG}/emo", (600, 8)),
            "ch_info": {
                "x_s_info_lst": [{k: frame[k] for k in ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")}],
                "sc": frame["kp"].reshape(-1),
                "eye_open_lst": [frame["eye_open"]],
                "eye_ball_lst": [frame["eye_ball"]],
            },
            "overlap_v2": 70,
            "fix_kp_cond": 1,
            "fix_kp_cond_dim": [0, 202],
            "sampling_timesteps": 10,
            "online_mode": True,
            "v_min_max_for_clip": np.stack([-spread, spread, -spread, spread]),
            "delta_eye_arr": rule.normal(f"{TAG}/delta_eye", (15, 63), 0.02),
            "fade_type": "d0",
            "fade_out_keys": ["exp"],
            "overall_ctrl_info": {"delta_pitch": 2},
        }
    return kwargs


def configuration(layout: Kind, rule: Deterministic, online: bool) -> Config:
    """One configuration that names every file of the layout."""
    files = PYTORCH_FILES if layout is Kind.PYTORCH else ONNX_FILES

    def of(name: str, **more: Any) -> dict[str, Any]:
        return {"model_path": files[name], "device": "cpu", **more}

    original = layout is Kind.PYTORCH
    mesh = (
        {"task_path": files["face_landmarker"], "blaze_face_model_path": "", "face_mesh_model_path": ""}
        if original
        else {"blaze_face_model_path": files["blaze_face"], "face_mesh_model_path": files["face_mesh"], "task_path": ""}
    )
    base = {f"{net}_cfg": of(net) for net in NETS if net != "lmdm"} | {
        f"{name}_cfg": of(name, force_ori_type=original)
        for name in ("insightface_det", "landmark106", "landmark203", "hubert")
    }
    base["landmark478_cfg"] = {**mesh, "device": "cpu", "force_ori_type": original}
    a2m = of("lmdm") | {
        "motion_feat_dim": 265,
        "audio_feat_dim": 1103,
        "seq_frames": 80,
        "use_emo": True,
        "use_sc": True,
        "use_eye_open": True,
        "use_eye_ball": True,
        "w2f_type": "hubert",
    }
    return Config(base, a2m, options(rule, online))


def write(out: Path, layout: Kind, width: str, say: Say) -> tuple[Path, Path]:
    """Writes everything below `out`; returns the online configuration and the data root, as `--cfg_pkl` and
    `--data_root` take them."""
    from . import standins

    rule = Deterministic()
    root = out / f"ditto_{layout}"
    for name, online in zip(CONFIG_NAMES[layout], (False, True), strict=True):
        write_config(out / "ditto_cfg" / name, configuration(layout, rule, online))
    for net in NETS:
        path = root / (PYTORCH_FILES if layout is Kind.PYTORCH else ONNX_FILES)[net]
        path.parent.mkdir(parents=True, exist_ok=True)
        say(f"{path}")
        if layout is Kind.PYTORCH:
            _write_pth(path, net, state(net, width, rule))
        else:
            from .backends.export import export_published

            export_published(net, module(net, width, rule), path)
    standins.write(root, layout, say)
    return out / "ditto_cfg" / CONFIG_NAMES[layout][1], root


def _write_pth(path: Path, net: str, tensors: dict[str, Any]) -> None:
    """In the published containers (§8.9)."""
    import torch

    wrapped: dict[str, Any] = tensors
    if net == "lmdm":
        wrapped = {"model_state_dict": tensors}
    elif net == "stitch_network":
        wrapped = {"retarget_shoulder": {f"module.{key}": value for key, value in tensors.items()}}
    torch.save(wrapped, path)
