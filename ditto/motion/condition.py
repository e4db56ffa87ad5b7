"""What the diffusion network is told of every frame: sound, emotion, eyes, identity; 1103 numbers (§4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ..source import Source
from .vector import Array, mirror

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "contempt")
NEUTRAL = EMOTIONS.index("neutral")
AUDIO = 1024
"""Columns of the features of sound."""
_LABEL = 8.0
"""Logit of a chosen label; the others have 0."""

Emotion: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]] | npt.NDArray[np.floating]"


def _mix(labels: Sequence[int]) -> Array:
    logits = np.zeros(len(EMOTIONS), np.float32)
    for label in labels:
        if not 0 <= label < len(EMOTIONS):
            raise ValueError(f"An emotion is from 0 to {len(EMOTIONS) - 1}, not {label}.")
        logits[label] = _LABEL
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum(), np.float32)


def emotion_rows(emotion: Emotion) -> Array:
    """Weights of the emotions, [m,8]: of an array as it is, of a label or labels one row, of lists a row each.

    Raises `ValueError` where it is none of these.
    """
    if isinstance(emotion, np.ndarray):
        if emotion.ndim != 2 or emotion.shape[1] != len(EMOTIONS) or not len(emotion):
            raise ValueError(f"Weights of emotions have the shape [m,8], not {list(emotion.shape)}.")
        return emotion.astype(np.float32)
    if isinstance(emotion, int | np.integer):
        return _mix([int(emotion)])[None]
    if not emotion:
        raise ValueError("A list of emotions may not be empty.")
    rows = emotion if isinstance(emotion[0], list | tuple) else [emotion]
    return np.stack([_mix([int(label) for label in row]) for row in cast(Sequence[Sequence[int]], rows)])


@dataclass(frozen=True, slots=True)
class Condition:
    """The constant part of a performance's condition, and how it is laid beside features of sound."""

    source: Source
    emotions: Array
    """[m,8]; of several rows each frame has its own, in turn."""
    first_frame_eyes: bool = False
    """Every frame has the eyes of the source's first (`eye_f0_mode`)."""
    use: frozenset[str] = frozenset({"emo", "eye_open", "eye_ball", "sc"})

    @property
    def size(self) -> int:
        """Columns."""
        sizes = {"emo": 8, "eye_open": 2, "eye_ball": 6, "sc": 63}
        return AUDIO + sum(n for name, n in sizes.items() if name in self.use)

    def rows(self, features: Array, first: int) -> Array:
        """[n,1103] for features [n,1024] of the frames from `first` on; those before 0 are the silence before."""
        n = len(features)
        index = np.maximum(np.arange(first, first + n), 0)
        parts = [np.asarray(features, np.float32)]
        if "emo" in self.use:
            parts.append(self.emotions[index % len(self.emotions)])
        count = 1 if self.first_frame_eyes else len(self.source.frames)
        shown = [self.source.frames[mirror(int(i), count)] for i in index] if count > 1 else []
        for name in ("eye_open", "eye_ball"):
            if name in self.use:
                rows = [getattr(f, name) for f in shown] or [getattr(self.source.frames[0], name)] * n
                parts.append(np.concatenate(rows).astype(np.float32) if rows else np.empty((0, 0), np.float32))
        if "sc" in self.use:
            parts.append(np.broadcast_to(self.source.kp, (n, len(self.source.kp))))
        return np.concatenate(parts, axis=1, dtype=np.float32)
