"""A whole set of networks, small enough for a CPU: the real diffusion, stitching and extractor networks in their tiny
width, a drawn stand-in for warp and decoder, and a stand-in for HuBERT."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np

from ditto.backends.looks import Job, Look, Prepared
from ditto.motion.options import Options
from ditto.networks import Networks, TorchExtractors, TorchStitch
from ditto.registration.finder import Found

from .stubs import ONLINE, RULE, StubEncoder


class DrawnRenderer:
    """Paints the driven points on the portrait."""

    name, batch, note = "drawn", 4, ""

    def __init__(self) -> None:
        self.rendered = 0
        self.fault: Exception | None = None
        self.slow_s = 0.0

    def warm(self) -> None:
        pass

    def prepare(self, look: Look) -> Prepared:
        return Prepared(look, None)

    def render(self, jobs: Sequence[Job]) -> list[Any]:
        if self.fault is not None:
            raise self.fault
        if self.slow_s:
            time.sleep(self.slow_s)
        assert len(jobs) <= self.batch
        self.rendered += len(jobs)
        return [self._draw(job) for job in jobs]

    def _draw(self, job: Job) -> Any:
        picture = cv2.resize(job.prepared.look.picture, job.size(), interpolation=cv2.INTER_AREA)
        for x, y, _ in job.kp_driving:
            at = tuple(
                int(v)
                for v in (np.clip((float(x), float(y)), -2, 2) * np.array(job.size()) / 5 + np.array(job.size()) / 2)
            )
            cv2.circle(picture, at, max(1, job.size()[0] // 64), (255, 64, 0), -1)
        return cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)

    def faces(self, jobs: Sequence[Job]) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


class MiddleFinder:
    """Sees one face in the middle of any picture."""

    def find(self, picture: Any) -> list[Found]:
        height, width = picture.shape[:2]
        side = min(height, width) / 2
        t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        points = np.stack([width / 2 + side / 2 * np.sin(t), height / 2 - side / 2 * np.cos(t)], 1).astype(np.float32)
        middle = np.array([width / 2, height / 2], np.float32)
        return [Found(points, middle - np.array([0, side * 0.15]), middle + np.array([0, side * 0.25]))]


@cache
def _modules() -> dict[str, Any]:
    import torch

    from ditto.nets.family import FAMILY
    from ditto.nets.widths import TINY

    torch.set_num_threads(1)
    out = {}
    for name in ("lmdm", "stitch_network", "appearance_extractor", "motion_extractor"):
        module = FAMILY[name](TINY)
        shapes = {k: tuple(v.shape) for k, v in module.state_dict().items()}
        module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in RULE.weights(name, shapes)})
        out[name] = module.eval().requires_grad_(False)
    return out


class _Extractors(TorchExtractors):
    """Random networks give key points far apart: brought to the size that real ones have."""

    def motion(self, image: Any) -> Any:
        info = super().motion(image)
        scales = {"exp": 0.02, "kp": 0.3, "t": 0.02}
        return {k: v * np.float32(scales[k]) if k in scales else v for k, v in info.items()} | {
            "scale": np.full((1, 1), 1.4, np.float32)
        }


def networks() -> Networks:
    from ditto.motion.sampler import TorchSampler

    m = _modules()
    return Networks(
        Options.of(ONLINE),
        StubEncoder(),
        TorchSampler(m["lmdm"]),
        TorchStitch(m["stitch_network"]),
        _Extractors(m["appearance_extractor"], m["motion_extractor"]),
        DrawnRenderer(),
        None,
        None,
        None,
        "tiny",
        "tiny",
    )


def portrait() -> Any:
    y, x = np.mgrid[:240, :200]
    return np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)


def threads_named(name: str) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == name]
