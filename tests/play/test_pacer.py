"""The pacer: its sums by numbers, its order with real tasks."""

from __future__ import annotations

import asyncio
import time

import pytest

from avatar.play.congestion import Congestion
from avatar.play.feedback import Feedback
from avatar.play.pacer import BURST_S, FACTOR, Budget, Pacer


def test_a_budget_lets_a_burst_pass_and_then_keeps_to_its_rate() -> None:
    budget = Budget()
    budget.set_rate(800_000, 0.0)
    now, sent = 100.0, 0
    while now < 102:
        if budget.pause(now) == 0:
            budget.spend(1000, now)
            sent += 8000
        else:
            now += budget.pause(now)
    assert sent == pytest.approx(1_600_000, rel=0.02)


def test_what_was_not_used_is_not_saved_up() -> None:
    budget = Budget()
    budget.set_rate(800_000, 0.0)
    budget.spend(1000, 0.0)
    sent = 0
    while budget.pause(50.0) == 0:
        budget.spend(1000, 50.0)
        sent += 1
    assert sent <= 2


def test_what_is_owed_is_owed_in_bits() -> None:
    budget = Budget()
    budget.set_rate(40_000, 10.0)
    for _ in range(5):
        budget.spend(500, 10.0)
    owed = budget.pause(10.0)
    assert owed == pytest.approx(0.5, abs=BURST_S)
    budget.set_rate(400_000, 10.1)
    assert budget.pause(10.1) == pytest.approx((owed - 0.1) / 10)
    budget.set_rate(20_000, 10.1)
    assert budget.pause(10.1) == pytest.approx((owed - 0.1) * 2)
    budget.set_rate(800_000, 20.0)
    assert budget.pause(20.0) == 0


async def test_a_path_that_recovers_does_not_wait_for_the_sound_of_its_worst_moment() -> None:
    pacer = Pacer()
    pacer.set_estimate(30_000, queued=True)
    for _ in range(10):
        pacer.spend(120)  # 0.2 s of sound: 0.64 s of what the path carries meanwhile
    pacer.set_estimate(1_000_000)
    assert pacer.budget.pause(time.monotonic()) < 0.01
    pacer.close()


async def test_repairs_go_before_pictures_and_everything_goes() -> None:
    pacer = Pacer()
    pacer.set_estimate(400_000)
    order: list[str] = []

    def put(name: str, repair: bool) -> None:
        pacer.put(1000, lambda: order.append(name), repair=repair)

    for n in range(20):
        put(f"picture {n}", False)
    passed = len(order)
    assert 1 <= passed < 20  # a burst
    assert pacer.waiting_s == pytest.approx((20 - passed) * 8000 / (FACTOR * 400_000))
    put("repair", True)
    async with asyncio.timeout(10):
        while len(order) < 21:
            await asyncio.sleep(0.01)
    assert order.index("repair") == passed
    assert [name for name in order if name != "repair"] == [f"picture {n}" for n in range(20)]
    assert pacer.waiting_s == 0
    pacer.close()
    pacer.close()


async def test_a_connection_that_is_gone_does_not_end_the_pacer() -> None:
    pacer = Pacer()
    reached = asyncio.Event()

    def fail() -> None:
        raise ConnectionError

    pacer.put(10, fail)
    pacer.put(10, reached.set)
    await asyncio.wait_for(reached.wait(), 10)
    pacer.close()
    pacer.put(10, pytest.fail)


def test_reports_are_matched_with_what_was_sent() -> None:
    path = Congestion()
    fates: list[tuple[int, float | None]] = []
    for n in range(70_000):
        assert path.number() == n & 0xFFFF
        path.sent(100, n / 1000, lambda arrived, n=n: fates.append((n, arrived)) if n % 1000 < 3 else None)  # type: ignore[misc]
        if n % 10 == 9:
            at = n - 9
            path.take(Feedback(at & 0xFFFF, 0, tuple(None if k == 1 else n / 1000 for k in range(10))), n / 1000 + 0.05)
    assert path.estimate is not None
    assert path.reports == 7000
    assert [n for n, _ in fates] == [n for n in range(70_000) if n % 1000 < 3]
    for n, arrived in fates:
        assert arrived is None if n % 1000 == 1 else arrived == pytest.approx((n - n % 10 + 9) / 1000)
    assert path.estimate.loss == pytest.approx(0.1, abs=0.02)


def test_reports_of_what_was_never_sent_are_no_matter() -> None:
    path = Congestion()
    path.take(Feedback(5, 0, (1.0,)), 1.0)
    path.sent(100, 1.0)
    path.take(Feedback(40_000, 0, (1.0, 2.0)), 1.1)
    path.take(Feedback(0, 0, tuple(1.0 for _ in range(5000))), 1.1)
    assert path.reports == 1
    assert path.silent_s(2.1) == pytest.approx(1.0)


def test_reports_are_matched_again_after_a_long_silence() -> None:
    path = Congestion()
    sent = 0
    for silences, until in ((1, 70_000), (2, 110_000)):
        while sent < until:
            path.sent(100, sent / 100)
            sent += 1
        path.take(Feedback((sent - 1) & 0xFFFF, 0, (1.0,)), sent / 100)
        assert path.reports == silences


def test_an_outage_is_known_by_its_silence_and_not_taken_for_loss() -> None:
    path = Congestion()
    for n in range(300):
        path.sent(1000, n / 100)
        if n % 10 == 9 and not 100 <= n < 200:
            base = 100 if n == 209 else n - 9
            arrivals = tuple(None if 100 <= k < 200 else k / 100 + 0.03 for k in range(base, n + 1))
            path.take(Feedback(base, 0, arrivals), n / 100 + 0.06)
            assert (path.dark_s > 0.9) == (n == 209)
    assert path.estimate is not None
    assert path.estimate.loss < 0.01
    assert path.estimate.rate > 400_000
