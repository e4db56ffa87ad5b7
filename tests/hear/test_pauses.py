"""What is learnt from a speaker's pauses."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.pauses import PauseModel


def model() -> PauseModel:
    return PauseModel(0.55, 0.4, 1.0)


def test_knowing_nothing_it_keeps_the_configured_silence() -> None:
    assert model().end_silence_s == 0.55


def test_one_hesitation_moves_it_little() -> None:
    pauses = model()
    pauses.observe(0.9)
    assert 0.55 < pauses.end_silence_s < 0.75


def test_consonants_are_no_pauses() -> None:
    pauses = model()
    for _ in range(50):
        pauses.observe(0.064)
    assert pauses.end_silence_s == 0.55


def test_it_covers_most_of_a_speakers_pauses() -> None:
    rng = np.random.default_rng(0)
    for median in (0.2, 0.3, 0.4):
        pauses = model()
        for pause in rng.lognormal(np.log(median), 0.4, 200):
            pauses.observe(float(pause))
        share = float(np.mean(rng.lognormal(np.log(median), 0.4, 2000) < pauses.end_silence_s))
        assert share > 0.9, median


def test_it_follows_a_speaker_who_changes() -> None:
    pauses = model()
    for _ in range(60):
        pauses.observe(0.5)
    slow = pauses.end_silence_s
    for _ in range(60):
        pauses.observe(0.15)
    assert pauses.end_silence_s < 0.75 * slow


def test_it_cuts_fewer_pauses_than_a_fixed_silence_of_the_same_delay() -> None:
    """Speakers differ in their median: simulated ones, who go on after having been cut off."""
    rng = np.random.default_rng(1)
    cut, cut_fixed, total, delays = 0, 0, 0, []
    plan = [[float(p) for p in rng.lognormal(np.log(0.25) + rng.normal() * 0.35, 0.5, 60)] for _ in range(100)]
    for speaker in plan:
        pauses = model()
        for pause in speaker:
            delays.append(pauses.end_silence_s)
            cut += pause >= pauses.end_silence_s
            total += 1
            if pause < 1.0:
                pauses.observe(pause)
    delay = float(np.median(delays))
    cut_fixed = sum(pause >= delay for speaker in plan for pause in speaker)
    assert delay < 0.6
    assert cut < 0.75 * cut_fixed
    assert cut / total < 0.1


@given(st.lists(st.floats(0.0, 10.0), max_size=80))
def test_it_stays_within_its_bounds(pauses: list[float]) -> None:
    learnt = model()
    for pause in pauses:
        learnt.observe(pause)
        assert 0.4 <= learnt.end_silence_s <= 1.0


def test_a_configured_silence_outside_the_bounds_is_allowed() -> None:
    assert PauseModel(1.5, 0.4, 1.0).end_silence_s == 1.5
    patient = PauseModel(1.5, 0.4, 1.0)
    patient.observe(0.5)
    assert 0.4 <= patient.end_silence_s <= 1.5
