from __future__ import annotations

import itertools
from contextlib import aclosing
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.think.responder import Responder, is_japanese, pieces
from avatar.types import Message

MOMENT = datetime(2026, 11, 20, 15, 25)


class Talk:
    """A conversation with the responder at a fixed moment."""

    def __init__(self, now: datetime = MOMENT) -> None:
        self.engine = Responder(now=lambda: now)
        self.messages = [Message("system", "Be brief.")]

    def say(self, text: str) -> str:
        self.messages.append(Message("user", text))
        reply = self.engine.answer(self.messages)
        self.messages.append(Message("assistant", reply))
        return reply


@pytest.mark.parametrize(
    ("heard", "part"),
    [
        ("Hello!", "Good afternoon"),
        ("what time is it", "3:25 in the afternoon"),
        ("What’s the date today?", "Friday, November 20, 2026"),
        ("what day is it", "Friday"),
        ("what is twelve times seven", "84"),
        ("ten divided by zero", "zero"),
        ("Who are you?", "no language model is connected"),
        ("are you a real person", "no language model is connected"),
        ("what can you do", "time"),
        ("how do I connect a language model", "Ollama"),
        ("my name is anna", "Anna"),
        ("Repeat after me: The Quick Brown Fox!", "The Quick Brown Fox!"),
        ("count to five", "1, 2, 3, 4, 5."),
        ("can you hear me", "Yes"),
        ("can you see me", "No"),
        ("do you understand me", "No."),
        ("thank you very much", "elcome"),
        ("goodbye", "Goodbye"),
        ("こんにちは。", "こんにちは"),
        ("今、何時ですか？", "午後3時25分"),
        ("今日は何曜日？", "2026年11月20日、金曜日"),
        ("十二かける七は？", "84"),
        ("3割る0は？", "ゼロ"),
        ("あなたは誰ですか", "言語モデルがつながっていない"),
        ("何ができますか", "言語モデルがない"),
        ("言語モデルのつなぎ方を教えて", "オラマ"),
        ("名前は田中です", "田中さん"),
        ("「おはよう」と言ってください", "おはよう"),
        ("ありがとうございます", "どういたしまして"),
        ("さようなら", "さようなら"),
    ],
)
def test_simple_things_are_answered_in_their_language(heard: str, part: str) -> None:
    reply = Talk().say(heard)
    assert part.lower() in reply.lower()
    assert is_japanese(reply) == is_japanese(heard)


@pytest.mark.parametrize("question", ["Why is the sky blue?", "空はなぜ青いのですか"])
def test_what_no_rule_knows_is_said_to_be_unknown_each_time_in_other_words(question: str) -> None:
    talk = Talk()
    replies = [talk.say(question) for _ in range(4)]
    assert all("language model" in r or "rules" in r or "言語モデル" in r or "規則" in r for r in replies)
    assert all(a != b for a, b in itertools.pairwise(replies))
    assert question.rstrip("?") in replies[0]


def test_a_name_is_remembered_from_the_conversation_alone() -> None:
    talk = Talk()
    assert "not told me" in talk.say("What is my name?")
    talk.say("My name is Anna")
    assert "Anna" in talk.say("What is my name?")
    talk.say("私の名前は鈴木です")
    assert "鈴木" in talk.say("私の名前は何ですか")


@pytest.mark.parametrize(
    ("hour", "minute", "english", "japanese"),
    [
        (0, 0, "midnight", "午前0時ちょうど"),
        (12, 0, "noon", "正午"),
        (0, 5, "12:05 at night", "午前0時5分"),
        (7, 0, "7 o'clock in the morning", "午前7時ちょうど"),
        (12, 1, "12:01 in the afternoon", "午後0時1分"),
        (20, 30, "8:30 in the evening", "午後8時30分"),
        (23, 59, "11:59 at night", "午後11時59分"),
    ],
)
def test_the_clock_round_the_day(hour: int, minute: int, english: str, japanese: str) -> None:
    talk = Talk(MOMENT.replace(hour=hour, minute=minute))
    assert english in talk.say("what time is it")
    assert japanese in talk.say("何時ですか")


async def test_it_streams_word_by_word_and_stops_when_closed() -> None:
    engine = Responder(now=lambda: MOMENT)
    messages = [Message("user", "who are you")]
    async with aclosing(engine.reply(messages, max_tokens=100)) as stream:
        got = [piece async for piece in stream]
    assert len(got) > 10
    assert "".join(got) == engine.answer(messages)
    stream = engine.reply(messages, max_tokens=100)
    assert await anext(stream) == got[0]
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_reply_is_bounded() -> None:
    engine = Responder()
    got = [p async for p in engine.reply([Message("user", "say " + "la " * 1000)], max_tokens=5)]
    assert len(got) == 5
    assert len(engine.answer([Message("user", "say " + "la " * 1000)])) <= 300


@given(st.text(max_size=200))
def test_anything_gets_a_reply(text: str) -> None:
    talk = Talk()
    reply = talk.say(text)
    assert reply.strip()
    assert len(reply) < 600
    assert "".join(pieces(reply)) == reply


def test_without_a_user_there_was_nothing_to_hear() -> None:
    assert "hear" in Responder().answer([Message("system", "x")])
