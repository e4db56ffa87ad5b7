"""The avatar's own voice in the microphone: a loudspeaker, a room, no echo canceller."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.hear.ears import Ears, SpeechStarted
from avatar.hear.echo import EchoJudge, Hears
from avatar.hear.vad import Vad
from avatar.types import AudioChunk, Pcm
from tests.hear.sounds import clip

RATE = 48_000
CHUNK = 960


def voice(*names: str, pause_s: float = 0.4) -> Pcm:
    """What the avatar says: recordings with pauses between them."""
    gap = np.zeros(round(pause_s * RATE), np.int16)
    return np.concatenate([part for name in names for part in (gap, clip(name, RATE))])


def room(sound: Pcm, *, delay_ms: float, level_db: float, rt60_s: float, seed: int) -> np.ndarray:
    """The sound as a microphone at arm's length hears it: late, quieter, with the room's reflections (a direct path and
    an exponentially decaying tail of noise 3 dB below it)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(0.4 * RATE)) / RATE
    response = rng.standard_normal(len(t)) * 10 ** (-3 * t / rt60_s) * (t > 0.002)
    response /= np.sqrt((response**2).sum() * 2)
    response[0] = 1
    size = 1 << (len(sound) + len(response)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[: len(sound)]
    late = np.concatenate([np.zeros(round(delay_ms * RATE / 1000)), wet])[: len(sound)]
    return late * 10 ** (level_db / 20)


def noise(count: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count) * 25


def onsets(played: Pcm, heard: np.ndarray, *, echo: bool = True) -> list[float]:
    """Seconds at which somebody begins to speak, as the ears believe."""
    judge = EchoJudge() if echo else None
    ears = Ears(Vad.load()(), echo=judge)
    microphone = np.clip(heard, -32768, 32767).astype(np.int16)
    found = []
    for at in range(0, len(microphone) - CHUNK + 1, CHUNK):
        if judge is not None:
            judge.play(played[at : at + CHUNK])
        for event in ears.hear(AudioChunk(microphone[at : at + CHUNK], RATE, at)):
            if isinstance(event, SpeechStarted):
                found.append(event.at / 16_000)
    return found


ALL = ("weather", "hello", "time", "weather", "thanks", "hello")


@pytest.mark.parametrize(("delay_ms", "level_db", "rt60_s"), [(20, -20, 0.3), (200, -20, 0.4), (450, -12, 0.5)])
def test_the_avatar_never_hears_itself(delay_ms: float, level_db: float, rt60_s: float) -> None:
    played = voice(*ALL)
    heard = room(played, delay_ms=delay_ms, level_db=level_db, rt60_s=rt60_s, seed=int(delay_ms)) + noise(len(played))
    assert onsets(played, heard) == []
    assert onsets(played, heard, echo=False), "without the comparison it takes the echo for a person"


def test_a_person_is_heard_over_the_echo_as_soon_as_without_it() -> None:
    played = voice(*ALL)
    person = np.zeros(len(played))
    begins = []
    for at_s, name in ((3.0, "time"), (6.5, "thanks"), (9.5, "hello")):
        words = clip(name, RATE)
        at = round(at_s * RATE)
        person[at : at + len(words)] += words[: len(person) - at]
        begins.append(at_s)
    alone = onsets(played, person + noise(len(person)))
    both = onsets(played, person + noise(len(person)) + room(played, delay_ms=90, level_db=-20, rt60_s=0.4, seed=1))
    for onset in alone:
        assert any(abs(onset - other) < 0.1 for other in both), (alone, both)


def test_other_words_of_the_same_voice_are_not_its_echo() -> None:
    """A second avatar in the room, say: the same voice, but not what was played."""
    played = voice(*ALL)
    other = np.roll(voice(*reversed(ALL)), 5 * RATE).astype(float) * 0.5
    assert len(onsets(played, other + noise(len(played)))) >= 2


def test_a_microphone_without_an_echo_is_heard_without_delay() -> None:
    played = voice("weather", "weather", "weather")
    words = clip("time", RATE)
    person = np.zeros(len(played))
    person[4 * RATE : 4 * RATE + len(words)] = words
    with_judge, without = (onsets(played, person + noise(len(person)), echo=echo) for echo in (True, False))
    assert with_judge and with_judge[0] == without[0]


def test_a_voice_taken_for_the_avatars_is_not_doubted_a_second_time() -> None:
    """One word over and over correlates with much. When it was no echo after all, that none is to be expected holds."""
    played = np.resize(clip("yes", RATE), 8 * RATE)
    words = clip("weather", RATE)
    heard = noise(len(played), 1) / 2
    heard[3 * RATE : 3 * RATE + len(words)] += words
    at_16k = heard.reshape(-1, 3).mean(axis=1).astype(np.int16)
    judge = EchoJudge()
    doubted = 0
    for frame in range(len(at_16k) // 512):
        judge.play(played[frame * 1536 : (frame + 1) * 1536])
        doubted += judge.hear(at_16k[frame * 512 : (frame + 1) * 512]) is not Hears.OTHERS and frame * 512 > 3 * 16_000
    assert 0 < doubted < 35  # 45 frames where it is doubted twice
