"""Whether the queue on a path grows, and how long it is, from one-way delays. Pure code: time is handed in.

The trend of the delays of groups of packets, compared with a threshold that adapts (draft-ietf-rmcat-gcc-02 §5.2–§5.4;
the least-squares trend instead of the draft's Kalman filter as in Carlucci et al., "Congestion Control for Web
Real-Time Communication", IEEE/ACM Transactions on Networking 2017).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from operator import mul
from typing import Literal

Signal = Literal["normal", "overuse", "underuse"]

BURST_S = 0.005
"""Packets sent within this are one group (draft §5.2)."""
_WINDOW = 20
"""Groups that the trend is fitted to: about a second at 25 pictures a second."""
_SMOOTHING = 0.9
_GAIN = 4.0
_MAX_DELTAS = 60
_K_UP, _K_DOWN = 0.0087, 0.039
"""How fast the threshold follows the trend, per ms (draft §5.4)."""
_THRESHOLD_MS = (6.0, 600.0)
_FIRST_THRESHOLD_MS = 12.5
_OVERUSE_S = 0.01
"""The trend stays above the threshold for so long before it counts (draft §5.4)."""
STALL_S = 3.0
"""A gap in arrivals after which everything begins anew."""


@dataclass(slots=True)
class _Group:
    first_sent: float
    sent: float
    arrived: float
    first_arrived: float


class DelayTrend:
    """Whether the queue on the path grows."""

    def __init__(self) -> None:
        self.signal: Signal = "normal"
        self.trend_ms = 0.0
        self.threshold_ms = _FIRST_THRESHOLD_MS
        self._group: _Group | None = None
        self._before: _Group | None = None
        self._points: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._total_ms = self._smoothed_ms = 0.0
        self._deltas = 0
        self._over_since: float | None = None
        self._over_count = 0
        self._last_trend = 0.0
        self._updated: float | None = None

    def add(self, sent: float, arrived: float) -> None:
        """A packet, in the order of sending; seconds, by two clocks."""
        group = self._group
        if group is None:
            self._group = _Group(sent, sent, arrived, arrived)
            return
        if sent < group.first_sent:
            return  # out of order: it tells nothing about the queue
        if self._belongs(group, sent, arrived):
            group.sent = max(group.sent, sent)
            group.arrived = max(group.arrived, arrived)
            return
        if self._before is not None:
            self._change(group.sent - self._before.sent, group.arrived - self._before.arrived, group.arrived)
        self._before, self._group = group, _Group(sent, sent, arrived, arrived)

    @staticmethod
    def _belongs(group: _Group, sent: float, arrived: float) -> bool:
        if sent - group.first_sent <= BURST_S:
            return True
        # What a link held back and lets go at once is one burst too (draft §5.2).
        late = (arrived - group.arrived) - (sent - group.sent)
        return late < 0 and arrived - group.arrived <= BURST_S and arrived - group.first_arrived < 0.1

    def _change(self, sent: float, arrived: float, now: float) -> None:
        if not -1.0 < arrived < STALL_S:
            self._points.clear()
            self._deltas = 0
            self._total_ms = self._smoothed_ms = 0.0
            return
        self._deltas += 1
        self._total_ms += (arrived - sent) * 1000
        self._smoothed_ms = _SMOOTHING * self._smoothed_ms + (1 - _SMOOTHING) * self._total_ms
        self._points.append((now * 1000, self._smoothed_ms))
        if len(self._points) == _WINDOW:
            self._detect(self._slope(), sent, now)

    def _slope(self) -> float:
        times, delays = zip(*self._points, strict=True)
        middle = sum(times) / len(times)
        away = [time - middle for time in times]
        spread = sum(map(mul, away, away))
        return sum(map(mul, away, delays)) / spread if spread else 0.0

    def _detect(self, slope: float, interval: float, now: float) -> None:
        trend = min(self._deltas, _MAX_DELTAS) * slope * _GAIN
        self.trend_ms = trend
        if trend > self.threshold_ms:
            self._over_since = interval / 2 if self._over_since is None else self._over_since + interval
            self._over_count += 1
            if self._over_since > _OVERUSE_S and self._over_count > 1 and slope >= self._last_trend:
                self._over_since, self._over_count = 0.0, 0
                self.signal = "overuse"
        else:
            self._over_since, self._over_count = None, 0
            self.signal = "underuse" if trend < -self.threshold_ms else "normal"
        self._last_trend = slope
        self._adapt(trend, now)

    def _adapt(self, trend: float, now: float) -> None:
        """The threshold follows the trend, so that a stronger rival flow does not push ours aside (draft §5.4)."""
        size = abs(trend)
        if self._updated is not None and size <= self.threshold_ms + 15:
            elapsed_ms = min(100.0, max(0.0, now - self._updated) * 1000)
            k = _K_DOWN if size < self.threshold_ms else _K_UP
            low, high = _THRESHOLD_MS
            self.threshold_ms = min(high, max(low, self.threshold_ms + k * (size - self.threshold_ms) * elapsed_ms))
        self._updated = now


STANDING_S = 0.08
"""A queue that is this long and does not shrink is too long, even when it does not grow: a full one cannot."""
_BASE_SPAN_S = 30.0
_STUCK_S = 2.5
"""A queue that our giving way for this long does not shorten is another's, or a longer path, and is lived with."""


class Queue:
    """How long packets wait on the path, over the shortest time seen in the last half minute."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._minima: deque[tuple[float, float]] = deque()
        self._since: float | None = None
        self._highest = 0.0

    def add(self, delay: float, now: float) -> None:
        """The shortest one-way delay in a report, by two clocks."""
        if not self._minima or now - self._minima[-1][0] >= 1.0:
            self._minima.append((now, delay))
        elif delay < self._minima[-1][1]:
            self._minima[-1] = self._minima[-1][0], delay
        while now - self._minima[0][0] > _BASE_SPAN_S:
            self._minima.popleft()
        self.seconds = delay - min(least for _, least in self._minima)
        if self.seconds < STANDING_S:
            self._since = None
        elif self._since is None or self.seconds < 0.8 * self._highest:
            self._since, self._highest = now, self.seconds
        elif now - self._since > _STUCK_S:
            self._minima.clear()
            self._minima.append((now, delay))
            self.seconds, self._since = 0.0, None
