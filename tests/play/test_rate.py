"""The video's rate: it follows a network that is full, and no other estimate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatar.play.rate import CEILING, FLOOR, START, RateControl

RESERVED = 50_000


def report(control: RateControl, estimates: list[int], sent: int, first: float = 0.0) -> int:
    """Estimates 250 ms apart while `sent` goes out."""
    for n, estimate in enumerate(estimates):
        control.on_estimate(estimate, sent=sent, reserved=RESERVED, now=first + n * 0.25)
    return control.target


def test_a_clean_network_that_climbs_from_the_sent_rate_is_no_limit() -> None:
    """As Chromium's estimate did over loopback: 0.9 of what was sent at first, then 1.07, 1.2, 1.5."""
    control = RateControl()
    assert report(control, [665_000, 677_000, 690_000, 703_000, 716_000, 727_000], sent=600_000) >= START
    assert report(control, [727_000] * 20, sent=520_000, first=2.0) >= START


def test_a_quiet_scene_does_not_starve_the_next() -> None:
    control = RateControl()
    assert report(control, [300_000] * 40, sent=200_000) == START


def test_a_full_network_is_followed_within_a_second() -> None:
    control = RateControl()
    target = report(control, [476_000] * 5, sent=800_000)
    assert target <= 476_000
    assert target > 0.75 * 476_000


def test_a_falling_estimate_close_above_the_sent_rate_counts() -> None:
    control = RateControl()
    report(control, [900_000], sent=700_000)
    assert report(control, [600_000], sent=700_000, first=0.25) < START


def test_after_a_hiccup_the_rate_comes_back_while_the_estimate_still_climbs() -> None:
    control = RateControl()
    report(control, [900_000], sent=700_000)
    cut = report(control, [190_000], sent=700_000, first=0.25)
    assert cut >= START // 2
    climbing = [int(190_000 * 1.02**n) for n in range(1, 41)]
    assert report(control, climbing, sent=500_000, first=0.5) > 1.5 * cut


def test_it_grows_to_the_ceiling_and_not_beyond() -> None:
    control = RateControl()
    assert report(control, [5_000_000] * 200, sent=1_400_000) == CEILING


def test_a_fixed_rate_is_the_ceiling() -> None:
    control = RateControl(300)
    assert control.target == 300_000
    assert report(control, [5_000_000] * 100, sent=300_000) == 300_000
    assert report(control, [100_000] * 10, sent=350_000, first=60.0) == FLOOR
    control.set_limit(50)
    assert control.target == 50_000
    assert report(control, [10_000] * 10, sent=90_000, first=90.0) == 50_000
    control.set_limit("auto")
    assert control.target == START


def test_heavy_loss_halves_no_more_than_once_a_second() -> None:
    control = RateControl()
    assert control.on_loss(0.05, now=0.0) == START
    once = control.on_loss(0.4, now=1.0)
    assert once == START * 0.8
    assert control.on_loss(0.4, now=1.5) == once
    assert control.on_loss(0.4, now=2.1) == once * 0.8


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**7), st.floats(0, 1)), max_size=100))
def test_the_target_stays_in_its_range(reports: list[tuple[int, int, float]]) -> None:
    control = RateControl()
    for n, (estimate, sent, loss) in enumerate(reports):
        control.on_estimate(estimate, sent=sent, reserved=RESERVED, now=n * 0.5)
        control.on_loss(loss, now=n * 0.5)
        assert FLOOR <= control.target <= CEILING
