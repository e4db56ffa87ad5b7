"""The torch renderer with its kernels launched as one CUDA graph for each batch size, optionally compiled first.

A frame is about two thousand kernel launches; on a fast GPU the launching takes longer than the work. Graphs are
captured by `warm`, before anything else runs on the device: work beside a capture would spoil it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ditto.errors import Unavailable
from ditto.faults import device_faults

from .eager import TorchRenderer
from .fastwarp import AvatarVolume
from .looks import Job
from .weights import Weights

BATCHES = (1, 2, 4, 8, 16)
WARM_RUNS = 3
"""Before a capture: libraries choose their algorithms and take their memory."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One batch size: where its inputs lie, what replays it, where its result lies."""

    inputs: tuple[Tensor, ...]
    graph: Any
    output: Tensor


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
        if torch.device(device).type != "cuda" or not torch.cuda.is_available():
            raise Unavailable("CUDA graphs need a CUDA device; the plain torch renderer runs on a CPU.")
        self.batches = sorted(batches)
        super().__init__(weights, device, dtype, self.batches[-1])
        self.name = self.name.replace("torch", "torch-compile-graph" if compiled else "torch-graph", 1)
        self._run: Any = self.pipeline
        if compiled:
            self._run = torch.compile(self.pipeline, mode="max-autotune-no-cudagraphs", dynamic=False)
        self._captured: dict[int, Captured] = {}

    def warm(self) -> None:
        with device_faults(), torch.inference_mode():
            # The largest first: the smaller ones then fit into its memory pool.
            pool = None
            for count in reversed(self.batches):
                self._captured[count] = self._capture(count, pool)
                pool = self._captured[count].graph.pool()
        super().warm()

    def _capture(self, count: int, pool: Any) -> Captured:
        inputs = blank(self, count)
        side = torch.cuda.Stream(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_RUNS):
                self._run(*inputs)
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            output = self._run(*inputs)
        return Captured(inputs, graph, output)

    def draw(self, jobs: Sequence[Job]) -> Tensor:
        volume, driving = self.gather(jobs)
        size = self.batches[bisect.bisect_left(self.batches, len(jobs))]
        captured = self._captured.get(size)
        if captured is None:
            return super().draw(jobs)
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
