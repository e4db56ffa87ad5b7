from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.think.reasoning import ReasoningFilter


def run(*pieces: str) -> str:
    spoken = ReasoningFilter()
    return "".join([*map(spoken.feed, pieces), spoken.finish()])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("<think>\nhm, well\n</think>\n\nHello.", "Hello."),
        ("<think></think>Hello.", "Hello."),
        ("Hello <thinking>a < b</thinking> there.", "Hello there."),
        ("<THINK>x</think>y", "y"),
        ("a < b and <thin air>", "a < b and <thin air>"),
        ("<think>never closed", ""),
        ("<think>a</thi</think>b", "b"),
        ("ends with <thi", "ends with <thi"),
        ("<think>a</think><think>b</think>c", "c"),
        ("  leading", "leading"),
        ("", ""),
    ],
)
def test_thinking_is_cut_however_the_stream_is_cut(raw: str, said: str) -> None:
    assert run(raw) == said
    assert run(*raw) == said
    for at in range(len(raw)):
        assert run(raw[:at], raw[at:]) == said


def test_it_remembers_that_there_was_thinking() -> None:
    spoken = ReasoningFilter()
    spoken.feed("<think>…")
    assert spoken.thought


@given(st.lists(st.text(alphabet="ab <>/think", max_size=8)))
def test_text_without_a_tag_comes_through_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    if "<think>" not in text:
        assert run(*pieces) == text.lstrip()


def test_words_are_not_held_back() -> None:
    spoken = ReasoningFilter()
    assert spoken.feed("Hello ") == "Hello "
    assert spoken.feed("there <") == "there "
    assert spoken.feed("3") == "<3"
