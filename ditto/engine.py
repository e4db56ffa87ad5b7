"""The neural face, whole: networks, one batcher, rigs and performances."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .actor import ActorState
from .audio import features
from .backends.looks import I420, Job, Look
from .batcher import Batcher, Kind
from .chunking import Pace
from .controls import Manner
from .faults import device_faults
from .motion.clips import LENGTH
from .motion.options import Options
from .motion.vector import Array, transform
from .networks import Networks
from .performance import BatchedWork, Performance, Rig, Wanted
from .persona import Persona
from .pictures import PictureCache
from .registration import cache
from .registration.crop import Rgb
from .registration.finder import Finder
from .registration.loading import shrunk
from .registration.register import Registered, Registrar

log = logging.getLogger(__name__)

WORKING_SIDE = 1024
"""Pixels of a rig's longer side."""
CLIPS, WINDOWS = 16, 16
"""Of one batch."""
_HOUSE = 0
"""The batcher's session for what belongs to none."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of the device, as measured at start."""

    hear: float
    """One window."""
    move: float
    """One clip."""
    draw: float
    """One frame, of a full batch."""

    def per_second(self, pace: Pace) -> float:
        """Milliseconds for a second of speech."""
        return 25 * (self.hear / pace.chunks.current + self.move / pace.new + self.draw)


class Engine:
    """Thread-safe. Everything of a session is in its `Performance`."""

    def __init__(
        self, networks: Networks, finder: Finder, cache_dir: Path | None = None, pictures: PictureCache | None = None
    ) -> None:
        # Online mode is what an engine is for, whatever the configuration was made for.
        options = networks.options if networks.options.online_mode else _online(networks.options)
        self.networks = replace(networks, options=options)
        self.configured = networks.options
        """As the configuration has them: what is not performed online goes by these."""
        self._finder = finder
        self._cache = cache.SourceCache(cache_dir) if cache_dir is not None else None
        self._pictures = pictures or PictureCache()
        self._registering = threading.Lock()
        self._silence: Array | None = None
        self.cost: Cost | None = None
        self.batcher = Batcher(
            {
                "hear": Kind(_guarded(self._hear), WINDOWS),
                "move": Kind(_guarded(self._move), CLIPS),
                "draw": Kind(_guarded(self._draw), max(1, networks.renderer.batch)),
                "call": Kind(_guarded(lambda items: [item() for item in items]), 1),
            }
        )
        self.batcher.join(_HOUSE)

    # ---- what runs in the batcher's thread -----------------------------------------------------------------------

    def _hear(self, windows: Sequence[Any]) -> list[Any]:
        return list(self.networks.encoder.encode(np.stack(windows)))

    def _move(self, items: Sequence[Any]) -> list[Any]:
        conditions, poses, starts, noises = (np.stack(parts) for parts in zip(*items, strict=True))
        return list(self.networks.sampler.sample(conditions, poses, starts, noises.swapaxes(0, 1)))

    def _draw(self, items: Sequence[Wanted]) -> list[Any]:
        x_d = np.stack([item.x_d for item in items])
        if self.networks.options.flag_stitching:
            x_d = self.networks.stitch(np.stack([item.x_s for item in items]), x_d)
        jobs = [Job(w.prepared, x, w.width, w.height) for w, x in zip(items, x_d, strict=True)]
        return self.networks.renderer.render(jobs)

    def _call(self, work: Any) -> Any:
        """Runs `work` in the batcher's thread: the networks are entered by nobody else."""
        return self.batcher.submit(_HOUSE, "call", [work], None, [time.monotonic()])[0]

    # ---- what others call ----------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Pays for what the first session would pay for otherwise, and measures what work costs. Blocks."""
        self._call(self.networks.renderer.warm)
        self._silence = self._call(lambda: features.silence(self.networks.encoder, LENGTH))

    def register(self, pictures: Sequence[Rgb]) -> Registered:
        """The source of a photograph or of a video's frames, from the disk where it has been made before. Blocks.

        Raises `FaceError`.
        """
        n = self.networks
        pictures = [shrunk(picture, WORKING_SIDE) for picture in pictures]
        o = n.options
        settings = (o.crop_scale, o.crop_vy_ratio, o.crop_flag_do_rot, o.smo_k_s, type(self._finder).__name__)
        name = cache.key(pictures, f"{n.fingerprint}|{settings}")
        with self._registering:
            stored = self._cache.get(name) if self._cache is not None else None
            if stored is not None:
                return stored
            registrar = Registrar(self._finder, n.landmarks, n.mesh, _Through(self), o)
            made = registrar.register(pictures)
            if self._cache is not None:
                self._cache.put(name, made)
            return made

    def rig(self, pictures: Sequence[Rgb]) -> Rig:
        """An avatar ready to perform. Blocks. Raises `FaceError`."""
        registered = self.register(pictures)
        looks = []
        for frame in registered.source.frames:
            assert frame.features is not None and frame.picture is not None
            look = Look(frame.features, transform(frame.info)[0], frame.picture, frame.to_frame)
            looks.append(self._call(lambda look=look: self.networks.renderer.prepare(look)))
        if self._silence is None:
            self.warm()
        assert self._silence is not None
        persona = Persona(registered.source, self.networks.options, self._silence)
        persona.ready(BatchedWork(self.batcher, _HOUSE, time.monotonic))
        picture = registered.source.frames[0].picture
        assert picture is not None
        height, width = picture.shape[:2]
        return Rig(persona, tuple(looks), width, height, registered.notes, _Loops(self._pictures))

    def perform(
        self,
        rig: Rig,
        seed: int,
        *,
        pace: Pace | None = None,
        steps: int | None = None,
        manner: Manner | None = None,
        scale: float = 1.0,
    ) -> Performance:
        """A session wearing `rig`."""
        steps = steps or self.networks.options.sampling_timesteps
        state = ActorState(seed, manner or Manner(), pace or Pace(), steps)
        return Performance(rig, self.batcher, state, scale)

    def measure(self, rig: Rig, steps: int = 10) -> Cost:
        """What work costs on this device, in batches. Blocks for a few of each."""
        n, most = self.networks, max(1, self.networks.renderer.batch)
        window = np.zeros((1, Pace().chunks.window), np.float32)
        rows = rig.persona.condition(None).rows(rig.persona.silence, 0)[None]
        noise = np.zeros((steps, 1, LENGTH, rows.shape[-1] and len(rig.persona.rest)), np.float32)
        look = rig.looks[0]
        jobs = [Job(look, look.look.kp_source, rig.width, rig.height)] * most

        def timed(work: Any, share: int = 1) -> float:
            took = []
            for _ in range(3):
                began = time.perf_counter()
                work()
                took.append((time.perf_counter() - began) * 1000 / share)
            return min(took)

        self.cost = self._call(
            lambda: Cost(
                timed(lambda: n.encoder.encode(window)),
                timed(lambda: n.sampler.sample(rows, rig.persona.rest[None], noise[0], noise[1:])),
                timed(lambda: n.renderer.render(jobs), most),
            )
        )
        return self.cost

    def close(self) -> None:
        self.batcher.close()
        self.networks.renderer.close()


def _guarded(work: Callable[[Sequence[Any]], Sequence[Any]]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A full or lost device is told as such by whatever network meets it first."""

    def run(items: Sequence[Any]) -> Sequence[Any]:
        with device_faults():
            return work(items)

    return run


class _Through:
    """The extractors, in the batcher's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def appearance(self, image: Array) -> Any:
        return self._engine._call(lambda: self._engine.networks.extractors.appearance(image))

    def motion(self, image: Array) -> Any:
        return self._engine._call(lambda: self._engine.networks.extractors.motion(image))


class _Loops:
    """One rig's part of the common cache."""

    def __init__(self, common: PictureCache) -> None:
        self._common = common
        self._own = object()

    def get(self, key: Hashable) -> I420 | None:
        return self._common.get((self._own, key))

    def put(self, key: Hashable, picture: I420) -> bool:
        return self._common.put((self._own, key), picture)


def _online(options: Options) -> Options:
    """An offline configuration's options for online use: the published way is to set its mode and overlap."""
    return replace(options, online_mode=True, overlap_v2=max(options.overlap_v2, 70), sampling_timesteps=10)
