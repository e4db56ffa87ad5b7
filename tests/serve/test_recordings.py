"""Uploaded recordings: every format is decoded, everything else is refused in words before it can hurt."""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest

from avatar.errors import AvatarError, Invalid, TooLarge, UnsupportedMedia
from avatar.serve import recordings
from avatar.serve.recordings import receive


async def body(data: bytes, step: int = 50_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def tone(seconds: float, rate: int = 16_000, level: int = 8_000) -> np.ndarray[Any, Any]:
    return (level * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate)).astype(np.int16)


def encoded(kind: str, codec: str, seconds: float = 1.0, rate: int = 48_000, level: int = 8_000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate, frame_size=960)
        pcm = tone(seconds, rate, level)
        frame = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 8_000),
        ("wav", "pcm_s16le", 44_100),
        ("flac", "flac", 48_000),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("mp3", "libmp3lame", 48_000),
        ("mp4", "aac", 48_000),
    ],
)
async def test_formats_become_48_khz_mono(kind: str, codec: str, rate: int) -> None:
    recording = await receive(body(encoded(kind, codec, 1.0, rate)))
    assert recording.seconds == pytest.approx(1.0, abs=0.12)
    chunks = [chunk async for chunk in recording.chunks()]
    assert [chunk.start for chunk in chunks] == list(np.cumsum([0] + [len(chunk.pcm) for chunk in chunks[:-1]]))
    assert sum(len(chunk.pcm) for chunk in chunks) == recording.samples
    loud = np.concatenate([chunk.pcm for chunk in chunks])
    assert np.abs(loud[9_600:38_400]).max() == pytest.approx(8_000, rel=0.2)


def wav(seconds: float, rate: int = 8_000, value: int = 0) -> bytes:
    data = struct.pack("<h", value) * int(seconds * rate)
    header = (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    )
    return header + b"data" + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedMedia),
        (b"hello, this is a text file and no sound at all\n" * 50, UnsupportedMedia),
        (b"#EXTM3U\nfile:///etc/passwd\n", UnsupportedMedia),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", UnsupportedMedia),
        (b"RIFF\x00\x00\x00\x00WAVE", UnsupportedMedia),
        (np.random.default_rng(1).bytes(20_000), UnsupportedMedia),
        (b"PK\x03\x04" + bytes(1_000), UnsupportedMedia),
        (wav(1.0), Invalid),
        (wav(0.0), UnsupportedMedia),
        (wav(1801.0, 8_000, 900), TooLarge),
    ],
    ids=["empty", "text", "playlist", "concat", "stub", "noise", "zip", "silent", "no samples", "half an hour"],
)
async def test_what_is_no_speech_is_refused_in_words(data: bytes, error: type[AvatarError]) -> None:
    with pytest.raises(error) as refusal:
        await receive(body(data, 1_000_000))
    assert refusal.value.message.endswith(".")


async def test_two_hours_in_a_small_file_are_refused_while_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """FLAC of near silence: little to send, much to decode; the header's duration is taken out of the way."""
    data = bytearray(encoded("flac", "flac", 130.0, 48_000, 40))
    assert len(data) < 3_000_000
    monkeypatch.setitem(recordings.LIMITS, "speech_s", 60)
    data[18 + 3 : 26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])  # STREAMINFO's total samples: unknown
    with pytest.raises(TooLarge):
        await receive(body(bytes(data)))


async def test_a_picture_or_a_film_without_sound_is_told_apart() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedMedia, match="no sound track"):
        await receive(body(file.getvalue()))
