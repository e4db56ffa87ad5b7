"""The decoder as it is run: spectral norms folded, convolutions that share an input joined, enlargements fused.

Against the published form (`ditto.nets.decoder`): `fc` and all hidden layers that look at the 64² map are one
convolution; each layer's γ and β are one; the hidden layers at 128² and 256² work on the 64² map before it is enlarged;
a block's two instance norms of one input are one, taken before that input is enlarged; the shortcut's β, which meets
nothing but a linear layer, is multiplied into it. Statistics are float32 whatever the type of the rest.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto.nets.blocks import doubled
from ditto.nets.decoder import EPS, SLOPE, Decoder

from .fold import convolution, raised, unfold_quads


def normalised(x: Tensor) -> Tensor:
    """Instance norm in float32, returned in the input's type."""
    wide = x.float()
    variance, mean = torch.var_mean(wide, dim=(2, 3), keepdim=True, correction=0)
    return ((wide - mean) * torch.rsqrt(variance + EPS)).to(x.dtype)


def modulation(norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution for 1 + γ and β."""
    gamma, beta = norm.mlp_gamma, norm.mlp_beta
    return torch.cat((gamma.weight, beta.weight)), torch.cat((gamma.bias + 1, beta.bias))


def hidden(norms: list[Any]) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution for the hidden layers of several norms."""
    shared = [norm.mlp_shared[0] for norm in norms]
    return torch.cat([conv.weight for conv in shared]), torch.cat([conv.bias for conv in shared])


def modulate(x: Tensor, gamma_beta: Tensor) -> Tensor:
    gamma, beta = gamma_beta.chunk(2, dim=1)
    return x * gamma + beta


class FastBlock(nn.Module):
    """Convolutions of a block. Its hidden maps come from outside."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.learned = block.learned
        self.modulate_0 = convolution(*modulation(block.norm_0), padding=1)
        self.modulate_1 = convolution(*modulation(block.norm_1), padding=1)
        self.conv_0 = convolution(block.conv_0.weight(), block.conv_0.bias, padding=1)
        self.conv_1 = convolution(block.conv_1.weight(), block.conv_1.bias, padding=1)
        if self.learned:
            norm, shortcut = block.norm_s, block.conv_s.weight()
            self.gamma_s = convolution(norm.mlp_gamma.weight, norm.mlp_gamma.bias + 1, padding=1)
            self.conv_s = convolution(shortcut, None, padding=0)
            beta = norm.mlp_beta
            weight = torch.einsum("om,mihw->oihw", shortcut.flatten(1).double(), beta.weight.double())
            self.beta_s = convolution(weight, shortcut.flatten(1).double() @ beta.bias.double(), padding=1)

    def forward(self, x: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """x as it was before any enlargement; `maps` are the hidden maps of its norms, at the block's size."""
        normal = normalised(x)
        if self.learned:
            normal = doubled(normal)
        y = self.conv_0(F.leaky_relu(modulate(normal, self.modulate_0(maps[0])), SLOPE))
        y = self.conv_1(F.leaky_relu(modulate(normalised(y), self.modulate_1(maps[1])), SLOPE))
        if not self.learned:
            out: Tensor = x + y
            return out
        shortcut: Tensor = self.conv_s(normal * self.gamma_s(maps[2])) + self.beta_s(maps[2])
        return y + shortcut


class FastDecoder(nn.Module):
    """Feature [B,256,64,64] → RGB [B,3,512,512] in 0 … 1, float32."""

    def __init__(self, net: Decoder) -> None:
        super().__init__()
        middles = [net.middle(i) for i in range(net.middles)]
        fc: Any = net.fc
        weight, bias = hidden([norm for block in middles for norm in (block.norm_0, block.norm_1)])
        self.width = fc.out_channels
        self.entry = convolution(torch.cat((fc.weight, weight)), torch.cat((fc.bias, bias)), padding=1)
        self.middles = nn.ModuleList(FastBlock(block) for block in middles)
        ups: list[Any] = [net.up_0, net.up_1]
        norms = [[up.norm_0, up.norm_1, up.norm_s] for up in ups]
        self.hidden_0 = raised(*hidden(norms[0]), 2)
        self.hidden_1 = raised(*hidden(norms[1]), 3)
        self.up_0, self.up_1 = FastBlock(ups[0]), FastBlock(ups[1])
        last: Any = net.conv_img[0]
        self.exit = convolution(last.weight, last.bias, padding=1)

    def forward(self, feature: Tensor) -> Tensor:
        entry = self.entry(feature)
        x = entry[:, : self.width]
        maps = F.relu(entry[:, self.width :]).chunk(2 * len(self.middles), dim=1)
        for i, block in enumerate(self.middles):
            x = block(x, maps[2 * i : 2 * i + 2])
        x = self.up_0(x, F.relu(self.hidden_0(feature)).chunk(3, dim=1))
        x = self.up_1(x, unfold_quads(F.relu(self.hidden_1(feature))).chunk(3, dim=1))
        picture = F.pixel_shuffle(self.exit(F.leaky_relu(x, SLOPE)), 2)
        return picture.float().sigmoid()
