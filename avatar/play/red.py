"""Redundant sound: each packet carries those before it once more (RFC 2198).

A packet is a header of four bytes for each copy, oldest first, one byte for the packet's own sound, and then the data
in the same order. A copy's header says how far back it lies, in ticks of the RTP clock, and how long its data are.
Single losses are repaired exactly, and on an undisturbed path nothing is later for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_COPIES = 8
"""In one packet: browsers send one or two, and nine at the very most; more is no sound."""
MAX_OFFSET = (1 << 14) - 1
"""Ticks: what a header can say, 341 ms."""
MAX_COPY_BYTES = (1 << 10) - 1
_MORE = 0x80


@dataclass(frozen=True, slots=True)
class Copy:
    """A packet that was sent before."""

    offset: int
    """How much earlier its first sample is than that of the packet it comes in, in ticks of the RTP clock."""
    data: bytes


def parse(payload: bytes, payload_type: int) -> tuple[list[Copy], bytes]:
    """The copies, oldest first, and the packet's own data. All blocks must be of `payload_type`, and later ones must be
    nearer. Raises `ValueError` when the payload cannot be read."""
    headers: list[tuple[int, int]] = []
    position = 0
    while True:
        if position >= len(payload):
            raise ValueError("A redundant packet ends within its headers.")
        if payload[position] & 0x7F != payload_type:
            raise ValueError("A redundant packet holds something else than the sound that was agreed on.")
        if not payload[position] & _MORE:
            position += 1
            break
        if len(headers) == MAX_COPIES:
            raise ValueError("A redundant packet has too many blocks.")
        if position + 4 > len(payload):
            raise ValueError("A redundant packet ends within its headers.")
        fields = int.from_bytes(payload[position + 1 : position + 4], "big")
        offset, length = fields >> 10, fields & MAX_COPY_BYTES
        if not 0 < offset < (headers[-1][0] if headers else MAX_OFFSET + 1):
            raise ValueError("The blocks of a redundant packet are not in order.")
        headers.append((offset, length))
        position += 4
    copies = []
    for offset, length in headers:
        copies.append(Copy(offset, payload[position : position + length]))
        position += length
    if position >= len(payload):
        raise ValueError("A redundant packet is shorter than its blocks.")
    return copies, payload[position:]


def join(copies: Sequence[Copy], data: bytes, payload_type: int) -> bytes:
    """The payload of a packet with `copies`, oldest first. Those that a header cannot describe, and all older ones, are
    left out."""
    kept: list[Copy] = []
    for copy in reversed(copies):
        if not 0 < copy.offset <= MAX_OFFSET or not 0 < len(copy.data) <= MAX_COPY_BYTES or len(kept) == MAX_COPIES:
            break
        kept.insert(0, copy)
    heads = [(_MORE | payload_type) << 24 | copy.offset << 10 | len(copy.data) for copy in kept]
    return b"".join(
        [*(head.to_bytes(4, "big") for head in heads), bytes((payload_type,)), *(copy.data for copy in kept), data]
    )
