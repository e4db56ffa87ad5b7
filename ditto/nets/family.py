"""The six networks by the names that files and keys use."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .lmdm import Lmdm
from .widths import FULL

FAMILY: dict[str, Callable[..., nn.Module]] = {"lmdm": lambda w=FULL: Lmdm(w.motion)}
