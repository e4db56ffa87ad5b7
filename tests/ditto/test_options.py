"""Options of a configuration: what cannot be is refused before a face moves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ditto.checkpoints import open_checkpoint
from ditto.config import read_config, write_config
from ditto.errors import BadCheckpoint
from ditto.layout import Layout
from ditto.motion.options import Options
from tests.absent import needs

torch = needs("torch")
Copy = tuple[Path, Path]
MODEL = "models/decoder.pth"


@pytest.fixture
def copy(tiny_pytorch: Copy, tmp_path: Path) -> Copy:
    """A configuration of its own, and a data root whose files are links."""
    (tmp_path / "ditto_cfg").mkdir()
    config = shutil.copy(tiny_pytorch[0], tmp_path / "ditto_cfg")
    shutil.copytree(tiny_pytorch[1], tmp_path / "ditto_pytorch", copy_function=lambda a, b: Path(b).symlink_to(a))
    return Path(config), tmp_path / "ditto_pytorch"


def layout(config: Path, root: Path) -> Layout:
    return open_checkpoint(config, root).layout


def refused(copy: Copy, *words: str) -> None:
    with pytest.raises(BadCheckpoint) as caught:
        open_checkpoint(*copy)
    text = str(caught.value)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    "wrong",
    [
        {"overlap_v2": "70"}, {"smo_k_s": "a"}, {"crop_scale": "x"}, {"emo": 1.5}, {"emo": "happy"},
        {"ch_info": {"x": 1}}, {"ch_info": 3}, {"overall_ctrl_info": [1]}, {"fade_type": 7},
        {"v_min_max_for_clip": np.zeros((1, 265))}, {"v_min_max_for_clip": np.full((4, 265), np.nan)},
        {"delta_eye_arr": np.full((15, 63), np.inf)}, {"delta_eye_arr": "x"}, {"overlap_v2": 0}, {"overlap_v2": True},
        {"emo": np.full((3, 8), np.nan)}, {"smo_k_d": -3}, {"crop_scale": 0}, {"crop_scale": np.nan},
        {"fade_type": "x"}, {"fix_kp_cond_dim": [0]}, {"fix_kp_cond_dim": [0, 999]}, {"fix_kp_cond_dim": ["a", "b"]},
        {"drive_eye": "no"}, {"use_d_keys": ["bad"]}, {"use_d_keys": {"exp": "x"}}, {"use_d_keys": 3},
        {"fade_out_keys": 5}, {"delta_eye_open_n": "x"}, {"delta_eye_open_n": 1.5},
        {"overall_ctrl_info": {"delta_pitch": np.nan}},
        {"online_mode": "yes"}, {"sampling_timesteps": 51},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* of the configuration"):
        Options.of(wrong)


def test_a_configuration_with_an_option_that_cannot_be_is_refused(copy: Copy) -> None:
    read = read_config(copy[0])
    write_config(copy[0], replace(read, default_kwargs={**read.default_kwargs, "smo_k_d": "three"}))
    refused(copy, copy[0].name, "smo_k_d of the configuration is 'three'; it is a whole number", "fetch it again")


# ---- files that a configuration names


def with_paths(config: Path, base: dict[str, str], name: str = "own.pkl") -> Path:
    """The configuration with other files named for some networks."""
    read = read_config(config)
    changed = {**read.base_cfg, **{f"{net}_cfg": {"model_path": path} for net, path in base.items()}}
    write_config(config.with_name(name), replace(read, base_cfg=changed))
    return config.with_name(name)


@pytest.mark.parametrize("bundle", ["pytorch", "onnx"])
def test_a_configuration_of_another_bundle_is_told(tiny_pytorch: Copy, tiny_onnx: Copy, bundle: str) -> None:
    own, other = (tiny_pytorch, tiny_onnx) if bundle == "pytorch" else (tiny_onnx, tiny_pytorch)
    assert [note for note in layout(*own).notes if "face_landmarker" in note] == []
    mixed = open_checkpoint(own[0], other[1])
    (note,) = mixed.layout.notes
    wanted = [
        own[0].name,
        f"of the {bundle} bundle",
        f"networks of the {mixed.layout.kind} bundle",
        "Name a configuration",
    ]
    assert all(words in note for words in wanted), note
    assert layout(*own).notes == ()


def test_the_published_online_configuration_names_engines_and_is_told(copy: Copy) -> None:
    """It exists for TensorRT alone; its options are what the other bundles' users want of it."""
    config = with_paths(copy[0], {"decoder": "decoder_fp16.engine", "hubert": "hubert_fp32.engine"})
    (note,) = layout(config, copy[1]).notes
    assert "of the tensorrt bundle: decoder_fp16.engine, hubert_fp32.engine are not there" in note


def test_weights_that_somebody_chose_are_not_replaced_in_silence(copy: Copy) -> None:
    for net in ("decoder", "hubert"):
        config = with_paths(copy[0], {net: "models/mine.pth"})
        refused((config, copy[1]), "own.pkl names models/mine.pth", f"for {net}", "no such file", "in its place")
    shutil.copy(copy[1] / MODEL, copy[1] / "models/mine.pth")
    opened = open_checkpoint(with_paths(copy[0], {"decoder": "models/mine.pth"}), copy[1])
    assert opened.file("decoder") == copy[1] / "models/mine.pth" and opened.layout.notes == ()


def test_files_that_moved_or_are_done_without_are_told(copy: Copy) -> None:
    config = with_paths(copy[0], {"decoder": "elsewhere/decoder.pth", "insightface_det": "mine/det.onnx"})
    (note,) = layout(config, copy[1]).notes
    assert (
        "own.pkl names what is not there: " in note
        and f"elsewhere/decoder.pth (in its place: {copy[1] / MODEL})" in note
    )
    (copy[1] / "aux_models/det_10g.onnx").unlink()
    _, gone = layout(config, copy[1]).notes
    assert "mine/det.onnx (insightface_det), which is not there and done without" in gone
