"""Two minutes of a real session: nothing drifts, nothing grows. The hour is `benchmarks/hour`."""

from __future__ import annotations

import math

import pytest

from benchmarks._server import serving
from benchmarks.hour import BARS, Minute, judged, minutes

from .conftest import WHISPER


@pytest.mark.timeout(400)
async def test_two_minutes_of_a_session_neither_drift_nor_grow() -> None:
    flags = ("--face", "pattern", "--llm", "responder", "--tts", "espeak", "--stt", f"whisper:{WHISPER}")
    with serving(*flags, "--max-sessions", "2") as server:
        rows = [row async for row in minutes(server, 2)]
    assert [row.number for row in rows] == [1, 2]
    assert all(row.fps > 1 and not math.isnan(row.offset_p50_ms) for row in rows), rows
    found = judged(rows)
    assert found["drift_ms"] < 5, rows
    assert abs(rows[0].offset_p50_ms) < 20, rows
    assert found["memory_grown_mb"] < 60, (
        rows
    )  # its caches are filling still: a leak of pictures would be ten times this
    assert found["tasks_grown"] <= 3, rows  # a request may be under way
    assert found["threads_grown"] <= 8, rows


def row(number: int, **figures: float) -> Minute:
    names = ("offset_p50_ms", "offset_p95_ms", "arrival_p50_ms", "fps", "freezes", "sound_gaps", "late_packets")
    rest = ("late_at_the_server", "rss_mb", "workers_mb", "tasks", "threads", "files", "load")
    values: dict[str, float] = dict.fromkeys(names + rest, 0.0) | figures
    return Minute(number=number, **values)  # type: ignore[arg-type]


def test_what_creeps_for_an_hour_is_found() -> None:
    still = [row(n, rss_mb=250 + 30 * min(n, 5) / 5 + n % 2, offset_p50_ms=(n % 3) - 1) for n in range(1, 61)]
    still[2] = row(3, rss_mb=268, offset_p50_ms=math.nan, offset_p95_ms=math.nan)  # too little was said
    found = judged(still)
    assert found["minutes"] == 60
    assert abs(found["memory_grown_mb"]) <= 1  # what it took in the first minutes does not count
    assert found["drift_ms"] <= 1
    assert found["offset_p50_range_ms"] == 2
    creeping = [
        row(n, rss_mb=250 + n, offset_p50_ms=0.2 * n, tasks=30 + (n > 40), late_at_the_server=n == 7)
        for n in range(1, 61)
    ]
    found = judged(creeping)
    assert found["memory_grown_mb"] == pytest.approx(45)
    assert found["drift_ms"] == pytest.approx(9)
    assert found["tasks_grown"] == 1
    assert found["late_at_the_server"] == 1
    assert found["offset_p50_range_ms"] == pytest.approx(11.8)


def test_an_hour_that_could_not_be_measured_clears_no_bar() -> None:
    unheard = [row(n, offset_p50_ms=math.nan, offset_p95_ms=math.nan, late_packets=3) for n in range(1, 61)]
    found = judged(unheard)
    failed = {name for name, bar in BARS.items() if not bar.clears(found[name])}
    assert failed >= {"drift_ms", "offset_p95_ms", "late_packets"}
    growing = judged([row(n, workers_mb=250 + 40 * n) for n in range(1, 61)])
    assert not BARS["workers_grown_mb"].clears(growing["workers_grown_mb"])
