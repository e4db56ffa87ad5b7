"""The motion extractor: pose, expression and canonical points of a face (specification §8.2).

ConvNeXt V2 (Woo et al. 2023, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders"), tiny.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .widths import FULL, Widths

HEADS = {"pitch": 66, "yaw": 66, "roll": 66, "t": 3, "exp": 63, "scale": 1, "kp": 63}
"""Outputs in the published order, with their lengths."""
_STORED = ("kp", "scale", "pitch", "yaw", "roll", "t", "exp")
EPS = 1e-6


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of a picture [B,C,H,W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, EPS)
        return y.permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response normalisation of [B,H,W,C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.empty(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        energy = x.square().sum(dim=(1, 2), keepdim=True).sqrt()
        relative = energy / (energy.mean(dim=-1, keepdim=True) + EPS)
        return self.gamma * (x * relative) + self.beta + x


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = ResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.pwconv2(self.grn(F.gelu(self.pwconv1(y))))
        return x + y.permute(0, 3, 1, 2)


class Detector(nn.Module):
    def __init__(self, w: Widths) -> None:
        super().__init__()
        c = w.extractor
        stem = nn.Sequential(nn.Conv2d(3, c[0], 4, stride=4), ChannelNorm(c[0]))
        downs = [nn.Sequential(ChannelNorm(c[i]), nn.Conv2d(c[i], c[i + 1], 2, stride=2)) for i in range(3)]
        self.downsample_layers = nn.ModuleList([stem, *downs])
        self.stages = nn.ModuleList(nn.Sequential(*(Block(c[i]) for _ in range(w.blocks[i]))) for i in range(4))
        self.norm = nn.LayerNorm(c[3], eps=EPS)
        for name in _STORED:
            self.add_module(f"fc_{name}", nn.Linear(c[3], HEADS[name]))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        feature = self.norm(x.mean(dim=(2, 3)))
        return tuple(self.get_submodule(f"fc_{name}")(feature) for name in HEADS)


class MotionExtractor(nn.Module):
    """RGB/255 [B,3,256,256] → pitch, yaw, roll (logits [B,66]), t [B,3], exp [B,63], scale [B,1], kp [B,63]."""

    def __init__(self, w: Widths = FULL) -> None:
        super().__init__()
        self.detector = Detector(w)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        out: tuple[Tensor, ...] = self.detector(image)
        return out
