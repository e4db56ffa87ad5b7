"""The neural face's networks on a CPU: counted work, and the time of the small ones. GPUs: `python -m ditto bench`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from . import Figure, Skipped, at_least

BARS = {"frame_flops_saved": at_least(0.15), "clip_flops_saved": at_least(0.40)}


def run() -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise Skipped("torch is not installed") from error
    from ditto import flops

    torch.set_num_threads(1)
    frame, clip = flops.frame(), flops.clip(10)
    guided, step = _step_times(torch)
    return {
        "frame_gflop": round(frame.here / 1e9, 1),
        "frame_flops_saved": round(frame.saved, 4),
        "clip_gflop": round(clip.here / 1e9, 1),
        "clip_flops_saved": round(clip.saved, 4),
        "lmdm_step_published_cpu_ms": guided,
        "lmdm_step_cpu_ms": step,
        "lmdm_step_ratio": Figure(round(step / guided, 3)),
    }


def _step_times(torch: Any) -> tuple[float, float]:
    """CPU milliseconds of one guided step of the published size, as published and as split; weights are noise."""
    from ditto.nets.lmdm import Lmdm

    net = Lmdm().eval().requires_grad_(False)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    x, pose, cond = torch.randn(1, 80, 265), torch.randn(1, 265), torch.randn(1, 80, 1103)
    times = torch.tensor([499])
    with torch.inference_mode():
        memory, null, (moment,), start = net.condition(cond), net.unconditional(), net.schedule(times), net.frame(pose)
        guided = _median(lambda: net.guided(x, pose, cond, times))
        split = _median(lambda: net.step(x, start, memory, null, moment))
    return guided, split


def _median(work: Callable[[], Any], runs: int = 9) -> float:
    found = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) * 1000)
    return round(statistics.median(found[1:]), 1)
