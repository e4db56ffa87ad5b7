"""Graphs that cannot be captured: the face is drawn all the same, and says so. The capture itself needs a GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.absent import needs

torch = needs("torch")
needs("onnx")

from avatar.face.avatars import AvatarStore
from avatar.face.ditto import DittoFace
from ditto.backends import graphs
from ditto.backends.eager import TorchRenderer
from ditto.backends.looks import Job, Look
from ditto.checkpoints import open_checkpoint
from ditto.deterministic import Deterministic, tri_image
from ditto.engine import Engine

from .tiny import MiddleFinder, networks

RULE = Deterministic("graphs")


class Recorded:
    """A graph on a CPU: replaying it is running it."""

    def __init__(self, run: Callable[..., Any], inputs: Any) -> None:
        self.run, self.inputs, self.output = run, inputs, run(*inputs)
        self.replayed = 0

    def replay(self) -> None:
        self.replayed += 1
        self.output.copy_(self.run(*self.inputs))

    def pool(self) -> int:
        return 1


def captured(run: Callable[..., Any], inputs: Any, pool: Any) -> graphs.Captured:
    graph = Recorded(run, inputs)
    return graphs.Captured(inputs, graph, graph.output)


@pytest.fixture(scope="module")
def weights(tiny_pytorch: tuple[Path, Path]) -> Any:
    return open_checkpoint(*tiny_pytorch).weights


@pytest.fixture
def made(weights: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A renderer on the CPU, cold, with something in the place of the capture."""
    monkeypatch.setattr(graphs, "check_device", lambda device: None)

    def make(capture: Any, compiled: bool = False) -> Any:
        monkeypatch.setattr(graphs, "capture", capture)
        return graphs.GraphRenderer(weights, "cpu", torch.float32, (1, 2, 4), compiled)

    return make


def jobs(renderer: Any, count: int) -> list[Job]:
    warp = renderer.pipeline.warp
    shape = (1, warp.prepare.compress.in_channels, warp.grid.shape[0], 64, 64)
    turn = np.array([[0.2, 0, 20], [0, 0.2, 10], [0, 0, 1]], np.float32)
    look = Look(RULE.normal("f", shape), RULE.normal("s", (21, 3), 0.3), tri_image(160, 160), turn)
    prepared = renderer.prepare(look)
    return [Job(prepared, look.kp_source + RULE.normal(f"d{i}", (21, 3), 0.02)) for i in range(count)]


def same_as_plain(renderer: Any, weights: Any, count: int) -> None:
    plain = TorchRenderer(weights)
    wanted, found = plain.render(jobs(plain, count)), renderer.render(jobs(renderer, count))
    assert len(found) == count
    for a, b in zip(wanted, found, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


def test_a_batch_is_replayed_by_the_smallest_graph_that_holds_it(made: Any, weights: Any) -> None:
    renderer = made(captured)
    renderer.warm()
    assert renderer.name == "torch-graph cpu float32" and renderer.note == ""
    same_as_plain(renderer, weights, 3)
    assert {size: c.graph.replayed for size, c in renderer._captured.items()} == {1: 1, 2: 0, 4: 1}


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("CUDA driver version is insufficient for CUDA runtime version"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        NotImplementedError(),
    ],
    ids=["operation", "driver", "memory", "nameless"],
)
@pytest.mark.parametrize("after", [0, 1])
def test_without_graphs_kernels_are_launched_one_by_one(
    made: Any, weights: Any, fault: Exception, after: int, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def capture(run: Any, inputs: Any, pool: Any) -> Any:
        tried.append(len(inputs[-1]))
        if len(tried) > after:
            raise fault
        return captured(run, inputs, pool)

    renderer = made(capture)
    with caplog.at_level(logging.WARNING, "ditto"):
        renderer.warm()
    if isinstance(fault, torch.OutOfMemoryError):
        assert tried == [4, 2, 1]
    if isinstance(fault, torch.OutOfMemoryError) and after:
        assert renderer.note.startswith("no memory for CUDA graphs of 1 and 2 frames")
        assert renderer.name.startswith("torch-graph")
    else:
        why = (str(fault) or "no reason given").splitlines()[0]
        assert renderer.note.startswith(f"CUDA graphs could not be captured ({type(fault).__name__}: {why}): kernels")
        assert renderer.name == "torch cpu float32" and not renderer._captured
    assert renderer.note.split(":")[0] in caplog.text
    same_as_plain(renderer, weights, 3)


def test_a_compiler_that_fails_leaves_the_graphs(made: Any, weights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(*_: Any, **__: Any) -> Any:
        def run(*inputs: Any) -> Any:
            raise RuntimeError("InductorError: no C compiler found")

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    renderer = made(captured, compiled=True)
    assert renderer.name.startswith("torch-compile-graph")
    renderer.warm()
    assert renderer.name == "torch-graph cpu float32"
    assert "torch.compile failed (RuntimeError: InductorError: no C compiler found)" in renderer.note
    same_as_plain(renderer, weights, 2)


async def test_the_server_says_that_it_has_no_graphs(made: Any, tmp_path: Path) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    class Warm:
        """The drawn stand-in, warmed as the real one is."""

        def __init__(self, real: Any, drawn: Any) -> None:
            self.real, self.drawn = real, drawn

        def warm(self) -> None:
            self.real.warm()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real if name in ("name", "note") else self.drawn, name)

    def load() -> Engine:
        from dataclasses import replace

        plain = networks()
        return Engine(replace(plain, renderer=Warm(made(fail), plain.renderer), notes=("A note.",)), MiddleFinder())

    face = DittoFace(AvatarStore(tmp_path / "avatars", tmp_path), "asked for", load)
    await face.warm()
    note = face.choice.note
    await face.close()
    assert note.startswith("tiny, torch cpu float32; CUDA graphs could not be captured (RuntimeError: CUDA error: ")
    assert note.endswith("; A note.")
