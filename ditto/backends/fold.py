"""Arithmetic that is done once, on weights, instead of at every frame. All of it is exact up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_TAPS = {
    # Output phase of a ×2 repetition against taps of the 3-wide kernel, as a 4-wide transposed convolution, stride 2.
    2: ((2,), (1, 2), (0, 1), (0,)),
    # ×4: the two inner phases see one source pixel alone and are equal, so three phases say everything; stride 3.
    3: ((2,), (1, 2), (0, 1, 2), (0, 1), (0,)),
}


def folded_norm(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm folded in; float32."""
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = conv.weight.double() * scale.reshape(-1, *(1,) * (conv.weight.dim() - 1))
    bias = (conv.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    return weight.float(), bias.float()


def convolution(weight: Tensor, bias: Tensor | None, padding: int | Sequence[int]) -> nn.Module:
    """A plain convolution layer, 2-D or 3-D by the weight's rank."""
    kind: Any = nn.Conv2d if weight.dim() == 4 else nn.Conv3d
    out, into, *kernel = weight.shape
    with torch.device("meta"):
        layer = kind(into, out, kernel, padding=padding, bias=bias is not None)
    layer.weight = nn.Parameter(weight.float().contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.float().contiguous(), requires_grad=False)
    kept: nn.Module = layer
    return kept


def spread(weight: Tensor, axis: int, phases: int) -> Tensor:
    """A kernel's 3-wide axis as the transposed kernel that works before nearest repetition instead of after it."""
    taps = weight.double().unbind(axis)
    return torch.stack([sum((taps[i] for i in group), torch.zeros_like(taps[0])) for group in _TAPS[phases]], axis)


def raised(weight: Tensor, bias: Tensor, phases: int) -> nn.Module:
    """A convolution of a nearest-enlarged picture or volume, as a transposed convolution of the small one.

    `phases` 2: of a ×2 enlargement; 3: of a ×4 one, at three quarters of its size (see `unfold_quads`). A volume's
    depth is not enlarged. The multiplications fall to 4/9 (×2) and 25/144 (×4) of the convolution's.
    """
    dims = weight.dim() - 2
    for axis in (-2, -1):
        weight = spread(weight, axis, phases)
    if dims == 3:
        weight = weight.flip(2)
    kind: Any = nn.ConvTranspose2d if dims == 2 else nn.ConvTranspose3d
    stride = (phases, phases) if dims == 2 else (1, phases, phases)
    out, into, *kernel = weight.shape
    with torch.device("meta"):
        layer = kind(into, out, kernel, stride=stride, padding=1)
    layer.weight = nn.Parameter(weight.transpose(0, 1).float().contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float().contiguous(), requires_grad=False)
    kept: nn.Module = layer
    return kept


def unfold_quads(x: Tensor) -> Tensor:
    """[B,C,3n,3m] of three phases → [B,C,4n,4m] of four: the inner phase twice."""
    for axis in (2, 3):
        a, b, c = x.unflatten(axis, (-1, 3)).unbind(axis + 1)
        x = torch.stack((a, b, b, c), axis + 1).flatten(axis, axis + 1)
    return x
