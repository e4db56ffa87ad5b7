"""Words that cannot end a turn, words that can, and what is said of both together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.completeness import FRAGMENT, UNFINISHED, UNKNOWN, WHOLE, completeness

OPEN = """
I would like a ticket to | My sister and | if you go to the station | because it was raining | let me think
I was wondering | when I was a child | could you tell me | and then the | um | I think | as soon as we arrive
She said that she wanted to | Do you think that | What I meant yesterday | He told me that | I believe
えっと | 明日の朝は | 東京に行きたいんですが | 友達と | もし雨が降ったら | 駅まで
来週の会議について | それから | 我想要一个 和 | 因为 | 如果
"""
CLOSED = """
What time is it | Where are you from? | Can you tell me what the weather is like | How do I get to the station
天気はどうですか。 | 教えてください | 映画を見ました。
東京に行きたいです | ありがとうございます | 你叫什么 | 好吗
"""
BEGUN = "My brother at the airport | After the meeting | In the old town | the last train to the city"
EITHER = "It costs twenty dollars I believe | Tokyo | yes | 東京 | 教えて | Very good | 北京"


def lines(text: str) -> list[str]:
    return [line.strip() for row in text.strip().splitlines() for line in row.split("|")]


@pytest.mark.parametrize("text", lines(OPEN))
def test_what_cannot_be_the_end(text: str) -> None:
    assert completeness(text) == UNFINISHED


@pytest.mark.parametrize("text", lines(CLOSED))
def test_what_can_be_the_end(text: str) -> None:
    assert completeness(text) == WHOLE


@pytest.mark.parametrize("text", lines(BEGUN))
def test_what_is_rather_a_beginning(text: str) -> None:
    assert completeness(text) == FRAGMENT


def test_a_clause_that_begins_with_what_is_whole_with_its_verb() -> None:
    assert completeness("What I wanted to ask is whether the shop is open") == WHOLE
    assert completeness("What you said yesterday is") == UNFINISHED


@pytest.mark.parametrize("text", ["", " … ", *lines(EITHER)])
def test_of_the_rest_nothing_is_said(text: str) -> None:
    assert completeness(text) == UNKNOWN


@given(st.text(max_size=80))
def test_any_text_is_judged(text: str) -> None:
    assert completeness(text) in (UNFINISHED, FRAGMENT, UNKNOWN, WHOLE)
