import numpy as np
import pytest

from client.offset import OffsetMeter, spread
from tests.client.performances import RATE, SLOT, picture, slices, speech


def measured(offset_s: float, *, start: float = 1000.0, jitter_s: float = 0.0) -> list[float]:
    meter, rng = OffsetMeter(), np.random.default_rng(3)
    for number, pcm in slices(speech(20)):
        at = start + number * SLOT / RATE
        meter.picture(picture(number, pcm)[:256], at + rng.uniform(-jitter_s, jitter_s))
        for half in (0, 960):
            meter.sound(pcm[half : half + 960], at + half / RATE + offset_s)
    return meter.offsets()


@pytest.mark.parametrize("offset_ms", [0.0, 6.5, -33.0, 120.0, -200.0])
def test_a_known_offset_is_found(offset_ms: float) -> None:
    found = spread(measured(offset_ms / 1000))
    assert found is not None
    assert found.count > 10
    assert found.p50 == pytest.approx(offset_ms, abs=2)
    assert found.p95 == pytest.approx(abs(offset_ms), abs=5)


def test_jitter_of_the_pictures_hardly_moves_the_median() -> None:
    found = spread(measured(0.0, jitter_s=0.008))
    assert found is not None
    assert abs(found.p50) < 4


def test_a_face_that_is_no_calibration_pattern_has_no_figure() -> None:
    meter, rng = OffsetMeter(), np.random.default_rng(0)
    for number, pcm in slices(speech(10)):
        meter.picture(rng.integers(16, 235, (256, 256), np.uint8), number * 0.04)
        meter.sound(pcm, number * 0.04)
    assert not meter.calibrated
    assert meter.offsets() == []


def test_silence_has_no_figure() -> None:
    meter = OffsetMeter()
    for number, pcm in slices(np.zeros(10 * RATE, np.int16)):
        meter.picture(picture(number, pcm)[:256], number * 0.04)
        meter.sound(pcm, number * 0.04)
    assert meter.calibrated
    assert meter.offsets() == []


def test_sound_that_belongs_to_other_pictures_has_no_figure() -> None:
    meter = OffsetMeter()
    for (number, pcm), (_, other) in zip(slices(speech(10, seed=1)), slices(speech(10, seed=2)), strict=True):
        meter.picture(picture(number, pcm)[:256], number * 0.04)
        meter.sound(other, number * 0.04)
    assert len(meter.offsets()) <= 1


def test_nothing_gives_nothing() -> None:
    assert OffsetMeter().offsets() == []
    assert spread([]) is None
