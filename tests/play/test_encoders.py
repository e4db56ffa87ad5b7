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


class Scene:
    """A texture that rests but for a square in its middle that flickers, as a face does before its wall."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.wall = np.random.default_rng(1).integers(40, 200, (size // 16, size // 16), np.uint8)

    def draw(self, n: int) -> np.ndarray:
        i420 = np.full((self.size * 3 // 2, self.size), 128, np.uint8)
        i420[: self.size] = np.kron(self.wall, np.ones((16, 16), np.uint8))
        middle = slice(self.size * 3 // 8, self.size * 5 // 8)
        i420[middle, middle] = 60 + 9 * (n % 10)
        return i420


@pytest.mark.parametrize("codec", ENCODERS)
def test_what_has_long_been_still_is_shown_when_it_changes(codec: str) -> None:
    """Rates on both sides of the step in VP9's speed, a change of size and a wish for a key frame between."""
    encoder = ENCODERS[codec](600_000)
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    decoder.thread_count = 1
    n = 0
    keys = 0

    def worst(scene: Scene, count: int, *, key: bool = False) -> float:
        """The mean error of the worst block of 16 × 16 in the last of so many pictures."""
        nonlocal n, keys
        shown = drawn = np.zeros((16, 16), np.uint8)
        for index in range(count):
            drawn = scene.draw(n)
            encoded = encoder.encode(drawn, n * 3600, key=key and not index)
            n += 1
            if encoded is None:
                continue
            keys += encoded.key
            for frame in decoder.decode(av.Packet(codecs.frame(codec, encoded.payloads))):
                shown = frame.to_ndarray(format="yuv420p")
        size = scene.size
        error = np.abs(shown[:size].astype(np.int16) - drawn[:size])
        return float(error.reshape(size // 16, 16, size // 16, 16).mean((1, 3)).max())

    scene = Scene(256)
    assert worst(scene, 60, key=True) < 8
    assert keys == 1
    for rate, corner in ((600_000, (0, 0)), (110_000, (15, 15)), (600_000, (0, 15))):
        encoder.set_bitrate(rate)
        assert worst(scene, 40) < 8
        scene.wall[corner] ^= 0x60  # 96 levels
        assert worst(scene, 3) < 16
    assert keys == 1
    scene.wall[15, 0] ^= 0x60
    assert worst(scene, 1, key=True) < 16
    assert keys == 2
    smaller = Scene(192)
    assert worst(smaller, 40) < 8
    assert keys == 3
    smaller.wall[11, 0] ^= 0x60
    assert worst(smaller, 3) < 16
    encoder.close()


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
