"""Where an utterance begins and ends: the pure core on scripted probabilities."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.hear.endpoint import EarsConfig, Edge, Endpointer, samples
from avatar.hear.vad import FRAME
from avatar.hear.verdict import Advice

Run = list[tuple[Edge, int]]


def steps(probabilities: list[float], config: EarsConfig | None = None) -> tuple[Run, Endpointer]:
    """The edges, each with the frame it fell on."""
    endpointer = Endpointer(config or EarsConfig())
    edges = [(endpointer.step(p, (i + 1) * FRAME), i) for i, p in enumerate(probabilities)]
    return [(edge, i) for edge, i in edges if edge is not Edge.NONE], endpointer


def judge(probabilities: list[float], config: EarsConfig | None = None) -> tuple[Run, Endpointer]:
    """Beginnings and ends alone."""
    run, endpointer = steps(probabilities, config)
    return [(edge, i) for edge, i in run if edge in (Edge.STARTED, Edge.ENDED)], endpointer


def frames(seconds: float) -> int:
    return round(seconds * 16_000 / FRAME)


def test_voice_starts_once_it_is_believed_and_ends_after_the_silence() -> None:
    run, endpointer = judge([0.0] * 5 + [0.9] * 20 + [0.0] * 40)
    assert [edge for edge, _ in run] == [Edge.STARTED, Edge.ENDED]
    assert run[0][1] == 5 + 3 - 1
    assert endpointer.offset == 25 * FRAME
    silence = (run[1][1] + 1) * FRAME - endpointer.offset
    assert samples(0.57) <= silence < samples(0.57) + FRAME


@pytest.mark.parametrize("lit", [1, 2])
def test_a_click_is_nothing(lit: int) -> None:
    run, _ = judge(([0.0] * 20 + [0.99] * lit) * 10 + [0.0] * 40)
    assert run == []


def test_a_wavering_voice_is_one_utterance() -> None:
    run, _ = judge([0.6, 0.4, 0.36, 0.5, 0.3, 0.4] * 10 + [0.0] * 40)
    assert [edge for edge, _ in run] == [Edge.STARTED, Edge.ENDED]


def test_weak_voice_alone_starts_nothing() -> None:
    assert judge([0.45] * 100)[0] == []


def test_pauses_inside_a_sentence_do_not_end_it() -> None:
    run, _ = judge(([0.9] * 10 + [0.1] * frames(0.5)) * 4 + [0.0] * 40)
    assert [edge for edge, _ in run] == [Edge.STARTED, Edge.ENDED]


def test_stop_consonants_do_not_lose_the_beginning() -> None:
    endpointer = Endpointer(EarsConfig())
    for i, p in enumerate([0.0, 0.9, 0.1, 0.1, 0.9, 0.9]):
        edge = endpointer.step(p, (i + 1) * FRAME)
    assert edge is Edge.STARTED
    assert endpointer.onset == FRAME


def test_a_user_who_never_stops_is_cut_within_the_limit() -> None:
    config = EarsConfig()
    run, _ = judge([0.9] * frames(100), config)
    starts = [i for edge, i in run if edge is Edge.STARTED]
    ends = [i for edge, i in run if edge is Edge.ENDED]
    assert len(ends) >= 3
    for start, end in zip(starts, ends, strict=False):
        onset = start - 2
        assert (end + 1 - onset) * FRAME <= samples(config.max_utterance_s - config.pre_roll_s)


def test_a_long_utterance_ends_at_a_breath() -> None:
    breath = [0.0] * frames(0.5)
    talk = [0.9] * frames(24.5)
    assert [e for e, _ in judge(talk + breath + [0.9])[0]] == [Edge.STARTED, Edge.ENDED]
    short = [0.9] * frames(5.0)
    assert [e for e, _ in judge(short + breath + [0.9])[0]] == [Edge.STARTED]


def turns(pause_s: float, count: int) -> list[float]:
    """Sentences with one pause each, and a long silence between them."""
    return ([0.9] * 20 + [0.0] * frames(pause_s) + [0.9] * 20 + [0.0] * frames(2.0)) * count


def test_a_fluent_speaker_is_answered_sooner() -> None:
    _, fluent = judge(turns(0.12, 12))
    assert EarsConfig().min_end_silence_s <= fluent.end_silence_s < 0.6


def test_a_slow_speaker_is_given_time() -> None:
    first, _ = judge(turns(0.75, 1))
    assert len(first) == 4  # cut in the pause the first time
    run, slow = judge(turns(0.75, 12))
    assert 0.75 < slow.end_silence_s <= EarsConfig().max_end_silence_s
    assert [edge for edge, _ in run[-2:]] == [Edge.STARTED, Edge.ENDED]
    assert run[-1][1] - run[-2][1] > frames(0.75) + 30  # both halves in one utterance by then


def test_without_adaptation_the_silence_is_fixed() -> None:
    _, fixed = judge(turns(0.12, 12), EarsConfig(adaptive=False))
    assert fixed.end_silence_s == 0.57


def test_what_is_learnt_outlives_a_reset() -> None:
    _, endpointer = judge(turns(0.12, 12))
    learnt = endpointer.end_silence_s
    endpointer.reset()
    assert endpointer.end_silence_s == learnt


def test_answers_after_a_long_silence_teach_nothing() -> None:
    _, endpointer = judge(([0.9] * 20 + [0.0] * frames(3.0)) * 12)
    assert endpointer.end_silence_s == 0.57


def test_a_flicker_in_the_silence_does_not_delay_the_end() -> None:
    quiet = [0.0] * 8 + [0.45] + [0.0] * 30
    run, endpointer = judge([0.9] * 20 + quiet)
    assert endpointer.offset == 20 * FRAME
    assert run[-1] == (Edge.ENDED, 20 + frames(0.57 + 0.016) - 1)


def test_a_pause_is_told_before_it_is_the_end() -> None:
    run, _ = steps([0.9] * 20 + [0.0] * 40)
    assert [edge for edge, _ in run] == [Edge.STARTED, Edge.PAUSED, Edge.ENDED]
    assert run[1][1] == 20 + frames(0.2 + 0.016) - 1


def test_who_goes_on_after_a_pause_revises_the_utterance() -> None:
    run, endpointer = steps(([0.9] * 20 + [0.0] * frames(0.4)) * 3 + [0.9] + [0.0] * 40)
    pauses = [Edge.PAUSED, Edge.RESUMED] * 3
    assert [edge for edge, _ in run] == [Edge.STARTED, *pauses, Edge.PAUSED, Edge.ENDED]
    assert endpointer.resumed == 3


def ended_after(verdict: float, offset: int = 20 * FRAME) -> int:
    """Frames of silence that end an utterance whose pause was judged so at once."""
    endpointer = Endpointer(EarsConfig())
    for i in range(200):
        edge = endpointer.step(0.9 if i < 20 else 0.0, (i + 1) * FRAME)
        if edge is Edge.PAUSED:
            endpointer.judge(offset, Advice(words=verdict))
        if edge is Edge.ENDED:
            return i + 1 - 20
    raise AssertionError("it never ended")


def test_a_verdict_moves_the_end() -> None:
    config = EarsConfig()
    by_silence = ended_after(0.5)
    assert ended_after(0.95) * FRAME < samples(config.complete_silence_s) + FRAME
    assert ended_after(0.95) < by_silence < ended_after(0.05)
    assert abs(ended_after(0.05) * FRAME - samples(config.incomplete_silence_s)) <= FRAME


def test_a_verdict_on_another_pause_changes_nothing() -> None:
    assert ended_after(0.95, offset=19 * FRAME) == ended_after(0.5)


def test_a_verdict_is_forgotten_when_the_voice_goes_on() -> None:
    endpointer = Endpointer(EarsConfig(adaptive=False))
    run = []
    for i, p in enumerate([0.9] * 20 + [0.0] * 8 + [0.9] * 20 + [0.0] * 40):
        edge = endpointer.step(p, (i + 1) * FRAME)
        if edge is Edge.PAUSED and not run:
            endpointer.judge(endpointer.offset, Advice(words=0.0))
        if edge in (Edge.PAUSED, Edge.ENDED):
            run.append(i)
    assert (run[-1] + 1 - 48) == ended_after(0.5)


@given(st.lists(st.floats(0, 1), max_size=400), st.lists(st.floats(0, 1), max_size=40))
def test_whatever_is_judged_the_end_comes_within_the_patience(voice: list[float], verdicts: list[float]) -> None:
    endpointer, left = Endpointer(EarsConfig()), list(verdicts)
    for i, p in enumerate([*voice, *[0.0] * 60]):
        if endpointer.step(p, (i + 1) * FRAME) is Edge.PAUSED and left:
            endpointer.judge(endpointer.offset, Advice(voice=left.pop()))
    assert not endpointer.speaking


@given(st.lists(st.floats(0, 1), max_size=400))
def test_edges_alternate_and_stay_in_order(probabilities: list[float]) -> None:
    endpointer = Endpointer(EarsConfig())
    expected = Edge.STARTED
    for i, p in enumerate(probabilities):
        end = (i + 1) * FRAME
        edge = endpointer.step(p, end)
        assert endpointer.offset <= end
        if edge in (Edge.PAUSED, Edge.RESUMED):
            assert expected is Edge.ENDED and endpointer.paused == (edge is Edge.PAUSED)
        if edge in (Edge.NONE, Edge.PAUSED, Edge.RESUMED):
            continue
        assert edge is expected
        expected = Edge.ENDED if edge is Edge.STARTED else Edge.STARTED
        if edge is Edge.STARTED:
            assert endpointer.onset is not None and endpointer.onset < endpointer.offset == end
            assert endpointer.voiced >= samples(0.096)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_threshold": 0.2},
        {"keep_threshold": 0.0},
        {"tail_s": 0.9},
        {"tail_s": 0.45},
        {"complete_silence_s": 0.1},
        {"incomplete_silence_s": 0.3},
        {"max_utterance_s": 10.0},
        {"long_utterance_s": 0.1},
    ],
)
def test_a_senseless_configuration_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        EarsConfig(**wrong)
