"""The RTP payload format of VP9 (RFC 9628): one layer, non-flexible mode, 15-bit picture ids. Pure code.

Without layer indices (L=0) receivers put frames in order by picture id alone, which is all that a single layer needs;
with L=1 non-flexible mode would ask for TL0PICIDX as well (§4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PAYLOAD = 1200
"""Bytes. With RTP and its extensions, SRTP, UDP and IPv6 headers a packet stays under the 1,280 bytes that every IPv6
path carries (RFC 8200 §5)."""

PICTURE_IDS = 1 << 15

_I, _P, _L, _F, _B, _E, _V, _Z = (0x80 >> n for n in range(8))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The payload descriptor of one packet (RFC 9628 §4.2, figures 2 and 3)."""

    start: bool
    """B: the packet begins a frame."""
    end: bool
    """E: the packet ends a frame."""
    predicted: bool
    """P: the picture refers to others; False on key frames."""
    picture_id: int | None = None
    size: tuple[int, int] | None = None
    """Width and height in pixels from the scalability structure, of its highest spatial layer."""

    def __bytes__(self) -> bytes:
        flags = self.predicted * _P | self.start * _B | self.end * _E
        tail = b""
        if self.picture_id is not None:
            flags |= _I
            tail = (0x8000 | self.picture_id).to_bytes(2, "big")  # M=1: 15 bits
        if self.size is not None:
            flags |= _V
            width, height = self.size
            # N_S=0 (one spatial layer), Y=1 (its size follows), G=1 (a picture group follows): a group of one picture,
            # temporal layer 0, which refers to the one before it (§4.2.1).
            tail += b"\x18" + width.to_bytes(2, "big") + height.to_bytes(2, "big") + b"\x01\x04\x01"
        return bytes((flags,)) + tail


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def byte(self) -> int:
        if self.position >= len(self._data):
            raise ValueError("The VP9 payload descriptor is truncated.")
        value = self._data[self.position]
        self.position += 1
        return value

    def word(self) -> int:
        return self.byte() << 8 | self.byte()


def parse(payload: bytes) -> tuple[Descriptor, bytes]:
    """Splits an RTP payload into its descriptor and its part of the frame.

    Reads everything that RFC 9628 allows, layers and flexible mode included, and keeps what a single layer needs.
    Raises `ValueError` for whatever is truncated or breaks the format.
    """
    reader = _Reader(payload)
    flags = reader.byte()
    picture_id = None
    size = None
    if flags & _I:
        high = reader.byte()
        picture_id = (high & 0x7F) << 8 | reader.byte() if high & 0x80 else high
    if flags & _L:
        reader.byte()  # TID, U, SID, D
        if not flags & _F:
            reader.byte()  # TL0PICIDX
    if flags & _F and flags & _P:
        for reference in range(3):
            if not reader.byte() & 1:  # N=0: the last P_DIFF
                break
            if reference == 2:
                raise ValueError("A VP9 picture refers to more than three others.")
    if flags & _V:
        structure = reader.byte()
        if structure & 0x10:
            for _ in range((structure >> 5) + 1):
                size = (reader.word(), reader.word())
        if structure & 0x08:
            for _ in range(reader.byte()):
                for _ in range(reader.byte() >> 2 & 3):
                    reader.byte()  # P_DIFF
    if reader.position >= len(payload):
        raise ValueError("The VP9 packet carries nothing of a frame.")
    descriptor = Descriptor(
        start=bool(flags & _B), end=bool(flags & _E), predicted=bool(flags & _P), picture_id=picture_id, size=size
    )
    return descriptor, payload[reader.position :]


def packetize(frame: bytes, picture_id: int, size: tuple[int, int] | None) -> list[bytes]:
    """The RTP payloads of one encoded frame, each at most `MAX_PAYLOAD` bytes.

    `size` is the picture's width and height on a key frame, whose first packet then carries the scalability structure;
    None on a frame that refers to others. Packets of one frame are about equally long: the last one is not a crumb
    that costs a header for nothing.
    """
    whole = memoryview(frame)
    first = len(bytes(Descriptor(True, False, size is None, picture_id, size)))
    later = len(bytes(Descriptor(False, False, size is None, picture_id)))
    count = 1 + max(0, -(-(len(whole) + first - MAX_PAYLOAD) // (MAX_PAYLOAD - later)))
    payloads = []
    position = 0
    for index in range(count):
        head = size if index == 0 else None
        room = MAX_PAYLOAD - (first if index == 0 else later)
        share = min(room, -(-(len(whole) - position) // (count - index)))
        descriptor = Descriptor(index == 0, index == count - 1, size is None, picture_id, head)
        payloads.append(bytes(descriptor) + whole[position : position + share])
        position += share
    assert position == len(whole)
    return payloads


def is_key(frame: bytes) -> bool:
    """Whether an encoded frame of profile 0 is a key frame (VP9 bitstream specification §6.2)."""
    if not frame:
        return False
    head = frame[0]
    # frame_marker=2, profile_low_bit, profile_high_bit, show_existing_frame, frame_type (0: key), …
    return head >> 6 == 2 and not head & 0x08 and not head & 0x04
