"""How a chunk configuration is played: the frames that each clip adds, and what that costs in delay (§12)."""

from __future__ import annotations

from dataclasses import dataclass, field

from .audio.chunks import Chunks
from .motion.clips import LENGTH, Fusing
from .motion.options import Options

FEWEST_NEW, MOST_NEW = 3, 8
"""Frames that a clip adds: fewer cost a network's run each 80 ms, more wait for each other."""


def fitting(current: int) -> int:
    """V that wastes no delay on chunks of `current` frames: one divides the other."""
    if current < FEWEST_NEW:
        return next(n for n in range(FEWEST_NEW, MOST_NEW + 1) if n % current == 0)
    if current <= MOST_NEW:
        return current
    return next((n for n in range(MOST_NEW, FEWEST_NEW - 1, -1) if current % n == 0), current)


@dataclass(frozen=True, slots=True)
class Pace:
    """How sound becomes frames."""

    chunks: Chunks = field(default_factory=Chunks)
    new: int = 5
    """Frames that each clip adds (V)."""
    early: bool = False
    """Frames are given when they are first made, one block earlier, not when the next clip has confirmed them."""

    def __post_init__(self) -> None:
        """Raises `ValueError` in words."""
        if not 1 <= self.new <= LENGTH // 2:
            raise ValueError(f"A clip adds 1 to {LENGTH // 2} frames, not {self.new}.")

    @staticmethod
    def of(chunk_config: tuple[int, int, int], new: int | None = None, early: bool = False) -> Pace:
        """The pace of a chunk configuration. Raises `ValueError` in words."""
        chunks = Chunks(*chunk_config)
        return Pace(chunks, fitting(chunks.current) if new is None else new, early)

    def fusing(self, options: Options) -> Fusing:
        return Fusing(LENGTH - self.new, True, options.smo_k_d, options.fix_kp_cond, options.fix_kp_cond_dim)

    def heard_before(self, frame: int) -> int:
        """Samples of a speech that must be there before its frame number `frame` is given."""
        blocks = frame // self.new + (1 if self.early else 2)
        return self.chunks.needed(-(-blocks * self.new // self.chunks.current))

    def delay_ms(self, frame: int) -> float:
        """From the moment at which a frame's own sound begins to the moment at which it can be made."""
        return self.heard_before(frame) / 16 - 40 * frame

    def delays_ms(self) -> tuple[float, float, float]:
        """Least, mean and most delay over a whole period; the most is what playing without a stop has to wait."""
        period = self.new * self.chunks.current
        every = [self.delay_ms(k) for k in range(period)]
        return min(every), sum(every) / len(every), max(every)


LOW_LATENCY = Pace(Chunks(2, 3, 2), 3)
"""First picture after 325 ms of sound, at 8.3 clips a second."""
