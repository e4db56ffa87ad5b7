"""Layers that several networks are made of, with the published names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU (or LeakyReLU) in the picture's or the volume's own size."""

    def __init__(self, dims: int, into: int, out: int, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = CONV[dims](into, out, 3, padding=1)
        self.norm = NORM[dims](out)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), self.slope)


class Down(ConvNorm):
    """…, then half the height and width by averages; a volume keeps its depth."""

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return F.avg_pool2d(x, 2) if x.dim() == 4 else F.avg_pool3d(x, (1, 2, 2))


class Up(ConvNorm):
    """Twice the height and width by repetition, then convolution, norm, ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(doubled(x))


def doubled(x: Tensor) -> Tensor:
    """Nearest ×2 of height and width; a volume keeps its depth."""
    return F.interpolate(x, scale_factor=(2, 2) if x.dim() == 4 else (1, 2, 2))


class Residual(nn.Module):
    """Norm, ReLU, convolution, twice, on a volume; added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        out: Tensor = x + self.conv2(F.relu(self.norm2(y)))
        return out


class SpectralConv(nn.Module):
    """A convolution whose stored weight is divided by its largest singular value, uᵀ·W·v from stored u and v."""

    def __init__(self, into: int, out: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.bias = nn.Parameter(torch.empty(out)) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(out, into, kernel, kernel))
        self.register_buffer("weight_u", torch.empty(out))
        self.register_buffer("weight_v", torch.empty(into * kernel * kernel))

    def weight(self) -> Tensor:
        sigma = torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))
        return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias, padding=self.padding)
