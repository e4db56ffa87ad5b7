"""Finds where a clause ends in a text that is still growing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import lexicon
from .language import CJK, HAN, HANGUL, KANA, language_of


@dataclass(frozen=True, slots=True)
class _Lengths:
    """When a clause may end, in units of a spoken Latin letter (about 1/15 s)."""

    sentence: int
    """The end of a sentence is taken from here on; a shorter one waits for its neighbour."""
    soft: int
    """A comma is taken from here on."""
    limit: int
    """No clause is longer, punctuation or not."""


_LENGTHS = (
    _Lengths(sentence=1, soft=9, limit=80),
    _Lengths(sentence=20, soft=40, limit=140),
    _Lengths(sentence=40, soft=90, limit=200),
)
"""By the clause's index; the last goes on. "Of course," and 「こんにちは、」 pass as a first clause, "Well," and
「はい、」 wait: alone they are over before anything else can follow. 200 units are 13 s of speech."""

_WEIGHTS = ((re.compile(f"[{KANA}]"), 2), (re.compile(f"[{HAN}{HANGUL}]"), 3))
_TOKEN_WEIGHT = 20
"""What a run without spaces weighs at most: a longer one is an address, of which only the host is said."""

_FENCE = re.compile(r"(?:^|(?<=\n))[ \t]*(`{3,}|~{3,})[^`\n]*(?=\n)")
_FENCE_TO_COME = re.compile(r"(?:^|(?<=\n))[ \t]*(?:`{0,2}|~{0,2}|(?:`{3,}|~{3,})[^`\n]*)$")
_STOPS = ".!?…"
WIDE_STOPS = "。！？｡"
_SOFT = ",;:"
WIDE_SOFT = "、，；：､"
_CLOSERS = "\"')]}*_`~”’»›」』】）〉》〕］"
_JAPANESE_QUOTE_GOES_ON = re.compile("[」』)）][ぁ-んー、，,と]")
_IS_CJK = re.compile(f"[{CJK}]")
LETTER = re.compile(r"[^\W_]")
_NOT_SPACE = re.compile(r"\S")
_MARK_OF_LINE = re.compile(r"[-*+•・●■#>|`~]|\d{1,3}[.)]")

_MAY_END = frozenset(
    ("etc.", "al.", "inc.", "ltd.", "corp.", "co.", "jr.", "sr.", "st.", "a.m.", "p.m.", "u.s.", "u.k.", "u.n.", "e.u.")
)
"""Abbreviations that end a sentence where a capital follows."""
_NEVER_ENDS = frozenset(map(str.lower, lexicon.ABBREVIATIONS_EN)) - _MAY_END | {"cf.", "ca.", "z.b.", "d.h.", "bzw."}
_BEFORE_NUMBERS = frozenset(map(str.lower, lexicon.BEFORE_NUMBERS_EN))
_INITIALS = re.compile(r"(?:[a-z]\.)+", re.IGNORECASE)

_MAX_RUN = 40
"""Stops, closers or spaces in a row that are looked at together: every piece that comes would look at all again."""
_MAX_TOKEN = 500
"""Characters of a run without spaces that is kept whole."""


class Scan:
    """The search for the end of the clause that starts the text; it goes on where it stood when text is added."""

    def __init__(self, text: str, index: int, language: str) -> None:
        self.text = text
        self.position = 0
        """Everything before it has been judged."""
        self._lengths = _LENGTHS[min(index, len(_LENGTHS) - 1)]
        self._language = language
        self._final = False
        self._weights = [0]
        """Entry i is the length of text[:i] in spoken units, as far as the scan has come."""
        self._token = self._token_begin = 0
        self._short: int | None = None
        """The end of a sentence that is too short to go alone."""
        self._soft: int | None = None
        """The last comma that is far enough in."""
        self._fence_from = 0

    def cut(self, *, final: bool) -> int | None:
        """Where the clause ends, or None while that depends on what has not come yet."""
        self._final = final
        while self.position < len(self.text):
            if fence := _FENCE.match(self.text, self.position):
                after = self._skip_fence(fence)
                if after is None:
                    return None
                self._weights += [self._weights[-1]] * (after - self.position)
                self.position = after
                continue
            if not final and _FENCE_TO_COME.match(self.text, self.position):
                return None
            end, kind = self._ends_at(self.position) or (self.position + 1, "")
            if kind == "wait":
                return None
            self._weigh(end)
            cut = self._decide(end, kind)
            if cut is not None:
                return cut
            self.position = end
        return None

    def _decide(self, end: int, kind: str) -> int | None:
        lengths, weight = self._lengths, self._weights[end]
        if weight > lengths.limit or end - self._token_begin >= _MAX_TOKEN:
            return self._forced(end)
        if not weight or not kind:
            return None
        changed = self._short is not None and self._differ(self._short, end)
        if kind == "sentence":
            if changed or weight >= lengths.sentence:
                return self._short if changed else end
            self._short = end
        else:
            if weight >= lengths.soft:
                return self._short if changed else end
            if 3 * weight >= lengths.limit:
                self._soft = end
        return None

    def _weigh(self, end: int) -> None:
        """Extends the weights up to `end`."""
        for index in range(len(self._weights) - 1, end):
            character = self.text[index]
            unit = next((w for pattern, w in _WEIGHTS if pattern.match(character)), 0)
            if unit or character.isspace():
                self._token, self._token_begin = 0, index + 1
                unit = unit or (index > 0 and not self.text[index - 1].isspace())
            elif LETTER.match(character):
                self._token += 1
                unit = self._token <= _TOKEN_WEIGHT
            self._weights.append(self._weights[-1] + unit)

    def _differ(self, middle: int, end: int) -> bool:
        head, tail = self.text[:middle], self.text[middle:end]
        if not LETTER.search(tail):
            return False
        return language_of(head, self._language) != language_of(tail, self._language)

    def _skip_fence(self, fence: re.Match[str]) -> int | None:
        """One past a block of code, which is kept whole; None while it is open."""
        close = re.compile(rf"\n[ \t]*{re.escape(fence[1])}[`~]*[ \t]*(?=\n|$)")
        found = close.search(self.text, max(fence.end(), self._fence_from))
        if found is None or (found.end() == len(self.text) and not self._final):
            self._fence_from = max(fence.end(), self.text.rfind("\n", 0, len(self.text) - 1))
            return len(self.text) if self._final else None
        return found.end()

    def _next(self, position: int) -> str | None:
        """The first character that is not a space from `position` on: "" at the end of the reply, None: not known."""
        found = _NOT_SPACE.search(self.text, position)
        return found[0] if found else "" if self._final else None

    def _at(self, position: int) -> str | None:
        """The character there, as `_next`."""
        if position < len(self.text):
            return self.text[position]
        return "" if self._final else None

    def _ends_at(self, position: int) -> tuple[int, str] | None:
        """(end, kind) of a boundary that starts at `position`: "sentence", "soft", "" for none before `end`, or "wait"
        for more text."""
        character = self.text[position]
        if character == "\n":
            return self._line_end(position)
        if character in WIDE_STOPS or character in _STOPS:
            return self._stop(position)
        if character in WIDE_SOFT or character in _SOFT or character == "—":
            return self._comma(position)
        return None

    def _line_end(self, position: int) -> tuple[int, str] | None:
        most = min(len(self.text), position + _MAX_RUN)
        end = position
        while end < most and self.text[end].isspace():
            end += 1
        if end == position + _MAX_RUN and (last := self.text.rfind("\n", position + 1, end)) > 0:
            return last + 1, "sentence"
        if end == len(self.text) and not self._final:
            return position, "wait"
        line = self.text[:position].rsplit("\n", 1)[-1].strip()
        if not line or end == len(self.text):
            return None if not line else (position + 1, "sentence")
        rest = self.text[end:]
        blank = self.text[position:end].count("\n") > 1
        if not blank and rest[0].islower() and not rest[0].isdigit():
            # Prose that was wrapped at a column goes on; a list's item does not.
            return None if not _MARK_OF_LINE.match(rest) else (position + 1, "sentence")
        return position + 1, "sentence"

    def _stop(self, position: int) -> tuple[int, str] | None:
        text = self.text
        most = min(len(text), position + _MAX_RUN)
        end = position
        while end < most and text[end] in _STOPS + WIDE_STOPS:
            end += 1
        stops = text[position:end]
        while end < most and text[end] in _CLOSERS:
            end += 1
        if end == position + _MAX_RUN:
            return end, ""
        after = self._at(end)
        if after is None:
            return position, "wait"
        wide = any(c in WIDE_STOPS for c in stops)
        before = text[position - 1] if position else ""
        if not wide:
            dense = bool(_IS_CJK.match(before)) and bool(_IS_CJK.match(after)) and set(stops) & set("!?…")
            if after and not after.isspace() and not dense:
                return None
        if end > position + len(stops) and _JAPANESE_QUOTE_GOES_ON.match(text[end - 1] + after):
            return end, "soft"  # 「はい。」と言った
        if stops in ("...", "…", "……") or set(stops) <= {"…"}:
            follows = self._next(end)
            if follows is None:
                return position, "wait"
            return end, "soft" if follows and not (follows.isupper() or _IS_CJK.match(follows)) else "sentence"
        if stops == "." and end == position + 1:
            return self._point(position)
        return end, "sentence"

    def _point(self, position: int) -> tuple[int, str] | None:
        """A single point before a space: the end of a sentence, an abbreviation, or the number of a list's item."""
        text = self.text
        begin = position
        while begin and not text[begin - 1].isspace() and text[begin - 1] not in "(（[「\"“'":
            begin -= 1
        word = text[begin : position + 1]
        line_start = not text[:begin].rsplit("\n", 1)[-1].strip(" \t*_>-")
        if line_start and re.fullmatch(r"\d{1,3}\.|[A-Za-z]\.|[ivxIVX]{1,4}\.", word) and word != "I.":
            return None
        lowered = word.lower()
        if lowered in _NEVER_ENDS or (len(word) == 2 and word[0].isupper() and word != "I."):
            return (position + 1, "sentence") if self._next(position + 1) == "" else None
        if lowered in _BEFORE_NUMBERS:
            follows = self._next(position + 1)
            if follows is None:
                return position, "wait"
            return None if follows.isdigit() else (position + 1, "sentence")
        if lowered in _MAY_END or (_INITIALS.fullmatch(word) and len(word) > 2):
            follows = self._next(position + 1)
            if follows is None:
                return position, "wait"
            capital = follows == "" or follows.isupper() or bool(_IS_CJK.match(follows))
            ends = capital and lowered not in ("u.s.", "u.k.", "u.n.", "e.u.", "st.")
            return (position + 1, "sentence") if ends or follows == "" else None
        return position + 1, "sentence"

    def _comma(self, position: int) -> tuple[int, str] | None:
        most = min(len(self.text), position + _MAX_RUN)
        end = position + 1
        while end < most and self.text[end] in _CLOSERS:
            end += 1
        if end == position + _MAX_RUN:
            return end, ""
        after = self._at(end)
        if after is None:
            return position, "wait"
        if self.text[position] in WIDE_SOFT or self.text[position] == "—":
            return end, "soft"
        return (end, "soft") if after.isspace() or after == "" else None

    def _forced(self, end: int) -> int:
        """Where to cut text that is too long: at punctuation seen before, else at a space, else between scripts."""
        if self._short or self._soft:
            return self._short or self._soft or end
        last = end - 1
        space = self.text.rfind(" ", 0, last + 1)
        if space > 0 and (
            3 * self._weights[space] >= self._lengths.limit or not _IS_CJK.search(self.text, space, last)
        ):
            return space
        return _between_words(self.text, last) if _IS_CJK.search(self.text, 0, end) else end


def _between_words(text: str, last: int) -> int:
    """A good place at or before `last` in text without spaces: after kana before another script, as a particle ends
    a Japanese phrase."""
    for index in range(last, max(last // 2, 1), -1):
        if re.match("[ぁ-ん]", text[index - 1]) and re.match(f"[{HAN}ァ-ヺA-Za-z0-9「『（(]", text[index]):
            return index
    index = last
    while index > 1 and (
        text[index] in _CLOSERS + WIDE_STOPS + WIDE_SOFT + "ーぁぃぅぇぉっゃゅょァィゥェォッャュョ"
        or not text[index].isprintable()
    ):
        index -= 1
    return index
