"""How wide the networks are: as published, or small enough for a test on a CPU.

The small ones have the same layers, key names, inputs and outputs at the borders that other parts see (motion 265,
condition 1103, 21 points, 256² in, 512² out); only inner channels differ.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MotionWidths:
    """The diffusion model."""

    model: int = 512
    heads: int = 8
    feed: int = 1024
    layers: int = 8


@dataclass(frozen=True, slots=True)
class Widths:
    """All six networks."""

    name: str
    volume: int = 32
    """Channels of the appearance volume."""
    depth: int = 16
    """Its depth; height and width are always 64."""
    appearance: tuple[int, int, int] = (64, 128, 256)
    residuals: int = 6
    extractor: tuple[int, int, int, int] = (96, 192, 384, 768)
    blocks: tuple[int, int, int, int] = (3, 3, 9, 3)
    stitch: tuple[int, int, int] = (128, 128, 64)
    compress: int = 4
    """Channels of the volume that the dense motion net sees."""
    hourglass: tuple[int, int, int, int, int] = (64, 128, 256, 512, 1024)
    hourglass_out: int = 32
    kernel: int = 7
    """Of the convolutions that choose among the motions and find what is hidden."""
    hourglass_kernel: int = 3
    """Of the hourglass's last convolution."""
    warped: int = 256
    """Channels between the warp and the decoder."""
    decoder: int = 512
    middles: int = 6
    shared: int = 128
    """Channels of a SPADE's hidden layer."""
    ups: tuple[int, int] = (256, 64)
    motion: MotionWidths = MotionWidths()


FULL = Widths("full")
TINY = Widths(
    "tiny",
    volume=4,
    depth=2,
    appearance=(4, 4, 8),
    residuals=6,
    extractor=(8, 8, 16, 16),
    blocks=(1, 1, 1, 1),
    stitch=(16, 16, 16),
    compress=1,
    hourglass=(4, 4, 8, 8, 8),
    hourglass_out=4,
    kernel=1,
    hourglass_kernel=1,
    warped=8,
    decoder=8,
    middles=6,
    shared=4,
    ups=(6, 4),
    motion=MotionWidths(model=32, heads=2, feed=32, layers=2),
)
KNOWN = (FULL, TINY)
