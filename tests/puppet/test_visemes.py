"""Phonemes to mouth."""

from __future__ import annotations

import numpy as np
import pytest

from puppet.coefficients import MOUTH
from puppet.visemes import VISEMES, Segment, aperture, blend, classes, segments, shape_mouth, shown

JAW, WIDE, PUCKER, PRESS, FV = (MOUTH.index(n) for n in ("jaw", "wide", "pucker", "press", "fv"))


@pytest.mark.parametrize(
    ("ipa", "names"),
    [
        ("", ("sil",)),
        ("(en)", ()),
        ("ʲ", ()),
        ("m", ("P",)),
        ("m̩", ("P",)),
        ("tʃ", ("SH",)),
        ("t͡ɕ", ("SH",)),
        ("aɪ", ("AA", "IH")),
        ("ˈoʊ", ("OW", "UH")),
        ("ũ", ("UW",)),
        ("ɯᵝ", ("UH",)),
        ("ɴ", ("K",)),
        ("ɡ", ("K",)),
        ("ɸ", ("W",)),
        ("ɑːɹ", ("AA", "R")),
    ],
)
def test_ipa_of_every_voice_is_understood(ipa: str, names: tuple[str, ...]) -> None:
    assert classes(ipa) == names
    assert set(names) <= set(VISEMES)


def test_a_diphthong_shares_its_time() -> None:
    assert segments([(1.0, 1.2, "aɪ")]) == [Segment(1.0, 1.1, "AA"), Segment(1.1, 1.2, "IH")]


def test_phonemes_without_length_or_sound_ask_for_nothing() -> None:
    assert segments([(0.2, 0.2, "a"), (0.3, 0.1, "a"), (0.0, 1.0, "(ja)")]) == []
    assert not shown([], 0, 5).any()


def say(*ipa: str, each: float = 0.12) -> np.ndarray:
    """The mouth of each picture of these phonemes in a row, shape (pictures, 7)."""
    phones = [(i * each, (i + 1) * each, p) for i, p in enumerate(ipa)]
    return shown(segments(phones), 0, round(len(ipa) * each / 0.04))


@pytest.mark.parametrize("closing", ["m", "b", "p"])
@pytest.mark.parametrize("vowel", ["a", "i", "u", "o", "e"])
def test_lips_meet_for_m_b_p_between_any_vowels(closing: str, vowel: str) -> None:
    mouth = say(vowel, closing, vowel, each=0.08)
    assert aperture(mouth).min() < 0.02
    assert aperture(mouth)[0] > 5 * aperture(mouth).min()


def test_each_vowel_has_its_shape() -> None:
    shapes = {v: say("", "t", v, v, "t", "")[7] for v in "aiuoɛ"}
    assert shapes["a"][JAW] > shapes["ɛ"][JAW] > shapes["i"][JAW]
    assert shapes["i"][WIDE] > 0.8
    assert shapes["u"][PUCKER] > 0.9
    assert shapes["o"][PUCKER] > 0.6
    assert shapes["a"][PUCKER] < 0.1


def test_f_tucks_the_lip_and_s_shows_the_teeth() -> None:
    assert say("a", "f", "a")[:, FV].max() > 0.9
    assert say("a", "s", "a")[:, MOUTH.index("teeth")].max() > 0.75


def test_a_pause_shuts_the_mouth() -> None:
    mouth = say("a", "", "", "", "a")
    assert aperture(mouth)[6:9].max() < 0.05
    assert aperture(mouth)[1] > 0.8


def test_the_blend_is_continuous_and_in_range() -> None:
    rng = np.random.default_rng(0)
    names = rng.choice(list(VISEMES), 40)
    parts = [Segment(i * 0.07, (i + 1) * 0.07, str(n)) for i, n in enumerate(names)]
    fine = blend(parts, np.arange(0, 2.8, 0.001))
    assert np.abs(np.diff(fine, axis=0)).max() < 0.25  # in a millisecond
    shaped = shape_mouth(fine)
    assert shaped.min() >= 0
    assert shaped.max() <= 1
