"""Renews the requirement locks: every version and every file's hash, from `requirements/*.in`, with uv.

    python tools/lock.py [NAME ...]        base, ja, llm, piper, rtx, test, ditto, train, yardstick, judge; default: all

A lock is made for every platform and for Python 3.11 and newer at once. What it pins already stays, unless the `.in`
file says otherwise or `--upgrade` is given.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("base", "ja", "llm", "piper", "rtx", "test", "ditto", "train", "yardstick", "judge")
"""In this order: the others keep to the versions that base has chosen."""
BARE = {"judge"}
"""Locked as they are, without what they depend on: their `.in` file says why."""


def lock(name: str, upgrade: bool) -> None:
    output = "requirements.txt" if name == "base" else f"requirements-{name}.txt"
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"]
    # Nothing of the machine that made it belongs in a lock.
    command += ["--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--no-deps"] if name in BARE else []
    command += ["--upgrade"] if upgrade else []
    print(f"{output} …", file=sys.stderr)
    subprocess.run([*command, f"requirements/{name}.in", "-o", output], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/lock.py", description="Renews the requirement locks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that requirements/*.in allow")
    args = parser.parse_args()
    if wrong := [n for n in args.names if n not in NAMES]:
        parser.error(f"there is no lock named {wrong[0]}; there are {', '.join(NAMES)}")
    if not shutil.which("uv"):
        sys.exit("uv makes the locks and is not installed: pip install uv, or see docs.astral.sh/uv.")
    for name in NAMES:
        if not args.names or name in args.names:
            lock(name, args.upgrade)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
