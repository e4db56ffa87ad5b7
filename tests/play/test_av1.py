"""The AV1 payload format against its specification, and SVT-AV1 reached directly."""

from __future__ import annotations

import itertools
import random

import av
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from avatar.play import av1, codecs, svtav1
from avatar.play.assemble import FrameAssembler, Packet
from avatar.play.video import Av1Encoder
from avatar.play.vp9 import MAX_PAYLOAD
from tests.absent import absent

DELIMITER = b"\x12\x00"
SEQUENCE, FRAME, METADATA = 1, 6, 5


def obu(kind: int, body: bytes, *, layers: bytes = b"") -> bytes:
    """With a size field, as encoders write them; `layers` is the one byte of an extension header."""
    return bytes((kind << 3 | 2 | 4 * bool(layers),)) + layers + av1.leb128(len(body)) + body


units = st.builds(
    lambda kind, length, seed, layered: obu(
        kind, random.Random(seed).randbytes(length), layers=b"\x20" if layered else b""
    ),
    st.sampled_from([3, 4, METADATA, FRAME]),
    st.one_of(st.integers(0, 40), st.integers(100, 140), st.integers(1150, 1210), st.integers(1, 9000)),
    st.integers(0, 2**32),
    st.booleans(),
)


@given(st.integers(0, 2**56 - 1))
@example(127)
@example(128)
def test_lengths_are_read_as_they_were_written(value: int) -> None:
    assert av1._read_leb128(b"x" + av1.leb128(value) + b"y", 1) == (value, 1 + len(av1.leb128(value)))


def test_the_bytes_are_those_of_the_specification() -> None:
    """The aggregation header's bits are Z Y W W N - - - (§4.4), written out by hand."""
    sequence, picture = obu(SEQUENCE, b"abc"), obu(FRAME, b"defg")
    [key] = av1.packetize(DELIMITER + sequence + picture)
    assert key == bytes.fromhex("28 04 08") + b"abc" + b"\x30defg"  # W=2 N; the first with a length, no size fields
    [delta] = av1.packetize(DELIMITER + picture)
    assert delta == bytes.fromhex("10 30") + b"defg"  # W=1: it fills the packet
    many = DELIMITER + obu(METADATA, b"m") * 3 + picture
    [four] = av1.packetize(many)
    assert four == bytes.fromhex("00") + b"\x02\x28m" * 3 + b"\x05\x30defg"  # W=0: each has a length
    first, second = av1.packetize(obu(FRAME, bytes(1500)))
    assert (first[:2].hex(), second[0]) == ("5030", 0x90)  # Y W=1, then Z W=1
    assert len(first) + len(second) == 1501 + 2


@given(st.lists(units, min_size=1, max_size=9), st.booleans())
def test_a_temporal_unit_survives_the_packets(parts: list[bytes], key: bool) -> None:
    unit = (obu(SEQUENCE, b"head") if key else b"") + b"".join(parts)
    payloads = av1.packetize(DELIMITER + unit)
    assert max(map(len, payloads)) <= MAX_PAYLOAD
    assert av1.join(payloads) == unit
    assert [av1.begins_sequence(p) for p in payloads] == [key] + [False] * (len(payloads) - 1)
    assert av1.parse(payloads[0])[1]
    for before, after in itertools.pairwise(payloads):
        assert bool(before[0] & 0x40) == bool(after[0] & 0x80)  # what goes on, is gone on with
    assert all(payload[0] & 0x87 in (0, 0x80) for payload in payloads)  # reserved bits
    assert all(not element[0] & 2 for p in payloads if not p[0] & 0x80 for element in av1.elements(p)[0][:1])


def test_packets_of_a_frame_are_about_equally_long() -> None:
    lengths = [len(payload) for payload in av1.packetize(obu(SEQUENCE, b"head") + obu(FRAME, bytes(6600)))]
    assert max(lengths) - min(lengths) < 40


@given(st.binary(max_size=64))
@example(b"\x88\x01")  # Z and N
@example(b"\x20\x05a")  # a length beyond the packet
@example(b"\x00" + b"\xff" * 9)
@example(b"\x30\x01a")  # fewer elements than W says
def test_garbage_is_a_value_error_or_a_packet(payload: bytes) -> None:
    try:
        part, start = av1.parse(payload)
    except ValueError:
        return
    assert part == payload
    assert start == (not payload[0] & 0x80)
    try:
        joined = av1.join([payload])
    except ValueError:
        return
    assert all(unit[0] & 2 == 0 for unit in av1.obus(joined))


@given(st.binary(max_size=200))
def test_a_stream_that_is_none_is_refused(data: bytes) -> None:
    try:
        list(av1.obus(data))
    except ValueError:
        with pytest.raises(ValueError, match="AV1"):
            av1.packetize(data)


def test_size_fields_and_delimiters_of_other_senders_are_read() -> None:
    packet = b"\x30" + b"\x02" + DELIMITER + b"\x05" + obu(FRAME, b"one") + b"\x30two"
    assert av1.join([packet]) == obu(FRAME, b"one") + obu(FRAME, b"two")


@given(st.lists(st.lists(units, min_size=1, max_size=3), min_size=2, max_size=8), st.integers(0, 2**32))
def test_what_is_handed_on_after_losses_is_whole(frames: list[list[bytes]], seed: int) -> None:
    """Lost, swapped and doubled packets: a frame comes as it was sent, or not at all, and never without those that it
    refers to."""
    dice = random.Random(seed)
    sent = [
        obu(SEQUENCE, b"head") + b"".join(parts) if n % 3 == 0 else b"".join(parts) for n, parts in enumerate(frames)
    ]
    packets, sequence = [], 100
    for n, unit in enumerate(sent):
        payloads = av1.packetize(unit)
        for index, payload in enumerate(payloads):
            part, start = av1.parse(payload)
            packets.append(Packet(sequence, n * 3600, index == len(payloads) - 1, part, start, n * 0.04))
            sequence += 1
    arriving = [packet for packet in packets if dice.random() > 0.15]
    arriving += arriving[::5]
    arriving.sort(key=lambda packet: packet.sequence + dice.uniform(0, 3))
    assembler = FrameAssembler(av1.begins_sequence, av1.join)
    handed = [frame for packet in arriving for frame in assembler.add(packet)]
    handed += assembler.overdue(60.0)
    order = [frame.timestamp // 3600 for frame in handed]
    assert [frame.data for frame in handed] == [sent[n] for n in order]
    assert order == sorted(set(order))
    for frame, before in zip(handed, [None, *handed], strict=False):
        n = frame.timestamp // 3600
        assert frame.key == (n % 3 == 0)
        assert frame.key or (before is not None and before.timestamp // 3600 == n - 1)


def picture(n: int, size: int = 128) -> np.ndarray:
    i420 = np.full((size * 3 // 2, size), 128, np.uint8)
    i420[:size] = (np.add.outer(np.arange(size), np.arange(size)) + 5 * n) % 200
    return i420


def shown(decoder: av.CodecContext, payloads: list[bytes]) -> np.ndarray:
    frames = decoder.decode(av.Packet(codecs.frame("av1", payloads)))
    return frames[-1].to_ndarray(format="yuv420p")


@pytest.mark.parametrize("direct", [True, False])
def test_what_is_encoded_decodes(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not direct:
        monkeypatch.setattr(svtav1, "load", lambda: None)
    elif svtav1.load() is None:
        absent("SVT-AV1 cannot be reached directly here")
    encoder = Av1Encoder(600_000)
    decoder = av.CodecContext.create("libdav1d", "r")
    decoder.thread_count = 1
    for n in range(12):
        encoded = encoder.encode(picture(n), n * 3600, key=n in (0, 7))
        assert encoded is not None
        assert encoded.key == (n in (0, 7))
        got = shown(decoder, encoded.payloads)
        assert np.abs(got[:128].astype(int) - picture(n)[:128]).mean() < 8
    encoder.close()
    encoder.close()


def test_pictures_that_are_too_small_for_the_encoder_are_enlarged() -> None:
    encoder = Av1Encoder(100_000)
    decoder = av.CodecContext.create("libdav1d", "r")
    decoder.thread_count = 1
    tall = np.full((72 * 3 // 2, 48), 90, np.uint8)
    encoded = encoder.encode(tall, 0, key=True)
    assert encoded is not None
    assert (encoded.width, encoded.height) == (64, 96)
    assert abs(float(shown(decoder, encoded.payloads)[:96].mean()) - 90) < 4
    encoder.close()


def test_a_closed_encoder_says_so() -> None:
    if svtav1.load() is None:
        absent("SVT-AV1 cannot be reached directly here")
    encoder = svtav1.SvtAv1(64, 64, 100_000)
    encoder.close()
    encoder.close()
    with pytest.raises(svtav1.SvtError, match="closed"):
        encoder.encode(picture(0, 64), 0, key=True)
