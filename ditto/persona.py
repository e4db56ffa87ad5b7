"""An avatar as it performs: its source, what a configuration says of its manner, and its idle life.

Shared by all sessions that wear it. Nothing a session does changes it: what is computed on demand is kept by what it
was computed from.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .controls import Manner, blink_gap, controls_of
from .motion.blinks import in_places
from .motion.clips import LENGTH, SMOOTHED, add, begin
from .motion.condition import EMOTIONS, Condition, emotion_rows
from .motion.noise import FrameNoise
from .motion.options import Options
from .motion.stitching import Stitching, StitchState
from .motion.vector import Array, clip, mirror, smooth, split
from .source import Source

IDLE = 240
"""Frames of the idle loop: 9.6 s, longer than anyone sees a repetition in. A video's is as many whole rounds of it as
make that at least."""
_SEAM = 24
"""Frames over which the loop's end becomes its beginning."""
_IDLE_SEED = 0x1D7E
"""All sessions share the loop, so it has a seed of its own."""
_KEPT_LOOPS = 8
_KEPT_BLINKS = 64


class Work(Protocol):
    """What the networks do for a session. Blocks; may gather the work of several sessions."""

    def hear(self, window: Array) -> Array:
        """Rows [r,1024] of one window of sound."""
        ...

    def move(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        """One clip [80,265] of a condition [80,1103], the frame before it [265] and its noise [80,265], [s,80,265]."""
        ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one frame is drawn from."""

    source_index: int
    x_s: Array
    """[21,3]."""
    x_d: Array
    """[21,3], before the stitching network."""
    blink: int = 0
    """Frame of a blink; 0: the eyes are open."""


class Persona:
    """One avatar under one configuration."""

    def __init__(self, own: Source, options: Options, silence: Array, steps: int | None = None) -> None:
        """`silence` [80,1024]: the features of silence."""
        if len(silence) < LENGTH:
            raise ValueError(f"A persona needs {LENGTH} frames of silence, not {len(silence)}.")
        self.source = own
        self.options = options
        self.silence = np.array(silence[:LENGTH], np.float32)
        self.steps = steps or options.sampling_timesteps
        self.rest = options.condition(own).source.vector
        round_ = 2 * len(own.frames)
        self.length = IDLE if own.still else -(-IDLE // round_) * round_
        """Frames of the idle loop."""
        self._conditions: dict[str | None, Condition] = {}
        self._loops: OrderedDict[str | None, Array] = OrderedDict()
        self._blinks: OrderedDict[tuple[float, int], npt.NDArray[np.int64]] = OrderedDict()
        self._guard = threading.RLock()
        self._first: StitchState | None = None
        self._put: Stitching = options.stitching(own, None)

    def condition(self, emotion: str | None) -> Condition:
        """What the network is told, with an emotion in place of the configuration's."""
        with self._guard:
            if emotion not in self._conditions:
                rows = None if emotion is None else emotion_rows(EMOTIONS.index(emotion))
                self._conditions[emotion] = self.options.condition(self.source, rows)
            return self._conditions[emotion]

    def place(self, index: int, seed: int) -> int:
        """Where in the idle loop frame `index` of a session is: what a face at rest looks like depends on it alone.

        Sessions with a photograph begin anywhere; a video's loop goes with its pictures."""
        return (index + seed) % self.length if self.source.still else index % self.length

    def idle(self, emotion: str | None, work: Work) -> Array:
        """The idle loop [`length`,265] in an emotion; its end goes over into its beginning."""
        with self._guard:
            loop = self._loops.get(emotion)
            if loop is None:
                loop = self._loops[emotion] = self._imagine(emotion, work)
                if len(self._loops) > _KEPT_LOOPS:
                    # The neutral one stays: all motion is relative to it.
                    self._loops.pop(next(k for k in self._loops if k is not None))
            elif emotion is not None:
                self._loops.move_to_end(emotion)
            return loop

    def _imagine(self, emotion: str | None, work: Work) -> Array:
        how = replace(self.options.fusing, overlap=10, online=False, reset=self.options.fix_kp_cond)
        condition, noise = self.condition(emotion), FrameNoise(_IDLE_SEED)
        sequence, first = begin(self.rest), 0
        while len(sequence.motion) < self.length + _SEAM:
            rows = condition.rows(self.silence, first)
            clip_ = work.move(rows, sequence.pose, *noise.window(first, LENGTH, self.steps))
            sequence, first = add(sequence, clip_, self.rest, how), first + how.new
        motion = smooth(sequence.motion, how.window, dims=SMOOTHED)[: self.length + _SEAM]
        share = (np.arange(1, _SEAM + 1, dtype=np.float32) / (_SEAM + 1))[:, None]
        loop = motion[: self.length].copy()
        loop[:_SEAM] = motion[self.length :] * (1 - share) + motion[:_SEAM] * share
        return loop

    def ready(self, work: Work) -> None:
        """Makes what every session needs: the idle loop, and the frame that motion is relative to."""
        with self._guard:
            loop = self.idle(None, work)
            if self._first is None:
                first = split(clip(loop[_SEAM], self.options.v_min_max_for_clip))
                # One frame through the stitching fixes what it remembers of the source.
                state, _, _ = self._put.frame(StitchState(first=first), first, 0)
                self._first = replace(state, count=0)

    def _blink_index(self, manner: Manner, seed: int) -> npt.NDArray[np.int64] | None:
        array = self.options.delta_eye_arr
        if array is None:
            return None
        key = (manner.blink_rate, seed)
        with self._guard:
            if key not in self._blinks:
                self._blinks[key] = in_places(self.length, len(array), blink_gap(manner), seed)
                if len(self._blinks) > _KEPT_BLINKS:
                    self._blinks.popitem(last=False)
            return self._blinks[key]

    def draw(self, motion: Array, index: int, manner: Manner, seed: int) -> Drawn:
        """What the frame of number `index` of a session is drawn from."""
        assert self._first is not None, "asked before `ready`"
        blink = self._blink_index(manner, seed)
        put = self._put if blink is None else replace(self._put, blink_index=blink)
        gain = manner.intensity
        driving = split(clip(motion, self.options.v_min_max_for_clip))
        if gain != 1 and self._first.first is not None:
            # Around the frame that motion is relative to: nothing of the portrait's own face is made larger.
            base = self._first.first["exp"] if self.options.relative_d else self.source.frames[0].info["exp"]
            driving["exp"] = base + (driving["exp"] - base) * np.float32(gain)
        told: dict[str, Any] = controls_of(manner, self.options.overall_ctrl_info)
        # Blinks are at places of the loop, whichever frame a session began with.
        count = index + (seed % self.length if self.source.still else 0)
        _, x_s, x_d = put.frame(replace(self._first, count=count), driving, index, told)
        shut = 0 if blink is None else int(blink[count % len(blink)])
        return Drawn(mirror(index, len(self.source.frames)), x_s[0], x_d[0], shut)
