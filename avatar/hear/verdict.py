"""What the voice and the words say of a pause, made one probability; and how far the voice is to be believed.

A voice is heard for its tone (`tone.py`) and by the turn model (`turn_model.py`). The model is nearly certain of
everything, and for voices unlike those that it was trained on it is often wrong: some it never takes for finished, some
always. A tone that falls at the ends of one speaker's turns falls nowhere for another. What became of each pause shows
that, so both scales are learnt for each speaker as log-odds are calibrated (Platt 1999): the middle between what is
said of ends and of pauses is 0, and it counts for as much as the two lie apart. A pure core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .completeness import UNKNOWN

_PRIOR = 1.5
"""Pauses and ends that a scale's published behaviour counts for: one strange sentence does not silence it."""
_DECAY = 0.95
"""What each counts for after the next one of its kind: about the last twenty matter."""
_MOST = 3.0
"""Log-odds beyond which certainty says nothing more."""
_UP = -0.6
"""Log-odds of a tone that has not fallen at all, at least: questions end high too, and are whole."""
_DEEPEST, _HIGHEST = 11.0, 0.0
"""Falls in semitones beyond which the tone says nothing more."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What is known of one pause so far."""

    voice: float | None = None
    """The turn model's probability, 0 to 1, that the turn is complete; None: not known."""
    words: float = UNKNOWN
    """The same by the words so far."""
    tone: float | None = None
    """Semitones by which the voice has fallen below its middle; None: not known."""


_MODEL = (0.12, -0.75, 2.25)
"""Weight of the turn model's log-odds, and what they are at pauses and at ends: of pauses it often says 0. It counts
for less than the words: on pauses inside read and synthesised sentences more of it cut more of them for the same delay.
"""
_TONE = (0.2, 4.0, 8.0)
"""The same for the fall in semitones. Three people in four languages have 7.8 to 9.8 at their ends; synthesised voices,
which are flatter, 2.4 to 4.3, and are soon known by that."""


class _Mean:
    """A mean that follows, with a prior."""

    def __init__(self, prior: float, weight: float = _PRIOR) -> None:
        self._sum, self._weight = weight * prior, weight

    def add(self, value: float) -> None:
        self._sum, self._weight = self._sum * _DECAY + value, self._weight * _DECAY + 1

    @property
    def value(self) -> float:
        return self._sum / self._weight


class Scale:
    """What one sign of an end means for one speaker."""

    def __init__(self, weight: float, pauses: float, ends: float) -> None:
        """`weight`: log-odds for each of its units while nothing speaks against it; `pauses` and `ends`: what it is
        like, as far as known before the speaker is."""
        self._weight, self._usual = weight, ends - pauses
        self._ends, self._pauses = _Mean(ends), _Mean(pauses)

    def learn(self, value: float, *, ended: bool) -> None:
        """A pause with this value was the end, or was not."""
        (self._ends if ended else self._pauses).add(value)

    @property
    def weight(self) -> float:
        """0 where it has told nothing of this speaker, up to the weight it began with."""
        apart = self._ends.value - self._pauses.value
        return self._weight * min(1.0, max(0.0, apart / self._usual))

    def odds(self, value: float) -> float:
        """The log-odds of an end."""
        return self.weight * (value - (self._ends.value + self._pauses.value) / 2)


class VoiceScale:
    """What the turn model's word and the tone mean for one speaker."""

    def __init__(self) -> None:
        self.model = Scale(*_MODEL)
        self.tone = Scale(*_TONE)

    def learn(self, advice: Advice, *, ended: bool) -> None:
        """A pause on which this was known was the end, or was not."""
        if advice.voice is not None:
            self.model.learn(_logit(advice.voice), ended=ended)
        if advice.tone is not None:
            self.tone.learn(_within(advice.tone), ended=ended)

    def weigh(self, advice: Advice) -> float:
        """The probability that the turn is complete, by all that is known."""
        odds = _logit(advice.words)
        if advice.voice is not None:
            odds += self.model.odds(_logit(advice.voice))
        if advice.tone is not None:
            odds += max(_UP, self.tone.odds(_within(advice.tone)))
        return 1 / (1 + math.exp(-odds))


def _within(tone: float) -> float:
    return max(_HIGHEST, min(_DEEPEST, tone))


def _logit(p: float) -> float:
    return max(-_MOST, min(_MOST, math.log(max(1e-6, p) / max(1e-6, 1 - p))))
