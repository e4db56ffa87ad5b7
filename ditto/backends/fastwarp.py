"""The warping network as it is run: what an avatar brings is prepared once, norms are folded, enlargements are fused.

Against the published form (`ditto.nets.warp`): no batch norms; the identity motion's samples and the source's heat
maps come with the avatar; the heat map that is always zero is no channel; convolutions after nearest enlargement work
before it; the deformation is the grid plus the masks' mix of 21 shifts, so no 22 grids are kept. Coordinates, masks and
sampling stay in float32 whatever the type of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto.nets.stitch import POINTS
from ditto.nets.warp import MOTIONS, WarpNetwork, heat, identity_grid, sample

from .fold import convolution, folded_norm, raised


@dataclass(frozen=True, slots=True)
class AvatarVolume:
    """What the warp keeps of one source frame, on its device. B is 1, or a batch of frames."""

    volume: Tensor
    """[B,32,D,64,64]"""
    compressed: Tensor
    """[B,4,D,64,64] float32"""
    still: Tensor
    """[B,4,D,64,64]: `compressed` under the identity motion."""
    heat: Tensor
    """[B,21,D,64,64]: around the source's points."""
    kp_source: Tensor
    """[B,21,3] float32"""

    def tensors(self) -> tuple[Tensor, ...]:
        return self.volume, self.compressed, self.still, self.heat, self.kp_source

    @staticmethod
    def join(rows: list[AvatarVolume]) -> AvatarVolume:
        if len(rows) == 1:
            return rows[0]
        return AvatarVolume(*(torch.cat(parts) for parts in zip(*(row.tensors() for row in rows), strict=True)))


class Prepare(nn.Module):
    """Volume and source points → the avatar's constants."""

    grid: Tensor

    def __init__(self, net: WarpNetwork, depth: int) -> None:
        super().__init__()
        dense: Any = net.dense_motion_network
        self.compress = convolution(*folded_norm(dense.compress, dense.norm), padding=0)
        self.register_buffer("grid", identity_grid(depth), persistent=False)

    def forward(self, feature: Tensor, kp_source: Tensor) -> AvatarVolume:
        compressed = F.relu(self.compress(feature))
        still = sample(compressed, self.grid.expand(feature.shape[0], -1, -1, -1, -1))
        return AvatarVolume(feature, compressed, still, heat(self.grid, kp_source), kp_source)


def halved(x: Tensor) -> Tensor:
    """Half the height and width, by averages."""
    if x.device.type == "cpu" and x.dtype != torch.float32:  # torch has no such kernel
        return F.avg_pool3d(x.float(), (1, 2, 2)).to(x.dtype)
    return F.avg_pool3d(x, (1, 2, 2))


class FastWarp(nn.Module):
    """An avatar's constants and driven points [B,21,3] → picture feature [B,256,64,64]."""

    grid: Tensor

    def __init__(self, net: WarpNetwork) -> None:
        super().__init__()
        dense: Any = net.dense_motion_network
        hourglass = dense.hourglass
        channels = dense.compress.out_channels
        depth = dense.occlusion.in_channels // dense.mask.in_channels
        self.prepare = Prepare(net, depth)
        self.register_buffer("grid", identity_grid(depth), persistent=False)

        # The input's channels, as published: motion-major, heat map first. Here: 21 heat maps, then all features, so
        # that nothing is interleaved at run time; channel 0, the identity's empty heat map, is gone.
        group = 1 + channels
        heats = [group * m for m in range(1, MOTIONS)]
        features = [group * m + 1 + c for m in range(MOTIONS) for c in range(channels)]
        order = torch.tensor(heats + features)
        wide = hourglass.decoder.conv.in_channels - MOTIONS * group

        downs = [folded_norm(block.conv, block.norm) for block in hourglass.encoder.down_blocks]
        downs[0] = (downs[0][0][:, order], downs[0][1])
        self.downs = nn.ModuleList(convolution(w, b, padding=1) for w, b in downs)
        self.ups = nn.ModuleList(raised(*folded_norm(up.conv, up.norm), 2) for up in hourglass.decoder.up_blocks)
        weight, bias = folded_norm(hourglass.decoder.conv, hourglass.decoder.norm)
        weight = torch.cat((weight[:, :wide], weight[:, wide:][:, order]), dim=1)
        self.last = convolution(weight, bias, padding=hourglass.decoder.conv.padding)
        self.mask = convolution(dense.mask.weight, dense.mask.bias, padding=dense.mask.padding)
        self.occlusion = convolution(dense.occlusion.weight, dense.occlusion.bias, padding=dense.occlusion.padding)
        third: Any = net.third
        self.slope = third.slope
        self.third = convolution(*folded_norm(third.conv, third.norm), padding=1)
        self.fourth = convolution(net.fourth.weight, net.fourth.bias, padding=0)

    @property
    def dtype(self) -> torch.dtype:
        kind: torch.dtype = self.fourth.weight.dtype
        return kind

    def forward(
        self,
        volume: Tensor,
        compressed: Tensor,
        still: Tensor,
        heat_source: Tensor,
        kp_source: Tensor,
        kp_driving: Tensor,
    ) -> Tensor:
        """The first five as in `AvatarVolume`."""
        shifts = kp_source - kp_driving
        found = self.hourglass(self.hypotheses(compressed, still, heat_source, shifts, kp_driving))
        masks = self.mask(found).float().softmax(dim=1)
        mixed = torch.einsum("bkdhw,bkc->bdhwc", masks[:, 1:], shifts)
        moved = sample(volume.float(), self.grid + mixed).to(self.dtype)
        occlusion = self.occlusion(found.flatten(1, 2)).sigmoid()
        feature = self.fourth(F.leaky_relu(self.third(moved.flatten(1, 2)), self.slope))
        out: Tensor = feature * occlusion
        return out

    def hypotheses(
        self, compressed: Tensor, still: Tensor, heat_source: Tensor, shifts: Tensor, kp_driving: Tensor
    ) -> Tensor:
        """The hourglass's input: heat maps, then the features as each motion would have them."""
        batch = compressed.shape[0]
        grids = (self.grid + shifts[:, :, None, None, None, :]).flatten(0, 1)
        repeated = compressed.unsqueeze(1).expand(-1, POINTS, -1, -1, -1, -1).flatten(0, 1)
        deformed = sample(repeated, grids).unflatten(0, (batch, POINTS)).flatten(1, 2)
        heats = heat(self.grid, kp_driving) - heat_source
        return torch.cat((heats.to(self.dtype), still.to(self.dtype), deformed.to(self.dtype)), dim=1)

    def hourglass(self, x: Tensor) -> Tensor:
        skips = [x]
        for down in self.downs:
            skips.append(halved(F.relu(down(skips[-1]))))
        y = skips.pop()
        for up in self.ups:
            y = torch.cat((F.relu(up(y)), skips.pop()), dim=1)
        return F.relu(self.last(y))
