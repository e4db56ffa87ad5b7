"""Spoken arithmetic: "twelve times seven", 「12足す3は?」. Pure; no `eval`."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

MAX_TERMS = 12
"""Longer is not something that people say."""
MAX_CHARS = 200
MAX_VALUE = 10**15
"""Above it no voice reads a number in a way that anyone follows."""
MAX_EXPONENT = 50

_TEENS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TIES = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_TEENS.split())}
_TENS = {word: 20 + 10 * step for step, word in enumerate(_TIES.split())}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_KANJI = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0}
_KANJI_SCALES = {"十": 10, "百": 100, "千": 1_000}
_KANJI_GROUPS = {"万": 10_000, "億": 100_000_000}

_WORDS = (
    (r"multiplied by|times|かける|掛ける|×", "*"),
    (r"divided by|over|割る|わる|÷", "/"),
    (r"to the power of|の?べき乗", "^"),
    (r"percent of|%\s*of|パーセントの|%の", "%"),
    (r"plus|足す|たす|プラス", "+"),
    (r"minus|take away|引く|ひく|マイナス|−", "-"),
    (r"squared|の?二乗|の?2乗", "^2"),
    (r"cubed|の?三乗|の?3乗", "^3"),
    (r"\bx\b|(?<=\d)x(?=\d)", "*"),
)
_DIGIT_GROUPS = re.compile(r"\s*\d+(?:-\d+){2,}\s*|\s*\d+(?:/\d+){2,}\s*")
"""A telephone number or a date."""
_ASKING = re.compile(
    r"^(?:so |and |please |can you |could you |tell me |hey |okay |ok )*"
    r"(?:what is|what's|whats|what does|how much is|how much are|calculate|compute|work out|add up|solve)?\s*"
)
_TAIL = re.compile(
    r"(?:は|って)?\s*(?:いくつ|いくら|何|なに|なん|幾つ|答え)?(?:ですか|でしょうか|になりますか|になる|かな|を?計算して(?:ください)?)?"
    r"\s*(?:equal to|equals?|make|come to|is)?\s*[=?!.。?、]*\s*$"
)


class DividedByZero(ArithmeticError):
    pass


def solve(text: str) -> Fraction | None:
    """The value of the sum that `text` asks for; None when it asks for none. Raises `DividedByZero`."""
    if len(text) > MAX_CHARS:
        return None
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    if _DIGIT_GROUPS.fullmatch(text):
        return None
    text = _TAIL.sub("", _ASKING.sub("", text.strip()))
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text)  # twenty-one
    for words, sign in _WORDS:
        text = re.sub(words, f" {sign} ", text)
    tokens = _tokens(text)
    if tokens is None or not any(isinstance(t, str) and t in "+-*/^%" for t in tokens[1:]):
        return None
    if sum(isinstance(t, Fraction) for t in tokens) > MAX_TERMS:
        return None
    parser = _Parser(tokens)
    value = parser.sum()
    if value is None or parser.tokens or abs(value) > MAX_VALUE:
        return None
    return value


def spoken(value: Fraction, *, about: str) -> str:
    """The value in digits, at most four of them behind the point, led by `about` where they are rounded."""
    if value.denominator == 1:
        return str(value.numerator)
    rounded = f"{float(value):.4f}".rstrip("0").rstrip(".")
    return rounded if Fraction(rounded) == value else f"{about}{rounded}"


def _tokens(text: str) -> list[Fraction | str] | None:
    """Numbers and signs; None where anything else stands in the text."""
    out: list[Fraction | str] = []
    run: list[str] = []
    pattern = r"\d[\d,]*(?:\.\d+)?|[零〇一二三四五六七八九十百千万億]+|[a-z]+|[-+*/^%()]|\S"
    for token in [*re.findall(pattern, text), ""]:
        if token in _UNITS or token in _TENS or (run and (token in _SCALES or token == "and")):
            run.append(token)
            continue
        if run:
            number = _english(run)
            if number is None:
                return None
            out.append(number)
            run = []
        if not token:
            break
        if token[0].isdigit() and token[0].isascii():
            out.append(Fraction(token.replace(",", "")))
        elif token[0] in "零〇一二三四五六七八九十百千万億":
            out.append(Fraction(_kanji(token)))
        elif token in "-+*/^%()":
            out.append(token)
        else:
            return None
    return out


def _english(words: list[str]) -> Fraction | None:
    total = group = 0
    for word in words:
        if word in _UNITS:
            group += _UNITS[word]
        elif word in _TENS:
            group += _TENS[word]
        elif word == "hundred":
            group *= 100
        elif word in _SCALES:
            total, group = total + group * _SCALES[word], 0
    return Fraction(total + group) if words[-1] != "and" else None


def _kanji(text: str) -> int:
    total = group = 0
    digit: int | None = None
    for char in text:
        if char in _KANJI:
            digit = _KANJI[char] if digit is None else digit * 10 + _KANJI[char]
        elif char in _KANJI_SCALES:
            group, digit = group + (1 if digit is None else digit) * _KANJI_SCALES[char], None
        else:
            total, group, digit = total + max(1, group + (digit or 0)) * _KANJI_GROUPS[char], 0, None
    return total + group + (digit or 0)


class _Parser:
    """Sums of products of powers, the usual precedence. None stands for what is no sum."""

    def __init__(self, tokens: list[Fraction | str]) -> None:
        self.tokens = tokens

    def _next(self, signs: str) -> str:
        if self.tokens and isinstance(self.tokens[0], str) and self.tokens[0] in signs:
            return str(self.tokens.pop(0))
        return ""

    def sum(self) -> Fraction | None:
        left = self._product()
        while left is not None and (sign := self._next("+-")):
            right = self._product()
            if right is None:
                return None
            left = left + right if sign == "+" else left - right
        return left

    def _product(self) -> Fraction | None:
        left = self._power()
        while left is not None and (sign := self._next("*/%")):
            right = self._power()
            if right is None:
                return None
            if sign == "/":
                if not right:
                    raise DividedByZero
                left /= right
            else:
                left = left * right / (100 if sign == "%" else 1)
            if abs(left) > MAX_VALUE:
                return None
        return left

    def _power(self) -> Fraction | None:
        if self._next("-"):
            value = self._power()
            return None if value is None else -value
        base = self._atom()
        while base is not None and self._next("^"):
            exponent = self._atom()
            if exponent is None or exponent.denominator != 1 or not 0 <= exponent <= MAX_EXPONENT:
                return None
            base = base ** int(exponent)
            if abs(base) > MAX_VALUE:
                return None
        return base

    def _atom(self) -> Fraction | None:
        if self._next("("):
            value = self.sum()
            return value if self._next(")") else None
        if self.tokens and isinstance(self.tokens[0], Fraction):
            return Fraction(self.tokens.pop(0))
        return None
