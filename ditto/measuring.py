"""What a checkpoint costs on the device at hand: frames, the published way beside them, first frames, sessions.

Everything is measured as it is used: through the engine where sessions are meant, and with pictures that are put back
and copied to the host.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .backends.looks import Job, Look
from .chunking import Pace
from .deterministic import Deterministic, tri_image
from .engine import Engine
from .layout import Kind
from .networks import Networks
from .performance import Rig
from .registration.crop import Rgb
from .registration.finder import Found

HEARD = 8000
"""Samples in hand when the first frame is asked for: half a second."""
PIECE = 640
"""Samples that a session is fed at a time: a frame."""
LATE_S = 0.04
RULE = Deterministic("bench")


class Middle:
    """Sees one face in the middle of any picture: what is measured depends on no face."""

    def find(self, picture: Rgb) -> list[Found]:
        height, width = picture.shape[:2]
        side = min(height, width) / 2
        t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        ring = np.stack([width / 2 + side / 2 * np.sin(t), height / 2 - side / 2 * np.cos(t)], 1).astype(np.float32)
        middle = np.array([width / 2, height / 2], np.float32)
        down = np.array([0, side], np.float32)
        return [Found(ring, middle - down * np.float32(0.15), middle + down * np.float32(0.25))]


def median_ms(work: Callable[[], Any], seconds: float, least: int = 3) -> tuple[float, float]:
    """Median and most of one call, after a first one that does not count."""
    work()
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < least:
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), max(took)


def look(made: Networks) -> Look:
    """An avatar of noise in a 512-pixel picture."""
    features = made.extractors.appearance(np.asarray(RULE.uniform("face", (1, 3, 256, 256), 0, 1), np.float32))
    return Look(features, RULE.normal("points", (21, 3), 0.3), tri_image(512, 512), np.eye(3, dtype=np.float32))


def driven(seen: Look, i: int) -> Any:
    return seen.kp_source + RULE.normal(f"d{i}", (21, 3), 0.02)


def frames(made: Networks, batch: int, seconds: float) -> tuple[float, float]:
    """Median milliseconds a frame and most a batch: warp, decoder, put-back and the copy to the host."""
    seen = look(made)
    prepared = made.renderer.prepare(seen)
    jobs = [Job(prepared, driven(seen, i)) for i in range(batch)]
    median, most = median_ms(lambda: made.renderer.render(jobs), seconds)
    return median / batch, most


def published(opened: Any, made: Networks, device: str, seconds: float) -> float | None:
    """Median milliseconds a frame of the networks as the specification has them (§7, §8, §10): eager, one frame after
    the other, every stage's result by way of the host, put back there. None for a bundle without torch's weights."""
    if opened.layout.kind is not Kind.PYTORCH:
        return None
    import torch

    warp, decoder = (opened.module(name).to(device) for name in ("warp_network", "decoder"))
    seen = look(made)
    height, width = seen.picture.shape[:2]
    turn = np.asarray(seen.to_frame, np.float32)[:2]
    mask = np.pad(np.ones((460, 460), np.float32), 26, mode="linear_ramp")

    def onto(array: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)

    def one() -> Any:
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=device.startswith("cuda")):
            points = (onto(p.reshape(1, 21, 3)) for p in (seen.kp_source, driven(seen, 0)))
            felt = warp(onto(seen.features), *points).float().cpu().numpy()
            face = decoder(onto(felt)).float().cpu().numpy()
        face = np.clip(face[0].transpose(1, 2, 0), 0, 1) * 255
        share = np.clip(cv2.warpAffine(mask, turn, (width, height)), 0, 1)[..., None]
        whole = cv2.warpAffine(face, turn, (width, height))
        return np.clip(share * whole + (1 - share) * seen.picture, 0, 255).astype(np.uint8)

    return median_ms(one, seconds)[0]


def rig(engine: Engine) -> Rig:
    return engine.rig([tri_image(512, 512)])


def sound(seconds: float) -> Any:
    """Noise that swells and fades as speech does."""
    count = int(seconds * 16_000)
    t = np.arange(count) / 16_000
    rng = np.random.default_rng(1)
    return ((0.5 + 0.5 * np.sin(7 * t)) * rng.uniform(-0.6, 0.6, count)).astype(np.float32)


def first_frame_ms(engine: Engine, worn: Rig, pace: Pace, steps: int, runs: int = 3) -> float:
    """Median time from half a second of sound in hand to the first pictures of it, everything included."""
    took = []
    for seed in range(runs + 1):
        performance = engine.perform(worn, seed, pace=pace, steps=steps)
        try:
            performance.idle()
            began = time.perf_counter()
            made = performance.feed(sound(HEARD / 16_000))
            took.append((time.perf_counter() - began) * 1000)
            assert made, "half a second is enough for a picture at this pace"
        finally:
            performance.close()
    return statistics.median(took[1:])


@dataclass(frozen=True, slots=True)
class Held:
    """Sessions that spoke side by side."""

    sessions: int
    seconds: float
    pictures: int
    late: int
    """Pictures that came more than 40 ms after they were due."""
    worst_ms: float
    """After it was due, the latest picture; negative where all were early."""
    fewest: int
    most: int
    """Pictures of the session that got fewest, and most."""


def hold(engine: Engine, worn: Rig, count: int, seconds: float, pace: Pace, steps: int) -> Held:
    """`count` sessions that speak without a pause, fed at the pace of the sound.

    A block of pictures is due when the sound of the next one is there: later, and blocks would pile up.
    """
    heard = sound(seconds)
    lags: list[list[float]] = [[] for _ in range(count)]
    faults: list[BaseException] = []
    performances = [engine.perform(worn, seed, pace=pace, steps=steps) for seed in range(count)]
    start = time.monotonic() + 0.2

    def speak(number: int) -> None:
        # Not all at once: sessions begin whenever people speak.
        began = start + number * pace.new * 0.04 / count
        performance, first = performances[number], performances[number].serial
        try:
            for at in range(0, len(heard), PIECE):
                time.sleep(max(0.0, began + (at + PIECE) / 16_000 - time.monotonic()))
                pictures = performance.feed(heard[at : at + PIECE])
                if at + PIECE >= len(heard):
                    pictures += performance.finish()
                now = time.monotonic()
                for picture in pictures:
                    needed = min(len(heard), pace.heard_before(picture.serial - first))
                    lags[number].append(now - (began + needed / 16_000 + pace.new * 0.04))
        except BaseException as error:
            faults.append(error)
        finally:
            performance.close()

    threads = [threading.Thread(target=speak, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    every = [lag for mine in lags for lag in mine]
    late, worst = sum(lag > LATE_S for lag in every), max(every, default=0.0) * 1000
    each = [len(mine) for mine in lags]
    return Held(count, seconds, len(every), late, worst, min(each), max(each))
