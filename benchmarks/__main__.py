"""`python -m benchmarks [name …]`: runs the benchmarks named, or all, and prints one table.

Writes `benchmarks/out/latest.json`. Exits with 1 when a bar was missed or a benchmark broke.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from . import Bar, Figure, Skipped, Value

HERE = Path(__file__).parent
OUT = HERE / "out" / "latest.json"
LIMIT_S = 5400
"""The longest ones interrupt the avatar two hundred times, or watch it for an hour."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    benchmark: str
    name: str
    value: Value | None
    bar: str
    verdict: str
    """pass, fail, skipped, or empty where there is no bar."""


def names() -> list[str]:
    """The modules in this directory that are benchmarks, by their having a `run`."""
    found = sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))
    return [n for n in found if "\ndef run(" in (s := source(n)) or "\nasync def run(" in s]


def source(name: str) -> str:
    return (HERE / f"{name}.py").read_text(encoding="utf-8")


def judge(benchmark: str, figures: Mapping[str, Value | Figure], bars: Mapping[str, Bar]) -> list[Row]:
    """The table's lines for what a benchmark returned."""
    rows: list[Row] = []
    for name, figure in figures.items():
        value, bar = (figure.value, figure.bar) if isinstance(figure, Figure) else (figure, None)
        if isinstance(value, np.generic):
            value = value.item()
        bar = bar or bars.get(name)
        verdict = "" if bar is None else "pass" if bar.clears(value) else "fail"
        rows.append(Row(benchmark, name, value, bar.text if bar else "", verdict))
    rows += [Row(benchmark, n, None, bar.text, "fail") for n, bar in bars.items() if n not in figures]
    return rows


def run_here(name: str) -> list[Row]:
    """Runs one benchmark in this process; what breaks in it is a failed line."""
    bars: Mapping[str, Bar] = {}
    try:
        module: ModuleType = importlib.import_module(f"benchmarks.{name}")
        bars = getattr(module, "BARS", {})
        result: Any = module.run()
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        return judge(name, result, bars)
    except Skipped as skipped:
        return [Row(name, str(skipped), None, "", "skipped")]
    except Exception as error:
        traceback.print_exc()
        return [Row(name, f"broke: {type(error).__name__}: {error}", None, "", "fail")]


def run_apart(name: str) -> list[Row]:
    """Runs one benchmark in a process of its own: no thread, cache or crash of one reaches the next."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.json"
        command = [sys.executable, "-m", "benchmarks", "--here", name, "--json", str(rows)]
        try:
            code = subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LIMIT_S, check=False).returncode
            return [Row(**row) for row in json.loads(rows.read_text(encoding="utf-8"))["rows"]]
        except subprocess.TimeoutExpired:
            return [Row(name, f"not done after {LIMIT_S} s", None, "", "fail")]
        except (OSError, ValueError):
            return [Row(name, f"its process ended with {code}", None, "", "fail")]


def shown(value: Value | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def table(rows: Sequence[Row]) -> str:
    cells = [("benchmark", "figure", "value", "bar", "")]
    cells += [(r.benchmark, r.name, shown(r.value), r.bar, r.verdict) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def main(argv: Sequence[str] | None = None) -> int:
    known = names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures what the project promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known) or 'none yet'}; default: all")
    parser.add_argument("--json", type=Path, default=OUT, metavar="FILE", help="where the figures are written")
    parser.add_argument("--here", action="store_true", help="in this process, for a debugger or a profiler")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    args = parser.parse_args(argv)
    if args.list:
        print("\n".join(known))
        return 0
    if wrong := [n for n in args.names if n not in known]:
        parser.error(f"there is no benchmark {', '.join(wrong)}; there are {', '.join(known)}")
    logging.basicConfig(level=logging.WARNING)

    rows: list[Row] = []
    seconds: dict[str, float] = {}
    for name in args.names or known:
        began = time.perf_counter()
        rows += run_here(name) if args.here else run_apart(name)
        seconds[name] = round(time.perf_counter() - began, 1)
        if not args.here:
            print(f"{name}: {seconds[name]:g} s", file=sys.stderr, flush=True)

    print(table(rows))
    failed = sum(row.verdict == "fail" for row in rows)
    judged = sum(row.verdict in ("pass", "fail") for row in rows)
    print(f"\n{judged - failed} of {judged} bars cleared.")
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "seconds": seconds,
        "rows": [asdict(row) for row in rows],
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
