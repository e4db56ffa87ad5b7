"""The congestion control of one connection: numbers what is sent, reads what came of it, tells everybody the rate."""

from __future__ import annotations

from collections.abc import Callable

from .estimate import PathEstimate
from .feedback import ArrivalClock, Arrivals, Feedback
from .lips import Lips
from .pacer import Pacer

OVERHEAD = 38
"""Bytes around an RTP packet: SRTP's tag, UDP and IPv4. A link counts them, so the estimate does."""
START = 850_000
"""bit/s: 512 × 512 at 25 fps looks clean with 750 kbit/s, and the sound comes on top. A path that is narrower shows it
within a few reports."""
FLOOR = 60_000

CEILING = 4_000_000
_KEPT = 4_000
"""Packets whose sending is remembered: some ten seconds."""
FIRST_RTT_S = 0.1
_QUEUED_S = 0.1
"""A queue that is longer is waited for, by everything but sound."""
_SILENT_S = 0.4
"""Without a report for this long nothing gets through, or nothing is heard of it."""


Fate = Callable[[float | None], None]
"""Hears when a packet arrived, in seconds by the receiver's clock, or None: it did not."""


class Congestion:
    """Shared by the senders of a connection."""

    def __init__(self) -> None:
        self.pacer = Pacer()
        self.arrivals = Arrivals()
        """Of what the other side sends."""
        self.arrivals_told = 0.0
        """When it was last told of them, monotonic seconds."""
        self.lips = Lips()
        self.estimate: PathEstimate | None = None
        """None before the first report: the other side may not send any."""
        self.on_estimate: list[Callable[[float], None]] = []
        """Called with monotonic time after each report."""
        self.sound_only = False
        """The path is too thin for pictures: all of it is the sound's."""
        self.reports = 0
        self._next = 0
        self._sent: dict[int, tuple[float, int, Fate | None]] = {}
        self._told = -1
        """The highest number that a report has spoken of."""
        self._clock = ArrivalClock()
        self._rtt = FIRST_RTT_S
        self._shortest = 0.0
        self._ceiling = CEILING
        self.last_report = float("-inf")
        self.dark_s = 0.0
        """How long the last report had been missing when it came, if that was unusual; else 0."""

    def number(self) -> int:
        """The transport-wide number for the packet that is sent next, 16 bits."""
        return self._next & 0xFFFF

    def sent(self, size: int, now: float, fate: Fate | None = None) -> None:
        """That packet is on its way: `size` bytes of RTP. `fate` may hear of a packet that is merely late as lost."""
        self._sent[self._next] = now, size + OVERHEAD, fate
        self._next += 1
        if len(self._sent) > _KEPT:
            del self._sent[next(iter(self._sent))]

    def set_rtt(self, seconds: float) -> None:
        self._rtt = seconds
        self._shortest = min(self._shortest, seconds) if self._shortest else seconds

    @property
    def rtt_s(self) -> float:
        """A round trip, smoothed; a guess before the first report."""
        return self._rtt

    @property
    def trip_s(self) -> float:
        """A round trip as it is now: the shortest one, and what waits on the path."""
        return self._shortest + (self.estimate.queue_s if self.estimate is not None else 0.0)

    def set_ceiling(self, rate: int) -> None:
        """The most that can be of use, bit/s: beyond, nothing is learned about the path."""
        self._ceiling = max(FLOOR, min(CEILING, rate))
        if self.estimate is not None:
            self.estimate.set_bounds(FLOOR, self._ceiling)

    def take(self, report: Feedback, now: float) -> None:
        """A report of the other side."""
        if self._next == 0:
            return
        # Counted back from what was sent last: reports may have been missing for longer than the numbers take to wrap.
        base = self._next - 1 - ((self._next - 1 - report.base) & 0xFFFF)
        if base < 0:
            return
        pause = now - self.last_report
        dark = self.reports > 0 and pause > _SILENT_S
        packets: list[tuple[float, float | None, int]] = []
        fates: list[tuple[Fate, float | None]] = []
        for sequence, arrived in enumerate(report.arrivals, base):
            if sequence >= self._next:
                break
            if arrived is None and sequence <= self._told:
                continue
            known = self._sent.pop(sequence, None) if arrived is not None else self._sent.get(sequence)
            if known is None:
                continue
            sent, size, fate = known
            moment = None if arrived is None else self._clock(arrived)
            if fate is not None:
                fates.append((fate, moment))
            if arrived is not None or not dark:  # what an outage swallowed says nothing about the rate
                packets.append((sent, moment, size))
        self._told = max(self._told, min(base + len(report.arrivals), self._next) - 1)
        if not packets:
            return
        self.reports += 1
        self.dark_s = pause if dark else 0.0
        self.last_report = now
        if self.estimate is None:
            self.estimate = PathEstimate(min(START, self._ceiling), FLOOR, self._ceiling)
        rate = self.estimate.on_report(packets, self._rtt, now)
        self.pacer.set_estimate(rate, queued=self.estimate.queue_s > _QUEUED_S)
        for listener in self.on_estimate:
            listener(now)
        for fate, moment in fates:
            fate(moment)

    def silent_s(self, now: float) -> float:
        """How long nothing has been heard of what is sent; 0 before the first report."""
        return now - self.last_report if self.reports else 0.0
