"""Sound that is no clean speech: the mouth stays a mouth, and shut where nobody speaks."""

from __future__ import annotations

import numpy as np
import pytest

from puppet.mouth import Lips, MouthDrive
from puppet.sound import RATE
from puppet.visemes import aperture
from tests.puppet.test_mouth import SPEECH, speak

RNG = np.random.default_rng(1)
LEVEL = float(np.sqrt((SPEECH**2).mean()))
TIME = np.arange(4 * RATE) / RATE


def opening(lips: list[Lips]) -> np.ndarray:
    shapes = np.stack([lip.shape for lip in lips])
    assert np.isfinite(shapes).all()
    assert shapes.min() >= 0
    assert shapes.max() <= 1
    assert all(0 <= lip.loudness <= 1 and 0 <= lip.voice <= 1 for lip in lips)
    return aperture(shapes)


def fits(sound: np.ndarray) -> float:
    """How much the mouth of a spoilt speech is that of the clean one."""
    return float(np.corrcoef(opening(speak(sound.astype(np.float32), 640)), opening(speak(SPEECH, 640)))[0, 1])


def telephone() -> np.ndarray:
    spectrum, f = np.fft.rfft(SPEECH), np.fft.rfftfreq(len(SPEECH), 1 / RATE)
    return np.fft.irfft(np.where((f > 200) & (f < 3400), spectrum, 0), len(SPEECH))


SPOILT = {
    "quiet, by 26 dB": (0.05 * SPEECH, 0.9),
    "clipped, by 20 dB": (np.clip(10 * SPEECH, -1, 1), 0.8),
    "through a telephone": (telephone(), 0.65),
    "in noise, 20 dB below": (SPEECH + RNG.normal(0, 0.1 * LEVEL, len(SPEECH)), 0.9),
    "in noise, 10 dB below": (SPEECH + RNG.normal(0, 0.316 * LEVEL, len(SPEECH)), 0.75),
    "on a direct current": (SPEECH + 0.3, 0.9),
    "after a minute of silence": (np.concatenate([np.zeros(60 * RATE), SPEECH]), None),
}


@pytest.mark.parametrize("name", [name for name, (_, least) in SPOILT.items() if least is not None])
def test_spoilt_speech_is_still_followed(name: str) -> None:
    sound, least = SPOILT[name]
    assert fits(sound) > least


def test_a_minute_of_silence_shuts_the_mouth_and_does_not_deafen() -> None:
    seen = opening(speak(SPOILT["after a minute of silence"][0].astype(np.float32), 6400))
    assert not seen[10 : 60 * 25 - 3].any()
    clean = opening(speak(SPEECH, 640))
    assert np.corrcoef(seen[60 * 25 :], clean)[0, 1] > 0.8


def test_a_whisper_of_a_recording_is_silence() -> None:
    assert opening(speak(0.001 * SPEECH, 640)).max() < 0.05


@pytest.mark.parametrize(
    ("name", "sound", "most"),
    [
        ("hiss", RNG.normal(0, 0.3, len(TIME)), 0.1),
        ("hum", 0.1 * np.sin(2 * np.pi * 50 * TIME), 0.1),
        ("direct current", np.full(len(TIME), 0.5), 0.1),
        ("a drum", RNG.normal(0, 0.3, len(TIME)) * np.exp(-20 * ((2 * TIME) % 1)), 0.1),
        ("full-scale square wave", np.sign(np.sin(2 * np.pi * 150 * TIME)), 0.3),
        ("music", 0.15 * sum(np.sin(2 * np.pi * f * TIME) / (i + 1) for i, f in enumerate((220, 277, 330, 440))), 0.5),
    ],
)
def test_what_is_no_speech_does_not_gape(name: str, sound: np.ndarray, most: float) -> None:
    assert opening(speak(sound.astype(np.float32), 640)).mean() < most, name


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -3e38])
def test_broken_samples_pass(bad: float) -> None:
    """Not a number, infinite, absurd: heard as nothing or as a crack, and forgotten."""
    sound = SPEECH.copy()
    for at in (0, 8000, 20_000):
        sound[at : at + 10] = bad
    seen = opening(speak(sound, 640))
    clean = opening(speak(SPEECH, 640))
    assert np.corrcoef(seen[-40:], clean[-40:])[0, 1] > 0.7


def test_nothing_but_broken_samples_is_silence() -> None:
    drive = MouthDrive()
    lips = drive.feed(np.full(2 * RATE, np.nan, np.float32)) + drive.finish()
    assert len(lips) == 50
    assert not opening(lips)[3:].any()
