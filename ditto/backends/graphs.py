"""The torch renderer with its kernels launched as one CUDA graph for each batch size, optionally compiled first.

A frame is about two thousand kernel launches; on a fast GPU the launching takes longer than the work. Graphs are
captured by `warm`, before anything else runs on the device: work beside a capture would spoil it.

A machine on which nothing can be captured still has a face: kernels are then launched one by one, and `note` says why.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ditto.errors import Unavailable
from ditto.faults import is_full

from .eager import TorchRenderer
from .fastwarp import AvatarVolume
from .looks import Job
from .weights import Weights

log = logging.getLogger(__name__)

BATCHES = (1, 2, 4, 8, 16)
WARM_RUNS = 3
"""Before a capture: libraries choose their algorithms and take their memory."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One batch size: where its inputs lie, what replays it, where its result lies."""

    inputs: tuple[Tensor, ...]
    graph: Any
    output: Tensor


def check_device(device: str) -> None:
    """Raises `Unavailable`."""
    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        raise Unavailable("CUDA graphs need a CUDA device; the plain torch renderer runs on a CPU.")


def capture(run: Callable[..., Tensor], inputs: tuple[Tensor, ...], pool: Any) -> Captured:
    """Records what `run` launches for `inputs`. Raises whatever torch, the driver or a compiler raises."""
    device = inputs[0].device
    before = torch.cuda.current_stream(device)
    try:
        side = torch.cuda.Stream(device)
        side.wait_stream(before)
        with torch.cuda.stream(side):
            for _ in range(WARM_RUNS):
                run(*inputs)
        before.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            output = run(*inputs)
        return Captured(inputs, graph, output)
    finally:
        # A capture that fails leaves torch on the stream of the capture.
        torch.cuda.set_stream(before)


class GraphRenderer(TorchRenderer):
    """Needs a CUDA device. `compiled` gives the graph to `torch.compile` first: minutes at the first start."""

    def __init__(
        self,
        weights: Weights,
        device: str = "cuda",
        dtype: torch.dtype | None = None,
        batches: Sequence[int] = BATCHES,
        compiled: bool = False,
    ) -> None:
        check_device(device)
        self.batches = sorted(batches)
        super().__init__(weights, device, dtype, self.batches[-1])
        self._plain = self.name
        self._compiled = compiled
        self._named("torch-compile-graph" if compiled else "torch-graph")
        self._captured: dict[int, Captured] = {}

    def _named(self, backend: str) -> None:
        self.name = self._plain.replace("torch", backend, 1)

    def warm(self) -> None:
        """Captures what can be captured. Raises `DeviceLost`, `OutOfMemory` where frames cannot be drawn either."""
        with torch.inference_mode():
            if self._compiled and not self._capture_all(
                torch.compile(self.pipeline, mode="max-autotune-no-cudagraphs", dynamic=False),
                "torch.compile failed",
                "the kernels are captured as they are",
            ):
                self._compiled = False
                self._named("torch-graph")
            if not self._compiled and not self._capture_all(
                self.pipeline,
                "CUDA graphs could not be captured",
                "kernels are launched one by one, which is slower; `python -m ditto doctor` looks at the driver",
            ):
                self._named("torch")
        # One plain frame tells a device that merely cannot capture from one that is lost.
        super().warm()

    def _capture_all(self, run: Callable[..., Tensor], failed: str, instead: str) -> bool:
        """Whether graphs are there now. The largest first: the smaller ones then fit into its memory pool."""
        pool, why = None, "there was no batch to capture"
        for count in reversed(self.batches):
            try:
                self._captured[count] = capture(run, blank(self, count), pool)
                pool = self._captured[count].graph.pool()
            except Exception as error:  # torch, the driver and compilers raise in ways of their own
                why = f"{type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0][:160]}"
                if not is_full(error):
                    # What of it was captured is not to be trusted after a fault.
                    self._captured.clear()
                    break
                log.warning("no memory to capture a batch of %d: smaller ones are tried", count)
        if self._captured:
            absent = [count for count in self.batches if count not in self._captured]
            if absent:
                sizes = " and ".join(map(str, absent))
                self._remark(f"no memory for CUDA graphs of {sizes} frames", "their kernels are launched one by one")
            return True
        self._remark(f"{failed} ({why})", instead)
        return False

    def _remark(self, what: str, instead: str) -> None:
        log.warning("%s: %s", what, instead)
        self.note = "; ".join(part for part in (self.note, f"{what}: {instead}") if part)

    def draw(self, jobs: Sequence[Job]) -> Tensor:
        volume, driving = self.gather(jobs)
        sizes = sorted(self._captured)
        at = bisect.bisect_left(sizes, len(jobs))
        if at == len(sizes):
            return super().draw(jobs)
        captured = self._captured[sizes[at]]
        for kept, new in zip(captured.inputs, (*volume.tensors(), driving), strict=True):
            kept[: len(jobs)].copy_(new, non_blocking=True)
        captured.graph.replay()
        return captured.output[: len(jobs)]


def blank(renderer: TorchRenderer, count: int) -> tuple[Tensor, ...]:
    """Inputs of the pipeline for a batch, on its device: an avatar that is nowhere."""
    prepare = renderer.pipeline.warp.prepare
    depth = renderer.pipeline.warp.grid.shape[0]
    features = torch.zeros(count, prepare.compress.in_channels, depth, 64, 64, device=renderer.device)
    points = torch.zeros(count, 21, 3, device=renderer.device)
    made = prepare(features, points)
    volume = AvatarVolume(made.volume.to(renderer.dtype), *made.tensors()[1:])
    return (*(tensor.contiguous().clone() for tensor in volume.tensors()), points.clone())
