"""How a stream of sound is cut into windows that overlap (§3): frames of the past, of the present, of the future."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 16_000
"""Hz."""
FRAME = 640
"""Samples of one frame: 40 ms."""
REACH = 80
"""Samples that the encoder sees beyond its last whole frame."""
FEWEST, MOST = 5, 20
"""Frames of a window: what the published encoder's engines accept."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """Frames of 40 ms: `past` are heard again, `current` are new, `future` are heard ahead."""

    past: int = 3
    current: int = 5
    future: int = 2

    def __post_init__(self) -> None:
        """Raises `ValueError` in words."""
        for name in ("past", "current", "future"):
            value = getattr(self, name)
            least = 0 if name == "past" else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"A chunk's {name} is a whole number of frames, at least {least}, not {value!r}.")
        if not FEWEST <= self.total <= MOST:
            raise ValueError(
                f"History, chunk and look-ahead together are {FEWEST} to {MOST} frames for this face, not {self.total} "
                f"({self.past} + {self.current} + {self.future})."
            )

    @property
    def total(self) -> int:
        return self.past + self.current + self.future

    @property
    def window(self) -> int:
        """Samples that the encoder is given at a time."""
        return FRAME * self.total + REACH

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return FRAME * self.current

    def needed(self, windows: int) -> int:
        """Samples of the speech that must have been heard for so many windows."""
        return FRAME * (self.current * windows + self.future) + REACH if windows else 0

    def published_windows(self, samples: int) -> int:
        """Windows that the published online loop makes of a recording: the zeros before it count as sound."""
        return -(-(FRAME * self.past + samples) // self.hop)


def frames_of(samples: int) -> int:
    """Frames that a speech of so many samples has: every begun 40 ms is one."""
    return -(-samples // FRAME)
