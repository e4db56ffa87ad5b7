"""What a receiver knows about one RTP stream: order, loss, jitter, and the sender's clock. Pure code.

RFC 3550 appendix A.3 (loss), A.8 (jitter), §6.4.1 (timestamps and sender reports).
"""

from __future__ import annotations

from ..clock import NTP_EPOCH


class Unwrapper:
    """Turns counters of `bits` bits that wrap around into ones that do not."""

    def __init__(self, bits: int) -> None:
        self._size = 1 << bits
        self._last: int | None = None

    def peek(self, value: int) -> int:
        """The unwrapped value nearest to the last one, which stays the reference."""
        if self._last is None:
            return value
        half = self._size >> 1
        return self._last + (value - self._last + half) % self._size - half

    def __call__(self, value: int) -> int:
        """As `peek`, and the greatest value so far becomes the reference."""
        whole = self.peek(value)
        if self._last is None or whole > self._last:
            self._last = whole
        return whole


class SenderTimeline:
    """Maps a stream's RTP timestamps onto the sender's wall clock, which all its streams share, by its reports."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._anchor: tuple[int, float] | None = None

    def update(self, rtp: int, ntp: int) -> None:
        """A sender report: `rtp` unwrapped, `ntp` the 64-bit timestamp."""
        self._anchor = (rtp, ntp / (1 << 32) - NTP_EPOCH)

    def seconds(self, rtp: int) -> float | None:
        """Unix seconds by the sender's clock at which the medium at the unwrapped timestamp was made; None before the
        first report."""
        if self._anchor is None:
            return None
        anchor, seconds = self._anchor
        return seconds + (rtp - anchor) / self._rate


class Reception:
    """The counters that a receiver report needs."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._unwrap = Unwrapper(16)
        self._first: int | None = None
        self._highest = 0
        self._transit: float | None = None
        self._expected_before = self._received_before = 0
        self.received = 0
        self.jitter = 0.0
        """Of the RTP clock's ticks."""

    def add(self, sequence: int, timestamp: int, arrival: float, *, padding: bool = False) -> None:
        """`sequence` and `timestamp` as on the wire, `arrival` in monotonic seconds. `padding` carries no media, and
        the timestamp of what was sent before it: it tells of losses, but not of jitter."""
        whole = self._unwrap(sequence)
        self.received += 1
        if self._first is None:
            self._first = self._highest = whole
        self._first = min(self._first, whole)
        if whole < self._highest:
            return
        self._highest = whole
        if padding:
            return
        transit = arrival * self._rate - timestamp
        if self._transit is not None:
            change = abs(transit - self._transit)
            if change < self._rate:  # a jump of over a second is a new start, not jitter
                self.jitter += (change - self.jitter) / 16
        self._transit = transit

    @property
    def expected(self) -> int:
        return 0 if self._first is None else self._highest - self._first + 1

    @property
    def lost(self) -> int:
        """Packets; negative when more arrived than were sent, as duplicates do."""
        return self.expected - self.received

    @property
    def highest(self) -> int:
        """The extended highest sequence number, 32 bits."""
        return self._highest & 0xFFFFFFFF

    def fraction(self) -> int:
        """The share lost since the last call, in 1/256."""
        expected, received = self.expected - self._expected_before, self.received - self._received_before
        self._expected_before, self._received_before = self.expected, self.received
        return 0 if expected <= 0 or received >= expected else min(255, ((expected - received) << 8) // expected)
