"""The benchmark's measure of lag tells what the path cost, not what the machine did."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.microphone import RATE, TICK, Heard, Script, lag_ms

TICKS, FILLED_AT, PATH_S = 1000, 400, 0.03
_chance = np.random.default_rng(1)
_loudness = np.repeat(_chance.random(TICKS // 5) > 0.4, 5 * TICK)
PCM = (_chance.normal(0, 3000, TICKS * TICK) * _loudness).astype(np.int16)
SAID = Script(PCM, ((0, len(PCM)),))
CLEAN = Heard(PCM, [PATH_S] * TICKS, {}, [0.0] * TICKS)


def filled(seconds: float, more_s: float = 0.0) -> Heard:
    """Silence was put in, and what followed came as late as it was said, or `more_s` later."""
    at = FILLED_AT * TICK
    pcm = np.concatenate([PCM[:at], np.zeros(round(seconds * RATE), np.int16), PCM[at:]])
    late = [PATH_S] * FILLED_AT + [PATH_S - seconds + more_s] * (len(pcm) // TICK - FILLED_AT)
    return Heard(pcm, late, {}, [0.0] * TICKS)


@pytest.mark.parametrize("more_s", [0.0, 0.1])
def test_silence_that_was_put_in_is_no_lag(more_s: float) -> None:
    assert lag_ms(filled(4.3, more_s), CLEAN, SAID) == pytest.approx(1000 * more_s)
    assert lag_ms(CLEAN, filled(4.3, more_s), SAID) == pytest.approx(-1000 * more_s)


def test_a_sender_that_is_late_is_no_lag() -> None:
    slow = [0.004 * tick for tick in range(TICKS)]
    assert lag_ms(Heard(PCM, [PATH_S + late for late in slow], {}, slow), CLEAN, SAID) == pytest.approx(0)


def test_sound_that_stays_late_is_lag() -> None:
    late = [PATH_S] * FILLED_AT + [PATH_S + 0.2] * (TICKS - FILLED_AT)
    assert lag_ms(Heard(PCM, late, {}, [0.0] * TICKS), CLEAN, SAID) == pytest.approx(200)
