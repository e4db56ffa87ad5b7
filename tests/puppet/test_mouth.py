"""Speech to mouth, in a stream."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from puppet.mouth import HANDOVER, MAX_LOOK_AHEAD, Lips, MouthDrive, Phone
from puppet.net import WEIGHTS
from puppet.sound import FRAME, RATE, Ear
from puppet.training.measure import reference, score
from puppet.visemes import aperture

with np.load(Path(__file__).parent / "speech.npz") as stored:
    # Four seconds of the training's own formant synthesiser, of a seed that no corpus has.
    SPEECH = stored["pcm"].astype(np.float32) / np.float32(32768)
    PHONES = [(float(s), float(e), str(ipa)) for s, e, ipa in json.loads(str(stored["phones"]))]


def voice(seconds: float) -> np.ndarray:
    return SPEECH[: round(seconds * RATE)]


def speak(sound: np.ndarray, pieces: int, phones: tuple[Phone, ...] = ()) -> list[Lips]:
    drive = MouthDrive()
    lips = []
    for i in range(0, len(sound), pieces):
        lips += drive.feed(sound[i : i + pieces], phones if i == 0 else ())
    return lips + drive.finish()


@pytest.mark.parametrize("samples", [1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME, 31 * FRAME + 7])
def test_one_mouth_for_each_picture_begun(samples: int) -> None:
    assert len(speak(voice(2)[:samples], 333)) == -(-samples // FRAME)


def test_nothing_in_nothing_out() -> None:
    drive = MouthDrive()
    assert drive.finish() == []


def test_how_the_sound_is_cut_up_changes_nothing() -> None:
    sound = voice(2)
    whole = speak(sound, len(sound))
    for pieces in (1, 100, 160, 641, 5000):
        cut = speak(sound[: RATE // 4] if pieces == 1 else sound, pieces)
        for a, b in zip(cut[:4] if pieces == 1 else cut, whole, strict=False):
            np.testing.assert_allclose(a.shape, b.shape, atol=1e-4)
            assert a.loudness == pytest.approx(b.loudness, abs=1e-4)


@pytest.mark.parametrize("asked", [1, 2, 3, 10])
def test_the_mouth_waits_for_its_look_ahead_and_no_more(asked: int) -> None:
    drive = MouthDrive(asked)
    sound = voice(2)
    ready = [len(drive.feed(sound[i * FRAME : (i + 1) * FRAME])) for i in range(10)]
    waited = min(asked, MAX_LOOK_AHEAD)
    assert ready == [0] * waited + [1] * (10 - waited)
    assert len(drive.finish()) == waited


def test_each_look_ahead_names_the_same_mouth_at_the_same_time() -> None:
    sound = voice(3)
    mouths = []
    for asked in (1, 2, 3):
        drive = MouthDrive(asked)
        lips = drive.feed(sound) + drive.finish()
        mouths.append(np.stack([lip.shape for lip in lips])[:, 0])
    for other in (mouths[0], mouths[2]):
        fits = [np.corrcoef(mouths[1][3:-3], np.roll(other, lag)[3:-3])[0, 1] for lag in (-2, -1, 0, 1, 2)]
        assert int(np.argmax(fits)) == 2


def test_what_was_said_before_makes_the_first_word_surer() -> None:
    sound = voice(4)
    half = 50 * FRAME
    whole = speak(sound, 640)[50:]
    drive = MouthDrive(2, sound[half - 3 * FRAME : half])
    known = drive.feed(sound[half:]) + drive.finish()
    fresh = speak(sound[half:], 640)
    assert len(known) == len(fresh) == len(whole)

    def distance(lips: list[Lips]) -> float:
        return float(np.mean([np.abs(a.shape - b.shape).mean() for a, b in zip(lips[:4], whole[:4], strict=True)]))

    assert distance(known) < distance(fresh)


def test_lips_follow_speech_and_not_its_loudness() -> None:
    lips = speak(SPEECH, 640)
    pcm = (SPEECH * 32767).astype(np.int16)
    net = score([np.stack([lip.shape for lip in lips])], [PHONES], [pcm])
    loud = np.zeros((len(lips), 7), np.float32)
    loud[:, 0] = [lip.loudness for lip in lips]
    assert net.jaw > 0.75
    assert net.aperture > 0.7
    assert net.width > 0.6
    assert net.aperture > score([loud], [PHONES], [pcm]).aperture + 0.3
    late = np.roll(np.stack([lip.shape for lip in lips]), 25, axis=0)
    assert score([late], [PHONES], [pcm]).aperture < 0.4


def test_silence_keeps_the_mouth_shut() -> None:
    rng = np.random.default_rng(0)
    for hiss in (0.0, 1e-4, 1e-3):
        lips = speak((hiss * rng.standard_normal(2 * RATE)).astype(np.float32), 640)
        assert max(float(aperture(lip.shape)) for lip in lips[3:]) < 0.05


def test_level_does_not_matter() -> None:
    sound = voice(2)
    loud, quiet = speak(sound, 640), speak(0.05 * sound, 640)
    a, b = (np.array([aperture(lip.shape) for lip in lips]) for lips in (loud, quiet))
    assert np.corrcoef(a, b)[0, 1] > 0.9


def test_known_phonemes_drive_the_mouth() -> None:
    phones = tuple(
        Phone(ipa, round(i * 0.12 * RATE), round((i + 1) * 0.12 * RATE)) for i, ipa in enumerate("mapibutomefa")
    )
    said = [*((p.start / RATE, p.end / RATE, p.ipa) for p in phones), (12 * 0.12, 9.0, "")]
    lips = speak(voice(12 * 0.12), 640, phones)
    truth = reference(said, len(lips))
    shapes = np.stack([lip.shape for lip in lips])
    np.testing.assert_allclose(shapes[1:-5], truth[1:-5], atol=1e-3)
    # That silence follows the last phoneme is known only when the speech is over.
    np.testing.assert_allclose(shapes[1:], truth[1:], atol=0.05)


def test_phonemes_that_come_late_take_over_without_a_seam() -> None:
    """The first second is known, then nothing, then all again: no step beyond what either source makes."""
    sound = voice(4)
    first = tuple(Phone("a", i * 1600, (i + 1) * 1600) for i in range(10))
    later = tuple(Phone("i", 32000 + i * 1600, 32000 + (i + 1) * 1600) for i in range(20))
    drive = MouthDrive()
    lips = drive.feed(sound[:24000], first)
    lips += drive.feed(sound[24000:], later) + drive.finish()
    assert len(lips) == 95
    shapes = np.stack([lip.shape for lip in lips])
    assert shapes[5:20, 0].min() > 0.9  # "a" while it is known
    assert shapes[60:92, 1].min() > 0.8  # "i" once it is known
    alone = np.stack([lip.shape for lip in speak(sound, 640)])
    assert np.abs(np.diff(shapes, axis=0)).max() <= np.abs(np.diff(alone, axis=0)).max() + HANDOVER


def test_the_ear_ignores_a_change_of_rate_of_feeding() -> None:
    sound = voice(1)
    one, many = Ear(), Ear()
    whole, _ = one.hear(sound)
    parts = [many.hear(sound[i : i + 77])[0] for i in range(0, len(sound), 77)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_the_weights_are_small_and_need_no_pickle() -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        assert all(stored[name].dtype == np.float16 for name in stored.files)
