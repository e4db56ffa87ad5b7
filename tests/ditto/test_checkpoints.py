"""Checkpoints as they come: whole, damaged, mixed up, half there, hostile."""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ditto import cli_build
from ditto.audio.encoders import TransformersEncoder
from ditto.checkpoints import open_checkpoint, read_state
from ditto.config import SECTIONS, read_config, write_config
from ditto.errors import BadCheckpoint, Unavailable
from ditto.layout import NETS, Kind, recognise
from ditto.load import networks
from tests.absent import needs

torch = needs("torch")
Copy = tuple[Path, Path]


@pytest.fixture
def copy(tiny_pytorch: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(tiny_pytorch[0].parent.parent, tmp_path / "all")
    return tmp_path / "all/ditto_cfg" / tiny_pytorch[0].name, tmp_path / "all/ditto_pytorch"


def refused(copy: Copy, *words: str) -> str:
    with pytest.raises(BadCheckpoint) as caught:
        open_checkpoint(*copy).check()
    text = str(caught.value)
    for word in words:
        assert word in text, text
    return text


def test_a_whole_one_opens(tiny_pytorch: Copy, tiny_onnx: Copy) -> None:
    opened = open_checkpoint(*tiny_pytorch)
    opened.check()
    assert opened.layout.kind is Kind.PYTORCH and opened.config.online
    assert opened.config.default_kwargs["v_min_max_for_clip"].shape == (4, 265)
    other = open_checkpoint(*tiny_onnx)
    other.check()
    assert other.layout.kind is Kind.ONNX and other.fingerprint != opened.fingerprint
    assert {"blaze_face", "face_mesh"} <= set(other.layout.files)


def test_it_is_made_the_same_again(tiny_pytorch: Copy) -> None:
    from ditto.checkpoints import read_state
    from ditto.deterministic import Deterministic
    from ditto.testweights import state

    stored = read_state(tiny_pytorch[1] / "models/stitch_network.pth")
    made = state("stitch_network", "tiny", Deterministic())
    assert list(stored) == list(made) and all(torch.equal(stored[key], made[key]) for key in made)


MODEL = "models/decoder.pth"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def page(path: Path) -> None:
    path.write_text("<!doctype html><title>Sign in</title>" + " " * 2000)


def hostile(path: Path) -> None:
    class Run:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(path.parent / "was_run"),)

    torch.save({"fc.weight": Run(), "padding": torch.zeros(1000)}, path)


def other_network(path: Path) -> None:
    shutil.copy(path.with_name("motion_extractor.pth"), path)


def other_shape(path: Path) -> None:
    tensors = torch.load(path, weights_only=True)
    torch.save(tensors | {"fc.bias": torch.zeros(3)}, path)


def one_key_less(path: Path) -> None:
    tensors = torch.load(path, weights_only=True)
    del tensors["up_1.conv_s.weight_u"]
    torch.save(tensors, path)


def not_finite(path: Path) -> None:
    tensors = torch.load(path, weights_only=True)
    tensors["fc.bias"][0] = torch.nan
    torch.save(tensors, path)


def scribbled(path: Path) -> None:
    path.write_bytes(b"no weights of any kind, but long enough to be some. " * 100)


def no_network(path: Path) -> None:
    torch.save([1] * 2000, path)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, ["damaged or cut short"]),
        (emptied, ["did not finish"]),
        (zeros, ["did not finish"]),
        (pointer, ["Git LFS"]),
        (page, ["web page"]),
        (hostile, ["holds a program", "mkdir"]),
        (other_network, ["lacks fc.weight", "has detector", "another network"]),
        (other_shape, ["fc.bias", "[3]", "another version"]),
        (one_key_less, ["lacks up_1.conv_s.weight_u"]),
        (not_finite, ["not finite", "fc.bias"]),
        (scribbled, ["damaged or cut short"]),
        (no_network, ["no network's weights"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_harmed_file_is_refused_in_words(copy: Copy, harm: Callable[[Path], None], words: list[str]) -> None:
    harm(copy[1] / MODEL)
    refused(copy, "decoder.pth", *words)
    assert not (copy[1] / "models/was_run").exists()


def other_onnx(path: Path) -> None:
    shutil.copy(path.with_name("motion_extractor.onnx"), path)


def other_size(path: Path) -> None:
    from ditto.backends.export import export

    class Same(torch.nn.Module):
        def forward(self, feature: Any) -> Any:
            return feature[:, :3].repeat(1, 1, 8, 8)

    export(Same(), (torch.zeros(1, 16, 64, 64),), path, ("feature",), ("output",))


@pytest.mark.parametrize(
    ("harm", "name", "words"),
    [
        (cut, "decoder.onnx", ["damaged or cut short", "fetch it again"]),
        (cut, "warp_network.onnx", ["damaged or cut short"]),
        (emptied, "hubert.onnx", ["hubert.onnx cannot be used"]),
        (zeros, "lmdm_v0.4_hubert.onnx", ["lmdm_v0.4_hubert.onnx cannot be used"]),
        (page, "decoder.onnx", ["decoder.onnx cannot be used"]),
        (other_onnx, "decoder.onnx", ["no decoder of this model", "[1,3,256,256]", "another network"]),
        (other_onnx, "appearance_extractor.onnx", ["no appearance_extractor", "7 outputs"]),
        (other_size, "decoder.onnx", ["different checkpoints", "[1,16,64,64]"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_harmed_onnx_file_is_refused_in_words(
    tiny_onnx: Copy, tmp_path: Path, harm: Callable[[Path], None], name: str, words: list[str]
) -> None:
    if name != "hubert.onnx":
        needs("onnx")
    root = tmp_path / "ditto_onnx"
    root.mkdir()
    for path in tiny_onnx[1].iterdir():
        (root / path.name).symlink_to(path)
    whole = (root / name).resolve()
    (root / name).unlink()
    shutil.copy(whole, root / name)
    harm(root / name)
    refused((tiny_onnx[0], root), name, *words)


@pytest.mark.parametrize(
    "made",
    [
        lambda tensor: tensor.to(torch.int64),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to("meta"),
    ],
    ids=["whole numbers", "complex", "sparse", "meta"],
)
def test_weights_of_another_form_are_refused_in_words(copy: Copy, made: Callable[[Any], Any]) -> None:
    path = copy[1] / "models/stitch_network.pth"
    torch.save({"retarget_shoulder": {f"module.{k}": made(v) for k, v in read_state(path).items()}}, path)
    refused(copy, "stitch_network.pth", "form", "mlp.0.weight")


def test_a_file_that_is_missing_or_half_there_is_named(copy: Copy) -> None:
    path = copy[1] / MODEL
    path.rename(path.with_name("decoder.pth.part"))
    refused(copy, "decoder.pth.part", "did not finish")
    path.with_name("decoder.pth.part").unlink()
    refused(copy, "lacks models/decoder.pth")


def test_two_bundles_in_one_are_told_apart(copy: Copy, tiny_onnx: Copy) -> None:
    shutil.copy(tiny_onnx[1] / "decoder.onnx", copy[1] / "decoder.onnx")
    refused(copy, "mixes files")


def test_networks_of_two_sizes_are_told_apart(copy: Copy) -> None:
    from ditto.deterministic import Deterministic
    from ditto.testweights import state

    torch.save(
        {"retarget_shoulder": state("stitch_network", "full", Deterministic())}, copy[1] / "models/stitch_network.pth"
    )
    refused(copy, "different checkpoints", "stitch_network")


def test_old_engines_are_refused_with_the_way_to_rebuild(copy: Copy, tmp_path: Path) -> None:
    engines = tmp_path / "ditto_trt_Ampere_Plus"
    engines.mkdir()
    for net in NETS:
        (engines / f"{net}_fp16.engine").write_bytes(b"plan" * 300)
    assert recognise(engines) is Kind.TENSORRT
    text = refused((copy[0], engines), "TensorRT 8", "python -m ditto build")
    # The command is one that `build` takes, and its files are where the published layout has them.
    parser = argparse.ArgumentParser()
    cli_build.arguments(parser)
    told = parser.parse_args(text.split("python -m ditto build ")[1].split())
    assert told.cfg_pkl == tmp_path / "ditto_cfg/v0.4_hubert_cfg_pytorch.pkl"
    assert told.data_root == tmp_path / "ditto_pytorch" and told.out.parent == tmp_path


def test_nothing_is_exported_from_the_onnx_bundle(tiny_onnx: Copy) -> None:
    with pytest.raises(BadCheckpoint, match=r"is the ONNX bundle; .*ditto_pytorch"):
        _ = open_checkpoint(*tiny_onnx).weights


@pytest.mark.parametrize("device", ["banana", "cuda:x", "cpu:1", "cuda:"])
def test_a_device_that_is_none_is_refused_in_words(tiny_pytorch: Copy, device: str) -> None:
    with pytest.raises(Unavailable, match="no device"):
        networks(open_checkpoint(*tiny_pytorch), device)


def test_a_gpu_that_is_not_there_is_refused_in_words(tiny_pytorch: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for backend in ("auto", "torch"):
        with pytest.raises(Unavailable, match="no GPU here"):
            networks(open_checkpoint(*tiny_pytorch), "cuda", backend)


def test_hubert_may_be_a_folder_of_transformers(copy: Copy) -> None:
    from transformers import HubertConfig, HubertModel

    folder = copy[1] / "aux_models/hubert"
    small: dict[str, Any] = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 8}
    convolved: dict[str, Any] = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 4}
    HubertModel(HubertConfig(hidden_size=1024, **small, **convolved)).save_pretrained(folder)
    before, config = open_checkpoint(*copy).fingerprint, read_config(copy[0])
    named = {**config.base_cfg, "hubert_cfg": {"model_path": "aux_models/hubert"}}
    write_config(copy[0], replace(config, base_cfg=named))
    opened = open_checkpoint(*copy)
    opened.check()
    assert opened.file("hubert") == folder and opened.fingerprint != before
    assert isinstance(networks(opened, "cpu").encoder, TransformersEncoder)
    (folder / "config.json").unlink()
    refused(copy, "names aux_models/hubert for hubert", "no such file", "hubert_streaming_fix_kv.onnx in its place")


@pytest.mark.parametrize("what", ["nowhere", "empty", "parent"])
def test_a_directory_that_is_no_checkpoint(copy: Copy, tmp_path: Path, what: str) -> None:
    root = {"nowhere": tmp_path / "no", "empty": tmp_path / "empty", "parent": copy[1].parent}[what]
    if what == "empty":
        root.mkdir()
    refused((copy[0], root), {"nowhere": "no directory", "empty": "no checkpoint", "parent": "Did you mean"}[what])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_configuration_of_any_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    value = {
        "base_cfg": {"decoder_cfg": {"model_path": "x.pth"}},
        "audio2motion_cfg": {"seq_frames": 80, "names": {"a", "b"}, "raw": b"\x00\xff"},
        "default_kwargs": {
            "emo": np.arange(12, dtype=np.float64).reshape(3, 4),
            "fortran": np.asfortranarray(np.ones((2, 3), np.float32)),
            "swapped": np.arange(3, dtype=">i4"),
            "number": np.float32(2.5),
            "none": [None, (1, True), np.zeros((0, 3))],
        },
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    config = read_config(path)
    for name in ("emo", "fortran", "swapped"):
        np.testing.assert_array_equal(config.default_kwargs[name], value["default_kwargs"][name])
    assert config.default_kwargs["number"] == 2.5 and config.audio2motion_cfg == value["audio2motion_cfg"]
    assert config.default_kwargs["none"][2].shape == (0, 3)


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Calls(os.system, "true"), "system"),
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(bytearray, 1 << 40), "builtins.bytearray"),
        (Calls(np.load, "x"), "load"),
        (Path("x"), "pathlib"),
    ],
    ids=["system", "eval", "bytearray", "np.load", "path"],
)
def test_a_configuration_that_is_a_program_is_not_run(tmp_path: Path, value: Any, named: str) -> None:
    path = tmp_path / "a.pkl"
    for whole in (value, {name: {"x": value} for name in SECTIONS}):
        path.write_bytes(pickle.dumps(whole))
        with pytest.raises(BadCheckpoint, match=named) as caught:
            read_config(path)
        assert "was not run" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x80\x04", b"<html>", b"garbage" * 100, pickle.dumps([1])])
def test_a_damaged_configuration_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(BadCheckpoint, match=r"a\.pkl"):
        read_config(path)


def test_arrays_of_objects_and_lying_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(np.array([1, "x"], dtype=object)))
    with pytest.raises(BadCheckpoint):
        read_config(path)
    honest = pickle.dumps({name: {"a": np.zeros(1000)} for name in SECTIONS}, protocol=2)
    path.write_bytes(honest.replace(b"M\xe8\x03", b"M\xff\xff"))  # 1000 → 65535 elements
    with pytest.raises(BadCheckpoint):
        read_config(path)


@pytest.mark.timeout(60)
def test_a_few_bytes_cannot_ask_for_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x05" + pickle.BYTEARRAY8 + (1 << 28).to_bytes(8, "little") + b".")
    tracemalloc.start()
    try:
        with pytest.raises(BadCheckpoint, match="are named"):
            read_config(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
