"""Words that listen instead of speaking: "uh-huh", 「はい」. A pure core.

Who listens says such words to show it (continuers: Yngve 1970, "On getting a word in edgewise"; aizuchi in Japanese).
They take the floor from nobody. Some of them are also answers: "yes" after a question is one, "mm-hm" in the middle of
an explanation is none, and which it is only the moment tells. So this says what the words can be, and who asks knows
the moment.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum, auto

from .hallucination import is_stock_phrase, is_wordless


class Backchannel(Enum):
    """What an utterance can be at most."""

    NONE = auto()
    """It says something: it takes the turn."""
    CONTINUER = auto()
    """Listening aloud, and nothing else: "mm-hm", "wow", 「へえ」. Also what is no word at all: "(laughs)", "♪"."""
    ASSENT = auto()
    """Listening while the other one speaks, an answer after a question: "yes", "OK", 「はい」."""


_CONTINUERS = (
    # English
    "a?ha uh+huh a+ha m+ h+m+ m+h+m+ m+hu+m+ hu+m+ hu+h+ u+h+ u+m+ e+r+m* a+h+ o+h+ o+ h+a+h* ooh+ aw+ wow+ gosh "
    "whoa+ "
    "(i|oh_i|ah_i)_see interesting really no_way cool nice great amazing oh_(my|dear|no|wow) my_god good_grief "
    "of_course exactly indeed totally absolutely fair_enough makes_sense that_makes_sense "
    "how_(nice|interesting|funny) "
    "ha(_?ha)+ he(_?he)+ heh lol is_(it|that_so|that_right) "
    # Japanese, in kana after long vowels and small tsu are taken away
    "ん+ (ふ+む)+ ふ+ん へえ* ほ+う* ほほう あ+ お+ わ+ や+ "
    "(そう|そ)(か|かあ|なん(だ|です)(か|ね)?|です(か|ね)|だ(ね|よね)|だたん(だ|です(か|ね)?)) "
    "なるほど(ね|ですね|です)? (本当|ほんと|ほんとう)(に|です(か|ね)?|だ)? まじ(で|か|ですか)? "
    "すごい(ね|ですね|な)? すげえ? さすが(です(ね)?)? "
    "(確か|たしか)に(ね)? ですよね だよね ですね そうそう そうですよね そうだよね 面白い(ね|ですね)? "
    "おもしろい(ね|ですね)? いいね いいですね (は)+ (あは|うふ|えへ|ふ)+ "
    # Chinese
    "嗯+ 哦+ 噢+ 喔+ 啊+ 哇+ 呵+ 哈+ 原来如此 这样(啊|子)? 真的(吗|啊)? "
)
_ASSENTS = (
    "yes+ yeah+ yea+ yep+ yup+ ye+ ya+h* ok+ okay+ okey right+ all_right alright sure(_thing)? got_(it|you|cha) "
    "gotcha fine good "
    "i_(know|agree|understand) true correct that_s_(right|true|it) thats_(right|true) you_re_right certainly "
    "understood "
    "はい+ ええ ええとも うん そう(です)? その(通|とお)り(です)? (分|わ)かり(まし)?た (分|わ)かた "
    "了解(です|しました)? (りょうかい)(です)? "
    "(ok|おけ)い?です おけい? いいですよ? 承知(しました|です)? もちろん(です)? "
    "对+ 是+的? 好+的? 行 可以 没错 当然 明白了? 知道了 "
)
_MOST = 6
"""Of them in a row: whoever says more has something to say."""

_SOUNDS = re.compile(r"[\[(（【<*][^\])）】>*]{0,40}[\])）】>*]")
"""How recognisers write what is no speech: "[NOISE]", "(coughs)", "*laughs*"."""
_MARKS = re.compile(r"[^\w]+|_")
_LONG = re.compile(r"[ー〜~っッ]|(?<=[あえおん])ぁ|ぇ|ぉ|ぅ|ぃ")
_THOUGHT = re.compile(r"う[ー〜~]+ん")
_SURPRISE = re.compile(r"え[ー〜~っぇ]+")
_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def _alternatives(words: str) -> str:
    return "|".join(sorted((word.replace("_", " ") for word in words.split()), key=len, reverse=True))


_CONTINUER = re.compile(rf"(?:(?:{_alternatives(_CONTINUERS)})(?: |$))+")
_EITHER = re.compile(rf"(?:(?:{_alternatives(_CONTINUERS + _ASSENTS)})(?: |$))+")
_DENSE_CONTINUER = re.compile(rf"(?:(?:{_alternatives(_CONTINUERS)}) ?){{1,{_MOST}}}")
_DENSE_EITHER = re.compile(rf"(?:(?:{_alternatives(_CONTINUERS + _ASSENTS)}) ?){{1,{_MOST}}}")


def backchannel(text: str) -> Backchannel:
    """What the recognised words of an utterance, in English, Japanese or Chinese, can be at most.

    An empty text, and one that holds no word, is a `CONTINUER`: nothing was said.
    """
    words = plain(text)
    if not words or is_wordless(words) or is_stock_phrase(text):
        return Backchannel.CONTINUER
    wide = _WIDE.search(words) is not None
    if len(words) > 60 or (not wide and len(words.split()) > _MOST):
        return Backchannel.NONE
    continuer, either = (_DENSE_CONTINUER, _DENSE_EITHER) if wide else (_CONTINUER, _EITHER)
    if continuer.fullmatch(words):
        return Backchannel.CONTINUER
    return Backchannel.ASSENT if either.fullmatch(words) else Backchannel.NONE


def is_backchannel(text: str) -> bool:
    """Whether the words leave the floor with whoever speaks: said while another speaks, they do not interrupt."""
    return backchannel(text) is not Backchannel.NONE


def plain(text: str) -> str:
    "The words alone: small letters, single spaces, hiragana without long vowels, no marks, no sounds in"
    "brackets. "
    text = _SOUNDS.sub(" ", unicodedata.normalize("NFKC", text)).casefold().translate(_HIRAGANA)
    text = _SURPRISE.sub("へえ", _THOUGHT.sub("ふむ", text))
    return _LONG.sub("", _MARKS.sub(" ", text)).strip()
