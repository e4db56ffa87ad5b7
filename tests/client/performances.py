"""Made-up performances of the calibration face, and files of them read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from avatar.face.pattern import brightness, draw
from client.offset import OffsetMeter, Spread, spread

SLOT, RATE = 1920, 48_000


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of a tone as long and as loud as syllables, 48 kHz: its beginnings fall anywhere inside the slices."""
    rng = np.random.default_rng(seed)
    size = round(seconds * RATE)
    envelope, at = np.zeros(size), 0
    while at < size:
        length = int(rng.uniform(0.08, 0.6) * RATE)
        envelope[at : at + length] = rng.uniform(0.02, 0.6)
        at += length + int(rng.uniform(0.05, 0.5) * RATE)
    envelope = np.convolve(envelope, np.hanning(480) / np.hanning(480).sum(), "same")
    return (envelope * np.sin(np.arange(size) * 2 * np.pi * 220 / RATE) * 32767).astype(np.int16)


def slices(pcm: np.ndarray) -> list[tuple[int, np.ndarray]]:
    return [(k, pcm[k * SLOT : (k + 1) * SLOT]) for k in range(len(pcm) // SLOT)]


def picture(number: int, pcm: np.ndarray, side: int = 256) -> np.ndarray:
    """The calibration face for these samples, I420."""
    return draw(brightness(pcm), number, side)


@dataclass
class Film:
    """What a player would make of a recording."""

    codecs: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """Of the pictures, seconds."""
    sizes: set[tuple[int, int]] = field(default_factory=set)
    tracks: list[np.ndarray] = field(default_factory=list)
    """48 kHz mono, from the file's start."""
    offset: Spread | None = None


def watch(path: Path) -> Film:
    film, meter = Film(), OffsetMeter()
    with av.open(str(path)) as container:
        film.codecs = [stream.codec_context.name for stream in container.streams]
        for frame in container.decode(video=0):
            film.times.append(float(frame.time))
            film.sizes.add((frame.width, frame.height))
            meter.picture(frame.to_ndarray(format="yuv420p")[: frame.height], float(frame.time))
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for index in range(count):
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            track = np.zeros(0, np.int16)
            for frame in container.decode(audio=index):
                at = round(float(frame.time) * RATE)
                for block in resampler.resample(frame):
                    track = np.concatenate([track, np.zeros(max(0, at - len(track)), np.int16), block.to_ndarray()[0]])
            film.tracks.append(track)
    if film.tracks:
        meter.sound(film.tracks[0], 0.0)
    film.offset = spread(meter.offsets())
    return film


def lag(track: np.ndarray, original: np.ndarray, limit: int = RATE) -> int:
    """Samples by which `track` comes after `original` (an FFT cross-correlation)."""
    size = 1 << (max(len(track), len(original)) * 2).bit_length()
    a, b = np.fft.rfft(track.astype(float), size), np.fft.rfft(original.astype(float), size)
    product = np.fft.irfft(a * np.conj(b), size)
    product = np.concatenate([product[-limit:], product[:limit]])
    return int(product.argmax()) - limit
