"""Transport-wide feedback: when each packet of a connection arrived, told by its receiver. Pure code.

Every packet carries a number in a header extension, counted over all streams of the transport; the receiver sends back
a list of arrivals many times a second (draft-holmer-rmcat-transport-wide-cc-extensions-01).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack, unpack_from

from .reception import Unwrapper

URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
FORMAT = 15
"""Of the RTCP transport-layer feedback packet (§3.1)."""
_RTPFB = 205
_TICK_S = 250e-6
"""Unit of arrival deltas (§3.1.5)."""
_REFERENCE_TICKS = 256
"""The reference time counts 64 ms."""
_REFERENCE_WRAP = (1 << 24) * _REFERENCE_TICKS
MAX_PACKETS = 8_000
"""Told in one feedback packet: a second at 75 Mbit/s. More is nobody's honest report."""
MAX_SPAN = 500
"""Packets that a report of ours speaks of: it is made for less than a tenth of a second."""
_MISSING, _SMALL, _LARGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Feedback:
    """One report."""

    base: int
    """Sequence number of the first packet it speaks of, 16 bits."""
    count: int
    """Its own number, 8 bits."""
    arrivals: tuple[float | None, ...]
    """Of the packets from `base` on: seconds by the receiver's clock, which wraps after 12 days; None: not received."""


def take(compound: bytes) -> tuple[list[Feedback], bytes]:
    """Splits an RTCP compound into its transport-wide feedback and the rest of it, which is left as it is. What cannot
    be read is dropped."""
    found: list[Feedback] = []
    rest = b""
    position = 0
    while position + 4 <= len(compound):
        size = 4 + 4 * int.from_bytes(compound[position + 2 : position + 4], "big")
        packet = compound[position : position + size]
        position += size
        if packet[1] == _RTPFB and packet[0] & 0x1F == FORMAT:
            try:
                found.append(parse(packet))
            except ValueError:
                continue
        else:
            rest += packet
    return found, rest + compound[position:]


def parse(packet: bytes) -> Feedback:
    """Reads one RTCP packet. Raises `ValueError` when it is truncated or breaks the format."""
    end = len(packet)
    if end < 20 or packet[0] >> 6 != 2:
        raise ValueError("The feedback packet is too short.")
    if packet[0] & 0x20:
        if not 0 < packet[-1] <= end - 20:
            raise ValueError("The feedback packet has a wrong padding.")
        end -= packet[-1]
    base, status_count = unpack_from("!HH", packet, 12)
    reference = int.from_bytes(packet[16:19], "big") * _REFERENCE_TICKS
    if not 0 < status_count <= MAX_PACKETS:
        raise ValueError("The feedback packet speaks of no packet, or of too many.")
    statuses, position = _statuses(packet, 20, end, status_count)
    ticks = reference
    arrivals: list[float | None] = []
    for status in statuses:
        if status == _MISSING:
            arrivals.append(None)
            continue
        size = 1 if status == _SMALL else 2
        if position + size > end:
            raise ValueError("The feedback packet lacks arrival times.")
        ticks += packet[position] if size == 1 else unpack_from("!h", packet, position)[0]
        position += size
        arrivals.append(ticks * _TICK_S)
    return Feedback(base, packet[19], tuple(arrivals))


def _statuses(packet: bytes, position: int, end: int, count: int) -> tuple[list[int], int]:
    """The packet status chunks (§3.1.2–§3.1.4)."""
    statuses: list[int] = []
    while len(statuses) < count:
        if position + 2 > end:
            raise ValueError("The feedback packet lacks packet statuses.")
        chunk = packet[position] << 8 | packet[position + 1]
        position += 2
        if not chunk & 0x8000:
            statuses += [chunk >> 13 & 3] * min(chunk & 0x1FFF, count - len(statuses))
            if not chunk & 0x1FFF:
                raise ValueError("The feedback packet has an empty run.")
        elif chunk & 0x4000:
            statuses += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            statuses += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    del statuses[count:]
    if 3 in statuses:
        raise ValueError("The feedback packet has a reserved status.")
    return statuses, position


class Arrivals:
    """The receiver's part: collects arrivals and builds reports."""

    def __init__(self) -> None:
        self._unwrap = Unwrapper(16)
        self._times: dict[int, float] = {}
        self._next: int | None = None
        """The first packet that the next report speaks of."""
        self._count = 0

    def add(self, sequence: int, now: float) -> None:
        """A packet, its number as on the wire; `now` monotonic seconds."""
        whole = self._unwrap(sequence)
        if self._next is None:
            self._next = whole
        if whole >= self._next - MAX_SPAN and len(self._times) < MAX_SPAN:
            self._times.setdefault(whole, now)

    def report(self, ssrc: int, media_ssrc: int) -> bytes | None:
        """An RTCP packet about what came since the last one; None: nothing did."""
        if not self._times or self._next is None:
            return None
        last = max(self._times)
        first = max(min(*self._times, self._next), last - MAX_SPAN + 1)
        start = next(self._times[n] for n in range(first, last + 1) if n in self._times)
        reference = int(start / _TICK_S) // _REFERENCE_TICKS
        ticks = reference * _REFERENCE_TICKS
        statuses, deltas = [], b""
        for sequence in range(first, last + 1):
            moment = self._times.pop(sequence, None)
            if moment is None:
                statuses.append(_MISSING)
                continue
            delta = round(moment / _TICK_S) - ticks
            if not -32768 <= delta <= 32767:
                statuses.append(_MISSING)  # eight seconds apart: nobody asks any more
                continue
            ticks += delta
            small = 0 <= delta <= 255
            statuses.append(_SMALL if small else _LARGE)
            deltas += pack("!B", delta) if small else pack("!h", delta)
        self._times.clear()
        self._next = last + 1
        chunks = b""
        for at in range(0, len(statuses), 7):
            part = statuses[at : at + 7]
            chunk = 0xC000
            for place, status in enumerate(part):
                chunk |= status << 12 - 2 * place
            chunks += pack("!H", chunk)
        body = pack("!LLHH", ssrc, media_ssrc, first & 0xFFFF, len(statuses))
        body += (reference & 0xFFFFFF).to_bytes(3, "big") + bytes((self._count,)) + chunks + deltas
        self._count = (self._count + 1) & 0xFF
        pad = -len(body) % 4
        flags = 0x80 | FORMAT | (0x20 if pad else 0)
        if pad:
            body += bytes(pad - 1) + bytes((pad,))
        return pack("!BBH", flags, _RTPFB, len(body) // 4) + body


class ArrivalClock:
    """Makes arrival times of successive reports comparable across the wrap of their 24-bit reference."""

    def __init__(self) -> None:
        self._last: float | None = None

    def __call__(self, seconds: float) -> float:
        if self._last is not None:
            wrap = _REFERENCE_WRAP * _TICK_S
            seconds += wrap * round((self._last - seconds) / wrap)
        self._last = seconds
        return seconds
