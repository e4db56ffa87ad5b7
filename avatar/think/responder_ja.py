"""The responder's Japanese, built as its English is: the first rule that fits counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from . import sums

if TYPE_CHECKING:
    from .responder import Heard

WHAT_I_AM = (
    "わたしは、このアバターに組み込まれた応答係です。決まった規則で、声に出してお答えしています。"
    "言語モデルがつながっていないので、お話の意味は本当にはわかっていません。"
)
HELP = (
    "言語モデルがないので、できることは少しだけです。時刻や日付、計算、復唱、それからお名前を覚えることができます。"
    "「つなぎ方」と言ってくだされば、本物のモデルのつなぎ方をご案内します。"
)
CONNECT = (
    "このコンピューターにオラマを入れて、モデルを一つ取得し、サーバーを起動し直してください。自動で見つかります。"
    "または、起動のときに、モデルのファイルか、オープンエーアイ互換のサービスのアドレスを指定してください。"
)
JOKES = (
    "布団が、吹っ飛んだ。",
    "アルミ缶の上に、ある、みかん。",
    "電話に、誰も、出んわ。",
)
_DAYS = "月火水木金土日"

Rule = tuple[re.Pattern[str], Callable[["Heard", re.Match[str]], str]]


def answer(heard: Heard) -> str:
    """The reply to `heard`, one to three short sentences."""
    try:
        value = sums.solve(heard.plain)
    except sums.DividedByZero:
        return "ゼロで割ることはできません。"
    if value is not None:
        return f"答えは{sums.spoken(value, about='およそ')}です。"
    for pattern, reply in _RULES:
        if match := pattern.search(heard.plain):
            return reply(heard, match)
    return _unknown(heard)


def _unknown(heard: Heard) -> str:
    quoted = heard.text.strip().rstrip("。!?、！？")
    lead = f"「{quoted}」と聞こえましたが、" if len(quoted) <= 40 else "お話は聞こえましたが、"
    return heard.fresh(
        f"{lead}言語モデルがつながっていないので、お答えできません。「ヘルプ」と言うと、できることをお話しします。",
        f"{lead}わたしの知っている規則には当てはまりません。「つなぎ方」と言うと、本物のモデルのつなぎ方をお話しします。",
        f"{lead}それには言語モデルが必要です。時刻や計算、復唱なら、今でもできます。",
    )


def clock(now: datetime) -> str:
    """The time as it is said: 午後3時5分."""
    if (now.hour, now.minute) == (12, 0):
        return "正午"
    minutes = f"{now.minute}分" if now.minute else "ちょうど"
    return f"{'午前' if now.hour < 12 else '午後'}{now.hour % 12}時{minutes}"


def _date(heard: Heard, _: re.Match[str]) -> str:
    now = heard.now
    return f"今日は{now.year}年{now.month}月{now.day}日、{_DAYS[now.weekday()]}曜日です。"


def _echo(heard: Heard, match: re.Match[str]) -> str:
    return heard.echoed(match["what"].strip("「」『』 、。:"))


def _met(_: Heard, match: re.Match[str]) -> str:
    return f"{_called(match)}さん、はじめまして。"


def _called(match: re.Match[str]) -> str:
    return str(match[match.lastindex or 0]).strip().removesuffix("さん")


def _recall(heard: Heard, _: re.Match[str]) -> str:
    for text in reversed(heard.said):
        if match := _INTRODUCTION.search(text.strip(" 。!！、")):
            return f"{_called(match)}さんとうかがいました。"
    return "お名前は、まだうかがっていません。"


def _greet(heard: Heard, _: re.Match[str]) -> str:
    hour = heard.now.hour
    part = "おはようございます" if 4 <= hour < 11 else "こんにちは" if 11 <= hour < 18 else "こんばんは"
    return heard.fresh(
        f"{part}。ご用は何でしょうか。", "また、こんにちは。", f"{part}。「ヘルプ」と言うと、できることをお話しします。"
    )


def _count(_: Heard, match: re.Match[str]) -> str:
    number = sums.solve(f"{match[1]}+0")
    if number is None or not 1 <= number <= 20:
        return "数えられるのは、二十までです。"
    return "、".join(str(i) for i in range(1, int(number) + 1)) + "。"


def _say(text: str) -> Callable[[Heard, re.Match[str]], str]:
    return lambda _heard, _match: text


_CALLED = r"([^\sはがを。、]{1,12}?)(?:さん)?"
_INTRODUCTION = re.compile(
    rf"名前は{_CALLED}(?:です|だよ|と(?:言い|いい|申し|もうし)ます)$"
    rf"|^(?:私は|わたしは|僕は|ぼくは|俺は)?、?{_CALLED}と(?:言い|いい|申し|もうし)ます$"
    rf"|^(?:私を|わたしを|僕を|ぼくを)?{_CALLED}(?:って|と)呼んで(?:ください|下さい|ね)?$"
)
_PLEASE = r"(?:ください|下さい)?"
_I = r"(?:私|わたし|僕|ぼく|俺)"
_SEEN = r"(?:ますか|てますか|ていますか|る)"

_RULES: tuple[Rule, ...] = (
    (
        re.compile(rf"^{_I}の(?:あとに|後に)(?:続けて|続いて)(?:言って|繰り返して)?{_PLEASE}[、。: ]*(?P<what>.+)$"),
        _echo,
    ),
    (re.compile(rf"^(?:復唱して|繰り返して|リピートして){_PLEASE}[、。: ]+(?P<what>.+)$"), _echo),
    (re.compile(r"^(?P<what>.+?)」?と(?:言って|いって|繰り返して|復唱して)(?:ください|下さい|みて|ね)?$"), _echo),
    (re.compile(rf"{_I}の名前(?:は|を|って)?(?:$|何|なん|なに|覚え|わかり|分かり|知って)"), _recall),
    (_INTRODUCTION, _met),
    (re.compile(r"([0-9一二三四五六七八九十百]+)まで数え"), _count),
    (re.compile(r"何時|なんじ|時刻|時間を?教え"), lambda heard, _: f"今は{clock(heard.now)}です。"),
    (re.compile(r"何日|なんにち|日付|何曜日|なんようび|何月|何年です"), _date),
    (
        re.compile(r"つなぎ方|繋ぎ方|つなぐ|繋ぐ|つなげ|接続|オラマ|ollama|llama|openai|言語モデル|賢く"),
        _say(CONNECT),
    ),
    (re.compile(r"ヘルプ|助けて|(?:何|なに)(?:が|を)(?:でき|出来)|使い方|使いかた"), _say(HELP)),
    (
        re.compile(
            r"(?:あなた|君|きみ)は(?:誰|だれ|何|なに|人間|ロボット|機械|本物|ai)"
            r"|^お名前|(?:あなた|君|きみ)の(?:お)?名前|自己紹介|どちら様|^(?:誰|だれ)ですか"
        ),
        _say(WHAT_I_AM),
    ),
    (
        re.compile(r"わかりますか|分かりますか|理解(?:でき|して)|考え(?:られ|て)います"),
        _say("いいえ。決まった型と照らし合わせているだけです。理解するには言語モデルが必要です。"),
    ),
    (re.compile(rf"聞こえ{_SEEN}|もしもし"), _say("はい、聞こえています。")),
    (re.compile(rf"見え{_SEEN}"), _say("いいえ、見えません。届くのはお話の言葉だけです。")),
    (re.compile(r"英語(?:で|を|は|が)|何語"), _say("日本語と英語でお答えします。")),
    (re.compile(r"元気|調子は"), _say("おかげさまで、どの部分も動いています。")),
    (
        re.compile(r"冗談|ジョーク|ダジャレ|だじゃれ|笑わせて|面白いこと"),
        lambda heard, _: heard.fresh(*JOKES),
    ),
    (
        re.compile(r"ありがと|有難う|感謝|サンキュー"),
        lambda heard, _: heard.fresh("どういたしまして。", "お役に立ててうれしいです。"),
    ),
    (
        re.compile(r"さよなら|さようなら|バイバイ|ばいばい|またね|また(?:今度|明日)|おやすみ|失礼します"),
        _say("さようなら。お話しできてよかったです。"),
    ),
    (re.compile(r"はじめまして|初めまして"), _say("はじめまして。どうぞよろしくお願いします。")),
    (
        re.compile(
            r"^(?:こんにち[はわ]|こんばん[はわ]|おはよう(?:ございます)?|やあ|どうも|ハロー|よろしく(?:お願いします)?|ねえ|、)+$"
        ),
        _greet,
    ),
    (re.compile(r"^(?:すみません|ごめん(?:なさい)?|失礼)$"), _say("いいえ、お気になさらず。")),
    (re.compile(r"^(?:止まって|止めて|やめて|ストップ|待って|静かに(?:して)?)$"), _say("わかりました。")),
    (
        re.compile(r"^(?:はい|いいえ|うん|ううん|そう(?:です)?(?:ね|か)?|なるほど|了解|オーケー|いいね|へえ)$"),
        _say("はい。次は何にしましょうか。"),
    ),
)
