"""Replies are cut into clauses as they stream in: where people would pause, and never differently for the chunking."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avatar.speak.clauses import ClauseSplitter, language_of, speakable
from avatar.types import Clause


def split(text: str, sizes: list[int] | None = None, language: str = "auto") -> list[Clause]:
    splitter = ClauseSplitter("turn", language)
    clauses: list[Clause] = []
    position = 0
    for size in sizes or []:
        clauses += splitter.push(text[position : position + size])
        position += size
    clauses += splitter.push(text[position:])
    return clauses + splitter.finish()


def texts(text: str, language: str = "auto") -> list[str]:
    return [clause.text for clause in split(text, language=language)]


def squeezed(text: str) -> str:
    return "".join(text.split())


_RUNS = [mark * count for mark in '.。"\n )' for count in (39, 41, 90)]
_MARKS = """. |, |\n\n|\n- |1. |```|\n```py\n|e.g. |Dr. |3.14|1,000|U.S. |a.m. |10:30|... |😀|**|OK"""
_FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
_LETTERS = "abcXYZ0123 .,;:!?-—…\n\"'()*`#|@/ あいカナ漢字東京、。！？「」（）ー・你好吗"
PIECES = st.sampled_from(
    [*_RUNS, *_MARKS.split("|"), *_LETTERS, _FAMILY, "a@b.example ", "https://a.example/b?c=d,e ", "word "]
)
PROSE = st.lists(PIECES, max_size=120).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    text=PROSE, sizes=st.lists(st.integers(1, 9), max_size=150), language=st.sampled_from(["auto", "en", "ja", "zh"])
)
@example(text="a\n```\nb", sizes=[1] * 7, language="auto")
def test_any_chunking_gives_the_same_clauses_and_nothing_is_lost(text: str, sizes: list[int], language: str) -> None:
    whole = split(text, language=language)
    assert split(text, sizes, language) == whole
    assert squeezed("".join(clause.text for clause in whole)) == squeezed(text)
    assert [clause.index for clause in whole] == list(range(len(whole)))
    assert all(clause.text and clause.text == clause.text.strip() for clause in whole)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=300), sizes=st.lists(st.integers(1, 5), max_size=100))
def test_any_unicode_survives(text: str, sizes: list[int]) -> None:
    assert split(text, sizes) == split(text)
    assert squeezed("".join(clause.text for clause in split(text))) == squeezed(text)
    for language in ("en", "ja", "zh", "fr"):
        speakable(text, language)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        # The first clause is a short sentence, or ends at a comma that is not too early.
        ("Hello! How are you today, my friend?", ["Hello!", "How are you today, my friend?"]),
        ("Well, yes.", ["Well, yes."]),
        ("For example, this one is long enough.", ["For example,", "this one is long enough."]),
        # Points that end nothing.
        (
            "Dr. Smith met Mr. Jones at 10 a.m. in the U.S. Senate.",
            ["Dr. Smith met Mr. Jones at 10 a.m. in the U.S. Senate."],
        ),
        ("Pi is 3.14159 or so. Right?", ["Pi is 3.14159 or so.", "Right?"]),
        ("It has 1,000,000 users at example.com, e.g. me.", ["It has 1,000,000 users at example.com,", "e.g. me."]),
        ("See https://example.com/a.b?c=d,e! Now.", ["See https://example.com/a.b?c=d,e!", "Now."]),
        ("J. R. Smith wrote it. I did not.", ["J. R. Smith wrote it.", "I did not."]),
        ("Meet me at 10 a.m. Then we talk.", ["Meet me at 10 a.m.", "Then we talk."]),
        ("No. I do not like No. 5 at all.", ["No.", "I do not like No. 5 at all."]),
        ("Smith et al. wrote it. Right.", ["Smith et al. wrote it.", "Right."]),
        ("Well... maybe not. Yes.", ["Well... maybe not.", "Yes."]),
        ('She said "Stop!" Then she left.', ['She said "Stop!"', "Then she left."]),
        # Japanese and Chinese.
        ("こんにちは！元気ですか？", ["こんにちは！", "元気ですか？"]),
        ("はい、そうです。", ["はい、そうです。"]),
        ("「はい。」と彼は言った。次です。", ["「はい。」と彼は言った。", "次です。"]),
        ("円周率は3.14で、値段は1,000円です。", ["円周率は3.14で、", "値段は1,000円です。"]),
        ("你好！今天天气很好。", ["你好！", "今天天气很好。"]),
        # Layout.
        ("Here you go:\n1. First.\n2. Second.", ["Here you go:", "1. First.\n2. Second."]),
        ("# Title\nText follows here.", ["# Title", "Text follows here."]),
        ("This line was\nwrapped by hand. OK.", ["This line was\nwrapped by hand.", "OK."]),
        ("Look.\n```\na. b! c?\n```\nDone.", ["Look.", "```\na. b! c?\n```\nDone."]),
        # What is not said stays with what is.
        ("Great 😀! 🎉 Next.", ["Great 😀!", "🎉 Next."]),
        ("😀", ["😀"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_cuts_where_people_pause(text: str, clauses: list[str]) -> None:
    assert texts(text) == clauses


def test_later_clauses_are_longer() -> None:
    text = "Yes. It is so. " + "And this goes on, as you see. " * 8
    clauses = texts(text)
    assert clauses[0] == "Yes."
    assert all(len(clause) >= 40 for clause in clauses[2:-1])


@pytest.mark.parametrize("text", ["word " * 200, "あ" * 500, "x" * 3000, "漢字かな交じり" * 60, "a" * 490 + " b" * 300])
def test_text_without_punctuation_is_cut_at_a_sensible_length(text: str) -> None:
    clauses = texts(text)
    assert len(clauses) > 1
    assert all(len(clause) <= 700 for clause in clauses)  # an unbroken run of 500 and a usual clause
    assert not any(clause.startswith(("ord", "rd ")) for clause in clauses), "a word was cut"


def test_the_first_clause_is_out_before_the_reply_is_written() -> None:
    splitter = ClauseSplitter("turn")
    assert splitter.push("Of course, I") == [Clause("Of course,", 0, "turn", "en")]
    assert splitter.push(" can help") == []


def test_a_long_reply_in_small_pieces_is_cheap() -> None:
    """The work per piece must not grow with the reply: a block of code stays open for thousands of characters."""
    splitter = ClauseSplitter("turn")
    text = "Here:\n```\n" + "x = 1  # code\n" * 4000 + "```\nDone."
    clauses = [clause for begin in range(0, len(text), 4) for clause in splitter.push(text[begin : begin + 4])]
    assert [speakable(clause.text, "en") for clause in clauses + splitter.finish()] == ["Here", "Done."]


class Looked(str):
    """A text that counts how often one of its characters is looked at."""

    looks = 0

    def __getitem__(self, key: Any) -> Looked:
        Looked.looks += 1
        return Looked(super().__getitem__(key))

    def __add__(self, other: str) -> Looked:
        return Looked(super().__add__(other))

    def lstrip(self, chars: str | None = None) -> Looked:
        return Looked(super().lstrip(chars))


@pytest.mark.parametrize("head", ["Hi", "はい", "Well, so it is,"])
@pytest.mark.parametrize("run", [".", "!", "。", "…", '"', ")", "\n", "\n "])
def test_a_run_of_marks_costs_no_more_than_letters(head: str, run: str) -> None:
    """Models get stuck: thousands of dots come, one by one."""
    splitter = ClauseSplitter("turn")
    splitter._scan.text = Looked(head)
    Looked.looks = 0
    clauses = [clause for _ in range(600) for clause in splitter.push(run)]
    assert Looked.looks < 60 * 600 * len(run)
    clauses += [*splitter.push("\nAnd on."), *splitter.finish()]
    assert clauses[-1].text.endswith("And on.")


def test_each_clause_has_its_language() -> None:
    clauses = split("Hello! こんにちは、元気ですか？ I am fine. 東京、大阪、京都。OK。 And that is all of it.")
    assert [(c.language, c.text) for c in clauses] == [
        ("en", "Hello!"),
        ("ja", "こんにちは、元気ですか？"),
        ("en", "I am fine."),
        ("ja", "東京、大阪、京都。"),
        ("en", "OK。 And that is all of it."),
    ]


@pytest.mark.parametrize(
    ("text", "default", "language"),
    [
        ("Hello", "en", "en"),
        ("こんにちは", "en", "ja"),
        ("Pythonを使います", "en", "ja"),
        ("東京", "ja", "ja"),
        ("東京", "en", "zh"),
        ("你好吗", "ja", "zh"),
        ("駅", "zh", "ja"),
        ("Hello", "ja", "en"),
        ("Bonjour", "fr", "fr"),
        ("안녕하세요", "en", "ko"),
        ("Привет", "en", "ru"),
        ("Привіт", "uk", "uk"),
        ("42", "ja", "ja"),
        ("", "", "en"),
        ("Hello", "en-GB", "en"),
        ("你好", "cmn", "zh"),
    ],
)
def test_language_of(text: str, default: str, language: str) -> None:
    assert language_of(text, default) == language
