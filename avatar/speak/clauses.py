"""Cuts a reply into clauses while it is still being written, so that each is spoken as soon as it is whole.

The first clause is short, because sound starts with it; later ones are longer, because a voice phrases better what it
sees whole. Every decision looks at the text up to a bounded look-ahead and never at how it arrived, so any chunking
of the same text gives the same clauses.
"""

from __future__ import annotations

from ..types import Clause
from .language import language_of, primary
from .scan import LETTER, WIDE_SOFT, WIDE_STOPS, Scan
from .spoken import speakable

__all__ = ["ClauseSplitter", "language_of", "speakable"]


class ClauseSplitter:
    """Streaming text in, finished clauses out. Every character but the space between clauses comes out exactly once.

    What is never said (code, an emoji) stays with what follows it, so a clause has something to say, unless nothing
    in the whole rest has.
    """

    def __init__(self, turn_id: str, language: str = "auto") -> None:
        """`language`: BCP 47 tag that decides where the script does not, or "auto"."""
        self._turn_id = turn_id
        self._language = "en" if language == "auto" else primary(language)
        self._auto = language == "auto"
        self._dense = self._language if self._language in ("ja", "zh") else ""
        self._scan = Scan("", 0, self._language)
        self._index = 0

    def push(self, text: str) -> list[Clause]:
        """Takes more of the reply, returns the clauses that it completed."""
        self._scan.text += text
        return self._take(final=False)

    def finish(self) -> list[Clause]:
        """The reply is over: the clauses that are left."""
        clauses = self._take(final=True)
        rest = self._scan.text.strip()
        self._scan = Scan("", self._index, self._language)
        if rest:
            clauses.append(self._clause(rest))
        return clauses

    def _take(self, *, final: bool) -> list[Clause]:
        clauses: list[Clause] = []
        while True:
            scan = self._scan
            if not scan.position:
                scan.text = scan.text.lstrip()
            cut = scan.cut(final=final)
            if cut is None:
                return clauses
            clauses.append(self._clause(scan.text[:cut].strip()))
            self._scan = Scan(scan.text[cut:], self._index, self._language)

    def _clause(self, text: str) -> Clause:
        language = self._judge(text)
        clause = Clause(text=text, index=self._index, turn_id=self._turn_id, language=language)
        self._index += 1
        return clause

    def _judge(self, text: str) -> str:
        found = language_of(text, self._language)
        if found == "zh" and self._dense:
            found = language_of(text, self._dense)
        if found not in ("ja", "zh") and self._dense and _is_aside(text, self._language):
            found = self._dense
        if LETTER.search(text):
            if found in ("ja", "zh"):
                self._dense = found
            if self._auto:
                self._language = found  # what was spoken last decides where the script does not
        return found


def _is_aside(text: str, language: str) -> bool:
    """Latin words that Japanese or Chinese takes in: "OK。", "GitHub"."""
    words = len(text.split())
    wide = any(c in WIDE_STOPS + WIDE_SOFT for c in text)
    return (wide and words < 4) or (language in ("ja", "zh") and words < 2)
