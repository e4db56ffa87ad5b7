"""TensorRT without a GPU: manifests, refusals, the calls of an execution, and a real build where RTX is there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ditto import testweights
from ditto.backends import tensorrt
from ditto.backends.looks import Job, Look
from ditto.backends.tensorrt import Manifest, fitting, model_hash
from ditto.deterministic import Deterministic, tri_image
from ditto.errors import BadCheckpoint, Unavailable
from tests.absent import needs

torch = needs("torch")

from ditto.backends.weights import Weights


@pytest.fixture
def new_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="11.4.0.106"))  # type: ignore[arg-type]
    monkeypatch.setattr(tensorrt, "capability", lambda name: "9.0")


def built(directory: Path, **changes: Any) -> tuple[Path, Path]:
    onnx, engine = directory / "frame.onnx", directory / "frame.tensorrt.engine"
    onnx.write_bytes(b"graph")
    engine.write_bytes(b"plan")
    facts: dict[str, Any] = {
        "model": model_hash(onnx), "library": "tensorrt", "version": "11.4.0.106", "capability": "9.0",
        "precision": "float16", "batches": (1, 8, 16),
    }  # fmt: skip
    Manifest(**facts | changes).write(engine.with_suffix(".json"))
    return engine, onnx


@pytest.mark.usefixtures("new_library")
def test_an_engine_runs_where_its_manifest_says(tmp_path: Path) -> None:
    assert fitting(*built(tmp_path), "float16").batches == (1, 8, 16)


@pytest.mark.usefixtures("new_library")
@pytest.mark.parametrize(
    "changes", [{"model": "0" * 64}, {"version": "11.2.1"}, {"capability": "8.9"}, {"precision": "float32"}]
)
def test_an_engine_of_something_else_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(BadCheckpoint, match=rf"{next(iter(changes))} is .*python -m ditto build"):
        fitting(*built(tmp_path, **changes), "float16")


@pytest.mark.usefixtures("new_library")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": 1}'])
def test_an_engine_without_a_readable_manifest_is_refused(tmp_path: Path, text: str) -> None:
    engine, onnx = built(tmp_path)
    engine.with_suffix(".json").write_text(text)
    with pytest.raises(BadCheckpoint, match="no manifest"):
        fitting(engine, onnx, "float16")


@pytest.mark.parametrize("version", ["8.6.1", "10.14.1.48", "11.1.0", "11.2.0"])
def test_an_old_library_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version))  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match=r"too old.*11\.2\.1"):
        tensorrt.library()


def test_a_library_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(Unavailable, match="pip install tensorrt"):
        tensorrt.library()


class Context:
    """Notes what is asked of it; refuses batches above 4, as a profile would."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.started: list[int] = []

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
        return shape[0] <= 4

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.started.append(stream)
        return True


def test_an_execution_names_every_tensor_and_starts_once() -> None:
    context, given, result = Context(), torch.zeros(2, 21, 3), torch.zeros(2, 3)
    tensorrt.run(context, {"kp_driving": given}, "face", result, 7)
    assert context.addresses == {"kp_driving": given.data_ptr(), "face": result.data_ptr()}
    assert context.started == [7]
    with pytest.raises(ValueError, match="profile"):
        tensorrt.run(context, {"kp_driving": torch.zeros(5, 21, 3)}, "face", result, 7)
    with pytest.raises(ValueError, match="contiguous"):
        tensorrt.run(context, {"kp_driving": given.transpose(0, 1)}, "face", result, 7)
    assert context.started == [7]


def rtx() -> None:
    try:
        tensorrt.library("tensorrt_rtx")
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_rtx_takes_the_exported_pipeline(tiny_pytorch: tuple[Path, Path], tmp_path: Path, precision: str) -> None:
    """Parse and build need no GPU. `make test EXTRAS="rtx"` brings the library."""
    rtx()
    from ditto.backends.export import export_pipeline
    from ditto.checkpoints import open_checkpoint

    frame, _avatar = export_pipeline(open_checkpoint(*tiny_pytorch).weights, tmp_path, getattr(torch, precision))
    engine = tmp_path / "frame.tensorrt_rtx.engine"
    manifest = tensorrt.build(frame, engine, precision, name="tensorrt_rtx")
    before = engine.stat().st_mtime_ns
    assert tensorrt.build(frame, engine, precision, name="tensorrt_rtx") == manifest
    assert engine.stat().st_mtime_ns == before, "what matches is kept"
    assert fitting(engine, frame, precision, "tensorrt_rtx") == manifest


@pytest.fixture(scope="module")
def real_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[Weights, Path]:
    """Warp and decoder of the published size, and where they were exported to."""
    needs("onnx")
    from ditto.backends.export import export_pipeline

    rule = Deterministic()
    weights = Weights(*(testweights.module(net, "full", rule) for net in ("warp_network", "decoder")))
    out = tmp_path_factory.mktemp("real")
    export_pipeline(weights, out)
    return weights, out


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_real_size_is_the_same_in_onnx_runtime(real_size: tuple[Weights, Path]) -> None:
    from ditto.backends.onnxrt import ExportedRenderer

    weights, out = real_size
    rule = Deterministic("real")
    points = rule.normal("points", (21, 3), 0.3)
    look = Look(rule.normal("features", (1, 32, 16, 64, 64), 0.7), points, tri_image(512, 512), np.eye(3))
    driving = points + rule.normal("driven", (21, 3), 0.02)
    with torch.inference_mode():
        given = (torch.from_numpy(v) for v in (look.features, points[None], driving[None]))
        wanted = weights.decoder(weights.warp(*given))[0].permute(1, 2, 0).numpy() * 255
    renderer = ExportedRenderer(out, threads=1)
    (face,) = renderer.faces([Job(renderer.prepare(look), driving)])
    assert np.abs(face - wanted).max() < 0.1, "of 255"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_rtx_builds_the_real_size(real_size: tuple[Weights, Path]) -> None:
    rtx()
    _, out = real_size
    engine = out / "frame.tensorrt_rtx.engine"
    manifest = tensorrt.build(out / "frame.onnx", engine, "float32", name="tensorrt_rtx")
    assert fitting(engine, out / "frame.onnx", "float32", "tensorrt_rtx") == manifest
    assert engine.stat().st_size > 300_000_000


def test_graphs_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from ditto.backends.graphs import GraphRenderer

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unavailable, match="CUDA"):
        GraphRenderer(SimpleNamespace())  # type: ignore[arg-type]
