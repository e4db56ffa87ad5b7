"""Counted work: what is saved against the published networks, at equal results (`test_golden_*`)."""

from __future__ import annotations

from tests.absent import needs

needs("torch")


def test_a_frame_costs_less() -> None:
    from ditto import flops

    cost = flops.frame()
    assert abs(cost.published / 1e9 - 1233.7) < 0.1
    assert cost.saved >= 0.15


def test_a_clip_costs_less() -> None:
    from ditto import flops

    cost = flops.clip(10)
    assert abs(cost.published / 1e9 - 102.9) < 0.1
    assert cost.saved >= 0.30
