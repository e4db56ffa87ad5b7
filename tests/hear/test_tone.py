"""How far a voice has fallen where it pauses."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.hear.tone import fall, semitones
from avatar.types import Pcm

RATE = 16_000


def voice(pitches_hz: list[tuple[float, float]], *, noise: float = 0.0) -> Pcm:
    """A buzz through two formants, whose pitch goes from knot to knot (seconds, Hz) on a straight line."""
    times, hertz = np.array(pitches_hz).T
    t = np.arange(int(times[-1] * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(np.interp(t, times, hertz)) / RATE
    pitch = np.interp(t, times, hertz)
    wave = np.zeros(len(t))
    for k in range(1, 20):
        at = k * pitch
        gain = 1 / k + np.exp(-(((at - 600) / 150) ** 2)) + 0.5 * np.exp(-(((at - 1800) / 200) ** 2))
        wave += gain * np.sin(k * phase)
    wave = wave / np.abs(wave).max() * 8000 + np.random.default_rng(0).normal(0, noise, len(t))
    return np.clip(wave, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("hertz", [75.0, 110.0, 180.0, 260.0, 380.0])
@pytest.mark.parametrize("noise", [0.0, 300.0])
def test_the_pitch_is_right_for_deep_and_high_voices(hertz: float, noise: float) -> None:
    found = semitones(voice([(0, hertz), (1, hertz)], noise=noise))
    assert len(found) > 80
    assert np.mean(np.abs(found - 12 * np.log2(hertz)) < 0.5) > 0.95


def test_noise_and_silence_have_no_pitch() -> None:
    rng = np.random.default_rng(1)
    assert len(semitones(rng.normal(0, 2000, RATE).astype(np.int16))) < 5
    assert len(semitones(np.zeros(RATE, np.int16))) == 0
    assert fall(np.zeros(RATE, np.int16), RATE) is None
    assert fall(np.zeros(0, np.int16), 0) is None


@pytest.mark.parametrize("middle", [100.0, 200.0])
def test_a_fall_is_told_from_a_rise(middle: float) -> None:
    steady = [(0.0, middle), (1.0, middle * 1.05), (1.6, middle)]
    fallen = fall(voice([*steady, (1.85, middle * 0.65), (2.1, middle * 0.63)]), round(2.1 * RATE))
    level = fall(voice([*steady, (2.1, middle)]), round(2.1 * RATE))
    risen = fall(voice([*steady, (2.1, middle * 1.5)]), round(2.1 * RATE))
    assert fallen is not None and level is not None and risen is not None
    assert 6 < fallen < 9.5
    assert abs(level) < 1
    assert risen < -1


def test_what_comes_after_the_end_does_not_matter() -> None:
    pcm = voice([(0, 150), (1, 150), (1.5, 100)])
    more = np.concatenate([pcm, voice([(0, 300), (1, 300)])])
    assert fall(more, len(pcm)) == fall(pcm, len(pcm))


def test_one_short_sound_says_nothing() -> None:
    assert fall(voice([(0, 150), (0.15, 120)]), round(0.15 * RATE)) is None
