"""Where a clause asks for a nod, a raised brow or a blink: its words that stand out, and the ends of its phrases.

The text says which words those are (markup, capitals, what is new rather than grammar, the last weighty word of a
phrase) and where phrases end; the engine's phonemes say where the stressed vowel of such a word sounds, and its pauses
whether a phrase ends there indeed. A pure core.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..types import Accent, AccentKind, Phone, Word
from .language import primary

EMPHASISED, TELLING, LAST, PLAIN = 1.0, 0.7, 0.6, 0.35
"""Weights of a word that is marked as important, one that denies or measures, the last weighty one of its phrase, and
any other that is not grammar."""
ACCENTED = 0.15
"""Added where the voice itself raises its pitch."""
PAUSE_S = 0.05
"""Silence behind a word that makes its full stop or comma the end of a phrase: "Dr. Smith" has none."""

_NOD_AT_END = {"ja": 0.6, "ko": 0.5}
"""How much speakers nod where their phrases end, where that is more than the usual."""
_USUAL_NOD = 0.15

_MARKED = re.compile(r"(?<![A-Za-z0-9*_])(\*{1,3}|_{1,3})(?=\S)([^*_\n]+?)(?<=\S)\1(?![A-Za-z0-9])")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_CLOSING = "\"')\\]}*_~”’»›」』】）〉》"
_QUESTION = re.compile(f"[?？]+[!！?？]*[{_CLOSING}]*(?=\\W|$)|[?？]")
_SENTENCE = re.compile(f"(?:(?<![?？.!…])[.!…]+[{_CLOSING}]*(?=\\s|$)|[。！｡]+)")
_PHRASE = re.compile(f"(?:[,;:—–][{_CLOSING}]*(?=\\s|$)|[、，；：])")
_ASKING_JA = re.compile(r"(?:です|ます|でしょう|ません|ました|でした|ません)か$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GRAMMAR = (
    _words("a an the and or but nor so if then than that which who whom whose as while because though although until")
    | _words("at by for from in into of off on onto out over to up with about after before between through under")
    | _words("i you he she it we they me him her us them my your his its our their mine yours hers ours theirs")
    | _words("this these those there here is are was were am be been being do does did have has had having")
    | _words("can could may might shall should will would must let just also too how what when where why")
    | _words("i'm you're he's she's it's we're they're i've you've we've they've i'll you'll he'll she'll it'll we'll")
    | _words("they'll i'd you'd he'd she'd we'd they'd that's there's let's what's who's oh ah um uh well")
)
"""English words that carry no stress of their own as a rule."""
_TELLING = (
    _words("no not never none nothing nobody nowhere cannot can't don't doesn't didn't won't isn't aren't wasn't")
    | _words("wouldn't couldn't shouldn't very really much always only all every absolutely exactly definitely")
    | _words("certainly most best worst first last great huge tiny wonderful terrible amazing important")
)
_DENSE = frozenset({"ja", "zh", "ko", "th"})


@dataclass(frozen=True, slots=True)
class Stress:
    """Characters of the text that stand out."""

    begin: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class End:
    """The mark that ends a phrase, as a position in the text."""

    at: int
    kind: AccentKind


def stresses(text: str, language: str) -> list[Stress]:
    """The words of a text that stand out, with their weights."""
    marked = [match.span(2) for match in _MARKED.finditer(text)]
    shouted = sum(c.islower() for c in text) < sum(c.isupper() for c in text)
    ends_at = [end.at for end in ends(text, language)]
    found: list[Stress] = []
    for match in _WORD.finditer(text):
        begin, end = match.span()
        word = match[0]
        low = word.lower().replace("’", "'")
        loud = word.isupper() and not shouted and (len(word) > 3 or (len(word) > 1 and low in _GRAMMAR | _TELLING))
        if loud or any(a < end and begin < b for a, b in marked):
            weight = EMPHASISED
        elif language == "en":
            weight = 0.0 if low in _GRAMMAR else TELLING if low in _TELLING or word[0].isdigit() else PLAIN
        else:  # elsewhere the little words are grammar, and writing without spaces shows none
            weight = PLAIN if language in _DENSE or len(word) > 3 or word[0].isdigit() else 0.0
        if weight:
            found.append(Stress(begin, end, weight))
    if language in ("ja", "ko"):  # their sentences end with the verb, which is rarely what matters most
        return found
    for begin, at in pairwise([0, *ends_at, len(text)]):
        if phrase := [i for i, stress in enumerate(found) if begin <= stress.begin and stress.end <= at]:
            last = found[phrase[-1]]
            found[phrase[-1]] = Stress(last.begin, last.end, max(LAST, last.weight))
    return found


def ends(text: str, language: str) -> list[End]:
    """Where phrases and sentences may end by their punctuation, in order."""
    kinds: list[tuple[re.Pattern[str], AccentKind]] = [
        (_QUESTION, "question"),
        (_SENTENCE, "sentence"),
        (_PHRASE, "phrase"),
    ]
    found: dict[int, AccentKind] = {}
    for pattern, kind in kinds:
        for match in pattern.finditer(text):
            asks = kind == "sentence" and language == "ja" and _ASKING_JA.search(text[: match.start()])
            found.setdefault(match.start(), "question" if asks else kind)
    return [End(at, kind) for at, kind in sorted(found.items())]


class Accents:
    """Turns the words and phonemes of a clause, as the engine tells them, into accents."""

    def __init__(self, text: str, language: str, rate: int) -> None:
        """`rate` in Hz, of the sound that the marks count in."""
        self._language = primary(language)
        self._length = len(text.rstrip())
        self._stresses = stresses(text, self._language)
        self._ends = ends(text, self._language)
        self._pause = round(PAUSE_S * rate)
        self._told = 0
        """Characters of the text that words were given of."""

    def place(self, words: Sequence[Word], phones: Sequence[Phone]) -> list[Accent]:
        """The accents of the next words, in order. `phones` are of the same stretch."""
        found: list[Accent] = []
        for index, word in enumerate(words):
            begin, self._told = self._told, self._told + len(word.text)
            weight = max((s.weight for s in self._stresses if s.begin < self._told and begin < s.end), default=0.0)
            if weight and (accent := self._stress(word, phones, weight)) is not None:
                found.append(accent)
            following = words[index + 1] if index + 1 < len(words) else None
            pause = following is None or following.start - word.end >= self._pause
            if pause and (kind := self._end(begin)) is not None:
                found.append(self.end(kind, word.end))
        return found

    def at_end(self, sample: int) -> Accent | None:
        """The accent of the clause's own end, of a voice that tells no words."""
        closing = [end for end in self._ends if end.at >= self._length - 4]
        return self.end(closing[-1].kind, sample) if closing else None

    def end(self, kind: AccentKind, sample: int) -> Accent:
        return Accent(kind, sample, _NOD_AT_END.get(self._language, _USUAL_NOD))

    def _end(self, begin: int) -> AccentKind | None:
        """What ends with the word of those characters. The strongest of several: "word…, "."""
        kinds = [end.kind for end in self._ends if begin <= end.at < self._told]
        return next((kind for kind in ("question", "sentence", "phrase") if kind in kinds), None)

    def _stress(self, word: Word, phones: Sequence[Phone], weight: float) -> Accent | None:
        own = [phone for phone in phones if word.start <= phone.start < word.end and phone.ipa]
        strong = [phone for phone in own if "ˈ" in phone.ipa]
        if strong:
            chosen = max(strong, key=lambda phone: phone.ipa.count("ˈ"))
            raised = "ˈˈ" in chosen.ipa and weight < EMPHASISED
            return Accent(
                "stress", (chosen.start + chosen.end) // 2, round(min(0.95, weight + ACCENTED), 2) if raised else weight
            )
        if any("ˈ" in phone.ipa for phone in phones) and weight < EMPHASISED:
            return None  # the voice stresses others
        vowels = [phone for phone in own if _is_vowel(phone.ipa)]
        if vowels:
            return Accent("stress", (vowels[0].start + vowels[0].end) // 2, weight)
        return Accent("stress", word.start + (word.end - word.start) * 2 // 5, weight)


_VOWELS = frozenset("aeiouyɑɐæʌəɜɚɝɛɪɔɒʊɯɨʉøœɘɤ")


def _is_vowel(ipa: str) -> bool:
    return any(sign in _VOWELS for sign in ipa)
