"""The six networks by the names that files and keys use."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .appearance import AppearanceExtractor
from .decoder import Decoder
from .lmdm import Lmdm
from .motion import MotionExtractor
from .stitch import StitchNetwork
from .warp import WarpNetwork
from .widths import FULL, Widths


def _lmdm(w: Widths = FULL) -> nn.Module:
    return Lmdm(w.motion)


FAMILY: dict[str, Callable[[Widths], nn.Module]] = {
    "appearance_extractor": AppearanceExtractor,
    "motion_extractor": MotionExtractor,
    "stitch_network": StitchNetwork,
    "warp_network": WarpNetwork,
    "decoder": Decoder,
    "lmdm": _lmdm,
}
