"""The stitching network: moves the driven points so that the head fits its neck (specification §6.4, §8.3)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .widths import FULL, Widths

POINTS = 21


class StitchNetwork(nn.Module):
    """Source and driven points, [B,21,3] each → driven points [B,21,3]."""

    def __init__(self, w: Widths = FULL) -> None:
        super().__init__()
        sizes = (6 * POINTS, *w.stitch, 3 * POINTS + 2)
        layers: list[nn.Module] = []
        for into, out in itertools.pairwise(sizes):
            layers += [nn.Linear(into, out), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def delta(self, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """[B,65]: an offset of every coordinate, then one of x and y for all points."""
        out: Tensor = self.mlp(torch.cat((kp_source.flatten(1), kp_driving.flatten(1)), dim=1))
        return out

    def forward(self, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        delta = self.delta(kp_source, kp_driving)
        moved = kp_driving + delta[:, : 3 * POINTS].unflatten(1, (POINTS, 3))
        shift = torch.cat((delta[:, 3 * POINTS :], torch.zeros_like(delta[:, :1])), dim=1)
        return moved + shift.unsqueeze(1)
