"""A whole recording as the published pipeline performs it, frame by frame and fault by fault: what `render` films with,
and what the end-to-end golden vectors compare.

Surplus frames at the end are the pipeline's own (§5.5); `render` leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..source import Source
from .clips import LENGTH, add, begin, whole
from .online import open_speech
from .options import Options
from .sampler import Sampler
from .stitching import Controls, Stitch, StitchState, fades
from .vector import Array, clip, mirror, split


class Noise(Protocol):
    """Where the sampling's noise comes from."""

    def start(self, clip: int) -> Array:
        """[80,265] for clip number `clip`."""
        ...

    def steps(self, count: int) -> Array:
        """[count − 1,80,265]."""
        ...


@dataclass(frozen=True, slots=True)
class Posed:
    """One frame, ready to be drawn."""

    source_index: int
    motion: Array
    """[265], before any clipping."""
    x_s: Array
    """[1,21,3]."""
    x_d: Array


@dataclass(frozen=True)
class Recital:
    """One recording, one source."""

    options: Options
    source: Source
    sampler: Sampler
    noise: Noise
    stitch: Stitch | None
    count: int
    """Frames that the recording has (`N_d`)."""
    fade_in: int = -1
    fade_out: int = -1
    controls: Mapping[int, Controls] | None = None

    def online(self, silence: Array, chunks: Iterable[Array]) -> Iterator[Posed]:
        """Of features that come chunk by chunk; `silence` [overlap,1024] is before them."""
        how, poser = self.options.fusing, _Poser(self)
        condition = self.options.condition(self.source)
        rest = condition.source.vector
        loop, clips = open_speech(how, rest, rest, silence), 0

        def drained() -> Iterator[Posed]:
            nonlocal loop, clips
            while (window := loop.want()) is not None:
                made = self._clip(condition.rows(window.features, window.first), window.pose, clips)
                first = loop.start is None
                loop, ready = loop.take(made)
                clips += 1
                if first:
                    poser.relate(loop.motion.motion[0])
                yield from map(poser.pose, ready)

        for rows in chunks:
            loop = loop.push(rows)
            yield from drained()
        loop = loop.end()
        yield from drained()

    def offline(self, features: Array) -> Iterator[Posed]:
        """Of all features [n,1024] at once."""
        how, poser = self.options.fusing, _Poser(self)
        condition = self.options.condition(self.source)
        rows, rest = condition.rows(features, 0), condition.source.vector
        sequence = begin(rest)
        for clips, start in enumerate(range(0, len(rows), how.new)):
            piece = rows[start : start + LENGTH]
            piece = np.concatenate([piece, np.repeat(piece[-1:], LENGTH - len(piece), axis=0)])
            sequence = add(sequence, self._clip(piece, sequence.pose, clips), rest, how)
        yield from map(poser.pose, whole(sequence.motion, len(rows), how))

    def _clip(self, condition: Array, pose: Array, clips: int) -> Array:
        noises = self.noise.steps(self.options.sampling_timesteps)
        start = self.noise.start(clips)[None]
        return np.asarray(self.sampler.sample(condition[None], pose[None], start, noises[:, None])[0])


class _Poser:
    def __init__(self, recital: Recital) -> None:
        self._options, self._source = recital.options, recital.source
        self._put = recital.options.stitching(recital.source, recital.stitch, recital.count)
        self._controls = fades(recital.count, recital.fade_in, recital.fade_out, recital.controls or {})
        self._state = StitchState()
        self._count = 0

    def relate(self, vector: Array) -> None:
        """Motion is relative to this frame."""
        self._state = StitchState(first=split(clip(vector, self._options.v_min_max_for_clip)))

    def pose(self, vector: Array) -> Posed:
        index = self._count
        driving = split(clip(vector, self._options.v_min_max_for_clip))
        self._state, x_s, x_d = self._put.frame(self._state, driving, index, self._controls.get(index))
        self._count += 1
        return Posed(mirror(index, len(self._source.frames)), vector, x_s, x_d)
