"""How much a path carries, from when packets were sent and when they arrived. Pure code: time is handed in.

Google Congestion Control as published (draft-ietf-rmcat-gcc-02). A queue that grows shows in one-way delays long before
packets are lost; the rate then falls to 0.85 of what gets through, and otherwise climbs by 8 % a second, or by about a
packet per round trip near the rate at which the path was last found full. One rule is ours: a drop-tail queue that is
full grows no more, so a long queue that does not shrink counts as overuse too.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from .loss import LossRate
from .trend import STALL_S, STANDING_S, DelayTrend, Queue, Signal


class Throughput:
    """What gets through, from arrivals: bit/s over the last half second of them."""

    SPAN_S = 0.5
    SHORT_S = 0.2

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, int]] = deque()
        self._bytes = 0
        self._began: float | None = None

    def add(self, arrived: float, size: int) -> None:
        if self._began is None or (self._arrived and arrived - self._arrived[-1][0] > STALL_S):
            self._arrived.clear()
            self._bytes, self._began = 0, arrived
        self._arrived.append((arrived, size))
        self._bytes += size
        while arrived - self._arrived[0][0] > self.SPAN_S:
            self._bytes -= self._arrived.popleft()[1]

    @property
    def rate(self) -> int | None:
        """None before half a second has been seen."""
        if self._began is None or not self._arrived or self._arrived[-1][0] - self._began < self.SPAN_S:
            return None
        return int(self._bytes * 8 / self.SPAN_S)

    @property
    def lately(self) -> int | None:
        """The same over the last fifth of a second: what a queue that has just filled lets through."""
        if self.rate is None:
            return None
        last = self._arrived[-1][0]
        size = 0
        for arrived, bytes_ in reversed(self._arrived):
            if last - arrived > self.SHORT_S:
                break
            size += bytes_
        return int(size * 8 / self.SHORT_S)


_BETA = 0.85
"""Of what gets through, on overuse (draft §5.5)."""
_ETA_PER_S = 0.08
_NEAR = 3.0
"""Standard deviations around the rate at which the path was last full, within which the rate climbs slowly."""
_HEADROOM, _HEADROOM_FIXED = 1.5, 10_000
"""The estimate stays below this much more than what gets through: nothing is known beyond (draft §5.5)."""
_PACKET_BITS = 9_600
_CUT_PAUSE_S = 0.3


class DelayRate:
    """The delay-based estimate: additive or multiplicative increase, multiplicative decrease (draft §5.5)."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._state: Literal["hold", "increase"] = "increase"
        self._full: float | None = None
        """Average rate at which the path was found full, bit/s, and its relative variance."""
        self._variance = 0.4
        self._updated: float | None = None
        self._cut = float("-inf")

    def update(self, signal: Signal, through: int | None, rtt: float, now: float) -> None:
        elapsed = 0.0 if self._updated is None else min(1.0, now - self._updated)
        self._updated = now
        if signal == "overuse":
            if now - self._cut >= max(_CUT_PAUSE_S, rtt):
                self._decrease(through, now)
            self._state = "hold"
        elif signal == "underuse":
            self._state = "hold"  # queues empty themselves: wait for it
        elif self._state == "hold":
            self._state = "increase"
        else:
            self._increase(through, rtt, elapsed)

    def _decrease(self, through: int | None, now: float) -> None:
        self._cut = now
        measured = self.rate if through is None else through
        if self._full is not None and abs(measured - self._full) > _NEAR * self._deviation():
            self._full = None
        self._note(measured)
        self.rate = min(self.rate, int(_BETA * measured))

    def _note(self, measured: float) -> None:
        """Kilobits in the variance, as published: it is relative to the rate's size."""
        if self._full is None:
            self._full = measured
            self._variance = 0.4
            return
        error = self._full - measured
        self._full = 0.95 * self._full + 0.05 * measured
        scale = max(1.0, self._full / 1000)
        self._variance = min(2.5, max(0.4, 0.95 * self._variance + 0.05 * (error / 1000) ** 2 / scale))

    def _deviation(self) -> float:
        assert self._full is not None
        return float((self._variance * self._full / 1000) ** 0.5 * 1000)

    def _increase(self, through: int | None, rtt: float, elapsed: float) -> None:
        if through is not None and self._full is not None and through > self._full + _NEAR * self._deviation():
            self._full = None  # more gets through than it was thought to carry
        near = self._full is not None and self.rate > self._full - _NEAR * self._deviation()
        if near:
            grown = self.rate + elapsed * max(4_000.0, _PACKET_BITS / (2 * (rtt + 0.1)))
        else:
            grown = self.rate * (1 + _ETA_PER_S) ** elapsed + 1_000 * elapsed
        limit = grown if through is None else max(self.rate, _HEADROOM * through + _HEADROOM_FIXED)
        self.rate = int(min(grown, limit))


QUEUED_S = 0.008
"""The shortest delay in a report must have grown by this much before a trend counts."""
_CALM_S = 0.03
"""A queue shorter than this does not overflow."""
LOSS_AVERAGE_S = 3.0


class PathEstimate:
    """The lower of both estimates, within bounds."""

    def __init__(self, start: int, floor: int, ceiling: int) -> None:
        """All in bit/s and for everything that is sent."""
        self.floor, self.ceiling = floor, ceiling
        self._trend = DelayTrend()
        self._through = Throughput()
        self._delay = DelayRate(start)
        self._loss = LossRate(start)
        self._queue = Queue()
        self.rate = start
        self.signal: Signal = "normal"
        self.loss = 0.0
        """Share of packets lost, averaged over some seconds."""
        self._reported: float | None = None
        self._overused = float("-inf")

    def on_report(self, packets: list[tuple[float, float | None, int]], rtt: float, now: float) -> int:
        """Takes one report: of each packet when it was sent, when it arrived (by the receiver's clock; None: lost) and
        its size in bytes, in the order of sending. Returns the estimate in bit/s."""
        grew = False
        shortest = float("inf")
        for sent, arrived, size in packets:
            if arrived is None:
                continue
            self._trend.add(sent, arrived)
            self._through.add(arrived, size)
            grew = grew or self._trend.signal == "overuse"
            shortest = min(shortest, arrived - sent)
        if shortest < float("inf"):
            self._queue.add(shortest, now)
        # Stalls of the receiver's machine delay packets in bursts; a queue delays every one of them.
        grew = grew and self._queue.seconds > QUEUED_S
        standing = self._queue.seconds > STANDING_S and self._trend.signal != "underuse"
        self.signal = "overuse" if grew or standing else self._trend.signal
        if grew:
            self._trend.signal = "normal"
        if self.signal == "overuse":
            self._overused = now
        self._count(packets, now)
        through = self._through.rate
        if self.signal == "overuse" and through is not None:
            through = max(through // 2, min(through, self._through.lately or through))
        self._delay.update(self.signal, through, rtt, now)
        self._delay.rate = max(self.floor, min(self._delay.rate, self.ceiling))
        self._loss.rate = max(self.floor, min(self._loss.rate, self.ceiling, 2 * self._delay.rate))
        self.rate = min(self._delay.rate, self._loss.rate)
        return self.rate

    def _count(self, packets: list[tuple[float, float | None, int]], now: float) -> None:
        lost = sum(arrived is None for _, arrived, _ in packets)
        if packets:
            elapsed = 0.1 if self._reported is None else min(1.0, now - self._reported)
            self.loss += (lost / len(packets) - self.loss) * min(1.0, elapsed / LOSS_AVERAGE_S)
            self._reported = now
        self._loss.add(lost, len(packets), self.calm(now), now)

    def calm(self, now: float) -> bool:
        """Nothing waits on the path: what is lost is not lost to a full queue."""
        return self._queue.seconds < _CALM_S and now - self._overused > 1.0

    def set_bounds(self, floor: int, ceiling: int) -> None:
        self.floor, self.ceiling = floor, ceiling
        self.rate = max(floor, min(self.rate, ceiling))

    @property
    def queue_s(self) -> float:
        """How long packets wait on the path."""
        return self._queue.seconds

    @property
    def through(self) -> int | None:
        """What gets through, bit/s."""
        return self._through.rate
