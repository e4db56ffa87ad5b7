"""What the training voices say: the sentences of Debian's fortune packages, and words made up to balance the sounds
that are rare in text. Everything is drawn from a seeded generator."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


FORTUNES = Path("/usr/share/games/fortunes")
ENGLISH = _list(
    "definitions education food fortunes kids law literature people platitudes pets riddles science "
    "songs-poems wisdom work"
)
ONSETS = _list("b p m b p m b p m f v th t d n l r s z sh ch k g h w y br pl sm")
NUCLEI = _list("a e i o u ee oo ah ay ow ai oh")
CODAS = ("", "", "", *_list("n m p b s t f l k"))
KANA = (
    "かきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ"
    "ばびぶべぼぱぴぷぺぽまみむめもばびぶべぼぱぴぷぺぽがぎぐげごだでどざじずぜぞ"
)
KANA_EXTRA = (
    "ん",
    "っ",
    "ー",
    "しゃ",
    "しゅ",
    "しょ",
    "ちゃ",
    "ちゅ",
    "ちょ",
    "きゃ",
    "きょ",
    "りょ",
    "びょ",
    "みゃ",
    "ぴょ",
)
FINNISH = _list(
    "talo kukka mato pallo puu vesi poika isä kala lintu hyvää kiitos paljon mitä kuuluu minä olen täällä tänään "
    "huomenna pimeä bussi pappi mummo vaari lampi kuppi pumppu mopo lumi ampiainen muna piimä pomo rumpu "
    "hampurilainen samppanja vauva vihreä ikkuna pöytä yö aamu ilta kesä talvi järvi metsä ruoka leipä maito voi "
    "juusto omena peruna porkkana syödä juoda nukkua lukea kirjoittaa puhua kuunnella kävellä juosta"
)
JAPANESE = (
    "おはようございます。今日はとても良い天気ですね。",
    "明日の会議は午後三時から始まります。",
    "パンとバターを買ってきてください。",
    "母は毎朝公園を散歩しています。",
    "この本はとても面白いと思います。",
    "電車が遅れているので少し待ってください。",
    "来週の水曜日に友達と映画を見に行く予定です。",
    "すみません、もう一度言ってください。",
    "ボブは赤い帽子をかぶっています。",
    "飛行機は夜の八時に出発します。",
    "日本の夏はとても蒸し暑いです。",
    "美味しいコーヒーを飲みながら話しましょう。",
    "先生は黒板に漢字を書きました。",
    "みんなで一緒に写真を撮りましょう。",
    "ピアノの音が部屋中に響いていた。",
    "昨日の晩ご飯は焼き魚と味噌汁でした。",
    "ポケットの中に古い切符が入っていた。",
    "まもなく番組が始まります。テレビをつけてください。",
    "富士山の頂上から見る景色は素晴らしい。",
    "何か質問があれば遠慮なく聞いてください。",
    "プログラムを実行する前に必ず保存してください。",
    "銀行は角を曲がってすぐ右側にあります。",
    "バスは十五分ごとに来ます。",
    "新しい技術が社会を大きく変えていく。",
    "風邪を引いたので病院へ行きました。",
    "分からない言葉は辞書で調べましょう。",
    "薬局で風邪薬を買いました。",
    "夕方になると虫の声が聞こえてくる。",
    "部屋を片付けてから出かけます。",
    "水をもう一杯いただけますか。",
)


@cache
def sentences(language: str) -> tuple[str, ...]:
    """Sentences of 25 to 110 characters in a language (BCP 47 primary tag), in the packages' order."""
    files = [FORTUNES / name for name in ENGLISH] if language == "en" else sorted((FORTUNES / language).rglob("*"))
    if language == "pt":
        files = [FORTUNES / "brasil"]
    found: list[str] = []
    for path in files:
        if not path.is_file() or path.suffix in (".dat", ".u8"):
            continue
        for fortune in path.read_text(encoding="utf-8", errors="ignore").split("\n%\n"):
            for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", fortune)):
                text = re.sub(r"\s+", " ", re.sub(r"[^\w\s,.'?!-]", " ", sentence)).strip()
                if 25 < len(text) < 110 and not re.search(r"[A-Z]{4,}|\d{3,}|_", text):
                    found.append(text)
    if not found:
        raise SystemExit(f"There is no text for {language}: apt-get install fortunes fortunes-{language}")
    return tuple(dict.fromkeys(found))


def made_up(rng: random.Random) -> str:
    """Words that no dictionary has, rich in m, b, p, f and v."""
    words = (
        "".join(rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(rng.choice((1, 2, 2, 3))))
        for _ in range(rng.randint(4, 9))
    )
    return " ".join(words) + "."


def kana(rng: random.Random, gap: str) -> str:
    """Japanese syllables in groups."""
    groups = (
        "".join(
            rng.choice(KANA) + (rng.choice(KANA_EXTRA) if rng.random() < 0.25 else "") for _ in range(rng.randint(3, 7))
        )
        for _ in range(rng.randint(2, 4))
    )
    return gap.join(groups)


def say(language: str, rng: random.Random) -> str:
    """Something to say in a language."""
    match language:
        case "ja":
            return rng.choice(JAPANESE) if rng.random() < 0.2 else kana(rng, "、")
        case "fi":
            return " ".join(rng.choice(FINNISH) for _ in range(6)) + "."
        case "en" if rng.random() < 0.25:
            return made_up(rng)
        case _:
            return rng.choice(sentences(language))
