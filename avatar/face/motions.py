"""How the mouth moved for a clause that was spoken before: with its sound kept by the voice's cache, a repeated clause
costs neither engine anything.

Keyed by the sound itself: the voice's cache gives the same object again for the same text, voice and engine.
"""

from __future__ import annotations

from collections import OrderedDict

from ..seams import Motion
from ..types import Pcm

MAX_CLAUSES = 256
MAX_FRAMES = 20_000
"""13 minutes of speech, about 4 MB."""


class Motions:
    """The motion of recent clauses, for all sessions."""

    def __init__(self, max_clauses: int = MAX_CLAUSES, max_frames: int = MAX_FRAMES) -> None:
        self._max_clauses = max_clauses
        self._max_frames = max_frames
        self._kept: OrderedDict[tuple[str, int], tuple[Pcm, Motion]] = OrderedDict()
        self.frames = 0
        """Pictures of 40 ms whose motion is kept."""
        self.hits = 0
        self.misses = 0

    def recall(self, face: str, sound: Pcm) -> Motion | None:
        """The motion that `face` made of the clause that begins with this very array."""
        found = self._kept.get((face, id(sound)))
        if found is None or found[0] is not sound:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end((face, id(sound)))
        return found[1]

    def keep(self, face: str, sound: Pcm, motion: Motion) -> None:
        key = face, id(sound)
        if len(motion) > self._max_frames // 8 or key in self._kept:
            return
        self._kept[key] = sound, motion
        self.frames += len(motion)
        while self.frames > self._max_frames or len(self._kept) > self._max_clauses:
            _, (_, dropped) = self._kept.popitem(last=False)
            self.frames -= len(dropped)
