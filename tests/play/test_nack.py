"""Which lost packets of sound are asked for, how often, and how long they are waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.play.nack import MAX_RTT_S, MAX_WAIT_S, MOST, Nacks, split
from avatar.play.opus import OpusEncoder
from tests.play.pairs import TONE
from tests.play.voice import carry


def test_a_packet_is_asked_for_at_once_and_again_after_a_round_trip() -> None:
    nacks = Nacks()
    assert nacks.ask([7, 8], 0.0, 0.06) == [7, 8]
    assert nacks.ask([7, 8], 0.02, 0.06) == []
    assert nacks.arrived(7, 0.065)
    assert nacks.ask([8], 0.1, 0.06) == [8]
    assert nacks.until(8) == 2.5 * 0.06 + 0.04
    assert nacks.answered == 1
    assert not nacks.arrived(7, 0.1)


def test_nothing_is_asked_for_that_cannot_come_in_time() -> None:
    nacks = Nacks()
    assert nacks.ask([1], 0.0, MAX_RTT_S + 0.01) == []
    assert nacks.ask(list(range(MOST + 1)), 0.0, 0.06) == []
    assert nacks.ask([1], 0.0, MAX_RTT_S) == [1]
    assert nacks.until(1) == MAX_WAIT_S
    assert [n for n in range(100) if nacks.ask([1], n * 0.02, MAX_RTT_S)] == []


def test_who_never_answers_is_asked_but_not_waited_for_until_an_answer_comes() -> None:
    nacks = Nacks()
    waits = []
    for n in range(20):
        now = n * 3.0
        assert nacks.ask([n], now, 0.05) == [n]
        until = nacks.until(n)
        assert until is not None
        waits.append(until > now)
    assert waits == [True] * 6 + [False] * 14
    assert nacks.arrived(19, 19 * 3.0 + 0.05)
    assert nacks.ask([20], 60.0, 0.05) == [20]
    assert nacks.until(20) == 60.0 + 0.165


def test_answers_that_come_too_late_are_no_reason_to_wait() -> None:
    nacks = Nacks()
    for n in range(6):
        assert nacks.ask([n], 3.0 * n, 0.05) == [n]
        assert nacks.arrived(n, 3.0 * n + 0.4)
    assert nacks.answered == 0
    nacks.ask([6], 20.0, 0.05)
    assert nacks.until(6) == 20.0


def test_numbers_that_jump_cost_no_memory() -> None:
    nacks = Nacks()
    for n in range(5000):
        assert len(nacks.ask(range(300 * n, 300 * n + MOST), n / 5000, 0.06)) == MOST
        assert len(nacks._asked) <= 256
    assert nacks.until(300 * 4999) is not None


def test_a_packet_that_was_overtaken_is_no_answer() -> None:
    nacks = Nacks()
    nacks.ask([3], 0.0, 0.06)
    assert nacks.arrived(3, 0.004)
    assert nacks.answered == 0


@given(st.sets(st.integers(0, 1 << 20), max_size=20))
def test_requests_do_not_cross_the_wrap(sequences: set[int]) -> None:
    parts = split(list(sequences))
    assert sorted(n for part in parts for n in part) == sorted(n & 0xFFFF for n in sequences)
    assert all(part == sorted(part) for part in parts)


@pytest.mark.parametrize("copies", [0, 1])
@pytest.mark.parametrize("answers", [True, False])
def test_a_voice_on_a_lossy_path_is_whole_where_what_is_asked_for_is_sent_again(copies: int, answers: bool) -> None:
    encoder = OpusEncoder()
    packets = [encoder.encode(TONE) for _ in range(1500)]
    encoder.close()
    calls = [carry(packets, 0.05, seed, copies=copies, answers=answers) for seed in range(4)]
    for call in calls:
        position = 0
        for piece in call.pieces:  # without a gap, and nothing twice
            assert piece.timestamp == position
            position += piece.samples
        assert max(call.late_s) < 0.03 + 0.02 + 0.25 + 0.06
        assert max(call.late_s[-50:]) < 0.3
        assert min(call.late_s[-50:]) < 0.036  # no lag
    concealed = sum(call.concealed_ms for call in calls)
    lost = 4 * 1500 * 0.05 * 20
    if answers:
        assert concealed <= (0.02 if copies == 0 else 0.002) * lost
    else:
        assert concealed > (0.8 if copies == 0 else 0.02) * lost
