"""`make train` says what is missing before it fetches gigabytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [
    line
    for line in (ROOT / "puppet" / "training" / "apt.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def train(tmp_path: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """Runs a copy of it where `dpkg-query` gives that answer and Python can make no environment."""
    home = tmp_path / "clone"
    for name in ("tools/train.py", "puppet/training/apt.txt", "requirements-train.txt"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / name).read_bytes())
    programs = tmp_path / "bin"
    programs.mkdir()
    query = programs / "dpkg-query"
    query.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit 1\n")
    query.chmod(0o755)
    return subprocess.run(
        [sys.executable, home / "tools" / "train.py", "--small"],
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_packages_that_are_missing_are_named_in_a_line_to_copy(tmp_path: Path) -> None:
    there = "\n".join(f"{name} install ok installed" for name in PACKAGES if name not in ("festival", "open-jtalk"))
    done = train(tmp_path, f"{there}\nopen-jtalk deinstall ok config-files")
    assert done.returncode == 1
    assert "sudo apt install festival open-jtalk\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "clone" / ".venv-train").exists()


def test_every_voice_of_the_corpus_has_its_package() -> None:
    assert len(PACKAGES) == len(set(PACKAGES))
    assert {"flite", "festival", "open-jtalk", "festvox-ru", "fortunes"} <= set(PACKAGES)
