import numpy as np
import pytest

from client.meters import PictureMeter, SoundMeter, audible

LOUD = np.full(960, 5000, np.int16)
QUIET = np.zeros(960, np.int16)


def test_a_steady_stream_has_its_rate_and_no_freeze() -> None:
    meter = PictureMeter()
    for n in range(251):
        meter.picture(100 + n * 0.04, 512, 512)
    assert meter.frames == 251
    assert meter.fps == pytest.approx(25)
    assert meter.freezes == 0
    assert meter.max_gap_s == pytest.approx(0.04)


def test_a_freeze_is_a_picture_that_stays_150_ms_longer_than_usual() -> None:
    meter = PictureMeter()
    arrivals = [n * 0.04 for n in range(50)]
    late = [a + 0.16 for a in arrivals]  # a gap of 200 ms
    for arrival in arrivals + [2 + a for a in late]:
        meter.picture(arrival, 512, 512)
    assert meter.freezes == 1
    assert meter.max_gap_s == pytest.approx(0.2)


def test_a_late_picture_is_no_freeze() -> None:
    meter = PictureMeter()
    for arrival in [*(n * 0.04 for n in range(50)), 2.08, 2.10, 2.12]:
        meter.picture(arrival, 512, 512)
    assert meter.freezes == 0


def test_nothing_has_no_rate() -> None:
    assert PictureMeter().fps == 0


def test_sound_that_goes_on_has_no_gap() -> None:
    meter = SoundMeter()
    for n in range(100):
        meter.sound(LOUD, 5 + n * 0.02 + (0.001 if n % 2 else 0), 7 + n * 0.02, missing=False)
    assert meter.gaps == 0
    assert meter.max_gap_s == 0
    assert meter.first == 7


def test_sound_that_never_came_is_a_gap() -> None:
    meter = SoundMeter()
    for n in [0, 1, 2, 6, 7]:
        meter.sound(LOUD, n * 0.02, n * 0.02, missing=False)
    assert meter.gaps == 1
    assert meter.max_gap_s == pytest.approx(0.06)


def test_concealed_sound_is_a_gap_once_for_each_stretch() -> None:
    meter = SoundMeter()
    for n in range(10):
        meter.sound(LOUD, n * 0.02, n * 0.02, missing=n in (3, 4, 7))
    assert meter.gaps == 2
    assert meter.max_gap_s == pytest.approx(0.04)


def test_the_noise_of_coded_silence_is_not_audible() -> None:
    assert not audible(QUIET)
    assert not audible(np.full(960, 30, np.int16))
    assert audible(LOUD)
