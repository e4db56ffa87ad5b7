"""`python -m puppet --audio_path FILE --output_path FILE.mp4|.webm [--source_path FILE|BUILT-IN]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from . import CAST, load_rig
from .emotions import EMOTIONS
from .film import FilmError, film
from .warp import PortraitRig


def _scale(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 1.0:
        raise argparse.ArgumentTypeError("must be from 0.1 to 1.0")
    return value


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m puppet", description="Films a portrait that speaks a recording, on one CPU core."
    )
    flag = parser.add_argument
    names = ", ".join(CAST)
    flag("--source_path", "--source-path", default="default", help=f"a picture with a face, or one of: {names}")
    flag("--audio_path", "--audio-path", type=Path, required=True, help="what is spoken: any file that has sound")
    flag("--output_path", "--output-path", type=Path, required=True, help="FILE.mp4 or FILE.webm")
    flag("--frame_scale", "--frame-scale", type=_scale, default=1.0, help="picture size, 0.1 to 1.0 (default 1.0)")
    flag("--seed", type=int, default=0, help="of blinks, gaze and sway: the same seed is the same film")
    flag("--emotion", choices=EMOTIONS, default="neutral", help="mood of the face")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    try:
        if args.source_path not in CAST and not Path(args.source_path).exists():
            raise FilmError(f"{args.source_path} is neither a file nor one of {names}.")
        rig = load_rig(args.source_path)
        if isinstance(rig, PortraitRig) and rig.faces > 1:
            sys.stderr.write(f"{args.source_path} shows {rig.faces} faces: the largest speaks.\n")
        count = film(
            rig, args.audio_path, args.output_path, scale=args.frame_scale, seed=args.seed, emotion=args.emotion
        )
    except FilmError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename or args.output_path}: {error.strerror or error}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"{args.output_path}: {count} pictures, {count / 25:.2f} s\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
