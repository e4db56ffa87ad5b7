"""The RTP payload format of AV1 (AOMedia, "RTP Payload Format For AV1", version 1.0): one layer. Pure code.

A packet is an aggregation header and OBU elements: whole OBUs or fragments of one, without their size fields. Temporal
delimiters are not sent (§5). Sections are of that document unless they are said to be of the AV1 bitstream
specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .vp9 import MAX_PAYLOAD

_Z, _Y, _N = 0x80, 0x40, 0x08
"""Aggregation header (§4.4): the first element continues one of the packet before; the last one goes on in the next
packet; the packet begins a coded video sequence."""
_EXTENSION, _HAS_SIZE = 0x04, 0x02
"""OBU header (bitstream specification §5.3.2)."""
_SEQUENCE, _DELIMITER, _TILE_LIST, _PADDING = 1, 2, 8, 15
"""OBU types (bitstream specification §6.2.2)."""
_NOT_SENT = (_DELIMITER, _TILE_LIST, _PADDING)
_MAX_COUNTED = 3
"""Elements that W can count; with more of them each has a length."""
_MIN_FRAGMENT = 16
"""Bytes of an OBU for which a packet's rest is used; less is not worth the header of a fragment."""


def leb128(value: int) -> bytes:
    """Bitstream specification §4.10.5."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        if not value:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """The value, and where it ends. Raises `ValueError`."""
    value = 0
    for index in range(8):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, position
    raise ValueError("A length in AV1 data is truncated or too long.")


def _type(header: int) -> int:
    return header >> 3 & 15


def obus(frame: bytes) -> Iterator[bytes]:
    """The OBUs of a temporal unit as an encoder writes it (low-overhead format, bitstream specification §5.2), without
    their size fields. Raises `ValueError` for whatever is truncated."""
    position = 0
    while position < len(frame):
        header = frame[position]
        body = position + (2 if header & _EXTENSION else 1)
        head = bytes((header & ~_HAS_SIZE,)) + frame[position + 1 : body]
        size = len(frame) - body
        if header & _HAS_SIZE:
            size, body = _read_leb128(frame, body)
        if size < 0 or body + size > len(frame):
            raise ValueError("An AV1 OBU is truncated.")
        yield head + frame[body : body + size]
        position = body + size


def is_key(frame: bytes) -> bool:
    """Whether a temporal unit begins a coded video sequence: encoders for live video write a sequence header before
    key frames and nowhere else."""
    return any(_type(unit[0]) == _SEQUENCE for unit in obus(frame))


def packetize(frame: bytes) -> list[bytes]:
    """The RTP payloads of one temporal unit, each at most `MAX_PAYLOAD` bytes. Packets are about equally long. Raises
    `ValueError` when the unit cannot be read or is empty."""
    units = [unit for unit in obus(frame) if _type(unit[0]) not in _NOT_SENT]
    if not units:
        raise ValueError("There is nothing to send in an AV1 temporal unit.")
    key = any(_type(unit[0]) == _SEQUENCE for unit in units)
    packets = _fill(units, MAX_PAYLOAD, key)
    if len(packets) > 1:
        even = -(-sum(map(len, packets)) // len(packets)) + 4  # lengths of fragments vary by a few bytes
        levelled = _fill(units, min(MAX_PAYLOAD, even), key)
        if len(levelled) == len(packets):
            return levelled
    return packets


def _fill(units: list[bytes], limit: int, key: bool) -> list[bytes]:
    packets: list[bytes] = []
    elements: list[bytes] = []
    room = limit - 1
    continues = False

    def close(goes_on: bool) -> None:
        nonlocal elements, room, continues
        packets.append(_packet(elements, continues, goes_on, key and not packets))
        elements, room, continues = [], limit - 1, goes_on

    for unit in units:
        rest = unit
        while rest:
            if len(rest) + len(leb128(len(rest))) <= room:
                elements.append(rest)
                room -= len(rest) + len(leb128(len(rest)))
                break
            part = room - len(leb128(room))
            if part < _MIN_FRAGMENT and elements:
                close(False if rest is unit else continues)
                continue
            elements.append(rest[:part])
            rest = rest[part:]
            close(True)
    if elements:
        close(False)
    return packets


def _packet(elements: list[bytes], continues: bool, goes_on: bool, first: bool) -> bytes:
    counted = len(elements) if len(elements) <= _MAX_COUNTED else 0
    header = continues * _Z | goes_on * _Y | counted << 4 | first * _N
    parts = [bytes((header,))]
    for index, element in enumerate(elements, 1):
        if index != counted:  # the last of counted elements fills the packet
            parts.append(leb128(len(element)))
        parts.append(element)
    return b"".join(parts)


def elements(payload: bytes) -> tuple[list[bytes], bool, bool]:
    """The OBU elements of a packet, whether the first one continues another packet's, and whether the last one goes on
    in the next packet. Raises `ValueError` for whatever is truncated or breaks the format."""
    if len(payload) < 2:
        raise ValueError("The AV1 packet carries nothing of a frame.")
    header = payload[0]
    counted = header >> 4 & 3
    if header & _N and header & _Z:
        raise ValueError("An AV1 packet both begins a sequence and continues a packet.")
    found: list[bytes] = []
    position = 1
    while position < len(payload):
        if counted and len(found) == counted - 1:
            size = len(payload) - position
        else:
            size, position = _read_leb128(payload, position)
        if position + size > len(payload):
            raise ValueError("An AV1 OBU element is truncated.")
        found.append(payload[position : position + size])
        position += size
    if len(found) < counted:
        raise ValueError("An AV1 packet has fewer OBU elements than it says.")
    return found, bool(header & _Z), bool(header & _Y)


def parse(payload: bytes) -> tuple[bytes, bool]:
    """The payload once it has been checked, and whether it may begin a frame. Fragments can be put together only when
    all packets of a frame are there: see `join`. Raises `ValueError` as `elements` does."""
    elements(payload)
    return payload, not payload[0] & _Z


def begins_sequence(payload: bytes) -> bool:
    """Whether a packet begins a coded video sequence, as the first one of a key frame does."""
    return bool(payload and payload[0] & _N)


def join(payloads: Iterable[bytes]) -> bytes:
    """The temporal unit that the payloads of one frame carry, in order, as decoders take it: each OBU with its size,
    no temporal delimiter. What is left of an OBU whose other fragments are missing is left out. Raises `ValueError` as
    `elements` does."""
    units: list[bytes] = []
    open_unit: bytes | None = None
    for payload in payloads:
        found, continues, goes_on = elements(payload)
        for index, element in enumerate(found):
            first, last = index == 0, index == len(found) - 1
            whole: bytes | None = element
            if first and continues:
                whole = None if open_unit is None else open_unit + element
            open_unit = None
            if last and goes_on:
                open_unit = whole
            elif whole:
                units.append(whole)
    return b"".join(_sized(unit) for unit in units if _type(unit[0]) not in _NOT_SENT)


def _sized(unit: bytes) -> bytes:
    """The OBU with a size field; senders may have left it in (§4.5)."""
    head = 2 if unit[0] & _EXTENSION else 1
    if unit[0] & _HAS_SIZE:
        size, body = _read_leb128(unit, head)
        if body + size > len(unit):
            raise ValueError("An AV1 OBU is truncated.")
    else:
        size, body = len(unit) - head, head
    if size < 0:
        raise ValueError("An AV1 OBU is truncated.")
    return bytes((unit[0] | _HAS_SIZE,)) + unit[1:head] + leb128(size) + unit[body : body + size]
