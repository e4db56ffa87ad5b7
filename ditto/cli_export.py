"""`python -m ditto export --cfg_pkl … --data_root … --out DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import Unavailable

PRECISIONS = ("float32", "float16", "bfloat16")


def checkpoint_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Flags as users' scripts for the published code already pass them."""
    parser.add_argument("--cfg_pkl", "--cfg-pkl", type=Path, required=required, help="a configuration of ditto_cfg")
    parser.add_argument("--data_root", "--data-root", type=Path, required=required, help="ditto_pytorch or ditto_onnx")


def arguments(parser: argparse.ArgumentParser) -> None:
    checkpoint_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory to write to")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")


def run(args: argparse.Namespace) -> int:
    for path in export(args):
        sys.stdout.write(f"{path}\n")
    return 0


def export(args: argparse.Namespace) -> tuple[Path, Path]:
    from .checkpoints import open_checkpoint

    checkpoint = open_checkpoint(args.cfg_pkl, args.data_root)
    try:
        import torch

        from .backends.export import export_pipeline
    except ImportError as error:
        raise Unavailable(f"Export needs {error.name}: pip install torch onnx.") from error
    return export_pipeline(checkpoint.weights, args.out, getattr(torch, args.precision))
