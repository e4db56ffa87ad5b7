"""Which words of a clause ask for a nod, where blinks belong, and when: by the text and by real engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.errors import NotReady
from avatar.seams import TTS
from avatar.speak.accents import EMPHASISED, LAST, PLAIN, TELLING, Accents, ends, stresses
from avatar.speak.engines import choose_tts
from avatar.types import Accent, Phone, Word
from tests.speak.voice_checks import Spoken, say


def weights(text: str, language: str = "en") -> dict[str, float]:
    return {text[s.begin : s.end]: s.weight for s in stresses(text, language)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I saw a red van on the road", {"saw": PLAIN, "red": PLAIN, "van": PLAIN, "road": LAST}),
        ("It is *not* the end.", {"not": EMPHASISED, "end": LAST}),
        ("x*b*c", {"x": PLAIN, "b": PLAIN, "c": LAST}),
        ("You have __to__ go", {"to": EMPHASISED, "go": LAST}),
        ("I said NO to him", {"said": PLAIN, "NO": EMPHASISED}),
        ("THIS IS ALL LOUD", {"ALL": TELLING, "LOUD": LAST}),
        ("The USA and an API", {"USA": PLAIN, "API": LAST}),
        ("He never came, as far as I know.", {"never": TELLING, "came": LAST, "far": PLAIN, "know": LAST}),
        ("It costs 12 euros", {"costs": PLAIN, "12": TELLING, "euros": LAST}),
        ("2 * 3 * 4 of snake_case", {"2": TELLING, "3": TELLING, "4": TELLING, "snake": PLAIN, "case": LAST}),
        ("It is what it is", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_words_that_stand_out(text: str, expected: dict[str, float]) -> None:
    assert weights(text) == expected


def test_what_is_marked_in_japanese() -> None:
    (found,) = [s for s in stresses("これは**とても**大事です。", "ja") if s.weight == EMPHASISED]
    assert found.begin <= 5 and found.end >= 8


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello, there.", "en", ["phrase", "sentence"]),
        ("Is it 3.14, or 10:30?", "en", ["phrase", "question"]),
        ("Really?! Yes…", "en", ["question", "sentence"]),
        ("She said “go.” Then", "en", ["sentence"]),
        ("v1.2 at example.com", "en", []),
        ("はい、そうです。行きますか。行く？", "ja", ["phrase", "sentence", "question", "question"]),
        ("你好，今天好吗？", "zh", ["phrase", "question"]),
    ],
)
def test_ends(text: str, language: str, expected: list[str]) -> None:
    assert [end.kind for end in ends(text, language)] == expected


def test_a_full_stop_without_a_pause_ends_nothing() -> None:
    words = [
        Word("Dr. ", 0, 4000),
        Word("Smith ", 4000, 9000),
        Word("left. ", 9000, 14_000),
        Word("Yes.", 18_000, 20_000),
    ]
    found = Accents("Dr. Smith left. Yes.", "en", 16_000).place(words, ())
    assert [(a.kind, a.at) for a in found if a.kind != "stress"] == [("sentence", 14_000), ("sentence", 20_000)]


def test_the_stressed_vowel_is_the_place() -> None:
    word = [Word("idea", 1000, 9000)]
    sounds = [Phone("aɪ", 1000, 3000), Phone("d", 3000, 4000), Phone("ˈi", 4000, 7000), Phone("ə", 7000, 9000)]
    (accent,) = Accents("idea", "en", 16_000).place(word, sounds)[:1]
    assert accent == Accent("stress", 5500, LAST)
    (accent,) = Accents("idea", "en", 16_000).place(word, [Phone("ɪ", 1000, 2000), Phone("d", 2000, 9000)])[:1]
    assert accent.at == 1500, "no stress is told: the first vowel"
    (accent,) = Accents("idea", "en", 16_000).place(word, ())[:1]
    assert 1000 < accent.at < 9000


@given(st.text(alphabet="ab CD*_.,!?é日本。、か12", max_size=40), st.lists(st.integers(1, 6), max_size=20))
def test_any_text_in_any_batches(text: str, cuts: list[int]) -> None:
    pieces, rest = [], text
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    words = [Word(piece, 1000 * i, 1000 * i + 900) for i, piece in enumerate([*pieces, rest]) if piece]
    for language in ("en", "ja", "de"):
        together = Accents(text, language, 16_000)
        found = together.place(words, ())
        assert all(0 <= accent.at <= 1000 * len(words) and 0 <= accent.weight <= 1 for accent in found)
        split = Accents(text, language, 16_000)
        apart = [accent for word in words for accent in split.place([word], ())]
        assert [a for a in apart if a.kind == "stress"] == [a for a in found if a.kind == "stress"]


async def voice(spec: str) -> TTS:
    try:
        tts = await choose_tts(spec, Path("/nonexistent"))
        await tts.warm()
    except NotReady as error:
        pytest.skip(error.message)
    return tts


def accents(spoken: Spoken) -> list[Accent]:
    return [accent for chunk in spoken.chunks for accent in chunk.accents]


@pytest.mark.parametrize("engine", ["flite", "espeak"])
async def test_an_english_voice(engine: str) -> None:
    tts = await voice(engine)
    try:
        spoken = await say(tts, "Well, I *really* like the old harbour. Would you go there, too?")
    finally:
        await tts.close()
    found = accents(spoken)
    said = {
        word.text.strip(" *.,?"): accent.weight
        for accent in found
        for word in spoken.words
        if accent.kind == "stress" and word.start <= accent.at < word.end
    }
    assert said["really"] == EMPHASISED and said["harbour"] >= LAST and "the" not in said and "there" not in said
    pauses = [phone for phone in spoken.phones if not phone.ipa]
    by_kind = [accent for accent in found if accent.kind in ("sentence", "question")]
    assert [accent.kind for accent in by_kind] == ["sentence", "question"]
    assert any(abs(pause.start - by_kind[0].at) < 0.03 * spoken.rate for pause in pauses)
    # The marks lie where the voice is.
    typical = np.median([spoken.rms(at, at + spoken.rate // 50) for at in range(0, len(spoken.pcm), spoken.rate // 50)])
    marked = [spoken.rms(a.at - spoken.rate // 100, a.at + spoken.rate // 100) for a in found if a.kind == "stress"]
    assert np.median(marked) > typical
    known = [chunk.start for chunk in spoken.chunks for _ in chunk.accents]
    assert sum(a.at - at > 0.1 * spoken.rate for a, at in zip(found, known, strict=True)) > 0.7 * len(found)


async def test_a_japanese_voice() -> None:
    tts = await voice("openjtalk")
    try:
        spoken = await say(tts, "今日はいい天気ですね。散歩に行きますか？", "ja")
    finally:
        await tts.close()
    found = accents(spoken)
    assert [a.kind for a in found if a.kind != "stress"] == ["sentence", "question"]
    # One for each accent phrase: kyO-o wa, I-i, tE-nki desu ne, sanpO ni, ikimA-su ka.
    vowels = [p.ipa for a in found for p in spoken.phones if a.kind == "stress" and p.start <= a.at < p.end]
    assert vowels == ["ˈo", "ˈi", "ˈe", "ˈo", "ˈa"]
