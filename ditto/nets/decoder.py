"""The decoder: a picture feature becomes the face (specification §8.5).

SPADE (Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization"), with the decoder's own input
as the map that modulates every layer.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import SpectralConv, doubled
from .widths import FULL, Widths

SLOPE = 0.2
EPS = 1e-5


class Spade(nn.Module):
    """Instance norm, modulated pixel by pixel."""

    def __init__(self, channels: int, w: Widths) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(w.warped, w.shared, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(w.shared, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(w.shared, channels, 3, padding=1)

    def forward(self, x: Tensor, seg: Tensor) -> Tensor:
        hidden = self.mlp_shared(F.interpolate(seg, size=x.shape[2:]))
        out: Tensor = F.instance_norm(x, eps=EPS) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
        return out


class SpadeBlock(nn.Module):
    def __init__(self, into: int, out: int, w: Widths) -> None:
        super().__init__()
        middle = min(into, out)
        self.learned = into != out
        self.conv_0 = SpectralConv(into, middle, 3)
        self.conv_1 = SpectralConv(middle, out, 3)
        if self.learned:
            self.conv_s = SpectralConv(into, out, 1, bias=False)
        self.norm_0 = Spade(into, w)
        self.norm_1 = Spade(middle, w)
        if self.learned:
            self.norm_s = Spade(into, w)

    def forward(self, x: Tensor, seg: Tensor) -> Tensor:
        y = self.conv_0(F.leaky_relu(self.norm_0(x, seg), SLOPE))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, seg), SLOPE))
        out: Tensor = y + (self.conv_s(self.norm_s(x, seg)) if self.learned else x)
        return out


class Decoder(nn.Module):
    """Feature [B,256,64,64] → RGB [B,3,512,512] in 0 … 1."""

    def __init__(self, w: Widths = FULL) -> None:
        super().__init__()
        self.fc = nn.Conv2d(w.warped, w.decoder, 3, padding=1)
        self.middles = w.middles
        for i in range(w.middles):
            self.add_module(f"G_middle_{i}", SpadeBlock(w.decoder, w.decoder, w))
        self.up_0 = SpadeBlock(w.decoder, w.ups[0], w)
        self.up_1 = SpadeBlock(w.ups[0], w.ups[1], w)
        self.conv_img = nn.Sequential(nn.Conv2d(w.ups[1], 12, 3, padding=1), nn.PixelShuffle(2))

    def middle(self, i: int) -> SpadeBlock:
        block = self.get_submodule(f"G_middle_{i}")
        assert isinstance(block, SpadeBlock)
        return block

    def forward(self, feature: Tensor) -> Tensor:
        x = self.fc(feature)
        for i in range(self.middles):
            x = self.middle(i)(x, feature)
        x = self.up_0(doubled(x), feature)
        x = self.up_1(doubled(x), feature)
        out: Tensor = self.conv_img(F.leaky_relu(x, SLOPE)).sigmoid()
        return out
