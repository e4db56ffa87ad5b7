"""What is known of a registered face: its pose, its features, where it lies in its picture.

A `Source` is shared by all sessions that show it and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .motion.vector import Array, Info, join, mirror, smooth


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame of a source."""

    info: Info
    """Its motion (§2.7), `kp` included."""
    eye_open: Array
    """[1,2]: left, right."""
    eye_ball: Array
    """[1,6]."""
    to_frame: npt.NDArray[np.float32] = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    """[3,3]: from the 512-pixel crop to the picture (M_c2o)."""
    features: npt.NDArray[np.float32] | None = None
    """f_s [1,32,16,64,64]; None where nothing is rendered."""
    picture: npt.NDArray[np.uint8] | None = None
    """[h,w,3] RGB."""


@dataclass(frozen=True, slots=True)
class Source:
    """A photograph (one frame) or a video."""

    frames: tuple[SourceFrame, ...]
    kp: Array
    """[63] of the first frame, before any smoothing (`sc`)."""

    @property
    def still(self) -> bool:
        return len(self.frames) == 1

    def at(self, index: int) -> SourceFrame:
        """The frame shown at `index` of a performance: videos are played to and fro."""
        return self.frames[mirror(max(index, 0), len(self.frames))]

    @property
    def vector(self) -> Array:
        """[265] of the first frame."""
        return join(self.frames[0].info)


def source(frames: Sequence[SourceFrame], window: int = 13) -> Source:
    """A source of frames in order; the motion of a video is averaged over a centred `window` of frames (§2.8)."""
    kp = np.array(frames[0].info["kp"], np.float32).reshape(-1)
    if len(frames) > 1 and window > 1:
        smoothed: list[Info] = [{} for _ in frames]
        for name in frames[0].info:
            rows = smooth(np.concatenate([f.info[name] for f in frames]), window)
            for i, info in enumerate(smoothed):
                info[name] = rows[i : i + 1]
        frames = [replace(f, info=info) for f, info in zip(frames, smoothed, strict=True)]
    return Source(tuple(frames), kp)
