"""What was received, in figures: pictures, sound, their gaps. Pure: takes times, keeps no media."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from avatar.clock import AUDIO_RATE
from avatar.types import Pcm

HISTORY = 30
"""Pictures over which the usual interval is averaged, as in the freeze definition of the W3C's webrtc-stats."""
FREEZE_S = 0.150
"""A picture that stays this much longer than usual (or three times as long as usual, whichever is more) is a freeze:
webrtc-stats, freezeCount."""
GAP_S = 0.005
"""A jump of the sound's own time beyond 5 ms is missing sound; below it is the wander of sender reports."""
AUDIBLE_DBFS = -50.0
"""Peak of 20 ms above which somebody speaks: Opus turns digital silence into noise of some −80 dBFS."""


def audible(pcm: Pcm) -> bool:
    return bool(_loud(pcm).any())


def onset(pcm: Pcm) -> float:
    """Seconds to the first audible sample of an `audible` packet."""
    return int(_loud(pcm).argmax()) / AUDIO_RATE


def _loud(pcm: Pcm) -> npt.NDArray[np.bool_]:
    loud: npt.NDArray[np.bool_] = np.abs(pcm.astype(np.int32)) > 32768 * 10 ** (AUDIBLE_DBFS / 20)
    return loud


@dataclass(slots=True)
class PictureMeter:
    """Pictures as they arrived, complete and decodable."""

    frames: int = 0
    width: int = 0
    height: int = 0
    freezes: int = 0
    frozen_s: float = 0.0
    """Of all of them: webrtc-stats, totalFreezesDuration."""
    max_gap_s: float = 0.0
    first: float | None = None
    """Monotonic seconds, as are all arrivals."""
    last: float | None = None
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def picture(self, arrival: float, width: int, height: int) -> None:
        self.frames += 1
        self.width, self.height = width, height
        if self.last is None:
            self.first = arrival
        else:
            gap = arrival - self.last
            usual = sum(self._recent) / len(self._recent) if self._recent else gap
            if gap > max(3 * usual, usual + FREEZE_S):
                self.freezes += 1
                self.frozen_s += gap
            self.max_gap_s = max(self.max_gap_s, gap)
            self._recent.append(gap)
        self.last = arrival

    @property
    def fps(self) -> float:
        if self.first is None or self.last is None or self.last <= self.first:
            return 0.0
        return (self.frames - 1) / (self.last - self.first)


@dataclass(slots=True)
class SoundMeter:
    """Sound on its own time line, and when it arrived."""

    gaps: int = 0
    """Stretches that never came."""
    max_gap_s: float = 0.0
    """The longest of them."""
    played: int = 0
    """Samples, of which `concealed` are guesses."""
    concealed: int = 0
    first: float | None = None
    """Arrival of the first sound, monotonic seconds, as are all arrivals."""
    last: float | None = None
    last_audible: float | None = None
    _end: float | None = None
    _gap: float = 0.0
    """Length of the gap that is open, in seconds."""

    def sound(self, pcm: Pcm, at: float, arrival: float, *, missing: bool) -> None:
        """48 kHz samples, the time of the first on the sender's line in seconds, and when they arrived. `missing`: they
        did not, and are a guess."""
        if self.first is None and not missing:
            self.first = arrival
        self.played += len(pcm)
        self.concealed += len(pcm) if missing else 0
        length = len(pcm) / AUDIO_RATE
        hole = 0.0 if self._end is None else at - self._end
        if missing or hole > GAP_S:
            self.gaps += self._gap == 0
            self._gap += max(0.0, hole) + (length if missing else 0.0)
            self.max_gap_s = max(self.max_gap_s, self._gap)
        if not missing:
            self._gap = 0.0
        self._end = at + length
        self.last = arrival
        if audible(pcm):
            self.last_audible = arrival
