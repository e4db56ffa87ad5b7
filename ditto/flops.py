"""What the networks cost, counted on their graphs without running them: 2 a multiply-add (specification §8.0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from .backends.fastdecoder import FastDecoder
from .backends.fastwarp import FastWarp
from .nets.decoder import Decoder
from .nets.lmdm import Lmdm
from .nets.warp import WarpNetwork
from .nets.widths import FULL, Widths


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOPs as published, and as they are run here."""

    published: int
    here: int

    @property
    def saved(self) -> float:
        """The share that is left out."""
        return 1 - self.here / self.published


def count(work: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return int(counter.get_total_flops())


def frame(w: Widths = FULL) -> Cost:
    """Warp and decoder, one frame."""
    with torch.device("meta"):
        warp, decoder = WarpNetwork(w).eval(), Decoder(w).eval()
        volume, points = torch.empty(1, w.volume, w.depth, 64, 64), torch.empty(1, 21, 3)
        published = count(lambda: decoder(warp(volume, points, points)))
        fast, fast_decoder = FastWarp(warp), FastDecoder(decoder)
        avatar = fast.prepare(volume, points)
        here = count(lambda: fast_decoder(fast(*avatar.tensors(), points)))
    return Cost(published, here)


def clip(steps: int = 10, w: Widths = FULL) -> Cost:
    """One clip of 80 frames from the diffusion network in that many steps."""
    with torch.device("meta"):
        net = Lmdm(w.motion).eval()
        x, pose, cond = torch.empty(1, 80, 265), torch.empty(1, 265), torch.empty(1, 80, 1103)
        times = torch.empty(1, dtype=torch.int64)
        published = steps * count(lambda: net.guided(x, pose, cond, times))
        with torch.no_grad():
            null, (moment,) = net.unconditional(), net.schedule(times)
            memory, start = net.condition(cond), net.frame(pose)
        once = count(lambda: (net.condition(cond), net.frame(pose)))
        here = once + steps * count(lambda: net.step(x, start, memory, null, moment))
    return Cost(published, here)
