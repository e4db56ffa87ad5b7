"""Redundant packets: what is written is read, and what is malformed is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.play.red import MAX_COPIES, MAX_COPY_BYTES, MAX_OFFSET, Copy, join, parse

blocks = st.lists(st.binary(min_size=1, max_size=MAX_COPY_BYTES), max_size=MAX_COPIES)


@given(blocks, st.binary(min_size=1, max_size=1275), st.integers(0, 127))
def test_what_is_written_is_read(data: list[bytes], own: bytes, payload_type: int) -> None:
    copies = [Copy(960 * (len(data) - n), part) for n, part in enumerate(data)]
    assert parse(join(copies, own, payload_type), payload_type) == (copies, own)


def test_the_bits_are_those_of_the_rfc() -> None:
    """One copy of 300 bytes, 960 ticks old, payload type 111: F=1, 111; 960 in 14 bits, 300 in 10; F=0, 111."""
    payload = join([Copy(960, bytes(300))], b"own", 111)
    assert payload[:5] == bytes((0xEF, 960 >> 6, (960 & 0x3F) << 2 | 300 >> 8, 300 & 0xFF, 0x6F))
    assert payload[5:] == bytes(300) + b"own"


def test_what_a_header_cannot_say_is_left_out_with_all_that_is_older() -> None:
    near, far = Copy(960, b"near"), Copy(1920, b"far")
    assert parse(join([Copy(MAX_OFFSET + 1, b"x"), far, near], b"own", 96), 96) == ([far, near], b"own")
    assert parse(join([far, Copy(960, bytes(MAX_COPY_BYTES + 1))], b"own", 96), 96) == ([], b"own")
    assert parse(join([far, Copy(960, b"")], b"own", 96), 96) == ([], b"own")
    many = [Copy(960 * n, b"x") for n in range(MAX_COPIES + 3, 0, -1)]
    assert len(parse(join(many, b"own", 96), 96)[0]) == MAX_COPIES


def head(offset: int, length: int, payload_type: int = 96) -> bytes:
    return ((0x80 | payload_type) << 24 | offset << 10 | length).to_bytes(4, "big")


OWN = bytes((96,))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        OWN,
        OWN[:0] + head(960, 1),
        head(960, 1)[:3],
        head(960, 4) + OWN + b"four",  # nothing is left for the packet itself
        head(960, 5) + OWN + b"four",
        bytes((97,)) + b"data",
        head(960, 1, 97) + OWN + b"ab",
        head(0, 1) + OWN + b"ab",
        head(960, 1) + head(960, 1) + OWN + b"abc",
        head(960, 1) + head(1920, 1) + OWN + b"abc",
        b"".join(head(960 * n, 0) for n in range(MAX_COPIES + 1, 0, -1)) + OWN + b"data",
    ],
)
def test_what_is_malformed_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="redundant packet"):
        parse(payload, 96)
