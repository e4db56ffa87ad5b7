"""Clips: 80 frames of motion at a time, fused with what is there already, and smoothed (§5.2–5.4).

The running sequence is a value. Nothing here samples or draws: a clip is handed in as the network made it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .vector import PARTS, Array, smooth

LENGTH = 80
"""Frames of a clip."""
SMOOTHED = PARTS["exp"].start
"""The expression is never smoothed: lips would lose their consonants."""
FEWEST_ONLINE_OVERLAP = 40
"""With less, the published online loop drops the first frames of a speech (§5.5)."""


@dataclass(frozen=True, slots=True)
class Fusing:
    """How clips are joined."""

    overlap: int = 70
    """Frames that a clip shares with the one before it (`overlap_v2`)."""
    online: bool = True
    window: int = 3
    """Frames of the smoothing (`smo_k_d`)."""
    reset: int = 1
    """Every how many clips the pose to go on from is the source's again (`fix_kp_cond`); 0: never."""
    carried: tuple[int, int] | None = (0, 202)
    """Columns that are taken from the motion even then (`fix_kp_cond_dim`)."""

    def __post_init__(self) -> None:
        """Raises `ValueError` in words."""
        if not 1 <= self.overlap < LENGTH:
            raise ValueError(f"overlap_v2 of the configuration is 1 to {LENGTH - 1}, not {self.overlap}.")

    @property
    def new(self) -> int:
        """Frames that each clip adds (V)."""
        return LENGTH - self.overlap

    @property
    def fuse(self) -> int:
        """Frames over which a clip takes over from the one before."""
        return min(self.overlap, self.new) if self.online else self.overlap

    def blend(self, old: Array, new: Array) -> Array:
        """The last frames of the sequence, `old`, turning into the new clip's frames for them."""
        share = (np.arange(len(old), dtype=np.float32) / np.float32(len(old)))[:, None]
        return np.asarray(old * (1 - share) + new * share, np.float32)


@dataclass(frozen=True, slots=True)
class Motion:
    """The motion so far and the pose that the next clip goes on from."""

    motion: Array
    """[n,265]."""
    pose: Array
    """[265] (`kp_cond`)."""
    clips: int = 0


def begin(pose: Array) -> Motion:
    return Motion(np.empty((0, len(pose)), np.float32), pose.copy())


def add(sequence: Motion, clip: Array, rest: Array, how: Fusing, most: int = LENGTH) -> Motion:
    """The sequence with one more clip [80,265]; `rest` [265] is the source's own pose (`s_kp_cond`).

    Of the sequence's frames the last `most` may be changed; the others were shown.
    """
    if not len(sequence.motion):
        motion = smooth(clip, how.window, dims=SMOOTHED)
    else:
        fuse = min(how.fuse, most)
        joined = how.blend(sequence.motion[-fuse:], clip[how.overlap - fuse : how.overlap])
        motion = np.concatenate([sequence.motion[:-fuse], joined, clip[how.overlap :]])
        edge = len(motion) - how.new
        motion = smooth(motion, how.window, edge - fuse, edge + 1, SMOOTHED)
    return grown(sequence, motion, rest, how)


def grown(sequence: Motion, motion: Array, rest: Array, how: Fusing) -> Motion:
    """The sequence whose frames have become `motion` with a clip, and the pose for the next one."""
    return posed(replace(sequence, motion=motion, clips=sequence.clips + 1), rest, how)


def posed(sequence: Motion, rest: Array, how: Fusing) -> Motion:
    """The sequence with the pose that a next clip of so many new frames goes on from."""
    pose = sequence.motion[len(sequence.motion) - how.overlap - 1].copy()
    if how.reset > 0 and sequence.clips % how.reset == 0:
        carried = pose
        pose = rest.copy()
        if how.carried is not None:
            pose[how.carried[0] : how.carried[1]] = carried[how.carried[0] : how.carried[1]]
    return replace(sequence, pose=pose)


def trim(sequence: Motion, keep: int) -> tuple[Motion, int]:
    """The sequence with at most its last `keep` frames, and how many went."""
    gone = max(0, len(sequence.motion) - keep)
    return (replace(sequence, motion=sequence.motion[gone:].copy()), gone) if gone else (sequence, 0)


def whole(motion: Array, count: int, how: Fusing) -> Array:
    """The motion [count,265] of a finished offline sequence: cut to its length and smoothed once more (§5.6)."""
    return smooth(motion[:count], how.window, dims=SMOOTHED)
