"""What was heard of a turn, by word times and without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.clock import AUDIO_SAMPLES
from avatar.play.heard import HeardTracker
from avatar.types import Frame, Slice, Word


def _track(slices: list[Slice], played: int) -> str:
    tracker = HeardTracker()
    for piece in slices:
        tracker.queued(piece)
    for piece in slices[:played]:
        tracker.played(piece)
    return tracker.result().text


def _clause(text: str, count: int, words: tuple[Word, ...] = ()) -> list[Slice]:
    return [
        Slice(
            Frame(i, None),
            np.zeros(AUDIO_SAMPLES, np.int16),
            "t",
            0,
            start=i * AUDIO_SAMPLES,
            words=tuple(w for w in words if i * AUDIO_SAMPLES <= w.start < (i + 1) * AUDIO_SAMPLES),
            clause_start=i == 0,
            clause_end=i == count - 1,
            text=text if i == 0 else "",
        )
        for i in range(count)
    ]


def test_word_times_decide_what_was_heard() -> None:
    words = tuple(Word(w, i * 4800, (i + 1) * 4800) for i, w in enumerate(["Hello", "my", "dear", "friend"]))
    slices = _clause("Hello, my dear friend.", 12, words)
    assert _track(slices, 0) == ""
    assert _track(slices, 5) == "Hello, my"  # 200 ms: two words of 100 ms
    assert _track(slices, 12) == "Hello, my dear friend."


def test_without_word_times_the_share_decides() -> None:
    slices = _clause("one two three four five six seven eight", 40)
    assert _track(slices, 20) == "one two three four"
    assert _track(_clause("こんにちは、お元気ですか", 24), 12) == "こんにちは、"
    assert _track(slices, 40) == "one two three four five six seven eight"


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=60), st.integers(1, 50), st.integers(0, 50))
def test_heard_text_is_a_growing_beginning(text: str, count: int, played: int) -> None:
    slices = _clause(text, count)
    played = min(played, count)
    now, later = _track(slices, played), _track(slices, count)
    assert text.strip().startswith(now) or now == later
    assert later == text.strip()


@pytest.mark.parametrize("text", ["one two three four five six", "こんにちは、お元気ですか。", "Hello, 世界 and you!"])
@pytest.mark.parametrize("known", [True, False])
def test_words_are_told_as_they_are_sent(text: str, known: bool) -> None:
    """Also where the voice knows no times; together they are the text, in order and never long before they sound."""
    parts = text.split() if known else []
    words = tuple(Word(w, i * 9000, (i + 1) * 9000) for i, w in enumerate(parts))
    slices = _clause(text, 40, words)
    tracker = HeardTracker()
    told: list[tuple[int, Word]] = []
    for piece in slices:
        tracker.queued(piece)
    for at, piece in enumerate(slices):
        tracker.played(piece)
        told += [(at, word) for word in tracker.spoken(piece)]
    assert "".join(word.text for _, word in told).split() == (parts or text.split()) or "".join(
        word.text for _, word in told
    ) == "".join(parts or [text])
    assert all(word.start < (at + 1) * AUDIO_SAMPLES for at, word in told[:-1])
    assert [at for at, _ in told] == sorted(at for at, _ in told)


def _torn(slices: list[Slice]) -> list[Slice]:
    return [*slices[:-1], replace(slices[-1], torn=True, clause_end=True)]


def test_a_clause_whose_voice_broke_off_was_not_heard_whole() -> None:
    text = "one two three four five six seven eight"  # about 2.8 s of speech
    tracker = HeardTracker()
    told: list[Word] = []
    for piece in _torn(_clause(text, 70)[:35]):
        tracker.queued(piece)
        tracker.played(piece)
        told += tracker.spoken(piece)
    assert tracker.result().text == "one two three four"
    assert not tracker.result().complete
    assert "".join(word.text for word in told).strip() in ("one two three four", "one two three four five")
    late = _torn(_clause(text, 100))
    assert _track(late, 100) == "one two three four five six seven", "also where the voice was slower than is common"


def test_word_times_decide_also_where_the_voice_broke_off() -> None:
    words = tuple(Word(w, i * 4800, (i + 1) * 4800) for i, w in enumerate(["Hello", "my", "dear", "friend"]))
    assert _track(_torn(_clause("Hello, my dear friend.", 12, words)[:5]), 5) == "Hello, my"


def test_a_voice_is_measured_by_what_it_said_whole() -> None:
    """Half of a clause is half of it at any speed, in any script."""
    for text, count in (("one two three four five six seven eight", 140), ("お元気ですか、今日はいい天気ですね", 40)):
        slices = [*_clause(text, count), *[replace(p, clause=1) for p in _torn(_clause(text, count)[: count // 2])]]
        half = {"one": "one two three four", "お元気": "お元気ですか、今"}
        assert _track(slices, len(slices)).replace(text, "").strip() in half.values()
