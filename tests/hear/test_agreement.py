"""LocalAgreement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.agreement import LocalAgreement, tokens


def test_what_two_hypotheses_share_is_settled() -> None:
    agreement = LocalAgreement()
    assert agreement.update("please tell") == "please tell"
    assert agreement.settled == ""
    agreement.update("please tell me a")
    assert agreement.settled == "please"
    agreement.update("please tell me about the")
    assert agreement.settled == "please tell me"


def test_settled_words_do_not_change_again() -> None:
    agreement = LocalAgreement()
    for text in ("what time is it", "what time is it now", "watt dime is it now please"):
        shown = agreement.update(text)
    assert shown == "what time is it now please"


def test_case_and_punctuation_do_not_unsettle() -> None:
    agreement = LocalAgreement()
    agreement.update("Hello. How are")
    agreement.update("Hello, how are you")
    assert agreement.settled == "Hello, how"


def test_the_last_word_is_never_settled() -> None:
    agreement = LocalAgreement()
    agreement.update("I want to cat")
    agreement.update("I want to cat")
    assert agreement.settled == "I want to"


def test_japanese_is_compared_by_character() -> None:
    agreement = LocalAgreement()
    agreement.update("今日の天気は")
    assert agreement.update("今日の天気予報を") == "今日の天気予報を"
    assert agreement.settled == "今日の天気"


def test_a_shrinking_hypothesis_keeps_what_is_settled() -> None:
    agreement = LocalAgreement()
    agreement.update("one two three four")
    agreement.update("one two three four five")
    assert agreement.update("one") == "one two three"


@given(st.text(max_size=60))
def test_tokens_lose_nothing(text: str) -> None:
    assert "".join(tokens(text)) == text.rstrip()


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8), max_size=10))
def test_the_settled_text_only_grows(hypotheses: list[list[str]]) -> None:
    agreement = LocalAgreement()
    before = ""
    for words in hypotheses:
        shown = agreement.update(" ".join(words))
        assert agreement.settled.startswith(before)
        assert shown.startswith(agreement.settled)
        before = agreement.settled
