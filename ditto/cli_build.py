"""`python -m ditto build --cfg_pkl … --data_root … --out DIR`: export, then an engine for this GPU.

Not in bfloat16: TensorRT-RTX 1.7 has no transposed convolution of that type.
"""

from __future__ import annotations

import argparse
import sys

from .backends import tensorrt
from .cli_export import PRECISIONS, checkpoint_arguments, export


def arguments(parser: argparse.ArgumentParser) -> None:
    from pathlib import Path

    checkpoint_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory to write to")
    parser.add_argument("--precision", choices=PRECISIONS[:2], default="float16")
    parser.add_argument("--library", choices=["tensorrt", "tensorrt-rtx"], default="tensorrt")


def run(args: argparse.Namespace) -> int:
    name = args.library.replace("-", "_")
    # Asked first: an export takes a minute, and without the library it would be for nothing.
    tensorrt.library(name)
    tensorrt.capability(name)
    frame, _avatar = export(args)
    engine = args.out / f"frame.{name}.engine"
    manifest = tensorrt.build(frame, engine, args.precision, name=name)
    sys.stdout.write(f"{engine}: {name} {manifest.version}, compute capability {manifest.capability}\n")
    return 0
