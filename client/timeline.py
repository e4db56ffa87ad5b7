"""Where received media lands in the file: pure placement of samples and pictures on one line.

Knows nothing of containers, codecs or clocks. Sound is counted in 48 kHz samples, pictures in seconds, both from the
file's own start.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from avatar.clock import AUDIO_RATE
from avatar.types import Pcm

SLACK = AUDIO_RATE * 5 // 1000
"""Samples by which a stretch may miss its place and still simply follow the one before: sender reports wander by
fractions of a millisecond, and 5 ms of displacement can be neither heard nor seen."""
LONGEST_GAP_S = 60.0
"""A jump beyond this is a broken clock, not a gap: the line then goes on where it was."""


@dataclass(slots=True)
class SoundLine:
    """One audio track, without holes: what did not arrive is silence, what overlaps is cut."""

    end: int = 0
    """Samples placed so far."""
    gaps: list[int] = field(default_factory=list)
    """Lengths of the holes that were filled, in samples; the padding before the first sound is none."""
    _begun: bool = False
    _shift: int = 0

    def place(self, at: int, pcm: Pcm) -> Pcm:
        """The samples to append so that `pcm` begins at sample `at`."""
        miss = at + self._shift - self.end
        if abs(miss) > LONGEST_GAP_S * AUDIO_RATE:
            self._shift -= miss
            miss = 0
        if abs(miss) <= SLACK and self._begun:
            miss = 0
        if miss > 0:
            if self._begun:
                self.gaps.append(miss)
            pcm = np.concatenate([np.zeros(miss, np.int16), pcm])
        elif miss < 0:
            pcm = pcm[-miss:]
        self._begun = self._begun or len(pcm) > 0
        self.end += len(pcm)
        return pcm

    def fill(self, until: int) -> Pcm:
        """Silence up to sample `until`."""
        missing = max(0, until - self.end)
        self.end += missing
        return np.zeros(missing, np.int16)


@dataclass(slots=True)
class PictureLine:
    """The video track: pictures at their own times, the last one held again where the next stays away."""

    interval: float = 0.04
    """Seconds between two pictures when none is missing."""
    last: float | None = None
    """Time of the newest picture, held ones included."""
    _shift: float = 0.0

    def place(self, at: float) -> tuple[list[float], float] | None:
        """The times at which the picture before is held, then the time of the new one. None: it is out of order and
        is to be dropped. The first picture is held from the file's start."""
        at += self._shift
        if self.last is None:
            at = max(0.0, at)
            held = [i * self.interval for i in range(self._steps(0.0, at))] if at > 0 else []
            self.last = at
            return held, at
        if abs(at - self.last) > LONGEST_GAP_S:
            self._shift += self.last + self.interval - at
            at = self.last + self.interval
        if at <= self.last:
            return None
        held = [self.last + (i + 1) * self.interval for i in range(self._steps(self.last, at) - 1)]
        self.last = at
        return held, at

    def fill(self, until: float) -> list[float]:
        """The times at which the last picture is held up to `until`."""
        if self.last is None:
            return []
        held = [self.last + (i + 1) * self.interval for i in range(self._steps(self.last, until) - 1)]
        if held:
            self.last = held[-1]
        return held

    def _steps(self, start: float, end: float) -> int:
        # A picture that is up to half an interval late is late, not missing.
        return max(1, int((end - start) / self.interval + 0.5))
