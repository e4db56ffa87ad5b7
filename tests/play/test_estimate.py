"""The path's estimate on simulated links: nothing here depends on the machine."""

from __future__ import annotations

import pytest

from avatar.play.estimate import PathEstimate

from .links import Link, drive, mean


def estimate(start: int = 850_000) -> PathEstimate:
    return PathEstimate(start, 60_000, 3_000_000)


def test_a_wide_path_is_climbed_to_what_is_of_use() -> None:
    path = estimate()
    trace = drive(path, Link(), 20, most=900_000)
    assert min(rate for _, rate in trace) >= 850_000
    assert 1_200_000 < path.rate <= 1_500_000  # half as much again as is sent: nothing is known beyond
    assert path.calm(20.0)


@pytest.mark.parametrize("cap", [250_000, 350_000, 560_000, 1_500_000])
def test_a_cap_is_found_and_filled(cap: int) -> None:
    path = estimate()
    trace = drive(path, Link(rate=lambda now: cap), 40)
    assert 0.8 * cap < mean(trace, 5 if cap < 850_000 else 15, 40) < 1.1 * cap
    assert path.queue_s < 0.25


def test_a_cap_that_comes_and_goes_is_followed_both_ways() -> None:
    path = estimate()
    trace = drive(path, Link(rate=lambda now: 300_000 if 10 < now < 30 else 1_000_000), 50)
    assert mean(trace, 12, 30) < 345_000
    assert mean(trace, 15, 30) > 240_000
    assert mean(trace, 44, 50) > 600_000


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.1, 0.2])
def test_a_radios_losses_do_not_starve_the_picture(loss: float) -> None:
    path = estimate()
    trace = drive(path, Link(loss=loss, seed=5), 60, most=1_200_000)
    assert mean(trace, 15, 60) > 750_000
    assert path.loss == pytest.approx(loss, abs=0.6 * loss)


def test_a_policer_is_not_taken_for_a_radio() -> None:
    """It drops without a queue, but less when less is sent."""
    path = estimate(2_000_000)
    trace = drive(path, Link(policer=lambda now: 600_000), 60)
    assert mean(trace, 20, 60) < 800_000
    assert mean(trace, 20, 60) > 300_000


def test_a_longer_route_is_lived_with() -> None:
    path = estimate()
    link = Link()
    drive(path, link, 20, most=800_000)
    link.delay = 0.18
    trace = drive(path, link, 40, start=20, most=800_000)
    assert mean(trace, 45, 60) > 600_000


def test_bounds_hold() -> None:
    path = PathEstimate(850_000, 60_000, 1_000_000)
    assert max(rate for _, rate in drive(path, Link(), 10)) <= 1_000_000
    path.set_bounds(60_000, 500_000)
    assert path.rate == 500_000
    assert min(rate for _, rate in drive(path, Link(rate=lambda now: 20_000), 20, start=10)) >= 60_000


def test_a_second_without_arrivals_does_not_upset_it() -> None:
    path = estimate()
    before = mean(drive(path, Link(rate=lambda now: 0 if 10 < now < 11 else 1e9), 10, most=800_000), 8, 10)
    packets: list[tuple[float, float | None, int]] = [(10 + n / 100, None, 1000) for n in range(90)]
    path.on_report([p for p in packets if p[1] is not None], 0.06, 11.1)
    after = mean(drive(path, Link(), 5, start=11.2, most=800_000), 12, 16)
    assert after > 0.8 * before
