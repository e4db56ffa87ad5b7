"""How far the voice is believed, and what voice and words say together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.verdict import WEIGHT, VoiceScale

probability = st.floats(0, 1)


@given(probability, st.lists(st.tuples(probability, st.booleans()), max_size=30))
def test_both_speak_for_themselves(words: float, learnt: list[tuple[float, bool]]) -> None:
    scale = VoiceScale()
    for complete, ended in learnt:
        scale.learn(complete, ended=ended)
    assert 0 <= scale.weight <= WEIGHT
    said = [scale.weigh(voice, words) for voice in (0.01, 0.3, 0.7, 0.99)]
    assert said == sorted(said) and said[0] > 0 and said[-1] < 1
    assert abs(scale.weigh(None, words) - min(max(words, 0.047), 0.953)) < 0.01


def test_a_model_that_tells_the_two_apart_is_believed() -> None:
    scale = VoiceScale()
    for _ in range(5):
        scale.learn(0.95, ended=True)
        scale.learn(0.05, ended=False)
    assert scale.weight == WEIGHT
    assert scale.weigh(0.95, 0.5) > 0.65 and scale.weigh(0.05, 0.5) < 0.3


def test_a_model_that_never_takes_this_voice_for_finished_is_not() -> None:
    scale = VoiceScale()
    before = scale.weigh(0.02, 0.75)
    for _ in range(5):
        scale.learn(0.02, ended=True)
        scale.learn(0.02, ended=False)
    assert scale.weight < 0.2
    assert before < 0.5 < scale.weigh(0.02, 0.75)


def test_a_voice_with_a_scale_of_its_own_is_read_on_it() -> None:
    scale = VoiceScale()
    for _ in range(12):
        scale.learn(0.4, ended=True)
        scale.learn(0.01, ended=False)
    assert scale.weigh(0.4, 0.5) > 0.55
