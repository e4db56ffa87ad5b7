"""A simulated path: a queue with a rate, a delay and losses, and reports about it, all by numbers instead of clocks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from avatar.play.estimate import PathEstimate

PACKET = 1200
REPORT_S = 0.06


@dataclass
class Link:
    rate: Callable[[float], float] = lambda now: 1e9
    """bit/s at a moment."""
    delay: float = 0.03
    queue_s: float = 0.3
    loss: float = 0.0
    policer: Callable[[float], float] | None = None
    """A rate beyond which packets vanish without waiting."""
    seed: int = 1
    _free: float = 0.0
    _tokens: float = 0.0
    _last: float = 0.0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def send(self, now: float, size: int) -> float | None:
        """When a packet arrives; None: it does not."""
        if self._random.random() < self.loss:
            return None
        if self.policer is not None:
            self._tokens = min(20_000, self._tokens + (now - self._last) * self.policer(now) / 8)
            self._last = now
            if self._tokens < size:
                return None
            self._tokens -= size
        rate = self.rate(now)
        if rate <= 0 or max(0.0, self._free - now) > self.queue_s:
            return None
        self._free = max(self._free, now) + size * 8 / rate
        return self._free + self.delay + 5.0  # another clock


def drive(
    estimate: PathEstimate, link: Link, seconds: float, *, start: float = 0.0, most: float = 1e9
) -> list[tuple[float, int]]:
    """Sends at the estimate (at `most` bit/s) in pictures of 40 ms; the estimates by time."""
    waiting: list[tuple[float, float | None, int]] = []
    trace = []
    now, slot = start, start
    told = start
    while now < start + seconds:
        bits = min(estimate.rate, most) * 0.04
        moment = slot
        while bits > 0:
            size = int(min(PACKET, max(100, bits / 8)))
            waiting.append((moment, link.send(moment, size), size))
            moment += size * 8 / (2.5 * estimate.rate)
            bits -= size * 8
        slot += 0.04
        now = slot
        if now - told >= REPORT_S:
            told = now
            ready = [p for p in waiting if p[0] + 0.1 < now and (p[1] is None or p[1] - 5.0 + link.delay <= now)]
            if ready:
                waiting = [p for p in waiting if p not in ready]
                estimate.on_report(ready, 2 * link.delay, now)
        trace.append((now, estimate.rate))
    return trace


def mean(trace: list[tuple[float, int]], begin: float, end: float) -> float:
    part = [rate for now, rate in trace if begin <= now < end]
    return sum(part) / len(part)
