"""Pictures of idle loops, kept: a session that listens costs a look-up a frame once the loop has been round."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from .backends.looks import I420

LEAST_BYTES, MOST_BYTES = 400_000_000, 4_000_000_000
"""All avatars together. A whole loop with its blinks is 120 MB at 512 × 512."""
STALE_S = 30.0
"""A picture that nobody has shown for so long may go. Loops take ten to twenty seconds: a picture that goes earlier is
one that is about to be shown again."""


def room() -> int:
    """Bytes for pictures on this machine: a sixteenth of its memory."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        memory = 0
    return max(LEAST_BYTES, min(MOST_BYTES, memory // 16))


class PictureCache:
    """Pictures up to a number of bytes. Read-only: sessions share them.

    A full cache takes a new one in place of those that nobody shows any more, and of no others: loops that are too many
    or too large would else push each other out picture by picture, and none would be found again.
    """

    def __init__(self, most: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = room() if most is None else most
        self._clock = clock
        self._pictures: OrderedDict[Hashable, tuple[I420, float]] = OrderedDict()
        """With the time of the last look, the longest ago first."""
        self._bytes = 0
        self._guard = threading.Lock()

    def get(self, key: Hashable) -> I420 | None:
        with self._guard:
            kept = self._pictures.get(key)
            if kept is None:
                return None
            self._pictures[key] = (kept[0], self._clock())
            self._pictures.move_to_end(key)
            return kept[0]

    def put(self, key: Hashable, picture: I420) -> bool:
        """False where there is no room for it."""
        now = self._clock()
        with self._guard:
            old = self._pictures.pop(key, None)
            self._bytes -= 0 if old is None else old[0].nbytes
            while self._pictures and self._bytes + picture.nbytes > self._most:
                oldest, (gone, seen) = next(iter(self._pictures.items()))
                if now - seen < STALE_S:
                    return False
                del self._pictures[oldest]
                self._bytes -= gone.nbytes
            if self._bytes + picture.nbytes > self._most:
                return False
            picture.setflags(write=False)
            self._pictures[key] = (picture, now)
            self._bytes += picture.nbytes
            return True
