"""The appearance extractor: a face becomes a feature volume, once an avatar (specification §8.1)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from .blocks import ConvNorm, Down, Residual
from .widths import FULL, Widths


class AppearanceExtractor(nn.Module):
    """RGB/255 [B,3,256,256] → volume [B,32,16,64,64]."""

    def __init__(self, w: Widths = FULL) -> None:
        super().__init__()
        a, b, c = w.appearance
        self.volume = (w.volume, w.depth)
        self.first = ConvNorm(2, 3, a)
        self.down_blocks = nn.ModuleList([Down(2, a, b), Down(2, b, c)])
        self.second = nn.Conv2d(c, w.volume * w.depth, 1)
        names = (f"3dr{i}" for i in range(w.residuals))
        self.resblocks_3d = nn.Sequential(OrderedDict((name, Residual(w.volume)) for name in names))

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        for block in self.down_blocks:
            x = block(x)
        out: Tensor = self.resblocks_3d(self.second(x).unflatten(1, self.volume))
        return out
