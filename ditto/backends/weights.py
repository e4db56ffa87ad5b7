"""The renderer's two networks, loaded."""

from __future__ import annotations

from dataclasses import dataclass

from ditto.nets.decoder import Decoder
from ditto.nets.warp import WarpNetwork


@dataclass(frozen=True, slots=True)
class Weights:
    """As published; each backend folds them for itself."""

    warp: WarpNetwork
    decoder: Decoder
