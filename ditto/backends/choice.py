"""Which renderer a checkpoint gets on this machine, and why."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from ditto.errors import Unavailable
from ditto.layout import Kind

from .looks import Renderer

if TYPE_CHECKING:
    from ditto.checkpoints import Checkpoint

BACKENDS = ("auto", "torch", "torch-graph", "torch-compile", "onnxruntime", "tensorrt", "tensorrt-rtx")


def best_device(kind: Kind) -> str:
    """cuda where the libraries that run such a checkpoint see a GPU, else cpu."""
    return "cuda" if (_onnx_cuda() if kind is Kind.ONNX else _torch_cuda()) else "cpu"


def _torch_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _onnx_cuda() -> bool:
    """`onnxruntime-gpu` says that it has CUDA also where there is no GPU, so torch is asked too where it is there."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return False
    return _torch_cuda() if importlib.util.find_spec("torch") else Path("/dev/nvidiactl").exists()


def checked(device: str, torch: bool = True) -> str:
    """A device by its name, for `torch` or for ONNX Runtime. Raises `Unavailable` for one that there is not."""
    name, colon, number = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (colon and not (name == "cuda" and number.isdecimal())):
        raise Unavailable(f"There is no device {device!r}: it is auto, cpu, cuda or cuda:1.")
    if name == "cuda" and torch and not _torch_cuda():
        raise Unavailable("There is no GPU here that torch can use: `python -m ditto doctor` says why.")
    return device


def automatic(kind: Kind, device: str, engines: Path | None) -> str:
    """The quickest backend that there are files for: engines built for this GPU, else what was exported, else torch."""
    if engines is not None:
        if device != "cpu" and kind is Kind.PYTORCH:
            for name in ("tensorrt", "tensorrt-rtx"):
                if (engines / f"frame.{name.replace('-', '_')}.engine").is_file():
                    return name
        return "onnxruntime"
    if kind is Kind.ONNX:
        return "onnxruntime"
    return "torch" if device == "cpu" else "torch-graph"


def renderer(
    checkpoint: Checkpoint, backend: str = "auto", device: str = "auto", engines: Path | None = None
) -> Renderer:
    """`engines` is where `export` and `build` wrote. Raises `Unavailable` or `BadCheckpoint`."""
    checked(device, checkpoint.layout.kind is not Kind.ONNX)
    if device == "auto":
        device = best_device(checkpoint.layout.kind)
    if backend == "auto":
        backend = automatic(checkpoint.layout.kind, device, engines)
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
