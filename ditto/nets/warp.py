"""The warping network: an avatar's feature volume, moved from its own points to driven ones (specification §8.4)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvNorm, Down, Up
from .stitch import POINTS
from .widths import FULL, Widths

MOTIONS = POINTS + 1
"""One a point, and the identity."""
VARIANCE = 0.01
"""Of the points' heat maps, in the volume's units."""
SIDE = 64


def identity_grid(depth: int, device: torch.device | None = None) -> Tensor:
    """[depth, 64, 64, 3], last axis (x, y, z) from −1 to 1, end points included; float32."""
    z, y, x = (2 * (torch.arange(n, device=device) / (n - 1)) - 1 for n in (depth, SIDE, SIDE))
    grid = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), dim=-1)
    return grid.flip(-1)


def heat(grid: Tensor, points: Tensor) -> Tensor:
    """Gaussians around points [B,21,3] on a grid [D,H,W,3]: [B,21,D,H,W]."""
    offset = grid - points[:, :, None, None, None, :]
    return torch.exp(-0.5 / VARIANCE * offset.square().sum(-1))


def sparse_motions(grid: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
    """Where each motion hypothesis takes every voxel from: [B,22,D,H,W,3], the identity first."""
    source, driving = (points[:, :, None, None, None, :] for points in (kp_source, kp_driving))
    still = grid.expand(kp_source.shape[0], 1, *grid.shape)
    # Not grid + (source − driving): the last bit of a coordinate shows where features are steep.
    return torch.cat((still, grid - driving + source), dim=1)


def sample(volume: Tensor, grid: Tensor) -> Tensor:
    """Trilinear, zeros outside. The grid's ends are at cell centres, the sampling's at cell borders: as published."""
    return F.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class HourglassEncoder(nn.Module):
    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(Down(3, a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> list[Tensor]:
        found = [x]
        for block in self.down_blocks:
            found.append(block(found[-1]))
        return found


class HourglassDecoder(nn.Module):
    def __init__(self, sizes: tuple[int, ...], out: int, kernel: int) -> None:
        super().__init__()
        outs = (*sizes[-2:0:-1], out)
        ins = [sizes[-1], *(2 * n for n in sizes[-2:0:-1])]
        self.up_blocks = nn.ModuleList(Up(3, a, b) for a, b in zip(ins, outs, strict=True))
        self.conv = nn.Conv3d(out + sizes[0], out + sizes[0], kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm3d(out + sizes[0])

    def forward(self, skips: list[Tensor]) -> Tensor:
        x = skips.pop()
        for block in self.up_blocks:
            x = torch.cat((block(x), skips.pop()), dim=1)
        return F.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    def __init__(self, into: int, w: Widths) -> None:
        super().__init__()
        sizes = (into, *w.hourglass)
        self.encoder = HourglassEncoder(sizes)
        self.decoder = HourglassDecoder(sizes, w.hourglass_out, w.hourglass_kernel)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out


@dataclass(frozen=True, slots=True)
class DenseMotion:
    """What the dense motion net finds, with its intermediate results."""

    compressed: Tensor
    """[B,4,D,64,64]"""
    sparse_motion: Tensor
    """[B,22,D,64,64,3]"""
    deformed_feature: Tensor
    """[B,22,4,D,64,64]"""
    heatmap: Tensor
    """[B,22,1,D,64,64]"""
    softmax_mask: Tensor
    """[B,22,D,64,64]"""
    deformation: Tensor
    """[B,D,64,64,3]"""
    occlusion_map: Tensor
    """[B,1,64,64]"""


class DenseMotionNetwork(nn.Module):
    def __init__(self, w: Widths) -> None:
        super().__init__()
        into = MOTIONS * (1 + w.compress)
        self.hourglass = Hourglass(into, w)
        found = into + w.hourglass_out
        self.mask = nn.Conv3d(found, MOTIONS, w.kernel, padding=w.kernel // 2)
        self.compress = nn.Conv3d(w.volume, w.compress, 1)
        self.norm = nn.BatchNorm3d(w.compress)
        self.occlusion = nn.Conv2d(found * w.depth, 1, w.kernel, padding=w.kernel // 2)

    def forward(self, feature: Tensor, kp_source: Tensor, kp_driving: Tensor) -> DenseMotion:
        compressed = F.relu(self.norm(self.compress(feature)))
        batch, _channels, depth = compressed.shape[:3]
        grid = identity_grid(depth, feature.device)
        motion = sparse_motions(grid, kp_source, kp_driving)
        repeated = compressed.unsqueeze(1).expand(-1, MOTIONS, -1, -1, -1, -1).flatten(0, 1)
        deformed = sample(repeated, motion.flatten(0, 1)).unflatten(0, (batch, MOTIONS))
        heats = heat(grid, kp_driving) - heat(grid, kp_source)
        heats = F.pad(heats, (0, 0, 0, 0, 0, 0, 1, 0)).unsqueeze(2)
        found = self.hourglass(torch.cat((heats, deformed), dim=2).flatten(1, 2))
        mask = self.mask(found).softmax(dim=1)
        deformation = (mask.unsqueeze(-1) * motion).sum(dim=1)
        occlusion = self.occlusion(found.flatten(1, 2)).sigmoid()
        return DenseMotion(compressed, motion, deformed, heats, mask, deformation, occlusion)


@dataclass(frozen=True, slots=True)
class Warped:
    """The warp's result with what it is made of."""

    motion: DenseMotion
    warped: Tensor
    """[B,32,D,64,64]"""
    out: Tensor
    """[B,256,64,64]"""


class WarpNetwork(nn.Module):
    """Volume [B,32,16,64,64], source and driven points [B,21,3] → picture feature [B,256,64,64]."""

    def __init__(self, w: Widths = FULL) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotionNetwork(w)
        self.third = ConvNorm(2, w.volume * w.depth, w.warped, slope=0.01)
        self.fourth = nn.Conv2d(w.warped, w.warped, 1)

    def trace(self, feature_3d: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Warped:
        motion = self.dense_motion_network(feature_3d, kp_source, kp_driving)
        warped = sample(feature_3d, motion.deformation)
        return Warped(motion, warped, self.fourth(self.third(warped.flatten(1, 2))) * motion.occlusion_map)

    def forward(self, feature_3d: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        return self.trace(feature_3d, kp_source, kp_driving).out
