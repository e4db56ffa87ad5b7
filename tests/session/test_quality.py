"""The quality monitor: samples of both ends, alarms that neither flicker nor stick."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.errors import Invalid
from avatar.quality import CLEAR_AFTER, RAISE_AFTER, RING, STALE, Monitor, client_digest

CALM = {"rtt_ms": 20.0, "loss": 0.0, "jitter_ms": 3.0, "frames_encoded": 0, "frames_offered": 0, "nack": 0}


def test_counts_are_told_since_the_sample_before() -> None:
    monitor = Monitor()
    monitor.sample(2, CALM | {"nack": 5, "encode_total_ms": 100.0, "frames_encoded": 50, "frames_offered": 50})
    monitor.sample(4, CALM | {"nack": 7, "encode_total_ms": 200.0, "frames_encoded": 75, "frames_offered": 100})
    assert monitor.ring[-1]["nack"] == 2
    assert monitor.ring[-1]["encode_ms"] == 4.0
    monitor.sample(6, CALM | {"nack": 1})
    assert monitor.ring[-1]["nack"] == 1, "another connection begins at zero"
    monitor.sample(8, CALM | {"microphone": {"packets_lost": 7, "recovered": 5, "concealed_ms": 40.0}})
    monitor.sample(10, CALM | {"microphone": {"packets_lost": 9, "recovered": 6, "concealed_ms": 60.0}})
    told = monitor.ring[-1]
    assert (told["mic_lost"], told["mic_recovered"], told["mic_concealed_ms"]) == (2, 1, 20.0)
    monitor.sample(12, CALM | {"microphone": None})


def test_an_alarm_takes_two_samples_and_ends_after_three() -> None:
    monitor = Monitor()
    slow = CALM | {"rtt_ms": 900.0}
    assert not monitor.sample(0, slow)
    assert not monitor.sample(2, CALM), "one hiccup is none"
    raised = [alarm for n in range(RAISE_AFTER) for alarm in monitor.sample(4 + n, slow)]
    assert [(a.figure, a.raised, a.value) for a in raised] == [("rtt_ms", True, 900.0)]
    assert monitor.now()["alarms"] == [{"figure": "rtt_ms", "value": 900.0, "limit": 400}]
    assert not monitor.sample(9, slow), "told once"
    ended = [alarm for n in range(CLEAR_AFTER) for alarm in monitor.sample(10 + n, CALM)]
    assert [(a.figure, a.raised) for a in ended] == [("rtt_ms", False)]
    assert not monitor.alarms


def test_the_time_without_a_connection_counts_for_nothing() -> None:
    """Pictures that nobody could be sent were left out, and a client that was away saw none."""
    monitor = Monitor()
    totals = {"frames_offered": 50, "frames_dropped": 0}
    monitor.report(client_digest({"video": {"frozen_s": 0.0}}))
    monitor.sample(2, CALM | totals)
    monitor.rest()
    for n in range(RAISE_AFTER + 1):
        totals = {"frames_offered": 1000 + 50 * n, "frames_dropped": 950}
        monitor.report(client_digest({"video": {"frozen_s": 30.0}}))
        assert not monitor.sample(30 + 2 * n, CALM | totals)
        assert not [s for s in monitor.ring if s["dropped"] or s.get("client", {}).get("frozen")]
    assert monitor.ring[-1]["client"]


def test_what_the_client_sees_counts_as_well() -> None:
    monitor = Monitor()
    raised = []
    for n in range(4):
        video = {"frozen_s": 1.5 * n, "freezes": n, "frames": 50 * n, "jitter_ms": 500, "variation_ms": 5}
        audio = {"concealed": 30_000 * n, "played": 96_000 * n}
        monitor.report(client_digest({"offset_ms": -120, "rtt_ms": None, "video": video, "audio": audio}))
        raised += monitor.sample(2 * n, CALM)
    assert {alarm.figure for alarm in raised} == {"frozen", "concealed", "offset_ms"}
    assert monitor.ring[-1]["client"]["frozen"] == 0.75
    assert (monitor.ring[-1]["client"]["jitter_ms"], monitor.ring[-1]["client"]["buffer_ms"]) == (5, 500)
    assert "jitter_ms" not in monitor.alarms
    for n in range(STALE + CLEAR_AFTER):
        monitor.sample(20 + n, CALM)
    assert "client" not in monitor.ring[-1] and not monitor.alarms, "a page that tells nothing more proves nothing"


def test_numbers_too_large_for_a_float_are_bounded() -> None:
    assert client_digest({"rtt_ms": 10**400, "offset_ms": -(10**400), "video": {"frames": 10**400}}) == {
        "rtt_ms": 60_000.0,
        "offset_ms": -60_000.0,
        "frames": 1e15,
    }


@pytest.mark.parametrize(
    "raw", [None, [], "x", {"video": 3}, {"rtt_ms": "fast"}, {"rtt_ms": True}, {"rtt_ms": math.nan}, {"audio": [1]}]
)
def test_digests_of_another_shape_are_refused(raw: Any) -> None:
    with pytest.raises(Invalid):
        client_digest(raw)


figures = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20)
parts = st.dictionaries(st.sampled_from(["rtt_ms", "loss", "frozen_s", "played", "concealed", "other"]), figures)


@given(st.lists(st.tuples(parts, parts), max_size=2 * RING))
def test_whatever_is_posted_is_bounded(posts: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    monitor = Monitor()
    for n, (video, audio) in enumerate(posts):
        monitor.report(client_digest({"video": video, "audio": audio}))
        monitor.sample(n, CALM)
    assert len(monitor.ring) <= RING
    for sample in monitor.ring:
        assert 0 <= sample["client"]["frozen"] <= 1 and 0 <= sample["client"]["concealed"] <= 1
