"""The sender of a stream whose losses are repaired: paced, sent again as soon as a loss is known, or twice at once.

A loss is known from the receiver's request (RFC 4585 §6.2.1) or from transport-wide feedback, whichever comes first:
on a lossy path either may get lost itself. Copies go on the retransmission stream (RFC 4588), which every receiver of
ours and of browsers puts in its place, asked for or not.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import Any

from ..clock import VIDEO_RATE, MediaClock
from .congestion import Congestion, Fate
from .sender import HEADER_BYTES, HISTORY_PACKETS, MediaSender

REPAIR_S = 0.5
"""What a repair is given; new pictures stand back for so long at most."""
_SAFE = 1 << 20


class RepairingSender(MediaSender):
    rate = VIDEO_RATE

    def __init__(self, transport: Any, clock: MediaClock, path: Congestion) -> None:
        super().__init__("video", transport, clock, path)
        self.guarded = False
        """The path is so lossy that what is asked for is sent twice."""
        self.copy_share = 0.0
        """Copies a packet that are sent unasked."""
        self.copies = 0
        self._copy_due = 0.0
        self._copies_waiting: list[Any] = []
        self._key_sequence: int | None = None
        """The first packet of the last key frame."""
        self._abroad: dict[int, int] = {}
        """Sequence number modulo `HISTORY_PACKETS` → copies of which nothing has been heard."""
        self._missing: dict[int, float] = {}
        """Sequence number → when it was found lost, until a copy has arrived."""

    def missing(self, now: float) -> int:
        """Packets that were lost lately and have not arrived since, as far as is known."""
        self._missing = {s: t for s, t in self._missing.items() if now - t < REPAIR_S}
        return len(self._missing)

    def _dispatch(self, packet: Any) -> None:
        pacer = self._path.pacer
        pacer.put(len(packet.payload) + HEADER_BYTES, functools.partial(self._send_new, packet))
        self._copy_due += self.copy_share
        while self._copy_due >= 1 and self._rtx_type is not None:
            self._copy_due -= 1
            self.copies += 1
            self._copies_waiting.append(packet)

    def _transmit(self, payloads: Iterable[bytes], pts: int, *, marker: bool = True, level: int | None = None) -> None:
        super()._transmit(payloads, pts, marker=marker, level=level)
        # After the whole picture: what loses a packet often loses its neighbours.
        for packet in self._copies_waiting:
            self._send_again(packet, repair=False)
        self._copies_waiting.clear()

    def _fate(self, packet: Any) -> Fate | None:
        original = packet.sequence_number
        if packet.ssrc != self._ssrc:
            original = int.from_bytes(packet.payload[:2], "big")  # the copy names it (RFC 4588 §4)
        slot = original % HISTORY_PACKETS
        self._abroad[slot] = self._abroad.get(slot, 0) + 1 if packet.ssrc != self._ssrc else 1
        last = packet.ssrc == self._ssrc and packet.marker
        return functools.partial(self._fated, original, self._due(packet) if last else None)

    def _fated(self, original: int, completes: float | None, arrived: float | None) -> None:
        """Repairs a loss as soon as it is known; the receiver's request may get lost as well. `completes`: it is the
        last packet of a picture of this media time."""
        if completes is not None:
            self._path.lips.seen(completes, arrived)
        slot = original % HISTORY_PACKETS
        self._abroad[slot] = _SAFE if arrived is not None else self._abroad.get(slot, 1) - 1
        if arrived is not None:
            self._missing.pop(original, None)
        elif self._abroad[slot] == 0:
            now = time.monotonic()
            if len(self._missing) >= HISTORY_PACKETS:
                self.missing(now)
            self._missing.setdefault(original, now)
            self._repeated.pop(slot, None)  # the copy is known to be lost as well
            self._retransmit(original)

    def _retransmit(self, sequence_number: int) -> None:
        key = self._key_sequence
        if key is not None and 0 < (key - sequence_number) & 0xFFFF < HISTORY_PACKETS:
            return  # nothing after the key frame refers to it
        before = self.retransmitted
        super()._retransmit(sequence_number)
        if self.guarded and self.retransmitted > before:
            packet = self._history[sequence_number % HISTORY_PACKETS]
            self._send_again(packet, repair=True)
