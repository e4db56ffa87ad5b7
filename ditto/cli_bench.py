"""`python -m ditto bench`: counted work, measured milliseconds, and the delay that each setting brings."""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .backends.choice import BACKENDS
from .backends.looks import Job, Look
from .deterministic import Deterministic, tri_image


def arguments(parser: argparse.ArgumentParser) -> None:
    from .cli_export import checkpoint_arguments

    checkpoint_arguments(parser, required=False)
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--engines", type=Path, metavar="DIR", help="where `export` or `build` wrote")
    parser.add_argument("--batches", default="1,2,4,8,16", help="batch sizes that are measured")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each batch size (default 5)")


def run(args: argparse.Namespace) -> int:
    say = sys.stdout.write
    from . import flops

    for name, cost in (("a frame", flops.frame()), ("a clip of 10 steps", flops.clip())):
        say(f"{name}: {cost.here / 1e9:.1f} GFLOP, published {cost.published / 1e9:.1f}, {cost.saved:.1%} less\n")
    _delays(say)
    if args.cfg_pkl and args.data_root:
        from .backends.choice import renderer
        from .checkpoints import open_checkpoint

        opened = open_checkpoint(args.cfg_pkl, args.data_root)
        drawing = renderer(opened, args.backend, args.device, args.engines)
        drawing.warm()
        say(f"{drawing.name}\nbatch  ms per frame (median)  ms per batch (worst)\n")
        for batch, median, worst in frames(drawing, opened, [int(n) for n in args.batches.split(",")], args.seconds):
            say(f"{batch:5}  {median:21.2f}  {worst:20.2f}\n")
    else:
        say("Rendering is measured where a checkpoint is named: --cfg_pkl FILE --data_root DIR\n")
    return 0


def _delays(say: Any) -> None:
    """The table of delays, where it is part of this version."""
    try:
        delays: Any = importlib.import_module("ditto.delays")
    except ImportError:
        return
    table = getattr(delays, "table", None)
    if table is not None:
        say(f"{table()}\n")


def frames(drawing: Any, opened: Any, batches: list[int], seconds: float) -> list[tuple[int, float, float]]:
    """(batch, median ms a frame, worst ms a batch): warp, decoder, put-back and the copy to the host."""
    rule = Deterministic("bench")
    look = a_look(opened, rule)
    prepared = drawing.prepare(look)
    found = []
    for batch in (n for n in batches if n <= drawing.batch):
        jobs = [Job(prepared, look.kp_source + rule.normal(f"d{i}", (21, 3), 0.02)) for i in range(batch)]
        drawing.render(jobs)
        took: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds or len(took) < 3:
            start = time.perf_counter()
            drawing.render(jobs)
            took.append((time.perf_counter() - start) * 1000)
        found.append((batch, statistics.median(took) / batch, max(took)))
    return found


def a_look(opened: Any, rule: Deterministic) -> Look:
    """An avatar of noise in a 512-pixel picture, of the checkpoint's shapes."""
    from .layout import Kind

    if opened.layout.kind is Kind.PYTORCH:
        dense = opened.weights.warp.dense_motion_network
        channels, depth = dense.compress.in_channels, dense.occlusion.in_channels // dense.mask.in_channels
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(opened.layout.need("warp_network")), providers=["CPUExecutionProvider"]
        )
        _one, channels, depth, _h, _w = session.get_inputs()[0].shape
    features = rule.normal("features", (1, channels, depth, 64, 64), 0.7)
    return Look(features, rule.normal("points", (21, 3), 0.3), tri_image(512, 512), np.eye(3, dtype=np.float32))
