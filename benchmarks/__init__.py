"""The project's promised figures, each printed by a benchmark.

A benchmark is a module in this directory with

    def run() -> dict[str, Any]: ...

that measures and returns a flat mapping: a figure's name, with its unit in the name (`first_frame_ms`), to a number,
a string or a boolean. It may be a coroutine function. A module may state the bars it has to clear:

    BARS = {"first_frame_ms": at_most(300), "fps": at_least(24.5), "codec": equals("vp9")}

A figure without a bar is reported and judged by nobody; a bar without its figure fails. A figure may also be a
`Figure` that brings its own bar, for bars that depend on what was measured. A benchmark that cannot run here (no
browser, no GPU) raises `Skipped` with the reason. `python -m benchmarks [name …]` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Value = float | int | str | bool


class Skipped(Exception):
    """This machine lacks what the benchmark needs; the message says what."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to be."""

    text: str
    """As the table shows it: `≤ 300`."""
    clears: Callable[[Value], bool]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with a bar of its own."""

    value: Value
    bar: Bar | None = None


def at_most(limit: float) -> Bar:
    return Bar(f"≤ {limit:g}", lambda value: not isinstance(value, str) and value <= limit)


def at_least(limit: float) -> Bar:
    return Bar(f"≥ {limit:g}", lambda value: not isinstance(value, str) and value >= limit)


def between(low: float, high: float) -> Bar:
    return Bar(f"{low:g} … {high:g}", lambda value: not isinstance(value, str) and low <= value <= high)


def equals(wanted: Value) -> Bar:
    return Bar(f"= {wanted}", lambda value: value == wanted)
