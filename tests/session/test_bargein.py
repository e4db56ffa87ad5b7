"""Whether a voice over the avatar's wants the floor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.bargein import DECIDE_S, LONG_VOICE_S, BargeIn, Verdict, takes_floor


def test_words_interrupt_as_soon_as_they_are_known() -> None:
    judge = BargeIn(10.0, partials=True)
    assert judge.voice(10.2, 0.2) is Verdict.OPEN
    assert judge.words("tell") is Verdict.OPEN, "the first guess at a noise is often one word"
    assert judge.words("tell me more") is Verdict.REAL


@pytest.mark.parametrize(
    "text", ["Stop!", "wait", "Hey.", "no, no", "what", "ちょっと待って", "ストップ", "いや", "等一下"]
)
def test_one_word_that_halts_people_is_enough(text: str) -> None:
    assert BargeIn(0.0, partials=True).words(text) is Verdict.REAL


@pytest.mark.parametrize("text", ["", "uh-huh", "Yes, yes.", "はい、なるほど", "[NOISE]", "(coughs)"])
def test_what_only_listens_never_interrupts(text: str) -> None:
    judge = BargeIn(0.0, partials=False)
    assert judge.words(text) is Verdict.OPEN
    assert judge.final(text) is Verdict.FALSE


def test_one_plain_word_needs_voice_enough_for_it() -> None:
    assert takes_floor("Tuesday", final=True, voiced_s=0.4)
    assert not takes_floor("the", final=True, voiced_s=0.1)
    assert not takes_floor("Tuesday", final=False, voiced_s=0.4)


def test_a_rough_recogniser_is_believed_when_there_was_voice_enough() -> None:
    assert not takes_floor("the flood", final=True, voiced_s=0.4, rough=True)
    assert takes_floor("the flood", final=True, voiced_s=0.4)
    assert takes_floor("stop", final=False, voiced_s=0.3, rough=True)
    assert takes_floor("what time is it", final=True, voiced_s=0.8, rough=True)


def test_without_words_it_was_nothing() -> None:
    judge = BargeIn(5.0, partials=True)
    assert judge.voice(5.0 + DECIDE_S - 0.1, 1.8) is Verdict.OPEN
    assert judge.voice(5.0 + DECIDE_S, 1.9) is Verdict.FALSE
    assert judge.words("and so I said to him") is Verdict.REAL, "late words are words"


def test_a_long_voice_is_speech_where_words_come_at_the_end() -> None:
    judge = BargeIn(0.0, partials=False)
    assert judge.voice(LONG_VOICE_S - 0.1, LONG_VOICE_S - 0.1) is Verdict.OPEN
    assert judge.voice(LONG_VOICE_S, LONG_VOICE_S) is Verdict.REAL
    judge.tick(60.0)
    assert judge.final("") is Verdict.REAL, "what interrupted cannot be taken back"


_STEP = st.one_of(
    st.tuples(st.just("voice"), st.floats(0, 3), st.floats(0, 3)),
    st.tuples(st.just("words"), st.sampled_from(["", "uh", "yes", "tell me", "stop", "はい", "明日の天気"])),
    st.tuples(st.just("tick"), st.floats(0, 5)),
    st.tuples(st.just("final"), st.sampled_from(["", "yes", "tell me", "stop"])),
)


@given(st.booleans(), st.lists(_STEP, max_size=20))
def test_an_interruption_stays_one_and_two_seconds_decide(partials: bool, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    judge = BargeIn(0.0, partials=partials)
    seen = []
    for name, *values in steps:
        getattr(judge, name)(*values)
        seen.append(judge.verdict)
    if Verdict.REAL in seen:
        assert set(seen[seen.index(Verdict.REAL) :]) == {Verdict.REAL}
    assert judge.tick(DECIDE_S) is not Verdict.OPEN
