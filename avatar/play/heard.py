"""What of a turn's speech the user has heard: counted in samples that were sent, told in words.

Pure: no clock, no sound. Where the voice engine gave word times they decide; elsewhere the share of the clause's sound
that was sent decides the share of its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from ..clock import AUDIO_RATE, AUDIO_SAMPLES
from ..types import Slice, Word

_LETTERS_PER_S = 14.0
"""Speaking rate assumed for a clause whose end is not known: common English text-to-speech speed."""
_LETTERS = ((re.compile("[\u3040-\u30ff]"), 2), (re.compile("[\u3400-\u9fff\uac00-\ud7af]"), 3))
"""What lasts longer than a Latin letter, and how many of them."""
_TORN_SHARE = 0.9
"""Of a clause that broke off later than its whole text should have taken, at most this much counts as heard."""
_TOKEN = re.compile(r"\S+\s*|\s+")
_PIECES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,2}[^\w\s]*\s*|[^\s\u3040-\u30ff\u3400-\u9fff]+\s*|\s+")
"""What is shown at a time of a text without word times: words, and two characters of scripts without spaces."""
_UNTIMED_AFTER = AUDIO_RATE // 5
"""A clause of whose sound this much was sent without any word's time will have none."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The part of a turn that was sent."""

    text: str
    seconds: float
    complete: bool
    """Everything that was queued has been sent."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a turn's speech."""

    clause: int
    sample: int
    """Of 48 kHz, from the beginning of the clause's sound."""
    words: tuple[Word, ...] = ()
    """The clause's words, as far as they are queued."""


@dataclass(slots=True)
class _Clause:
    text: str = ""
    queued: int = 0
    """Samples of 48 kHz sound."""
    played: int = 0
    whole: bool = False
    """Its last slice has been queued, so `queued` is its length."""
    torn: bool = False
    """Its voice broke off: `queued` is all that comes, and less than its length."""
    rate: float = _LETTERS_PER_S
    words: list[Word] = field(default_factory=list)
    told: int = 0
    """Words that were told without knowing their times."""

    @property
    def length(self) -> int:
        """Samples: exact once the clause is whole, else guessed from its text."""
        guess = round(_letters(self.text) / self.rate * AUDIO_RATE)
        if self.torn:
            return max(guess, round(self.queued / _TORN_SHARE))
        return self.queued if self.whole else max(self.queued, guess)


class HeardTracker:
    """Follows the slices of one turn."""

    def __init__(self) -> None:
        self._clauses: dict[int, _Clause] = {}

    def queued(self, piece: Slice) -> None:
        """A slice has entered the queue."""
        clause = self._clauses.get(piece.clause)
        if clause is None:
            clause = self._clauses[piece.clause] = _Clause(rate=self._rate())
        clause.text = clause.text or piece.text
        clause.words.extend(piece.words)
        clause.queued += AUDIO_SAMPLES
        clause.torn = clause.torn or piece.torn
        clause.whole = not clause.torn and (clause.whole or piece.clause_end)

    def played(self, piece: Slice) -> None:
        """A slice has been sent."""
        self._clauses[piece.clause].played += AUDIO_SAMPLES

    def unplayed(self, piece: Slice) -> None:
        """A slice that was sent did not arrive and will be sent again."""
        self._clauses[piece.clause].played -= AUDIO_SAMPLES

    def _rate(self) -> float:
        """Letters a second of the clauses that are whole."""
        whole = [clause for clause in self._clauses.values() if clause.whole]
        letters, samples = sum(_letters(clause.text) for clause in whole), sum(clause.queued for clause in whole)
        return letters * AUDIO_RATE / samples if letters and samples > AUDIO_RATE else _LETTERS_PER_S

    @property
    def begun(self) -> bool:
        """Something has been sent."""
        return any(clause.played for clause in self._clauses.values())

    def spoken(self, piece: Slice) -> tuple[Word, ...]:
        """The words that begin with this slice: the voice's own, or, where it gives none, what its share of the clause
        makes of the text. Counted in samples from the start of the clause's sound."""
        clause = self._clauses[piece.clause]
        last = piece.clause_end and not piece.torn
        if piece.words or clause.words or (clause.played <= _UNTIMED_AFTER and not last):
            return piece.words
        tokens = _PIECES.findall(clause.text)
        scale = clause.length / max(1, len(clause.text))
        words, position = [], sum(len(token) for token in tokens[: clause.told])
        for token in tokens[clause.told :]:
            begin, end = round(position * scale), round((position + len(token)) * scale)
            if begin >= clause.played and not last:
                break
            words.append(Word(token, begin, end))
            position += len(token)
        clause.told += len(words)
        return tuple(words)

    def position(self) -> Position:
        """One past the last sample that was sent."""
        index = max((i for i, clause in self._clauses.items() if clause.played), default=0)
        clause = self._clauses.get(index, _Clause())
        return Position(index, clause.played, tuple(clause.words))

    def rewind(self, index: int, sample: int) -> None:
        """Speech goes on from this sample of clause `index`: nothing after it was heard or waits."""
        self._clauses = {i: clause for i, clause in self._clauses.items() if i <= index}
        clause = self._clauses.get(index)
        if clause is not None and sample < clause.queued:
            clause.queued = clause.played = sample
            clause.whole = clause.torn = False
            clause.words = [word for word in clause.words if word.start < sample]
            clause.told = len(_PIECES.findall(_spoken(clause).rstrip()))

    def rest(self, index: int, sample: int) -> str:
        """The text of clause `index` from this sample on."""
        clause = self._clauses.get(index)
        if clause is None or sample <= 0:
            return "" if clause is None else clause.text
        cut = replace(clause, played=sample, whole=False)
        return clause.text[len(_spoken(cut).strip()) :].strip()

    def length_s(self, index: int) -> float:
        """How long clause `index` lasts in seconds, as far as can be known now."""
        return self._clauses[index].length / AUDIO_RATE

    def result(self) -> Heard:
        """What has been heard up to now."""
        clauses = [self._clauses[index] for index in sorted(self._clauses)]
        played = sum(clause.played for clause in clauses)
        text = "".join(_spoken(clause) for clause in clauses if clause.played)
        complete = all(clause.whole and clause.played == clause.queued for clause in clauses)
        return Heard(text.strip(), played / AUDIO_RATE, complete)


def _letters(text: str) -> int:
    """How long a text is, in spoken Latin letters."""
    return len(text) + sum((count - 1) * len(pattern.findall(text)) for pattern, count in _LETTERS)


def _spoken(clause: _Clause) -> str:
    """The heard beginning of a clause's text, whole words, with a space after it where one belongs."""
    if clause.whole and clause.played >= clause.queued:
        return _joined(clause.text)
    if clause.words:
        return _by_words(clause)
    return _prefix(clause.text, min(1.0, clause.played / clause.length) if clause.length else 1.0)


def _by_words(clause: _Clause) -> str:
    """Cuts the text after the last word of which more than half was sent."""
    count = sum(1 for word in clause.words if (word.start + word.end) // 2 < clause.played)
    position = 0
    for word in clause.words[:count]:
        found = clause.text.lower().find(word.text.lower(), position)
        if found >= 0:
            position = found + len(word.text)
    return _joined(clause.text[:position])


def _prefix(text: str, share: float) -> str:
    """The first words of `text` that make up `share` of its characters; for scripts without spaces, characters."""
    tokens = _TOKEN.findall(text)
    if len(tokens) <= 1 or not text.isascii():
        return _joined(text[: round(share * len(text))])
    wanted = share * len(text)
    kept: list[str] = []
    length = 0
    for token in tokens:
        if length + len(token) / 2 > wanted:
            break
        kept.append(token)
        length += len(token)
    return _joined("".join(kept))


def _joined(text: str) -> str:
    """A space after a piece that ends in a Latin character or mark, none after Japanese or Chinese."""
    text = text.strip()
    return text + " " if text and text[-1].isascii() else text
