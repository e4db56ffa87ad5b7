"""Warp and decoder as one module: the graph that every backend runs, captures, compiles or exports."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .fastdecoder import FastDecoder
from .fastwarp import FastWarp
from .weights import Weights

INPUTS = ("volume", "compressed", "still", "heat", "kp_source", "kp_driving")
"""Names of the pipeline's inputs, in order; all but the last are an avatar's constants (`AvatarVolume`)."""
OUTPUT = "face"


class Pipeline(nn.Module):
    """An avatar's constants and driven points → faces [B,3,512,512] RGB, 0 … 255, float32."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.warp = FastWarp(weights.warp)
        self.decoder = FastDecoder(weights.decoder)

    def forward(
        self, volume: Tensor, compressed: Tensor, still: Tensor, heat: Tensor, kp_source: Tensor, kp_driving: Tensor
    ) -> Tensor:
        feature = self.warp(volume, compressed, still, heat, kp_source, kp_driving)
        face: Tensor = self.decoder(feature) * 255
        return face


def build(weights: Weights, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Pipeline:
    """A pipeline ready to run: evaluation mode, no gradients, `dtype` weights; coordinates stay float32."""
    pipeline = Pipeline(weights)
    pipeline.eval().requires_grad_(False)
    for module in (pipeline.warp, pipeline.decoder):
        for parameter in module.parameters():
            parameter.data = parameter.data.to(dtype)
    # What makes an avatar's constants runs once an avatar: it stays exact.
    pipeline.warp.prepare.float()
    pipeline.to(device)
    if torch.device(device).type == "cuda":
        pipeline.decoder.to(memory_format=torch.channels_last)
        pipeline.warp.to(memory_format=torch.channels_last_3d)
    return pipeline
