"""Which renderer a checkpoint gets on this machine, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ditto.errors import Unavailable

from .looks import Renderer

if TYPE_CHECKING:
    from ditto.checkpoints import Checkpoint

BACKENDS = ("auto", "torch", "torch-graph", "torch-compile", "onnxruntime", "tensorrt", "tensorrt-rtx")


def cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def renderer(
    checkpoint: Checkpoint, backend: str = "auto", device: str = "auto", engines: Path | None = None
) -> Renderer:
    """`engines` is where `export` and `build` wrote. Raises `Unavailable` or `BadCheckpoint`."""
    from ditto.layout import Kind

    if device == "auto":
        device = "cuda" if cuda() else "cpu"
    if backend == "auto":
        backend = (
            "onnxruntime" if checkpoint.layout.kind is Kind.ONNX else "torch-graph" if device == "cuda" else "torch"
        )
    if backend not in BACKENDS:
        raise Unavailable(f"There is no backend {backend}; there are {', '.join(BACKENDS)}.")
    if backend == "onnxruntime":
        from . import onnxrt

        if engines is not None:
            return onnxrt.ExportedRenderer(engines, device)
        if checkpoint.layout.kind is not Kind.ONNX:
            raise Unavailable("onnxruntime needs ditto_onnx, or the directory that `python -m ditto export` wrote.")
        need = checkpoint.layout.need
        return onnxrt.PublishedOnnxRenderer(need("warp_network"), need("decoder"), device)
    if checkpoint.layout.kind is not Kind.PYTORCH:
        raise Unavailable(f"The backend {backend} needs the ditto_pytorch bundle; ditto_onnx runs on onnxruntime.")
    if backend.startswith("tensorrt"):
        from . import tensorrt

        if engines is None:
            raise Unavailable("TensorRT needs the directory that `python -m ditto build --out DIR` wrote.")
        made: Renderer = tensorrt.renderer(checkpoint.weights, engines, name=backend.replace("-", "_"))
        return made
    if backend == "torch":
        from .eager import TorchRenderer

        return TorchRenderer(checkpoint.weights, device)
    from .graphs import GraphRenderer

    return GraphRenderer(checkpoint.weights, device, compiled=backend == "torch-compile")
