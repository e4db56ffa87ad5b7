"""The accents of a speech, told to its life as they come near: a nod begins before the word that it belongs to."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from .sound import FRAME

LEAD = 8
"""Pictures by which a life hears of an accent ahead, where the voice knows it so early."""


@dataclass(frozen=True, slots=True)
class Accent:
    """A word that stands out (`stress`), or the end of a `phrase`, a `sentence` or a `question`."""

    kind: str
    at: int
    """Sample at 16 kHz from the start of the speech: the middle of the stressed vowel, or one past the last word."""
    weight: float = 0.5
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Cue:
    """An accent that comes near."""

    kind: str
    ahead: int
    """Pictures from the one being made; 0 or less: now."""
    weight: float


@dataclass(frozen=True, slots=True)
class Cues:
    """What a life is told in one picture of speech."""

    near: tuple[Cue, ...] = ()
    """Each accent once."""
    stressed: bool = False
    """The voice tells which words stand out."""
    end: int | None = None
    """Pictures until the next end of a phrase that is known."""


class Score:
    """The accents of one speech, picture by picture."""

    def __init__(self) -> None:
        self._picture = 0
        self._waiting: list[tuple[int, str, float]] = []
        """(picture, kind, weight) of those that were not told, in order."""
        self._ends: list[int] = []
        """Pictures of the ends that lie ahead."""
        self._stressed = False

    def add(self, accents: Sequence[Accent]) -> None:
        """More accents, known from now on."""
        for accent in accents:
            insort(self._waiting, (accent.at // FRAME, accent.kind, accent.weight))
            if accent.kind == "stress":
                self._stressed = True
            else:
                insort(self._ends, accent.at // FRAME)

    def next(self) -> Cues:
        """For the next picture of the speech."""
        now, self._picture = self._picture, self._picture + 1
        near: list[Cue] = []
        while self._waiting and self._waiting[0][0] <= now + LEAD:
            at, kind, weight = self._waiting.pop(0)
            near.append(Cue(kind, at - now, weight))
        while self._ends and self._ends[0] < now:
            self._ends.pop(0)
        return Cues(tuple(near), self._stressed, self._ends[0] - now if self._ends else None)
