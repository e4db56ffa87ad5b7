"""How many pictures a second a machine can draw: fewer are asked for when a face falls behind the sound.

The sound waits for its pictures, so a face that is slower than the sound would tear it apart. A slot without a new
picture costs little, and the eye forgives it sooner than the ear forgives a gap.
"""

from __future__ import annotations

from collections import deque

from ..clock import SLOTS_PER_S

ENOUGH = 12
"""Slots of work before a judgement: a face that works in chunks gives nothing for some slots and then many at once."""
LONGEST = SLOTS_PER_S
"""Slots that are looked back on."""
WANTED = 0.8
"""Share of the time that drawing may take after it was too much."""
EASY = 0.5
"""Share below which more pictures are tried, a quarter more at a time, so that the next share is below `WANTED`."""


class Strain:
    """Judges from the time that work took. No clock of its own."""

    def __init__(self) -> None:
        self.fps = SLOTS_PER_S
        """Pictures a second that may be asked for, 1 … 25."""
        self._calls: deque[tuple[int, float]] = deque()

    def spent(self, slots: int, seconds: float) -> bool:
        """`slots` of speech took the face `seconds`. True when `fps` is another one now."""
        self._calls.append((slots, seconds))
        total = sum(count for count, _ in self._calls)
        while total - self._calls[0][0] >= LONGEST:
            total -= self._calls.popleft()[0]
        if total < ENOUGH:
            return False
        share = sum(took for _, took in self._calls) / total * SLOTS_PER_S
        if share > 1 and self.fps > 1:
            self.fps = max(1, int(self.fps * WANTED / share))
        elif share < EASY and self.fps < SLOTS_PER_S and total >= LONGEST:
            self.fps = min(SLOTS_PER_S, max(self.fps + 1, self.fps * 5 // 4))
        else:
            return False
        self._calls.clear()
        return True
