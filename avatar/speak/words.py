"""Positions in the text that an engine spoke → the words of the clause as they were written."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..types import Word
from .language import CJK
from .traced import Traced

_TOKEN = re.compile(f"[^\\s{CJK}、。，！？；：「」『』（）—…]")
_OPENING = '「『（([“‘<"*'
_PHRASE_END = re.compile(r"(?:[.,;:!?](?=\W)|[、。，！？；：…])[\"'”’*_)\]）」』】、。，！？；：…]*\s*")
_LETTER = re.compile(r"[^\W_]")


class WordMap:
    """Turns an engine's word marks, in their order, into words that together are the clause's text: each word ends
    where the next begins, so it carries the punctuation and the space that follow it."""

    def __init__(self, source: str, traced: Traced) -> None:
        self._source = source
        self._traced = traced
        self._told = 0  # the source up to here has been given to words

    def words(self, marks: Iterable[tuple[int, int, int, int]]) -> list[Word]:
        """`marks` of whole phrases: (first character, one past the last, first sample, one past the last)."""
        words: list[Word] = []
        begins: list[int] = []  # where in the source each word begins
        for begin, end, start, stop in marks:
            first, upto = self._traced.source(begin, end)
            first = self._token_start(first)
            if words and first <= begins[-1]:  # a second spoken word for one written: "10:30", "3.14"
                words[-1] = Word("", words[-1].start, max(words[-1].end, stop))
                continue
            if not words and upto <= self._told:  # the same, across phrases
                continue
            begins.append(self._with_opening(first) if words else self._told)
            words.append(Word("", start, stop))
        if not words:
            return []
        # What follows the last word unannounced, up to the end of the phrase, is spoken with it.
        ends = [*begins[1:], self._phrase_end(max(begins[-1] + 1, upto))]
        self._told = ends[-1]
        return [Word(self._source[a:b], word.start, word.end) for word, a, b in zip(words, begins, ends, strict=True)]

    def _token_start(self, at: int) -> int:
        """Latin words are whole tokens, whatever the engine reads into them."""
        source = self._source
        while self._told < at < len(source) and _TOKEN.match(source[at]) and _TOKEN.match(source[at - 1]):
            at -= 1
        return at

    def _with_opening(self, at: int) -> int:
        """Opening brackets and quotes belong to the word that they precede."""
        while at > self._told and self._source[at - 1] in _OPENING:
            at -= 1
        return at

    def _phrase_end(self, at: int) -> int:
        found = _PHRASE_END.search(self._source, min(at, len(self._source)) - 1)
        return found.end() if found and _LETTER.search(self._source, found.end()) else len(self._source)
