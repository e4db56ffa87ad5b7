"""Packets of a video stream in, whole frames in order out, and what must be asked for again. Pure code.

A frame is handed on as soon as its last packet is there: the marker bit tells, no later packet is waited for. What is
missing is asked for at once and again (RFC 4585 §6.2.1); what does not come in time is given up, and nothing is handed
on until the next key frame, because every other frame refers to what was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

GIVE_UP_S = 0.5
"""How long a gap is waited for: retransmission on a slow mobile path takes up to twice 200 ms."""
ASK_AGAIN_S = 0.1
"""Between requests for the same packet."""
ASK_AFTER_S = 0.005
"""Before the first request: packets that merely overtook each other need none."""
MAX_PACKETS = 2048
"""Held back at most; a sender that never finishes a frame cannot fill the memory."""
MAX_GAP = 512
"""Packets. A longer gap is a new start: senders do not keep more for retransmission."""


@dataclass(frozen=True, slots=True)
class Whole:
    """One complete encoded frame."""

    data: bytes
    timestamp: int
    """RTP, unwrapped."""
    key: bool
    arrival: float
    """When its last packet came, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet whose payload format has been taken off."""

    sequence: int
    """Unwrapped."""
    timestamp: int
    """RTP, unwrapped."""
    marker: bool
    """It ends its frame."""
    data: bytes
    start: bool
    """It may begin a frame; False when it certainly does not."""
    arrival: float
    """Monotonic seconds."""


@dataclass(slots=True)
class _Gap:
    since: float
    asked: float = float("-inf")


class FrameAssembler:
    def __init__(self, is_key: Callable[[bytes], bool], join: Callable[[Iterable[bytes]], bytes] = b"".join) -> None:
        """`is_key` tells of a frame's first part whether the frame is a key frame; `join` makes a frame of its parts,
        and raises `ValueError` when they are none."""
        self._is_key = is_key
        self._join = join
        self._packets: dict[int, Packet] = {}
        self._gaps: dict[int, _Gap] = {}
        self._next: int | None = None
        """Sequence number with which the next frame must begin."""
        self._highest = 0
        self._begun = False
        """A frame has been handed on."""
        self.wants_key = True
        """Nothing is of use before the next key frame."""
        self.given_up = 0
        """Times that something was lost for good."""
        self.skipped = 0
        """Frames that came but were of no use without what was lost."""

    def add(self, packet: Packet) -> list[Whole]:
        """Returns the frames that are complete with this packet."""
        sequence = packet.sequence
        if self._next is None:
            self._next = self._highest = sequence
        elif not self._begun and self._next - MAX_GAP < sequence < self._next:
            self._gaps |= {s: _Gap(packet.arrival) for s in range(sequence + 1, self._next) if s not in self._packets}
            self._next = sequence  # overtaken at the very start
        elif sequence < self._next or sequence in self._packets:
            return []  # a duplicate, or too late
        elif sequence - self._highest > MAX_GAP:
            self._lose(sequence)
        for missing in range(max(self._highest + 1, self._next), sequence):
            self._gaps.setdefault(missing, _Gap(packet.arrival))
        self._highest = max(self._highest, sequence)
        self._gaps.pop(sequence, None)
        self._packets[sequence] = packet
        if len(self._packets) > MAX_PACKETS:
            self._lose(self._highest + 1)
        return self._ready()

    def overdue(self, now: float) -> list[Whole]:
        """Gives up gaps that have been open for too long. Returns frames that can be handed on without them."""
        oldest = min((sequence for sequence, gap in self._gaps.items() if now - gap.since > GIVE_UP_S), default=None)
        if oldest is None:
            return []
        # Everything up to the last packet of the frame that the gap is in is lost; go on behind the next marker.
        last = max(s for s, gap in self._gaps.items() if now - gap.since > GIVE_UP_S)
        after = next((s + 1 for s in sorted(self._packets) if s > last and self._packets[s].marker), None)
        key = next((s for s in sorted(self._packets) if s > last and self._starts_key(s)), None)
        target = min((s for s in (after, key) if s is not None), default=self._highest + 1)
        self._lose(target)
        return self._ready()

    def requests(self, now: float) -> list[int]:
        """Sequence numbers to ask for now, unwrapped, in order."""
        asked = []
        for sequence in sorted(self._gaps):
            gap = self._gaps[sequence]
            if now - gap.since >= ASK_AFTER_S and now - gap.asked >= ASK_AGAIN_S:
                gap.asked = now
                asked.append(sequence)
        return asked

    def _starts_key(self, sequence: int) -> bool:
        packet = self._packets[sequence]
        return packet.start and self._is_key(packet.data)

    def _lose(self, target: int) -> None:
        self._next = target
        self._packets = {s: p for s, p in self._packets.items() if s >= target}
        self._gaps = {s: g for s, g in self._gaps.items() if s >= target}
        self.wants_key = True
        self.given_up += 1

    def _ready(self) -> list[Whole]:
        assert self._next is not None
        frames: list[Whole] = []
        if not self._begun:
            # Nothing is used up before the first key frame: packets that were overtaken at the start may still come.
            first_key = min((s for s in self._packets if self._starts_key(s)), default=None)
            if first_key is None:
                return frames
            self._next = first_key
        while (first := self._packets.get(self._next)) is not None:
            last = self._next
            while (packet := self._packets.get(last)) is not None and packet.timestamp == first.timestamp:
                if packet.marker:
                    break
                last += 1
            else:
                if packet is None:
                    break  # the rest has not come yet
                last -= 1  # another timestamp without a marker before it: the sender sets none
            parts = [self._packets.pop(sequence) for sequence in range(self._next, last + 1)]
            self._next = last + 1
            key = first.start and self._is_key(first.data)
            if self.wants_key and not key:
                self.skipped += 1
                continue
            try:
                data = self._join(part.data for part in parts)
            except ValueError:
                self.wants_key = True
                self.given_up += 1
                continue
            self.wants_key = False
            if not self._begun:
                self._begun = True
                self._packets = {s: p for s, p in self._packets.items() if s >= self._next}
                self._gaps = {s: g for s, g in self._gaps.items() if s >= self._next}
            frames.append(Whole(data, first.timestamp, key, max(part.arrival for part in parts)))
        return frames
