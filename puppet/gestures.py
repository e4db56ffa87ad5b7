"""What a face does for an accent: a nod or raised brows on a word that stands out, a head that settles where a sentence
ends, raised brows and a tilt where a question does. Each is a smooth curve over pictures.

Brows rise a little before the accent that they belong to (Flecha-García, "Eyebrow raises in dialogue", 2010); the head
is lowest on the stressed vowel (Hadar et al., "Head movement correlates of juncture and stress", 1983).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .score import Cue

RISE = 6
"""Pictures in which a nod goes down; it comes up in half as many again."""
LEAST_RISE = 3
NOD_DEG = (1.3, 2.0)
"""Depth of a nod: of the lightest word, and what the weightiest adds."""
REST = 11
"""Pictures from one nod to the next, lowest point to lowest point."""
EMPHATIC = 0.9
"""Weight from which a word is meant to stand out."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """A movement from rest to `size` and back, in pictures of the life."""

    part: Literal["pitch", "roll", "brow"]
    size: float
    """Degrees, or share of the brows' way."""
    begin: int
    top: int
    """When it is reached."""
    leave: int
    """Until when it is held."""
    end: int

    def at(self, tick: int) -> float:
        if tick <= self.begin or tick >= self.end:
            return 0.0
        if tick < self.top:
            share = (tick - self.begin) / (self.top - self.begin)
        elif tick <= self.leave:
            share = 1.0
        else:
            share = (self.end - tick) / (self.end - self.leave)
        return self.size * (0.5 - 0.5 * math.cos(math.pi * share))


@dataclass(frozen=True, slots=True)
class Pose:
    """What all gestures together add."""

    pitch: float = 0.0
    roll: float = 0.0
    brow: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What an accent brings."""

    made: tuple[Gesture, ...] = ()
    nods: bool = False
    """A nod is among it."""


def pose(running: Sequence[Gesture], tick: int) -> Pose:
    """The sum of all gestures in one picture. Brows are not raised twice."""
    values = {"pitch": 0.0, "roll": 0.0, "brow": 0.0}
    for gesture in running:
        value = gesture.at(tick)
        values[gesture.part] = max(values["brow"], value) if gesture.part == "brow" else values[gesture.part] + value
    return Pose(**values)


def gestures(cue: Cue, tick: int, since: int, chance: Sequence[float]) -> Found:
    """What the accent of `cue` brings, in picture `tick`; `since`: pictures from the last nod to the accent."""
    at = tick + max(0, cue.ahead)
    if cue.kind == "stress":
        return _stress(cue.weight, tick, at, since, chance)
    made: list[Gesture] = []
    nods = since >= REST and chance[8] < cue.weight
    if nods:
        made.append(_nod(cue.weight, tick, at, chance[9]))
    elif cue.kind == "sentence":
        made.append(Gesture("pitch", 0.6 + 0.7 * chance[9], at - 2, at + 7, at + 11, at + 36))
    if cue.kind == "question":
        made.append(Gesture("brow", 0.4 + 0.3 * chance[9], at - 7, at, at + 14, at + 26))
        lean = (1.4 + 1.2 * chance[9]) * (1 if chance[10] < 0.5 else -1)
        made.append(Gesture("roll", lean, at - 7, at + 3, at + 16, at + 36))
    return Found(tuple(_begun(gesture, tick) for gesture in made), nods)


def _stress(weight: float, tick: int, at: int, since: int, chance: Sequence[float]) -> Found:
    emphatic = weight >= EMPHATIC
    made: list[Gesture] = []
    nods = chance[8] < (0.9 if emphatic else 0.1 + 0.5 * weight) and since >= (REST * 2 // 3 if emphatic else REST)
    if nods:
        made.append(_nod(weight, tick, at, chance[9]))
    if chance[10] < (0.85 if emphatic else 0.1 + 0.15 * weight):
        made.append(_begun(Gesture("brow", 0.3 + 0.4 * weight, at - 6, at - 1, at + 3, at + 12), tick))
    return Found(tuple(made), nods)


def _nod(weight: float, tick: int, at: int, chance: float) -> Gesture:
    """Lowest at the accent; what is known late is quicker and smaller, and at the latest three pictures from now."""
    rise = min(RISE, max(LEAST_RISE, at - tick))
    depth = (NOD_DEG[0] + NOD_DEG[1] * weight) * (0.8 + 0.4 * chance) * rise / RISE
    top = max(at, tick + rise)
    return Gesture("pitch", depth, top - rise, top, top + 1, top + 1 + RISE * 3 // 2)


def _begun(gesture: Gesture, tick: int) -> Gesture:
    """A gesture never begins in the past: what is known late comes late."""
    late = max(0, tick - gesture.begin)
    if not late:
        return gesture
    return Gesture(gesture.part, gesture.size, tick, gesture.top + late, gesture.leave + late, gesture.end + late)
