"""The online loop (§5.5): features arrive a chunk at a time, clips are asked for, motion comes out a block behind.

`Online` is a value and runs nothing: `want` says which window of features the next clip is for, `take` is given the
clip. Whoever holds it decides where and with whom the clip is sampled.

The published loop calls `end` and then drains `want`, which gives it surplus frames after a speech and none for a very
short one. A speech of exactly so many frames pushes whole blocks and takes the un-fused rest from `tail` instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .clips import FEWEST_ONLINE_OVERLAP, LENGTH, SMOOTHED, Fusing, Motion, add, begin, grown, posed, trim
from .vector import Array, smooth

KEPT = 2 * LENGTH
"""Frames of features and of motion that are kept."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a clip is sampled for."""

    features: Array
    """[80,1024]."""
    first: int
    """Frame of the speech that the window begins with; negative before the speech."""
    pose: Array
    """[265]: the frame before the window."""


@dataclass(frozen=True, slots=True)
class Online:
    """A speech on its way from features to motion."""

    how: Fusing
    rest: Array
    """[265]: the source's own pose."""
    features: Array
    """[n,1024]."""
    motion: Motion
    pending: Array
    local: int = 0
    """Where the next window begins in `features`."""
    past: int = 0
    """Frames that earlier windows have begun with: the next one's first frame, counted from the prefix on."""
    start: int | None = None
    """Where the next block begins in the motion; None before the first clip."""
    ended: bool = False
    waits: bool = True
    """Features count once a whole block of them is there, as in the published loop; else at once."""
    joint: int = 0
    """Frames that wait to be fused with the first clip of another number of new frames; 0: all clips are alike."""

    def push(self, rows: Array) -> Online:
        """More features."""
        pending = np.concatenate([self.pending, rows])
        if self.waits and len(pending) < self.how.new and not self.ended:
            return replace(self, pending=pending)
        return replace(self, features=np.concatenate([self.features, pending]), pending=pending[:0])

    def end(self) -> Online:
        """No more features will come, and what is short of a window is filled up with its last row."""
        return replace(self, ended=True).push(self.pending[:0])

    def paced(self, how: Fusing) -> Online:
        """The loop with another number of new frames from the next clip on, which is at least the second one.

        The next window ends `how.new` frames after the last one did. It is fused over frames that wait anyway: nothing
        that was given changes, and what waits comes with the clip.
        """
        if self.start is None:
            raise ValueError("before the first clip a speech is opened anew")
        waiting = len(self.motion.motion) - self.start
        local = self.local + how.new - self.how.new
        return replace(self, how=how, motion=posed(self.motion, self.rest, how), local=local, joint=waiting)

    @property
    def _window(self) -> Array:
        return self.features[self.local : self.local + LENGTH]

    def want(self) -> Window | None:
        """The window of the next clip, or None until more features are there."""
        rows = self._window
        if not len(rows) or (len(rows) < LENGTH and not self.ended):
            return None
        rows = np.concatenate([rows, np.repeat(rows[-1:], LENGTH - len(rows), axis=0)])
        return Window(rows, self.past - self.how.overlap, self.motion.pose)

    def take(self, clip: Array) -> tuple[Online, Array]:
        """The loop after the wanted clip [80,265], and the frames that are ready with it.

        The first clip warms up: nothing is ready with it.
        """
        real = len(self._window) if self.ended and len(self._window) < LENGTH else self.how.new
        motion = add(self.motion, clip, self.rest, self.how, self.joint or LENGTH)
        if self.start is None:
            start, ready = LENGTH - self.how.fuse, motion.motion[:0]
        else:
            start = self.start + (self.joint or real)
            ready = motion.motion[self.start : start]
        return self._advanced(motion, start, real), ready.copy()

    def take_early(self, clip: Array) -> tuple[Online, Array]:
        """As `take`, but the newest block is ready at once, one block earlier, and never changed again.

        In place of the blend the new clip is shifted to where the motion is, and the shift dies away.
        """
        new, overlap = self.how.new, self.how.overlap
        if self.start is None:
            motion = add(self.motion, clip, self.rest, self.how)
        else:
            shift = self.motion.motion[-1] - clip[overlap - 1]
            fade = (1 - np.arange(1, new + 1, dtype=np.float32) / np.float32(new))[:, None]
            joined = np.concatenate([self.motion.motion, clip[overlap:] + shift * fade])
            joined = smooth(joined, self.how.window, len(joined) - new, len(joined), SMOOTHED)
            motion = grown(self.motion, joined, self.rest, self.how)
        start = len(motion.motion)
        return self._advanced(motion, start, new), motion.motion[start - new :].copy()

    def tail(self) -> Array:
        """Frames [n,265] that wait to be fused and never will be: the end of a speech."""
        return self.motion.motion[self.start :].copy() if self.start is not None else self.motion.motion[:0]

    def _advanced(self, motion: Motion, start: int, real: int) -> Online:
        motion, gone = trim(motion, KEPT)
        local, features = self.local + real, self.features
        if (surplus := len(features) - KEPT) > 0 and surplus <= local:
            features, local = features[surplus:].copy(), local - surplus
        past = self.past + real
        return replace(self, motion=motion, start=start - gone, local=local, past=past, features=features, joint=0)


def open_speech(how: Fusing, rest: Array, pose: Array, history: Array, waits: bool = True) -> Online:
    """A speech about to begin after `history` [overlap,1024], the features of what was before it."""
    if how.overlap < FEWEST_ONLINE_OVERLAP:
        raise ValueError(f"overlap_v2 is at least {FEWEST_ONLINE_OVERLAP} in online mode, not {how.overlap}.")
    if len(history) != how.overlap:
        raise ValueError(f"A speech needs the features of {how.overlap} frames before it, not of {len(history)}.")
    return Online(
        how, rest, np.array(history, np.float32), begin(pose), np.empty((0, history.shape[1]), np.float32), waits=waits
    )
