"""Networks as standard ONNX, opset 20: no operator of anybody's own, 5-D `GridSample` included."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ditto.errors import Unavailable

from .pipeline import INPUTS, OUTPUT, build
from .weights import Weights

OPSET = 20
"""The first whose GridSample takes volumes."""

PUBLISHED = {
    "appearance_extractor": (("image",), ("pred",)),
    "motion_extractor": (("image",), ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")),
    "stitch_network": (("kp_source", "kp_driving"), ("out",)),
    "warp_network": (("feature_3d", "kp_source", "kp_driving"), ("out",)),
    "decoder": (("feature",), ("output",)),
    "lmdm": (("x", "cond_frame", "cond", "time_cond"), ("pred_noise", "x_start")),
}
"""Names of inputs and outputs in the published files (§8.8)."""


class GuidedStep(nn.Module):
    """The diffusion network as its published ONNX file has it: both passes, and the noise that follows."""

    alphas: Tensor

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        steps = torch.arange(1001, dtype=torch.float64) / 1000
        g = torch.cos((steps + 0.008) / 1.008 * torch.pi / 2) ** 2
        betas = (1 - g[1:] / g[:-1]).clamp(0, 0.999)
        self.register_buffer("alphas", torch.cumprod((1 - betas).float(), 0))

    def forward(self, x: Tensor, cond_frame: Tensor, cond: Tensor, time_cond: Tensor) -> tuple[Tensor, Tensor]:
        start = self.net.guided(x, cond_frame, cond, time_cond)
        alpha = self.alphas[time_cond].reshape(-1, 1, 1)
        noise = torch.sqrt(1 / (1 - alpha)) * x - start / torch.sqrt(1 / alpha - 1)
        return noise, start


def export(
    module: nn.Module,
    example: Sequence[Tensor],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    moving: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Writes a module; `moving` names the axes whose length may change. Raises `Unavailable` without onnx."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise Unavailable("Export needs the onnx package: pip install onnx.") from error
    with warnings.catch_warnings(), torch.inference_mode():
        # The tracing exporter: the other one needs a package more and gives the same operators.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(example),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in (moving or {}).items()},
        )


def example_inputs(net: str, module: Any) -> tuple[Tensor, ...]:
    """Inputs of the published shapes, batch 1."""
    if net in ("appearance_extractor", "motion_extractor"):
        return (torch.zeros(1, 3, 256, 256),)
    if net == "stitch_network":
        return torch.zeros(1, 21, 3), torch.zeros(1, 21, 3)
    if net == "warp_network":
        dense = module.dense_motion_network
        depth = dense.occlusion.in_channels // dense.mask.in_channels
        volume = torch.zeros(1, dense.compress.in_channels, depth, 64, 64)
        return volume, torch.zeros(1, 21, 3), torch.zeros(1, 21, 3)
    if net == "decoder":
        return (torch.zeros(1, module.fc.in_channels, 64, 64),)
    return torch.zeros(1, 80, 265), torch.zeros(1, 265), torch.zeros(1, 80, 1103), torch.zeros(1, dtype=torch.int64)


def export_published(net: str, module: nn.Module, path: Path) -> None:
    """One of the six networks with the published file's names and shapes."""
    inputs, outputs = PUBLISHED[net]
    example = example_inputs(net, module)
    export(GuidedStep(module).eval() if net == "lmdm" else module, example, path, inputs, outputs)


class AvatarGraph(nn.Module):
    """What an avatar brings, as a graph: the constants that are made of its volume and points."""

    def __init__(self, prepare: Any) -> None:
        super().__init__()
        self.prepare = prepare

    def forward(self, feature_3d: Tensor, kp_source: Tensor) -> tuple[Tensor, ...]:
        made = self.prepare(feature_3d, kp_source)
        return made.compressed, made.still, made.heat


def export_pipeline(weights: Weights, out: Path, dtype: torch.dtype = torch.float32) -> tuple[Path, Path]:
    """`frame.onnx` (warp and decoder, any batch) and `avatar.onnx` below `out`. Weights in `dtype`; coordinates, masks,
    sampling and statistics stay float32, as TensorRT's strong typing then keeps them."""
    pipeline = build(weights, "cpu", dtype)
    prepare = pipeline.warp.prepare
    depth = pipeline.warp.grid.shape[0]
    volume = torch.zeros(2, prepare.compress.in_channels, depth, 64, 64)
    points = torch.zeros(2, 21, 3)
    out.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        made = prepare(volume, points)
    avatar, frame = out / "avatar.onnx", out / "frame.onnx"
    names = INPUTS[1:4]
    batch = {0: "batch"}
    given = ("feature_3d", "kp_source")
    export(AvatarGraph(prepare), (volume, points), avatar, given, names, dict.fromkeys((*given, *names), batch))
    inputs = (made.volume.to(dtype), *made.tensors()[1:], points)
    export(pipeline, inputs, frame, INPUTS, (OUTPUT,), dict.fromkeys((*INPUTS, OUTPUT), batch))
    return frame, avatar
