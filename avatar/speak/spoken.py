"""What is said aloud of a text: markdown, emoji, URLs, code, numbers and symbols are turned into words or dropped.

Everything is a rewrite of a `Traced` text, so that the times of spoken words can be told back to the words as they
were written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from . import lexicon
from .language import CJK, HAN, KANA, primary
from .traced import Part, Traced

MAX_CHARACTERS = 10_000
"""The contract's limit for a text (`POST /sessions/{id}/say`)."""

_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299\u00a9\u00ae\u2122"
    "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]+"
)
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
_EMOTICON = re.compile(r"(?<![^\s])[:;=][-o'^]?[)(\]\[dDpPoO/\\|3*](?![^\s.,!?])")
_KAOMOJI = re.compile(f"[(（][^()（）A-Za-z0-9\\s{KANA}{HAN}]{{2,12}}[)）]")
_LAUGH = re.compile(f"(?<=[{CJK}。！!？?])[wｗ]{{1,}}(?=$|[\\s。、！!])")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff\ud800-\udfff]"
)
_FENCE = re.compile(r"(?:^|\n)[ \t]*(```|~~~).*?(?:\1[`~]*|\Z)", re.DOTALL)
_RULE = re.compile(r"(?m)^[ \t]*(?:[-*_=][ \t]*){3,}$|^[ \t]*\|?(?:[ \t]*:?-{2,}:?[ \t]*\|)+(?:[ \t]*:?-*:?[ \t]*)$")
_LINE_MARK = re.compile(
    r"(?m)^[ \t]*(?:>[ \t]?)*(?:#{1,6}[ \t]+|[-*+•‣◦▪][ \t]+(?:\[[ xX]\][ \t]+)?|>[ \t]?|[・●■◆▶][ \t]*)"
)
_NUMBERED = re.compile(r"(?m)^[ \t]*(\d{1,3})[.)．、）][ \t]*(?=\D)")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"\n]*\")?\)")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]|(?<=[^\s\[(])\[\d{1,3}\](?!\()|【\d+[^】]*】")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]{0,200})?/?>|<!--.*?-->", re.DOTALL)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>")
EMPHASIS = re.compile(r"(\*{1,3}|~~|(?<![A-Za-z0-9])_{1,3})(?=\S)([^*~\n]*?\S)\1(?![A-Za-z0-9]*_)")
_TIMES = re.compile(r"(?<=\d)\s?\*\s?(?=\d)")
_CODE = re.compile(r"(`+)([^`\n]*)\1")

_URL = re.compile(
    r"(?:(?:https?|ftp)://|mailto:|www\.)"
    r"(?:[A-Za-z0-9._~%+-]+@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)(?::\d+)?"
    r"(?:[/?#][A-Za-z0-9._~:/?#\[\]@!$&'*+,;=%()-]*)?",
    re.IGNORECASE,
)
_MAIL = re.compile(r"(?<![\w.])([A-Za-z0-9][A-Za-z0-9._%+-]*)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)", re.ASCII)
_DOMAIN = re.compile(
    r"(?<![\w.@-])((?:[A-Za-z0-9-]+\.)+(?:com|org|net|io|dev|ai|jp|cn|de|fr|uk|edu|gov|app|py|js|ts|rs|md|txt|json|toml))"
    r"(?![\w-]|\.\w)",
    re.ASCII,
)

_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:,\d{3})+)(?![\d,]*\d)", re.ASCII)
_DATE = re.compile(r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)", re.ASCII)
_TIME = re.compile(r"(?<![\d:.])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])(\s?[aApP]\.?[mM](?:\.|\b))?", re.ASCII)
_MERIDIEM = re.compile(r"(?<=\d)\s?([aApP])\.?[mM](?:\.(?=\s+[a-z0-9])|\b\.?)", re.ASCII)
_MONEY = re.compile(
    r"(?:US)?([$€£¥￥])\s?(\d+)(?:\.(\d+))?(?![\d.]*\d)(\s(?:thousand|million|billion|trillion)\b)?", re.ASCII
)
_PERCENT_ZH = re.compile(r"(\d+(?:\.\d+)?)\s?[%％]")
_NUMBER_SIGN = re.compile(r"#(?=\d)")
_MINUS = re.compile(r"(?<![\w.)])[-−](?=\d)", re.ASCII)
_RANGE = re.compile(r"(?<![\d.,:/-])(\d{1,4})\s?([-–—~〜～])\s?(\d{1,4})(?![\d:/-]|[.,]\d)", re.ASCII)
_FRACTION = re.compile(r"(?<![\w/.])(\d{1,3})/(\d{1,3})(?![\w/]|\.\d)", re.ASCII)
_WIDE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a％＆＋＝＠]")
_SYMBOL = re.compile("[&+=<>≤≥≠≈→⇒×÷±√∞@%°]")
_DOTTED = re.compile(r"\b((?:[A-Z]\.){2,})(?=\s+[a-z]|\s*[,;:!?]|\S|\s*$|\s)")
_WORD_POINT = re.compile(r"\b[A-Za-z][A-Za-z.]*\.")
_LONG_RUN = re.compile(r"([^\W\d])\1{3,}")

_DENSE = ("ja", "zh", "ko")
_FOREIGN = re.compile(f"[{CJK}]+")
_SILENT = re.compile(r"[*`~^_\\{}\[\]<>#|\"“”„«»‹›「」『』【】〈〉《》〔〕“”]+")
_PARENTHESIS = re.compile(r"\s*[()（）]\s*")
_DASH = re.compile(r"\s*(?:—+|――+|──+|–{1,3})\s*|\s+--?\s+")
_ELLIPSIS = re.compile(r"(?:\.{2,}|…+|・{2,}|‥+)")
_SLASH = re.compile(r"(?<=[^\W\d])\s?/\s?(?=\w)")
_NEWLINES = re.compile(r"([^\s,.;:!?、。，！？；：…])?[ \t]*(?:\n[ \t]*)+")
_SPACES = re.compile(r"[ \t\u00a0\u3000\n]+")
_BEFORE_STOP = re.compile(r"[\s,、，;；:：]+([.!?。！？…]|$)")
_DOUBLE_PAUSE = re.compile(r"([,、，;；:：])[\s,、，;；:：]+")
_DOUBLE_STOP = re.compile(r"([.!?。！？])[\s.!?。！？]*([?？])[.!?。！？]*|([.!?。！？])[.!?。！？]+")
_STOP_PAUSE = re.compile(r"([.!?。！？])(?:\s*[,、，])+")
_LEADING = re.compile(r"^[\s,.;:!?、。，！？；：…)\]・/-]+")
_SPACE_BEFORE = re.compile(r"\s+(?=[,.;:!?、。，！？])")
_SAYABLE = re.compile(r"[^\W_]")


def speakable(text: str, language: str) -> str:
    """What is said aloud of `text` by a voice of `language` (BCP 47 tag): empty when nothing is."""
    return spoken(text, language).text


def spoken(text: str, language: str) -> Traced:
    """As `speakable`, remembering where each character came from."""
    language = primary(language)
    traced = Traced(text)
    _unmark(traced)
    if language not in _DENSE:
        # Voices of other languages say "Chinese letter" for each, or nothing.
        traced.sub(_FOREIGN, [" "])
    _names(traced, language)
    _numbers(traced, language)
    _symbols(traced, language)
    _tidy(traced, language)
    if not _SAYABLE.search(traced.text):
        traced.sub(re.compile(r".+", re.DOTALL), [])
    return traced


def _unmark(traced: Traced) -> None:
    """Markdown, HTML, emoji and invisible characters."""
    traced.sub(_UNSEEN, [" "])
    traced.sub(_FENCE, ["\n"])
    traced.keep(MAX_CHARACTERS)
    traced.sub(_RULE, [])
    traced.sub(_LINE_MARK, [])
    traced.sub(_NUMBERED, [1, ", "])
    traced.sub(_AUTOLINK, [1])
    traced.sub(_IMAGE_OR_LINK, [1])
    traced.sub(_FOOTNOTE, [])
    traced.sub(_TAG, [" "])
    traced.sub(_CODE, [2])
    traced.sub(_TIMES, ["×"])
    for _ in range(2):  # bold inside italics
        traced.sub(EMPHASIS, [2])
    traced.sub(_KEYCAP, [1])
    traced.sub(_EMOTICON, [])
    traced.sub(_KAOMOJI, [])
    traced.sub(_LAUGH, [])
    traced.sub(_EMOJI, [" "])
    traced.sub(_WIDE, lambda m: [chr(ord(m[0]) - 0xFEE0)])
    traced.sub(_LONG_RUN, lambda m: [m[1] * 3])


def _names(traced: Traced, language: str) -> None:
    """Addresses and abbreviations."""
    dot, at = lexicon.DOT.get(language, "."), lexicon.AT.get(language, " @ ")

    def say(name: str) -> str:
        return re.sub(r"[-_%+]", " ", name).strip().replace(".", dot)

    def url(match: re.Match[str]) -> Sequence[Part]:
        tail = re.search(r"[.,;:!?'()]*$", match[0])  # it belongs to the sentence, not to the address
        host = match[1].removeprefix("www.")
        return [" ", say(host), " " if language != "ja" else "", tail[0] if tail else ""]

    traced.sub(_MAIL, lambda m: [say(m[1]), at, say(m[2])])
    traced.sub(_URL, url)
    traced.sub(_DOMAIN, lambda m: [say(m[1])])
    if language == "en":
        traced.sub(_WORD_POINT, _abbreviation)
        traced.sub(
            _DOTTED, lambda m: [" ".join(m[1].replace(".", "")), "." if not traced.text[m.end() :].strip() else ""]
        )


def _abbreviation(match: re.Match[str]) -> Sequence[Part]:
    rest = match.string[match.end() :]
    if match[0] in lexicon.BEFORE_NUMBERS_EN and re.match(r"\s?\d", rest):
        return [lexicon.BEFORE_NUMBERS_EN[match[0]]]
    full = lexicon.ABBREVIATIONS_EN.get(match[0])
    if full is None:
        return [0]
    ends = not rest.strip() or (match[0] == "etc." and re.match(r"\s+[A-Z]", rest))
    return [full, "." if ends else ""]


def _numbers(traced: Traced, language: str) -> None:
    """Times, dates, money, ranges: what engines read wrongly. Plain numbers are left to them."""
    traced.sub(_THOUSANDS, lambda m: [1, m[2].replace(",", "")])
    rules: dict[str, Callable[[Traced], None]] = {"en": _numbers_en, "ja": _numbers_ja, "zh": _numbers_zh}
    if rule := rules.get(language):
        rule(traced)
    units = lexicon.UNITS.get(language)
    if units:
        names = "|".join(sorted(map(re.escape, units), key=len, reverse=True))
        pattern = re.compile(rf"(?<![\w.])(\d+(?:\.\d+)?)\s?({names})(?![A-Za-z0-9/])", re.ASCII)
        gap = " " if language == "en" else ""
        traced.sub(pattern, lambda m: [1, gap, units[m[2]][m[1] != "1"]])


def _date(match: re.Match[str]) -> tuple[int, int, int] | None:
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    return (year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _clock(match: re.Match[str]) -> bool:
    return int(match[1]) <= 24 and int(match[2]) < 60


def _is_range(match: re.Match[str]) -> bool:
    a, sign, b = match[1], match[2], match[3]
    alike = len(a) == len(b) or (len(a) < 3 and len(b) < 4)  # 555-1234 is a telephone number
    return sign != "-" or (alike and int(a) < int(b))


def _numbers_en(traced: Traced) -> None:
    def date(match: re.Match[str]) -> Sequence[Part]:
        when = _date(match)
        return [0] if when is None else [f"{lexicon.MONTHS_EN[when[1] - 1]} {when[2]}, ", 1]

    def time(match: re.Match[str]) -> Sequence[Part]:
        if not _clock(match):
            return [0]
        hour, minute, second, half = str(int(match[1])), int(match[2]), match[3], match[4]
        parts: list[Part] = [hour]
        if minute == 0:
            parts += [] if half or second else [" o'clock"]
        else:
            parts += [f" oh {minute}" if minute < 10 else f" {minute}"]
        if second:
            parts += [f" and {int(second)} seconds"]
        return [*parts, 4] if half else parts

    def money(match: re.Match[str]) -> Sequence[Part]:
        one, many, hundredths = lexicon.CURRENCIES["en"][match[1].replace("￥", "¥")]
        if match[4]:
            return [2, *(["." + match[3]] if match[3] else []), 4, " ", many]
        name = one if match[2] == "1" and not match[3] else many
        if match[3] and len(match[3]) == 2 and hundredths:
            return [2, " ", name, *([" and ", str(int(match[3])), " ", hundredths] if int(match[3]) else [])]
        return [2, *(["." + match[3]] if match[3] else []), " ", name]

    def fraction(match: re.Match[str]) -> Sequence[Part]:
        return [lexicon.FRACTIONS_EN.get((match[1], match[2]), f"{match[1]} over {match[2]}")]

    traced.sub(_DATE, date)
    traced.sub(_TIME, time)
    traced.sub(_MERIDIEM, lambda m: [f" {m[1].upper()} M", *(["."] if not traced.text[m.end() :].strip() else [])])
    traced.sub(_MONEY, money)
    traced.sub(_FRACTION, fraction)
    traced.sub(_RANGE, lambda m: [1, " to ", 3] if _is_range(m) else [0])
    traced.sub(_MINUS, ["minus "])
    traced.sub(_NUMBER_SIGN, ["number "])


def _numbers_cjk(traced: Traced, hour: str, language: str) -> None:
    minute, second = "分", "秒"

    def date(match: re.Match[str]) -> Sequence[Part]:
        when = _date(match)
        return [0] if when is None else [1, "年", str(when[1]), "月", str(when[2]), "日"]

    def time(match: re.Match[str]) -> Sequence[Part]:
        if not _clock(match):
            return [0]
        parts: list[Part] = [str(int(match[1])), hour]
        if int(match[2]) or match[3]:
            parts += [str(int(match[2])), minute]
        if match[3]:
            parts += [str(int(match[3])), second]
        half = (match[4] or "").strip().lower()[:1]
        names = {"ja": {"a": "午前", "p": "午後"}, "zh": {"a": "上午", "p": "下午"}}[language]
        return [names[half], *parts] if half else parts

    def money(match: re.Match[str]) -> Sequence[Part]:
        name = lexicon.CURRENCIES[language][match[1].replace("￥", "¥")][1]
        return [2, *(["." + match[3]] if match[3] else []), name]

    traced.sub(_DATE, date)
    traced.sub(_TIME, time)
    traced.sub(_MONEY, money)
    traced.sub(_FRACTION, [2, "分の" if language == "ja" else "分之", 1])
    traced.sub(_RANGE, lambda m: [1, "から" if language == "ja" else "到", 3] if _is_range(m) else [0])
    traced.sub(_MINUS, ["マイナス" if language == "ja" else "负"])
    traced.sub(_NUMBER_SIGN, ["ナンバー" if language == "ja" else "第"])


def _numbers_ja(traced: Traced) -> None:
    _numbers_cjk(traced, "時", "ja")


def _numbers_zh(traced: Traced) -> None:
    _numbers_cjk(traced, "点", "zh")
    traced.sub(_PERCENT_ZH, ["百分之", 1])


def _symbols(traced: Traced, language: str) -> None:
    table = lexicon.SYMBOLS.get(language)
    if table:
        traced.sub(_SYMBOL, lambda m: [table[m[0]]])


def _tidy(traced: Traced, language: str) -> None:
    """Pauses where punctuation and layout mean one, and nothing that an engine would read out."""
    comma = lexicon.COMMA.get(language, ", ")
    stop = {"ja": "。", "zh": "。"}.get(language, ". ")
    traced.sub(_SLASH, [" " if language not in lexicon.COMMA else comma])
    traced.sub(_PARENTHESIS, [comma])
    traced.sub(_DASH, [comma])
    traced.sub(_ELLIPSIS, [comma])
    traced.sub(_NEWLINES, lambda m: [1, stop] if m[1] else [" "])
    traced.sub(re.compile(r"\|"), [comma])
    traced.sub(_SILENT, [" " if language not in lexicon.COMMA else ""])
    traced.sub(_SPACES, [" "])
    traced.sub(_DOUBLE_PAUSE, [1, "" if language in lexicon.COMMA else " "])
    traced.sub(_BEFORE_STOP, [1])
    traced.sub(_STOP_PAUSE, [1])
    traced.sub(_DOUBLE_STOP, lambda m: [2] if m[2] else [3])
    traced.sub(_SPACE_BEFORE, [])
    traced.sub(_LEADING, [])
    traced.sub(re.compile(r"\s+$"), [])
