"""What every video encoder does, whatever the codec."""

from __future__ import annotations

import av
import numpy as np
import pytest

from avatar.play import codecs, libvpx, svtav1
from avatar.play.video import ENCODERS, VideoEncoder
from tests.absent import absent

DECODERS = {"vp9": "vp9", "av1": "libdav1d", "h264": "h264", "vp8": "vp8"}
DIRECT = {"vp9": libvpx.load, "vp8": libvpx.load, "av1": svtav1.load, "h264": lambda: True}


def picture(n: int, size: int = 128) -> np.ndarray:
    """A moving texture with noise, which costs bits."""
    i420 = np.full((size * 3 // 2, size), 128, np.uint8)
    i420[:size] = (np.add.outer(np.arange(size), np.arange(size)) + 5 * n) % 200
    i420[:size] += np.random.default_rng(n).integers(0, 40, (size, size), np.uint8)
    return i420


class Stream:
    """An encoder and the decoder behind it."""

    def __init__(self, codec: str, encoder: VideoEncoder) -> None:
        self.codec, self.encoder = codec, encoder
        self.decoder = av.CodecContext.create(DECODERS[codec], "r")
        self.decoder.thread_count = 1
        self.n = 0
        self.keys: list[int] = []
        self.sizes: list[tuple[int, int]] = []

    def run(self, count: int, *, size: int = 128, key: bool = False) -> int:
        """Bit/s over so many pictures at 25 a second."""
        total = 0
        for index in range(count):
            encoded = self.encoder.encode(picture(self.n, size), self.n * 3600, key=self.n == 0 or (key and not index))
            self.n += 1
            if encoded is None:
                continue
            total += encoded.size
            if encoded.key:
                self.keys.append(self.n - 1)
            parts = [codecs.depayload(self.codec, payload) for payload in encoded.payloads]
            assert parts[0][1]
            assert codecs.is_key(self.codec, parts[0][0]) == encoded.key
            for frame in self.decoder.decode(av.Packet(codecs.frame(self.codec, encoded.payloads))):
                self.sizes.append((frame.width, frame.height))
        return total * 8 * 25 // count


@pytest.mark.parametrize("codec", ENCODERS)
def test_the_rate_of_a_running_encoder_changes_without_a_key_frame(codec: str) -> None:
    if DIRECT[codec]() is None:
        absent("its library cannot be reached directly here")
    stream = Stream(codec, ENCODERS[codec](800_000))
    stream.run(50)
    high = stream.run(50)
    stream.encoder.set_bitrate(200_000)
    stream.run(50)
    low = stream.run(50)
    stream.encoder.set_bitrate(800_000)
    stream.run(50)
    again = stream.run(50)
    assert high > 2.2 * low
    assert again > 2.2 * low
    assert stream.keys == [0]
    assert len(stream.sizes) > 200
    stream.encoder.close()


@pytest.mark.parametrize("codec", ENCODERS)
def test_another_size_is_a_key_frame_and_decodes(codec: str) -> None:
    stream = Stream(codec, ENCODERS[codec](300_000))
    stream.run(3)
    stream.run(3, size=96)
    stream.run(2, size=96, key=True)
    assert stream.keys == [0, 3, 6]
    assert stream.sizes == [(128, 128)] * 3 + [(96, 96)] * 5
    stream.encoder.close()
    stream.encoder.close()


@pytest.mark.parametrize("codec", ["vp9", "vp8", "av1"])
def test_without_the_library_itself_large_changes_cost_a_key_frame(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvpx, "load", lambda: None)
    monkeypatch.setattr(svtav1, "load", lambda: None)
    stream = Stream(codec, ENCODERS[codec](300_000))
    stream.run(2)
    stream.encoder.set_bitrate(280_000)  # a small change is not worth one
    stream.run(2)
    stream.encoder.set_bitrate(100_000)
    stream.run(2)
    assert stream.keys == [0, 4]
    stream.encoder.close()
