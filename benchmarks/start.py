"""A second `make run`: how long until the page is served, and until every engine is warm."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from . import Skipped, at_most

ROOT = Path(__file__).resolve().parent.parent
BARS = {"page_s": at_most(5), "ready_s": at_most(5)}
GIVE_UP_S = 60.0


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def run() -> dict[str, Any]:
    if not shutil.which("make"):
        raise Skipped("make is not installed")
    # The first one sets up; only the second is measured.
    subprocess.run(["python3", "tools/setup.py", "run"], cwd=ROOT, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen(
        ["make", "run", f"ARGS=--port {port}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    seconds: dict[str, float] = {}
    try:
        for name, path in (("page_s", "/"), ("ready_s", "/ready")):
            while not answers(f"http://127.0.0.1:{port}{path}"):
                if time.perf_counter() - began > GIVE_UP_S or process.poll() is not None:
                    raise RuntimeError(f"{path} did not answer")
                time.sleep(0.02)
            seconds[name] = time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return seconds
