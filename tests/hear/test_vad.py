"""The voice detector on real sound."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.hear.vad import FRAME, Vad
from avatar.types import Pcm
from tests.hear.sounds import TEXTS, clicks, clip, noise, silence


def probabilities(vad: Vad, pcm: Pcm) -> list[float]:
    return [vad.probability(pcm[at : at + FRAME]) for at in range(0, len(pcm) - FRAME + 1, FRAME)]


@pytest.fixture
def vad() -> Vad:
    return Vad.load()()


@pytest.mark.parametrize("name", TEXTS)
def test_speech_is_a_voice(vad: Vad, name: str) -> None:
    heard = probabilities(vad, clip(name))
    assert max(heard) > 0.9
    assert np.mean(np.array(heard) > 0.5) > 0.3


@pytest.mark.parametrize(
    "sound",
    [silence(2, 16_000), noise(2, -50, rate=16_000), noise(2, -25, rate=16_000), clicks(2, 0.2, rate=16_000)],
    ids=["silence", "quiet noise", "loud noise", "clicks"],
)
def test_other_sounds_are_not(vad: Vad, sound: Pcm) -> None:
    assert np.mean(np.array(probabilities(vad, sound)) > 0.5) < 0.05


def test_streams_do_not_disturb_each_other() -> None:
    make = Vad.load()
    alone = probabilities(make(), clip("time"))
    one, other = make(), make()
    together = []
    for at in range(0, len(clip("time")) - FRAME + 1, FRAME):
        together.append(one.probability(clip("time")[at : at + FRAME]))
        other.probability(noise(0.032, -20, seed=at, rate=16_000))
    assert together == alone


def test_reset_forgets() -> None:
    vad = Vad.load()()
    first = probabilities(vad, clip("yes"))
    vad.reset()
    assert probabilities(vad, clip("yes")) == first


def test_matches_the_reference_runner() -> None:
    """faster-whisper's own batch code over the same model gives the same probabilities."""
    from faster_whisper.vad import get_vad_model

    pcm = clip("hello")
    whole = pcm[: len(pcm) // FRAME * FRAME]
    reference = np.asarray(get_vad_model()(whole.astype(np.float32) / 32768.0)).ravel()
    # Its batch code blanks the end of the very last frame.
    assert np.allclose(probabilities(Vad.load()(), whole)[:-1], reference[:-1], atol=1e-5)
