"""`python -m ditto testweights OUT`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import Unavailable
from .layout import Kind


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to write to")
    parser.add_argument("--layout", choices=[Kind.PYTORCH.value, Kind.ONNX.value], default=Kind.PYTORCH.value)
    parser.add_argument("--width", choices=["tiny", "full"], default="tiny", help="tiny: for a CPU; full: as published")


def run(args: argparse.Namespace) -> int:
    try:
        from .testweights import write
    except ImportError as error:
        raise Unavailable(f"This needs {error.name}: pip install torch onnx.") from error

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    config, root = write(args.out, Kind(args.layout), args.width, say)
    sys.stdout.write(f"--cfg_pkl {config} --data_root {root}\n")
    return 0
