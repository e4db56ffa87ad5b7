"""Environments of their own for tools that the product never installs, such as the yardstick and the judge."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "out"
STAMP = "lock.txt"
"""Inside an environment: the lock that it was made from."""


class Unavailable(Exception):
    """The environment cannot be made here; the message says why."""


def interpreter(name: str) -> Path:
    """The Python of the environment `name`, which holds what `requirements-NAME.txt` locks; made where it is missing or
    of another lock. Raises `Unavailable`."""
    lock = (ROOT / f"requirements-{name}.txt").read_text(encoding="utf-8")
    home = OUT / name
    python = home / "bin" / "python"
    if (home / STAMP).is_file() and (home / STAMP).read_text(encoding="utf-8") == lock:
        return python
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        # Beside its place first: one that was broken off halfway, or made twice at a time, is never taken for whole.
        fresh = Path(folder) / name
        try:
            _run(sys.executable, "-m", "venv", "--without-pip", str(fresh))
            install = ("install", "--quiet", "--require-hashes", "--no-deps", "-r", f"requirements-{name}.txt")
            _run(sys.executable, "-m", "pip", "--python", str(fresh / "bin" / "python"), *install)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise Unavailable(f"requirements-{name}.txt could not be installed: {said[-300:].strip()}") from None
        (fresh / STAMP).write_text(lock, encoding="utf-8")
        shutil.rmtree(home, ignore_errors=True)
        fresh.rename(home)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
