"""English words in katakana, for a voice that knows Japanese only.

Common words of software have their customary reading in a table; any other is transliterated from its British IPA,
by the habits of loan words (a vowel behind every consonant, ッ before a final stop, ー for length and for a lost r).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

CUSTOMARY: dict[str, str] = {
    word: kana
    for line in """
    python パイソン java ジャバ javascript ジャバスクリプト typescript タイプスクリプト rust ラスト ruby ルビー
    swift スイフト github ギットハブ git ギット linux リナックス windows ウィンドウズ ubuntu ウブントゥ
    debian デビアン docker ドッカー openai オープンエーアイ chatgpt チャットジーピーティー google グーグル
    apple アップル microsoft マイクロソフト amazon アマゾン web ウェブ webrtc ウェブアールティーシー server サーバー
    client クライアント browser ブラウザ chrome クローム software ソフトウェア hardware ハードウェア
    computer コンピューター internet インターネット network ネットワーク data データ database データベース
    file ファイル folder フォルダ code コード program プログラム programming プログラミング app アプリ
    application アプリケーション api エーピーアイ json ジェイソン html エイチティーエムエル css シーエスエス
    sql エスキューエル gpu ジーピーユー cpu シーピーユー ai エーアイ ok オーケー id アイディー pc ピーシー
    it アイティー machine マシン learning ラーニング deep ディープ model モデル token トークン prompt プロンプト
    hello ハロー hi ハイ bye バイ thanks サンクス thank サンク you ユー the ザ a ア of オブ and アンド or オア
    to トゥ yes イエス no ノー new ニュー news ニュース video ビデオ camera カメラ radio ラジオ table テーブル
    game ゲーム test テスト user ユーザー password パスワード mail メール email イーメール online オンライン
    smartphone スマートフォン framework フレームワーク library ライブラリ version バージョン update アップデート
    download ダウンロード upload アップロード avatar アバター character キャラクター virtual バーチャル
    reality リアリティー streaming ストリーミング real リアル time タイム tokyo トウキョウ japan ジャパン
    english イングリッシュ world ワールド music ミュージック chat チャット youtube ユーチューブ iphone アイフォーン
    kubernetes クバネティス issue イシュー today トゥデイ question クエスチョン language ランゲージ
    cluster クラスター react リアクト cloud クラウド release リリース bug バグ debug デバッグ
    """.strip().splitlines()
    for word, kana in zip(*[iter(line.split())] * 2, strict=True)
}

_ROWS = {
    "": "アイウエオ",
    "k": "カキクケコ",
    "ɡ": "ガギグゲゴ",
    "s": "サシスセソ",
    "z": "ザジズゼゾ",
    "t": "タティトゥテト",
    "d": "ダディドゥデド",
    "n": "ナニヌネノ",
    "h": "ハヒフヘホ",
    "b": "バビブベボ",
    "p": "パピプペポ",
    "m": "マミムメモ",
    "r": "ラリルレロ",
    "j": "ヤイユイェヨ",
    "w": "ワウィウウェウォ",
    "f": "ファフィフフェフォ",
    "v": "ヴァヴィヴヴェヴォ",
    "ʃ": "シャシシュシェショ",
    "ʒ": "ジャジジュジェジョ",
    "tʃ": "チャチチュチェチョ",
    "dʒ": "ジャジジュジェジョ",
    "ts": "ツァツィツツェツォ",
}
_SMALL = "ァィゥェォャュョ"
_ALONE = {
    "t": "ト",
    "d": "ド",
    "tʃ": "チ",
    "dʒ": "ジ",
    "ʒ": "ジュ",
    "ʃ": "シュ",
    "n": "ン",
    "j": "イ",
    "ts": "ツ",
    "h": "",
}
"""A consonant without a vowel; elsewhere its u."""
_SAME = {"θ": "s", "ð": "z", "l": "r", "ɹ": "r", "x": "h", "ɾ": "t", "g": "ɡ", "ʍ": "w", "ɬ": "r", "ɫ": "r"}
_VOWELS = {
    # Longest first: the first that fits is taken. "-" lengthens, "j" makes the consonant a palatal one.
    "juː": "ju-",
    "jʊə": "ju-a",
    "jʊ": "ju",
    "aɪə": "aia",
    "aʊə": "aua",
    "eɪ": "ei",
    "aɪ": "ai",
    "aʊ": "au",
    "ɔɪ": "oi",
    "əʊ": "o-",
    "oʊ": "o-",
    "iə": "ia",
    "ɪə": "ia",
    "eə": "ea",
    "ʊə": "ua",
    "iː": "i-",
    "uː": "u-",
    "ɑː": "a-",
    "ɔː": "o-",
    "ɜː": "a-",
    "əː": "a-",
    "ɛː": "ea",
    "oː": "o-",
    "i": "i",
    "ɪ": "i",
    "ᵻ": "i",
    "ɛ": "e",
    "e": "e",
    "æ": "a",
    "a": "a",
    "ʌ": "a",
    "ɐ": "a",
    "ə": "a",
    "ɒ": "o",
    "ɔ": "o",
    "ʊ": "u",
    "u": "u",
    "o": "o",
}
_CONSONANTS = ("tʃ", "dʒ", "ts", *"kɡgszðθtdnhbpmlɹrjwfvʃʒŋxɾɫ")
_SHORT = frozenset("æaʌɐɒɛeɪʊ")
_STOPS = ("p", "t", "k", "d", "ɡ", "tʃ", "dʒ")

_PART = re.compile("[A-Z]{2,}(?![a-z])|[A-Z]?[a-z']+|[A-Z]")


def parts(word: str) -> list[str]:
    """The parts of a compound name: "GitHub" → Git, Hub; "WebRTC" → Web, RTC."""
    return _PART.findall(word)


def is_initials(part: str) -> bool:
    """Said letter by letter, which the engine does itself."""
    return len(part) == 1 or (part.isupper() and len(part) <= 5)


def from_ipa(phones: Sequence[str], word: str = "") -> str:
    """Katakana for a word's British IPA, stress marks allowed. A written r at its end lengthens the last vowel."""
    ipa = re.sub("[ˈˌ.\u0303\u0329 ]", "", "".join(phones))
    if ipa.endswith("ə") and re.search("re?$", word):
        ipa += "ː"
    units = _units(ipa)
    kana = ""
    for index, (kind, unit) in enumerate(units):
        following = units[index + 1] if index + 1 < len(units) else ("end", "")
        before = units[index - 1] if index else ("start", "")
        if kind == "vowel":
            continue_from = before[1] if before[0] == "consonant" else ""
            kana += _syllable(continue_from, unit)
            continue
        if following[0] == "vowel":
            continue  # said with its vowel
        if unit == "ŋ":
            kana += "ン" if following[1] in ("k", "ɡ") else "ング"
        elif unit == "m" and following[1] in ("p", "b"):
            kana += "ン"
        else:
            last = following[0] == "end" or (following[1] in ("s", "z") and index + 2 == len(units))
            if last and unit in _STOPS and before[0] == "vowel" and before[1] in _SHORT:
                kana += "ッ"
            base = _SAME.get(unit, unit)
            kana += _ALONE.get(base, _cells(base)[2])
    return kana


def _units(ipa: str) -> list[tuple[str, str]]:
    units: list[tuple[str, str]] = []
    at = 0
    while at < len(ipa):
        vowel = next((v for v in _VOWELS if ipa.startswith(v, at)), None)
        if vowel is not None:
            units.append(("vowel", vowel))
            at += len(vowel)
            continue
        consonant = next((c for c in _CONSONANTS if ipa.startswith(c, at)), None)
        if consonant is not None:
            units.append(("consonant", consonant))
        at += len(consonant or ipa[at])
    return units


def _cells(consonant: str) -> list[str]:
    """The five kana of a row, a i u e o; one may be two characters long."""
    return re.findall(f"[ァ-ヴ][{_SMALL}]?", _ROWS.get(consonant, _ROWS[""]))


def _syllable(consonant: str, vowel: str) -> str:
    base = _SAME.get(consonant, consonant)
    sounds = _VOWELS[vowel]
    if base == "ŋ":
        return "ング" + _syllable("", vowel)
    if sounds.startswith("j"):  # the u of "cute"
        first = _cells(base)[1][0] + "ュ" if base else "ユ"
        return first + _tail(sounds[2:])
    cells = _cells(base)
    if base in ("ʃ", "ʒ") and vowel == "ə":
        first = cells[4]  # -tion
    elif base in ("k", "ɡ") and vowel in ("æ", "a"):
        first = cells[1] + "ャ"  # cat
    else:
        first = cells["aiueo".index(sounds[0])]
    return first + _tail(sounds[1:])


def _tail(sounds: str) -> str:
    return "".join("ー" if sound == "-" else _ROWS[""]["aiueo".index(sound)] for sound in sounds)
