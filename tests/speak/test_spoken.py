"""What is said aloud of written text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.speak.spoken import speakable, spoken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Hello** _there_, `friend`!", "Hello there, friend!"),
        ("# Title\n- one\n- two", "Title. one. two"),
        ("1. First\n2) Second", "1, First. 2, Second"),
        ("[the docs](https://example.com/a_(b)) and ![a cat](cat.png)", "the docs and a cat"),
        ("Look:\n```py\nx = 1\n```\nDone.", "Look: Done."),
        ("```\nonly code\n```", ""),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b. 1, 2"),
        ("> quoted\n---\nend", "quoted. end"),
        ("<b>bold</b> <br/> x", "bold x"),
        ("Great 😀👍🏽! 👩‍👩‍👧 🇯🇵 1️⃣", "Great! 1"),
        ("Fine :) really :D", "Fine really"),
        ("😀", ""),
        ("...", ""),
        ("Visit https://www.example.com/docs?x=1&y=2.", "Visit example dot com."),
        ("Mail jo.doe@example.org, please", "Mail jo dot doe at example dot org, please"),
        ("Open README.md on docs.python.org", "Open README dot md on docs dot python dot org"),
        ("It is 10:30, 10:05 or 9:00", "It is 10 30, 10 oh 5 or 9 o'clock"),
        ("At 9:00 am or 3:05 p.m. today", "At 9 A M or 3 oh 5 P M today"),
        ("On 2024-05-01", "On May 1, 2024"),
        ("1,000,000 and 3.14", "1000000 and 3.14"),
        (
            "$1, $2.50, $3.00, €5 and $4 million",
            "1 dollar, 2 dollars and 50 cents, 3 dollars, 5 euros and 4 million dollars",
        ),
        ("Pages 3-5, 2019–2024, call 555-1234", "Pages 3 to 5, 2019 to 2024, call 555-1234"),
        ("-5 °C, 20km, 1 kg, 60 km/h", "minus 5 degrees Celsius, 20 kilometres, 1 kilogram, 60 kilometres per hour"),
        ("1/2 or 3/4 or 2/7", "one half or three quarters or 2 over 7"),
        ("A & B, 50%, #7, 2 * 3 = 6", "A and B, 50 percent, number 7, 2 times 3 equals 6"),
        ("Dr. Who vs. Mr. X, e.g. now, etc.", "Doctor Who versus Mister X, for example now, et cetera."),
        ("No. See No. 5 in fig. 2.", "No. See number 5 in figure 2."),
        ("It means 東京 there", "It means there"),
        ("the U.S. economy", "the U S economy"),
        ("Well... yes — maybe (really)!!", "Well, yes, maybe, really!"),
        ("soooooooo good", "sooo good"),
        ("snake_case and and/or", "snake case and and or"),
        ("a\x00b\u200bc\ufeff", "a b c"),
    ],
)
def test_english(text: str, said: str) -> None:
    assert speakable(text, "en") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**こんにちは**😀！", "こんにちは！"),
        ("10:30に1,000円、50％と5GB", "10時30分に1000円、50パーセントと5ギガバイト"),
        ("2024-05-01、1/2、３〜５個", "2024年5月1日、2分の1、3から5個"),
        ("https://example.com/aを見て", "exampleドットcomを見て"),
        ("「はい」（笑）…終わり(^_^)www", "はい、笑、終わり"),
        ("9:00 pmに$5", "午後9時に5ドル"),
        ("ーーー", "ーーー"),
    ],
)
def test_japanese(text: str, said: str) -> None:
    assert speakable(text, "ja") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3-5个，50%，10:30，“好”（真的）。", "3到5个，百分之50，10点30分，好，真的。"),
        ("2024-05-01 25°C", "2024年5月1日 25摄氏度"),
    ],
)
def test_chinese(text: str, said: str) -> None:
    assert speakable(text, "zh") == said


@pytest.mark.parametrize("language", ["fr", "ko", "ru", ""])
def test_other_languages_lose_their_markup_only(language: str) -> None:
    assert speakable("**Ça** va? 😀 `x`", language) == "Ça va? x"


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), language=st.sampled_from(["en", "ja", "zh", "fr"]))
def test_every_spoken_character_comes_from_somewhere(text: str, language: str) -> None:
    traced = spoken(text, language)
    for index in range(len(traced.text)):
        begin, end = traced.source(index, index + 1)
        assert 0 <= begin <= end <= len(text)


def test_it_remembers_where_words_were_written() -> None:
    text = "Meet **Ann** at 10:30 on https://a.example."
    traced = spoken(text, "en")
    for said, written in (("Ann", "Ann"), ("10 30", "10:30"), ("a dot example", "https://a.example")):
        begin = traced.text.index(said)
        first, last = traced.source(begin, begin + len(said))
        assert text[first:last] == written
