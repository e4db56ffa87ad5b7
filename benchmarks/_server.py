"""A server to measure: `streaming_server.py` in a process of its own, with the engines that a user would get."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
START_S = 120.0
"""For engines to load on a busy machine."""
QUICK = bool(os.environ.get("BENCH_QUICK"))
"""Short runs, to see that a benchmark works; its figures are rougher."""


@dataclass
class Served:
    """A running server."""

    url: str
    process: psutil.Process

    def get(self, path: str) -> Any:
        """The JSON of a route."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return json.load(response)

    def post(self, path: str, body: Any = None, data: bytes | None = None) -> Any:
        """Sends JSON, or `data` as it is; returns the answer's JSON."""
        payload = json.dumps(body or {}).encode() if data is None else data
        request = urllib.request.Request(self.url + path, payload, method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def gauges(self) -> dict[str, float]:
        """The plain gauges of `/metrics` by name."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as response:
            rows = (line.split() for line in response.read().decode().splitlines() if not line.startswith("#"))
            return {row[0]: float(row[1]) for row in rows if len(row) == 2 and "{" not in row[0]}

    def cpu_s(self) -> float:
        """Processor seconds used so far, its workers included."""
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


@contextlib.contextmanager
def serving(*flags: str) -> Iterator[Served]:
    """Starts a server on a free port, waits for its engines, stops it."""
    with tempfile.TemporaryDirectory() as directory, (Path(directory) / "log").open("w") as log:
        command = [sys.executable, "streaming_server.py", "--port", "0", *flags]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().rstrip("/")
            served = Served(url, psutil.Process(process.pid))
            deadline = time.monotonic() + START_S
            while not _ready(served):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the server did not start:\n" + (Path(directory) / "log").read_text())
                time.sleep(0.1)
            yield served
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(served: Served) -> bool:
    """Engines warm and capacity measured."""
    try:
        served.get("/ready")
        return bool(served.gauges()["avatar_sessions_limit"])
    except (urllib.error.URLError, OSError):
        return False


def client(*argv: str | Path) -> dict[str, Any]:
    """The report of a run of `streaming_client.py`."""
    ended = subprocess.run(
        [sys.executable, "streaming_client.py", "--report", "-", *map(str, argv)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"the client ended with {ended.returncode}: {ended.stderr}")
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def percentile(values: list[float], share: float) -> float:
    """Nearest rank; `share` 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
