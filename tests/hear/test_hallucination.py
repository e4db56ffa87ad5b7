"""What nobody said."""

from __future__ import annotations

import pytest

from avatar.hear.hallucination import is_stock_phrase, is_wordless
from avatar.hear.whisper_decode import Guard, WhisperOptions, believable

OPTIONS = WhisperOptions()
SURE = {"avg_logprob": -0.2, "no_speech_prob": 0.01, "compression_ratio": 1.0}


@pytest.mark.parametrize(
    "text", ["Thanks for watching!", " Thank you for watching. ", "ご視聴ありがとうございました。"]
)
def test_subtitle_phrases_are_dropped(text: str) -> None:
    assert is_stock_phrase(text)
    assert not believable(Guard(text, **SURE), OPTIONS)


@pytest.mark.parametrize(
    "text", ["Thank you.", "はい。", "Thanks for watching my dog while I was away.", "42", "¿Qué?"]
)
def test_what_people_say_is_kept(text: str) -> None:
    assert believable(Guard(text, **SURE), OPTIONS)


@pytest.mark.parametrize("text", ["", " ", "...", "♪♪", "-", "。"])
def test_wordless_text_is_dropped(text: str) -> None:
    assert is_wordless(text)
    assert not believable(Guard(text, **SURE), OPTIONS)


def test_loops_are_dropped() -> None:
    assert not believable(Guard("no no no no no no", -0.1, 0.01, 3.0), OPTIONS)


def test_improbable_text_over_noise_is_dropped() -> None:
    assert not believable(Guard("the", -1.4, 0.5, 1.0), OPTIONS)
    assert believable(Guard("the", -1.4, 0.1, 1.0), OPTIONS)  # a voice was there, however unclear
    assert believable(Guard("the", -0.5, 0.5, 1.0), OPTIONS)
