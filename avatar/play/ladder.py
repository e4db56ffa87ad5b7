"""How the picture gives way to a thin path, step by step, and comes back. Pure code: time is handed in.

The bitrate alone gives way first, within a second. Where it would fall below what the picture needs to look like one,
there are fewer pictures, then smaller ones, then cheaper ones, and at last none: sound is never starved. On the way
back each rung must have been possible with room to spare for a while, and for longer each time that it turned out too
high.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rung:
    """What a session may show at most."""

    name: str
    fps: int = 30
    """Pictures a second."""
    scale: float = 1.0
    """Of the picture's size that the session wishes for."""
    steps: float = 1.0
    """Of the face's denoising steps."""
    video: bool = True
    needs: int = 0
    """bit/s of video at 512 × 512 below which the next rung down does better."""


RUNGS = (
    Rung("full", needs=115_000),
    Rung("fewer pictures", fps=15, needs=85_000),
    Rung("smaller pictures", fps=15, scale=0.75, needs=60_000),
    Rung("small pictures", fps=10, scale=0.5, needs=40_000),
    Rung("fewer steps", fps=8, scale=0.5, steps=0.5, needs=22_000),
    Rung("sound only", video=False),
)
"""VP9 at 512 × 512 and 25 fps falls apart below about 120 kbit/s, and at 256 × 256 and 10 fps below 40."""
DOWN_S = 2.5
"""The rate must have been too low for so long: a queue that is being emptied takes a second."""
UP_S = 5.0
UP_MAX_S = 60.0
ROOM = 1.35
"""What the rung above needs, times this, before it is tried."""
RELAPSE_S = 15.0
"""A fall within this time after a climb makes the next climb wait twice as long."""
TRY_S = 15.0
"""Without pictures nothing is sent that could show what the path carries: they are tried again after this long."""
_REFERENCE_PIXELS = 512 * 512
_PIXEL_POWER = 0.75
"""Bits grow more slowly than pixels."""


class Ladder:
    def __init__(self) -> None:
        self._level = 0
        self._low_since: float | None = None
        self._high_since: float | None = None
        self._changed = float("-inf")
        self._climbed = float("-inf")
        self._patience = UP_S

    @property
    def rung(self) -> Rung:
        return RUNGS[self._level]

    def update(self, rate: float, pixels: int, lossy: bool, now: float) -> bool:
        """Takes the video's share of the path in bit/s, the pixels of the picture that the session wishes for, and
        whether the path is losing packets to a full queue. True when the rung has changed."""
        size = (max(1, pixels) / _REFERENCE_PIXELS) ** _PIXEL_POWER
        if self._level < len(RUNGS) - 1 and rate < self.rung.needs * size:
            self._high_since = None
            self._low_since = now if self._low_since is None else self._low_since
            if now - self._low_since >= DOWN_S:
                return self._step(1, now)
            return False
        self._low_since = None
        if self._level == 0 or not self._may_climb(rate, size, lossy):
            self._high_since = None
            return False
        self._high_since = now if self._high_since is None else self._high_since
        if now - self._high_since >= self._patience:
            return self._step(-1, now)
        return False

    def _may_climb(self, rate: float, size: float, lossy: bool) -> bool:
        if not self.rung.video:
            return not lossy
        return rate >= RUNGS[self._level - 1].needs * size * ROOM

    def _step(self, by: int, now: float) -> bool:
        if by > 0:
            if now - self._climbed < RELAPSE_S:
                self._patience = min(UP_MAX_S, 2 * self._patience)
        else:
            if now - self._changed > 2 * RELAPSE_S + self._patience:
                self._patience = UP_S
            self._climbed = now
        self._level += by
        if not self.rung.video:
            self._patience = max(self._patience, TRY_S)
        self._changed = now
        self._low_since = self._high_since = None
        return True
