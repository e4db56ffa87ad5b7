"""`python -m ditto bench`: counted work, the delay that each setting brings, and milliseconds on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .backends.choice import BACKENDS, checked
from .errors import DittoError


def arguments(parser: argparse.ArgumentParser) -> None:
    from .cli_export import checkpoint_arguments

    checkpoint_arguments(parser, required=False)
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--engines", type=Path, metavar="DIR", help="where `export` or `build` wrote")
    parser.add_argument("--batches", type=_numbers, default=[1, 2, 4, 8, 16], help="batch sizes that are measured")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each batch size (default 5)")
    parser.add_argument("--width", choices=("tiny", "full"), default="full", help="without a checkpoint: of the clips")
    parser.add_argument("--sessions", type=int, default=0, metavar="N", help="sessions that speak side by side")
    parser.add_argument("--hold", type=float, default=60.0, metavar="S", help="for so many seconds (default 60)")


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError("must be whole numbers from 1 on: 1,2,4")
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(args: argparse.Namespace) -> int:
    named = bool(args.cfg_pkl and args.data_root)
    if not named and (args.cfg_pkl or args.data_root or args.sessions):
        raise DittoError("A checkpoint is named by both of --cfg_pkl FILE and --data_root DIR.")
    counted()
    opened = made = None
    if named:
        from .checkpoints import open_checkpoint
        from .load import networks

        opened = open_checkpoint(args.cfg_pkl, args.data_root)
        made = networks(opened, args.device, args.backend, args.engines)
    delays(args, made)
    if made is None:
        say("Rendering is measured where a checkpoint is named: --cfg_pkl FILE --data_root DIR")
        return 0
    rendering(args, opened, made)
    return 0


def counted() -> None:
    try:
        from . import flops
    except ImportError as error:
        say(f"Work is counted with torch: {error.name} is not installed.")
        return
    for name, cost in (("a frame", flops.frame()), ("a clip of 10 steps", flops.clip())):
        say(f"{name}: {cost.here / 1e9:.1f} GFLOP, published {cost.published / 1e9:.1f}, {cost.saved:.1%} less")


def delays(args: argparse.Namespace, made: Any) -> None:
    """The table of settings."""
    from . import delays as table
    from .delays import HEAD, Bench, Work, clip_ms, line, made_up

    rows = table.settings()
    try:
        from . import flops

        gflop = {steps: flops.clip(steps).here / 1e9 for steps in {steps for _, steps in rows}}
        device = "cuda" if args.device == "auto" and _cuda() else "cpu" if args.device == "auto" else args.device
        checked(device, torch=made is None)
        timed = made.sampler if made is not None else made_up(args.width, device)
        moved = made.sampler if made is not None else made_up("tiny")
    except ImportError as error:
        say(f"The table of delays needs torch: {error.name} is not installed.")
        return
    whose = "the checkpoint's" if made is not None else f"made-up, {args.width}"
    jitter = "the same" if made is not None else "made-up, tiny"
    say(f"\nms/clip: {whose} network; jitter: {jitter}; GFLOP/s: counted at the published width")
    work = {steps: Work(gflop[steps], clip_ms(timed, steps)) for steps in sorted(gflop)}
    bench = Bench(moved)
    say(HEAD)
    for pace, steps in rows:
        say(line(bench.row(pace, steps), work[steps]))


def _cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def rendering(args: argparse.Namespace, opened: Any, made: Any) -> None:
    """Frames by batch, the published way, the first frame, and sessions."""
    from . import measuring
    from .backends.choice import best_device
    from .chunking import LOW_LATENCY, Pace
    from .engine import Engine

    device = best_device(opened.layout.kind) if args.device == "auto" else args.device
    made.renderer.warm()
    say(f"\n{made.renderer.name}\nbatch  ms per frame (median)  ms per batch (worst)")
    best = float("inf")
    for batch in args.batches:
        if batch > made.renderer.batch:
            say(f"{batch:5}  more than this renderer takes at once ({made.renderer.batch})")
            continue
        median, worst = measuring.frames(made, batch, args.seconds)
        best = min(best, median)
        say(f"{batch:5}  {median:21.2f}  {worst:20.2f}")
    if (plain := measuring.published(opened, made, device, args.seconds)) is not None:
        say(
            f"as published, eagerly, frame by frame through the host: {plain:.2f} ms per frame, "
            f"{plain / best:.2f} times the best above"
        )
    engine = Engine(made, measuring.Middle())
    try:
        engine.warm()
        worn = measuring.rig(engine)
        for name, pace in (("(3,5,2)", Pace()), ("(2,3,2)", LOW_LATENCY)):
            took = measuring.first_frame_ms(engine, worn, pace, 10)
            say(f"first frame after 0.5 s of sound in hand, {name}, 10 steps: {took:.0f} ms")
        if args.sessions:
            held = measuring.hold(engine, worn, args.sessions, args.hold, Pace(), 10)
            each = f"{held.pictures} pictures ({held.fewest} to {held.most} a session)"
            late = f"{held.late} more than 40 ms late, the latest {held.worst_ms:+.0f} ms after it was due"
            say(f"{held.sessions} sessions for {held.seconds:g} s: {each}, {late}")
    finally:
        engine.close()
