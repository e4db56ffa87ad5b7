"""`python -m ditto render`: films a portrait that speaks a recording."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .backends.choice import BACKENDS
from .chunking import Pace
from .controls import PRESETS, manner
from .errors import DittoError
from .film import FORMATS, FPS, film
from .motion.schedule import steps


def _triple(text: str) -> tuple[int, int, int]:
    try:
        a, b, c = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("must be three whole numbers: history,chunk,look-ahead") from None
    return a, b, c


def arguments(parser: argparse.ArgumentParser) -> None:
    def flag(name: str, **kwargs: Any) -> None:
        parser.add_argument(*sorted({f"--{name}", f"--{name.replace('_', '-')}"}), dest=name, **kwargs)

    flag("source_path", type=Path, required=True, help="a photograph or a short video with a face")
    flag("audio_path", type=Path, required=True, help="what is spoken: any file that has sound")
    flag("output_path", type=Path, required=True, help="FILE.mp4 or FILE.webm")
    flag("cfg_pkl", type=Path, default=Path("checkpoints/ditto_cfg/v0.4_hubert_cfg_pytorch.pkl"))
    flag("data_root", type=Path, default=Path("checkpoints/ditto_pytorch"))
    flag(
        "data_dir", type=Path, default=Path("checkpoints"), help="where the free face networks lie and sources are kept"
    )
    flag("device", default="auto", help="cpu, cuda, cuda:1 (default: cuda where there is one)")
    flag(
        "backend", choices=BACKENDS, default="auto", help="what draws (default: the quickest that there are files for)"
    )
    flag("engines", type=Path, default=None, help="directory that `export` or `build` wrote")
    flag("finder", choices=("free", "published"), default="free", help="published: exact, for research only")
    flag("online", action="store_true", help="stream, as in a conversation")
    flag("chunk_config", type=_triple, default=(3, 5, 2), help="online: history,chunk,look-ahead in frames of 40 ms")
    flag(
        "valid_clip_len", type=int, default=None, help="online: frames that each clip adds (default: fitting the chunk)"
    )
    flag("early", action="store_true", help="online: give frames a block earlier, less smooth")
    flag("sampling_timesteps", type=int, default=None, help="denoising steps, 1 to 50 (default: the configuration's)")
    flag("preset", choices=sorted(PRESETS), default="natural", help="online: manner")
    flag("emotion", default=None, help="online: one of the eight emotions")
    flag("seed", type=int, default=0, help="the same seed is the same film")


def run(args: argparse.Namespace) -> int:
    try:
        check(args)
        from .load import engine as load

        engine = load(
            args.cfg_pkl,
            args.data_root,
            args.data_dir,
            device=args.device,
            finder=args.finder,
            backend=args.backend,
            engines=args.engines,
        )
        try:
            engine.warm()
            count = film(engine, args)
        finally:
            engine.close()
    except ValueError as error:
        raise DittoError(str(error)) from error
    except OSError as error:
        raise DittoError(f"{error.filename or args.audio_path}: {error.strerror or error}") from error
    sys.stderr.write(f"\r{args.output_path}: {count} pictures, {count / FPS:.2f} s\n")
    return 0


def check(args: argparse.Namespace) -> None:
    """What can be refused before anything is loaded. Raises `ValueError`."""
    if args.output_path.suffix.lower() not in FORMATS:
        raise ValueError(f"The output must be one of {', '.join(FORMATS)}, not {args.output_path.suffix!r}.")
    if not args.output_path.parent.is_dir():
        raise ValueError(f"There is no directory {args.output_path.parent} to write to.")
    if args.sampling_timesteps is not None:
        steps(args.sampling_timesteps)
    Pace.of(args.chunk_config, args.valid_clip_len, args.early)
    manner(args.preset, emotion=args.emotion)
    for path in (args.source_path, args.audio_path):
        if not path.is_file():
            raise ValueError(f"There is no file {path}.")
