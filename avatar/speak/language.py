"""Which language a text is in, judged by its script."""

from __future__ import annotations

import re
from functools import cache

KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9d"
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3005\u3007\U00020000-\U0003ffff"
HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7af"
CJK = KANA + HAN + HANGUL
"""Character classes for regular expressions: what is written without spaces (Hangul has them, and is as dense)."""

_KANA = re.compile(f"[{KANA}]")
_HAN = re.compile(f"[{HAN}]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")

_BY_SCRIPT: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(f"[{ranges}]"), languages)
    for ranges, languages in (
        (HANGUL, ("ko",)),
        ("\u0400-\u04ff", ("ru", "uk", "bg", "sr", "be", "kk", "mk", "ky", "tt")),
        ("\u0370-\u03ff\u1f00-\u1fff", ("el",)),
        ("\u0590-\u05ff", ("he",)),
        ("\u0600-\u06ff\u0750-\u077f", ("ar", "fa", "ur")),
        ("\u0900-\u097f", ("hi", "mr", "ne")),
        ("\u0980-\u09ff", ("bn",)),
        ("\u0b80-\u0bff", ("ta",)),
        ("\u0c00-\u0c7f", ("te",)),
        ("\u0e00-\u0e7f", ("th",)),
        ("\u10a0-\u10ff", ("ka",)),
        ("\u0530-\u058f", ("hy",)),
    )
)
"""Scripts other than Latin, kana and Han, with the languages written in them; the first is the guess."""
_NOT_LATIN = frozenset({"ja", "zh", *(name for _, names in _BY_SCRIPT for name in names)} - {"sr"})


def primary(tag: str) -> str:
    """The primary subtag of a BCP 47 tag, with Mandarin under its macrolanguage: "en-US" → "en", "cmn" → "zh"."""
    name = re.split("[-_]", tag.strip().lower(), maxsplit=1)[0]
    return "zh" if name in ("cmn", "yue") else name


@cache
def _writes(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _han_only(text: str, default: str) -> str:
    """Characters that only one side writes decide: the national character sets know which those are."""
    japanese = chinese = 0
    for character in _HAN.findall(text):
        in_japan = _writes(character, "shift_jis")
        in_china = _writes(character, "gb2312") or _writes(character, "big5")
        japanese += in_japan and not in_china
        chinese += in_china and not in_japan
    if japanese != chinese:
        return "ja" if japanese > chinese else "zh"
    return default if default in ("ja", "zh") else "zh"


def language_of(text: str, default: str = "en") -> str:
    """The BCP 47 primary tag of the language that `text` is most likely in.

    Any kana makes it Japanese; Han alone is `default` where that is Japanese or Chinese, unless its characters are
    written in one of the two only. Latin letters are `default` where that is written with them, else English. A text
    without letters is `default`.
    """
    default = primary(default) or "en"
    if _KANA.search(text):
        return "ja"
    counts = {languages: len(pattern.findall(text)) for pattern, languages in _BY_SCRIPT}
    languages, most = max(counts.items(), key=lambda item: item[1])
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    if han and 3 * han >= max(most, latin):  # a Han character weighs what three letters do
        return _han_only(text, default)
    if most and most >= latin:
        return default if default in languages else languages[0]
    if latin:
        return "en" if default in _NOT_LATIN else default
    return default
