"""What listens and what takes the turn, by its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.backchannel import Backchannel, backchannel, is_backchannel

CONTINUERS = """
uh-huh | Uh huh. | Mm-hmm. | mhm | Hmm... | Oh! | Oh, I see. | Really? | Wow! | Ah. | Interesting.
ha ha ha
うーん。 | へえー | へぇ〜 | なるほど。 | なるほどね | そうなんですか？ | そうですか。 | そうなんだ
ふーん | ふむふむ | ほう | あー
本当ですか？ | マジで | すごいですね！ | 確かに。 | そっか | あっ | えーっ | はは | んー
そうだったんだ
嗯嗯 | 哦 | 真的吗？ | [NOISE] | (coughs) | ♪♪ | ... | *laughs* | Thanks for watching!
"""
ASSENTS = """
Yes. | yeah | Yeah, yeah. | OK | Okay, okay. | Right. | Sure. | Got it. | Alright! | Yeah, I see.
That's right. | Uh-huh, yes
はい。 | はいはい | うん、うん | ええ。 | はい、なるほど | わかりました。 | 分かった
そうそう、うん、はい | そうです | 了解です | その通りです
对 | 好的。 | 是的 | OKです
"""
SPEECH = """
No. | Stop. | Wait! | Wait a minute | Hold on. | Yes, but what about me? | Okay, stop. | What? | Why?
Yes please | Right now
How are you? | Tell me more | I see a cat | really good question | never mind | uh what time is it
Oh no, stop it | Hello
いいえ。 | 違います | ちょっと待って | はい、お願いします | うん、でもね | やめて
なるほど、では次は？ | そうですか、じゃあ明日は？ | 待って
はいからさん | あした | 映画 | ええと、東京 | 不是 | 等一下 | 好的但是 | もしもし | ストップ
うそ、それは違う
"""


def _lines(block: str) -> list[str]:
    return [text.strip() for line in block.strip().splitlines() for text in line.split("|")]


@pytest.mark.parametrize("text", _lines(CONTINUERS))
def test_a_continuer_only_listens(text: str) -> None:
    assert is_backchannel(text)
    assert backchannel(text) is Backchannel.CONTINUER


@pytest.mark.parametrize("text", _lines(ASSENTS))
def test_an_assent_listens_or_answers(text: str) -> None:
    assert backchannel(text) is Backchannel.ASSENT


@pytest.mark.parametrize("text", _lines(SPEECH))
def test_what_says_something_takes_the_turn(text: str) -> None:
    assert backchannel(text) is Backchannel.NONE


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    assert backchannel(text) in Backchannel
    assert backchannel(f"{text} stop the music please now") is Backchannel.NONE or "[" in text or "(" in text


def test_a_long_row_of_them_is_more_than_listening() -> None:
    assert not is_backchannel("yes " * 12)
    assert not is_backchannel("はい" * 40)
