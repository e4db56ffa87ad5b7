"""How far the voice is believed, and what tone, turn model and words say together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.completeness import UNKNOWN
from avatar.hear.endpoint import EarsConfig
from avatar.hear.verdict import Advice, Scale, VoiceScale

probability = st.floats(0, 1)
tones = st.floats(-30, 30)


def scale() -> Scale:
    return Scale(0.3, -0.75, 2.25)


@given(probability, st.lists(st.tuples(probability, tones, st.booleans()), max_size=30))
def test_all_speak_for_themselves(words: float, learnt: list[tuple[float, float, bool]]) -> None:
    voices = VoiceScale()
    for voice, tone, ended in learnt:
        voices.learn(Advice(voice=voice, tone=tone), ended=ended)
    for said in (
        [voices.weigh(Advice(voice=voice, words=words)) for voice in (0.0, 0.3, 0.7, 1.0)],
        [voices.weigh(Advice(words=words, tone=tone)) for tone in (-20.0, 3.0, 8.0, 30.0)],
        [voices.weigh(Advice(voice=0.9, words=words, tone=3.0)) for words in (0.0, 0.3, 0.7, 1.0)],
    ):
        assert said == sorted(said) and said[0] > 0 and said[-1] < 1
    assert abs(voices.weigh(Advice(words=words)) - min(max(words, 0.047), 0.953)) < 0.01


def test_what_is_not_known_changes_nothing() -> None:
    voices = VoiceScale()
    voices.learn(Advice(words=0.9), ended=True)
    assert voices.weigh(Advice()) == UNKNOWN


@pytest.mark.parametrize("unit", [1.0, 4.0])
@given(st.lists(st.tuples(st.floats(-3, 3), st.booleans()), max_size=40))
def test_a_sign_never_weighs_more_than_it_did_nor_turns_around(unit: float, learnt: list[tuple[float, bool]]) -> None:
    sign = scale()
    for value, ended in learnt:
        sign.learn(unit * value, ended=ended)
    assert 0 <= sign.weight <= 0.3


def test_a_sign_that_tells_the_two_apart_is_believed() -> None:
    sign = scale()
    for _ in range(5):
        sign.learn(3.0, ended=True)
        sign.learn(-3.0, ended=False)
    assert sign.weight == 0.3
    assert sign.odds(3.0) > 0.6 and sign.odds(-3.0) < -0.6


def test_a_model_that_never_takes_this_voice_for_finished_is_not() -> None:
    voices = VoiceScale()
    before = voices.weigh(Advice(voice=0.02))
    for _ in range(8):
        voices.learn(Advice(voice=0.02), ended=True)
        voices.learn(Advice(voice=0.02), ended=False)
    assert before < voices.weigh(Advice(voice=0.02)) <= 0.5
    assert voices.model.weight < 0.5 * VoiceScale().model.weight


def test_a_voice_with_a_scale_of_its_own_is_read_on_it() -> None:
    """One who falls by three semitones at ends and rises before: three mean an end."""
    voices = VoiceScale()
    assert voices.weigh(Advice(tone=3.0)) < 0.5
    for _ in range(12):
        voices.learn(Advice(tone=4.0), ended=True)
        voices.learn(Advice(tone=0.0), ended=False)
    assert voices.weigh(Advice(tone=4.0)) > 0.55
    assert voices.weigh(Advice(tone=0.0)) < 0.45


def test_a_voice_that_has_not_fallen_may_still_have_asked() -> None:
    """Nobody stops working ahead for it, and the silence grows little."""
    assert EarsConfig().incomplete < VoiceScale().weigh(Advice(tone=-5.0)) < 0.5
