"""Opus: what it leaves out while nothing is said, and the spare copies it sends when packets get lost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avatar.play import opus
from avatar.play.opus import OpusDecoder, OpusEncoder
from avatar.types import Pcm

direct = pytest.mark.skipif(opus._libopus() is None, reason="libopus cannot be reached directly here")


def voice(tick: int) -> Pcm:
    """Harmonics of a pitch that wanders, louder and softer as syllables are."""
    t = (np.arange(960) + 960 * tick) / 48_000
    pitch = 120 + 20 * math.sin(tick / 15)
    wave = sum(np.sin(2 * np.pi * pitch * h * t) / h for h in range(1, 25))
    return np.asarray(wave * 3000 * (0.4 + 0.6 * abs(math.sin(tick / 6))), np.int16)


def packets(loss: float) -> list[bytes]:
    encoder = OpusEncoder()
    encoder.set_loss(loss)
    return [encoder.encode(voice(tick)) for tick in range(100)]


def repaired_db(sent: list[bytes]) -> float:
    """Signal over error of every seventh packet, lost and concealed with what follows it, against its decoding."""
    whole, holes = OpusDecoder(), OpusDecoder()
    signal, error = [], []
    for n, packet in enumerate(sent):
        right = whole.decode(packet).astype(float)
        if n % 7 != 6 or n + 1 == len(sent):
            holes.decode(packet)
            continue
        guess = holes.conceal(960, sent[n + 1])
        signal.append(np.mean(right**2))
        error.append(np.mean((right - guess) ** 2))
    return float(10 * np.log10(np.mean(signal) / np.mean(error)))


@direct
def test_spare_copies_repair_what_concealment_can_only_guess() -> None:
    assert repaired_db(packets(0.1)) > repaired_db(packets(0.0)) + 4


@direct
def test_spare_copies_stay_within_the_rate() -> None:
    assert sum(map(len, packets(0.1))) < 1.15 * sum(map(len, packets(0.0)))


@direct
def test_the_rate_changes_while_it_runs() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    sizes, heard = [], []
    for tick in range(200):
        encoder.set_bitrate(12_000 if 50 <= tick < 150 else opus.BITRATE)
        packet = encoder.encode(voice(tick))
        sizes.append(len(packet))
        heard.append(decoder.decode(packet))
    assert sum(sizes[60:150]) * 8 / 1.8 < 14_000
    assert sum(sizes[160:]) > 1.7 * sum(sizes[100:140])
    assert min(float(np.abs(pcm).mean()) for pcm in heard[5:]) > 100


@direct
def test_nothing_is_sent_while_nothing_is_said() -> None:
    encoder = OpusEncoder()
    encoder.set_dtx(True)
    said = [encoder.encode(voice(tick)) for tick in range(20)]
    assert all(len(packet) > 10 for packet in said)
    silent = [encoder.encode(np.zeros(960, np.int16)) for _ in range(150)]
    assert sum(map(bool, silent[30:])) <= 20  # of 120: two every 400 ms
    assert not any(len(p) > 60 for p in silent[30:])
    assert len(encoder.encode(voice(21))) > 10  # the first syllable comes at once


def test_a_wrong_length_is_refused_and_close_is_harmless_twice() -> None:
    encoder = OpusEncoder()
    with pytest.raises(ValueError, match="960"):
        encoder.encode(np.zeros(480, np.int16))
    encoder.close()
    encoder.close()


def test_without_the_library_ffmpegs_encoder_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "_libopus", lambda: None)
    encoder = OpusEncoder()
    encoder.set_loss(0.1)
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(encoder.encode(voice(tick))) for tick in range(30)])
    assert float(np.abs(heard[4800:]).mean()) > 500
