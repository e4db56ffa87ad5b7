"""The VP9 payload format against RFC 9628."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from avatar.play import vp9
from avatar.play.libvpx import LibvpxError, LibvpxVp9, load
from avatar.play.video import Vp9Encoder

sizes = st.none() | st.tuples(st.integers(2, 65535), st.integers(2, 65535))
descriptors = st.builds(
    vp9.Descriptor,
    start=st.booleans(),
    end=st.booleans(),
    predicted=st.booleans(),
    picture_id=st.none() | st.integers(0, vp9.PICTURE_IDS - 1),
    size=sizes,
)


@given(descriptors, st.binary(min_size=1, max_size=50))
def test_what_is_written_is_read(descriptor: vp9.Descriptor, data: bytes) -> None:
    assert vp9.parse(bytes(descriptor) + data) == (descriptor, data)


@given(st.binary(max_size=64))
@example(b"")
@example(b"\xff" * 40)
@example(b"\x8a\x80")
def test_garbage_is_a_value_error_or_a_frame_part(payload: bytes) -> None:
    try:
        descriptor, data = vp9.parse(payload)
    except ValueError:
        return
    assert data
    assert payload.endswith(data)
    assert descriptor.picture_id is None or 0 <= descriptor.picture_id < vp9.PICTURE_IDS


@given(descriptors)
def test_a_descriptor_cut_anywhere_is_refused(descriptor: vp9.Descriptor) -> None:
    whole = bytes(descriptor)
    for length in range(len(whole) + 1):
        with pytest.raises(ValueError, match="VP9"):
            vp9.parse(whole[:length])


@given(st.integers(1, 20_000), st.integers(0, vp9.PICTURE_IDS - 1), sizes)
@example(1188, 0, (512, 512))
@example(1197, 0, None)
@example(1198, 0, None)
def test_a_frame_survives_the_packets(length: int, picture_id: int, size: tuple[int, int] | None) -> None:
    frame = random.Random(length).randbytes(length)
    payloads = vp9.packetize(frame, picture_id, size)
    assert max(map(len, payloads)) <= vp9.MAX_PAYLOAD
    parsed = [vp9.parse(payload) for payload in payloads]
    assert b"".join(data for _, data in parsed) == frame
    assert [d.start for d, _ in parsed] == [True] + [False] * (len(parsed) - 1)
    assert [d.end for d, _ in parsed] == [False] * (len(parsed) - 1) + [True]
    assert {d.picture_id for d, _ in parsed} == {picture_id}
    assert {d.predicted for d, _ in parsed} == {size is None}
    assert [d.size for d, _ in parsed] == [size] + [None] * (len(parsed) - 1)
    lengths = [len(data) for _, data in parsed]
    assert max(lengths) - min(lengths) <= 12  # no crumb at the end


def test_the_bytes_are_those_of_the_rfc() -> None:
    """Figures 2 and 3 of RFC 9628 §4.2, written out by hand."""
    first, later = vp9.packetize(bytes(1500), 0x1234, (640, 360))
    assert first.startswith(bytes.fromhex("8a 9234 18 0280 0168 01 04 01"))  # I B V, M=1 pid, N_S=0 Y G, group of one
    assert later.startswith(bytes.fromhex("84 9234"))  # I E
    [alone] = vp9.packetize(b"x", 5, None)
    assert alone == bytes.fromhex("cc 8005") + b"x"  # I P B E


def test_layers_and_flexible_mode_of_other_senders_are_read() -> None:
    flexible = bytes.fromhex("f8 05 21 03 04") + b"frame"  # I P L F B: 7-bit id, layers, P_DIFF 1 (N=1), P_DIFF 2
    descriptor, data = vp9.parse(flexible)
    assert (descriptor.picture_id, descriptor.start, descriptor.predicted, data) == (5, True, True, b"frame")
    layered = bytes.fromhex("2a 00 07 38 0140 00b4 0280 0168 01 04 01") + b"frame"  # L B V: TL0PICIDX, two sizes
    descriptor, data = vp9.parse(layered)
    assert (descriptor.picture_id, descriptor.size, data) == (None, (640, 360), b"frame")
    with pytest.raises(ValueError, match="three"):
        vp9.parse(bytes.fromhex("50 03 03 03") + b"frame")  # F P and P_DIFFs that do not end


def picture(n: int, size: int = 64) -> np.ndarray:
    i420 = np.full((size * 3 // 2, size), 128, np.uint8)
    i420[:size] = (np.add.outer(np.arange(size), np.arange(size)) + 5 * n) % 256
    return i420


def test_encoded_frames_say_whether_they_are_key_frames() -> None:
    encoder = Vp9Encoder(300_000)
    decoder = av.CodecContext.create("vp9", "r")
    for n in range(8):
        encoded = encoder.encode(picture(n), n * 3600, key=n in (0, 5))
        assert encoded is not None
        assert encoded.key == (n in (0, 5))
        frame = b"".join(vp9.parse(payload)[1] for payload in encoded.payloads)
        [decoded] = decoder.decode(av.Packet(frame))
        assert decoded.key_frame == encoded.key
        assert vp9.parse(encoded.payloads[0])[0].size == ((64, 64) if encoded.key else None)
    encoder.close()
    encoder.close()


def test_another_size_starts_with_a_key_frame_and_picture_ids_go_on() -> None:
    encoder = Vp9Encoder(300_000)
    ids = []
    for n, size in enumerate([64, 64, 96, 96, 64]):
        encoded = encoder.encode(picture(n, size), n * 3600, key=n == 0)
        assert encoded is not None
        assert (encoded.width, encoded.height) == (size, size)
        assert encoded.key == (n in (0, 2, 4))
        ids.append(vp9.parse(encoded.payloads[0])[0].picture_id)
    assert all(b == (a + 1) % vp9.PICTURE_IDS for a, b in itertools.pairwise(ids))
    encoder.close()


@pytest.mark.skipif(load() is None, reason="libvpx cannot be reached directly here")
def test_an_encoder_takes_calls_from_many_threads_and_none_after_its_end() -> None:
    """libvpx itself answers either with a crash."""
    encoder = LibvpxVp9(128, 128, 300_000)

    def work(n: int) -> None:
        encoder.set_bitrate(100_000 + n)
        encoder.encode(picture(n, 128), n * 3600, key=n % 7 == 0)

    with ThreadPoolExecutor(4) as pool:
        failed = [f.exception() for f in [pool.submit(work, n) for n in range(200)]]
    assert all(error is None or isinstance(error, LibvpxError) for error in failed)  # times may not have grown
    encoder.close()
    with pytest.raises(LibvpxError, match="closed"):
        encoder.encode(picture(0, 128), 10**9, key=True)
