"""Raw sound becomes a clause's stream: trimmed, levelled, paused, in small chunks, with its marks in place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.speak.shape import (
    CEILING,
    CHUNK_S,
    CLAUSE_PAUSE_S,
    LEAD_S,
    NO_PAUSE_S,
    SENTENCE_PAUSE_S,
    TARGET_DBFS,
    Samples,
    Shaper,
    active_level,
    gain_for,
    limit,
    pause_after,
)
from avatar.types import AudioChunk, Phone, Word

RATE = 16_000


def tone(seconds: float, level: float = 0.1) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * 200 * time)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def shaped(sound: Samples, sizes: list[int], pause_s: float = 0.1, words: list[Word] | None = None) -> list[AudioChunk]:
    shaper = Shaper(RATE, 1.0, pause_s)
    shaper.mark(words or [], [Phone("a", word.start, word.end) for word in words or []])
    chunks: list[AudioChunk] = []
    at = 0
    for size in [*sizes, len(sound)]:
        chunks += shaper.push(sound[at : at + size])
        at += size
    return chunks + shaper.finish()


@settings(max_examples=60, deadline=None)
@given(
    lead=st.floats(0, 0.4),
    sound=st.floats(0.05, 0.6),
    gap=st.floats(0, 0.4),
    tail=st.floats(0, 0.6),
    sizes=st.lists(st.integers(1, 5_000), max_size=30),
)
def test_ends_are_trimmed_and_chunking_changes_nothing(
    lead: float, sound: float, gap: float, tail: float, sizes: list[int]
) -> None:
    raw = np.concatenate([silence(lead), tone(sound), silence(gap), tone(sound), silence(tail)])
    chunks = shaped(raw, sizes)
    position = 0
    for chunk in chunks:
        assert chunk.start == position
        position = chunk.end
    assert all(chunk.seconds == pytest.approx(CHUNK_S) for chunk in chunks[:-1])
    pcm = np.concatenate([chunk.pcm for chunk in chunks])
    expected = min(lead, LEAD_S) + 2 * sound + gap + 0.1
    assert len(pcm) / RATE == pytest.approx(expected, abs=0.02)
    assert pcm.tobytes() == np.concatenate([chunk.pcm for chunk in shaped(raw, [])]).tobytes()


def test_silence_is_nothing() -> None:
    assert shaped(silence(2), [100, 700]) == []
    assert shaped(silence(0), []) == []


def test_words_move_with_the_trimmed_lead_and_stay_inside() -> None:
    raw = np.concatenate([silence(0.5), tone(0.5), silence(1)])
    words = [Word("one ", 7_900, 12_000), Word("two", 12_000, 40_000)]
    for sizes in ([], [50] * 400):
        chunks = shaped(raw, sizes, words=words)
        found = [word for chunk in chunks for word in chunk.words]
        lead = round((0.5 - LEAD_S) * RATE)
        end = chunks[-1].end
        assert found == [Word("one ", 7_900 - lead, 12_000 - lead), Word("two", 12_000 - lead, end)]
        for chunk in chunks:
            assert all(word.start >= chunk.start for word in chunk.words)


def test_voices_are_brought_to_one_level() -> None:
    for level in (0.02, 0.05, 0.3, 0.9):
        sound = np.concatenate([tone(1, level), silence(1), tone(1, level)])
        gain = gain_for(sound, RATE)
        assert gain is not None
        result = active_level(sound * np.float32(gain), RATE)
        assert result == pytest.approx(TARGET_DBFS, abs=0.5)


def test_too_little_sound_has_no_level() -> None:
    assert gain_for(silence(1), RATE) is None
    assert gain_for(tone(0.1), RATE) is None
    assert gain_for(silence(0), RATE) is None


def test_peaks_are_bent_and_never_clipped() -> None:
    ramp = np.linspace(-5, 5, 10_001, dtype=np.float32)
    out = limit(ramp).astype(int)
    assert np.abs(out).max() <= round(CEILING * 32767)
    assert (np.diff(out) >= 0).all()
    quiet = np.linspace(-0.7, 0.7, 1_001, dtype=np.float32)
    assert np.abs(limit(quiet) - quiet * 32767).max() <= 0.51


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("Hello.", SENTENCE_PAUSE_S),
        ('"Really?"', SENTENCE_PAUSE_S),
        ("そうです。」", SENTENCE_PAUSE_S),
        ("Well,", CLAUSE_PAUSE_S),
        ("それで、", CLAUSE_PAUSE_S),
        ("and so", NO_PAUSE_S),
    ],
)
def test_the_pause_follows_the_punctuation(text: str, pause: float) -> None:
    assert pause_after(text) == pause
