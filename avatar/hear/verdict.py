"""What the voice and the words say of a pause, made one probability; and how far the voice is to be believed.

The turn model is nearly certain of everything, and for voices unlike those that it was trained on it is often wrong:
some it never takes for finished, some always. What became of each pause shows that, so its scale is learnt for each
speaker as log-odds are calibrated (Platt 1999): the middle between what it says of ends and of pauses is 0, and it
counts for as much as the two lie apart. A pure core.
"""

from __future__ import annotations

import math

WEIGHT = 0.3
"""What the model's log-odds count for while nothing speaks against them: less than the words. On pauses inside read and
synthesised sentences more of it cut more of them for the same delay."""
_APART = 3.0
"""Distance in log-odds between ends and pauses at which the model has that weight: a fair recording's."""
_MIDDLE = 0.75
"""Log-odds between what it says of ends and of pauses, until the speaker is known: of pauses it often says 0."""
_PRIOR = 1.5
"""Pauses and ends that its published behaviour counts for: one strange sentence does not silence it."""
_MOST = 3.0
"""Log-odds beyond which certainty says nothing more."""
_DECAY = 0.95
"""What each counts for after the next one of its kind: about the last twenty matter."""


class _Mean:
    """A mean that follows, with a prior."""

    def __init__(self, prior: float) -> None:
        self._sum, self._weight = _PRIOR * prior, _PRIOR

    def add(self, value: float) -> None:
        self._sum, self._weight = self._sum * _DECAY + value, self._weight * _DECAY + 1

    @property
    def value(self) -> float:
        return self._sum / self._weight


class VoiceScale:
    """What the turn model's word means for one speaker."""

    def __init__(self) -> None:
        self._ends, self._pauses = _Mean(_MIDDLE + _APART / 2), _Mean(_MIDDLE - _APART / 2)

    def learn(self, complete: float, *, ended: bool) -> None:
        """The model gave this probability to a pause that was the end, or was not."""
        (self._ends if ended else self._pauses).add(_logit(complete))

    @property
    def weight(self) -> float:
        """0 where it has told nothing of this speaker, up to `WEIGHT`."""
        apart = self._ends.value - self._pauses.value
        return WEIGHT * min(1.0, max(0.0, apart / _APART))

    def weigh(self, voice: float | None, words: float) -> float:
        """The probability that the turn is complete, by the model (None: it has said nothing) and by the words."""
        odds = _logit(words)
        if voice is not None:
            odds += self.weight * (_logit(voice) - (self._ends.value + self._pauses.value) / 2)
        return 1 / (1 + math.exp(-odds))


def _logit(p: float) -> float:
    return max(-_MOST, min(_MOST, math.log(max(1e-6, p) / max(1e-6, 1 - p))))
