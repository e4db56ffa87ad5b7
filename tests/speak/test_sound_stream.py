"""Sound is read from an HTTP answer as it arrives, whatever the server calls sound."""

from __future__ import annotations

import io
import struct
import wave

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.speak.shape import Samples
from avatar.speak.sound_stream import NotSound, SoundReader

TONE = (8_000 * np.sin(2 * np.pi * 300 * np.arange(12_000) / 24_000)).astype("<i2")


def wav(rate: int = 24_000, channels: int = 1, sound: np.ndarray = TONE) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(sound, channels).astype("<i2").tobytes())
    return out.getvalue()


def compressed(codec: str, container: str, rate: int = 24_000) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE[None, :], format="s16", layout="mono")
        frame.sample_rate = 24_000
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        fifo = av.AudioFifo()
        for made in [*resampler.resample(frame), *resampler.resample(None)]:
            made.pts = None
            fifo.write(made)
        size = stream.codec_context.frame_size or 1_024
        while (part := fifo.read(size)) is not None:
            file.mux(stream.encode(part))
        if (part := fifo.read(0, partial=True)) is not None:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return out.getvalue()


def read(data: bytes, content_type: str = "", sizes: list[int] | None = None) -> tuple[Samples, SoundReader]:
    reader = SoundReader(content_type)
    samples: list[Samples] = []
    at = 0
    for size in [*(sizes or []), len(data)]:
        samples.append(reader.feed(data[at : at + size]))
        at += size
    samples.append(reader.finish())
    return np.concatenate(samples), reader


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3_000), max_size=40),
    form=st.sampled_from([("pcm", TONE.tobytes()), ("wav", wav()), ("stereo", wav(channels=2))]),
)
def test_any_chunking_gives_the_same_samples(sizes: list[int], form: tuple[str, bytes]) -> None:
    samples, reader = read(form[1], sizes=sizes)
    assert reader.rate == 24_000
    assert np.abs(samples - TONE / 32768).max() < 1e-4
    assert not reader.cut


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_wav_file_says_its_rate(rate: int) -> None:
    assert read(wav(rate))[1].rate == rate


def test_the_content_type_may_say_the_rate() -> None:
    assert read(TONE.tobytes(), "audio/pcm;rate=16000;channels=1")[1].rate == 16_000


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_header_sent_before_the_length_was_known(length: int) -> None:
    data = bytearray(wav())
    struct.pack_into("<I", data, 40, length)
    samples, reader = read(bytes(data))
    assert len(samples) == len(TONE) and not reader.cut


def test_floats_and_extra_chunks() -> None:
    sound = (TONE / 32768).astype("<f4").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 24_000, 96_000, 4, 32)
    extra = struct.pack("<4sI", b"LIST", 5) + b"hello\0"
    data = b"RIFF\xff\xff\xff\xffWAVE" + extra + fmt + struct.pack("<4sI", b"data", len(sound)) + sound
    assert np.abs(read(data, sizes=[3, 9, 40])[0] - TONE / 32768).max() < 1e-6


def test_a_file_that_ends_early_is_cut() -> None:
    assert read(wav()[:-2_000])[1].cut


def test_what_follows_the_sound_is_not_played() -> None:
    assert len(read(wav() + b"LIST" + bytes(100))[0]) == len(TONE)


@pytest.mark.parametrize(
    ("codec", "container"), [("libmp3lame", "mp3"), ("libopus", "ogg"), ("flac", "flac"), ("aac", "adts")]
)
def test_compressed_files_are_decoded(codec: str, container: str) -> None:
    rate = 48_000 if codec == "libopus" else 24_000
    samples, reader = read(compressed(codec, container, rate), sizes=[10, 100])
    assert reader.rate in (24_000, 48_000)
    assert len(samples) / reader.rate == pytest.approx(0.5, abs=0.15)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.sqrt(np.mean((TONE / 32768) ** 2)), rel=0.3)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"<!doctype html><html></html>", ""),
        (b'{"error": "no such voice"}', "application/octet-stream"),
        (b"ID3 but nothing of the kind" * 10, ""),
        (b"RIFF\x00\x00\x00\x00WAVE" + bytes(70_000), ""),
        (wav()[:30], ""),
        (wav()[:20] + b"\x07\x00" + wav()[22:], ""),
    ],
)
def test_what_is_no_sound_is_refused(data: bytes, content_type: str) -> None:
    with pytest.raises(NotSound):
        read(data, content_type)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400), kind=st.sampled_from(["", "audio/wav", "audio/mpeg", "audio/pcm"]))
def test_garbage_is_sound_or_refused(data: bytes, kind: str) -> None:
    for head in (b"", b"RIFF\0\0\0\0WAVE", b"OggS", wav()[:36]):
        try:
            samples, _ = read(head + data, kind)
        except NotSound:
            continue
        assert samples.dtype == np.float32 and np.isfinite(samples).all()
