"""Phonemes to mouth: what each sound asks of the lips, blended by dominance.

Cohen and Massaro, "Modeling coarticulation in synthetic visual speech" (1993): segment p asks for target T of
coefficient k with a dominance that fades exponentially outside of it, and the mouth is the mean of what is asked,
F(t) = Σ D·T ÷ Σ D. Vowels ask strongly, most consonants leave the lips to their neighbours, m b p and f v insist.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .coefficients import MOUTH

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Viseme:
    """One class of sounds that look alike."""

    target: tuple[float, ...]
    """As `MOUTH`: jaw, wide, pucker, press, fv, tongue, teeth."""
    dominance: tuple[float, ...]


_VOWEL = (1, 1, 0.8, 0.6, 0.6, 0.6, 0.5)
_ROUND = (1, 1, 1, 0.6, 0.6, 0.6, 0.5)
_TIP = (0.7, 0.25, 0.2, 0.5, 0.5, 1.2, 0.6)
_TONGUE = (0.8, 0.25, 0.2, 0.5, 0.5, 2.5, 0.6)
_GLIDE = (0.7, 0.5, 0.7, 0.5, 0.5, 0.6, 0.5)
_REST = (1.6, 1.2, 1.2, 1, 1, 1, 1)

VISEMES: dict[str, Viseme] = {
    "sil": Viseme((0, 0, 0, 0, 0, 0, 0), _REST),
    "P": Viseme((0.15, 0, 0.05, 1, 0, 0, 0), (0.7, 0.15, 0.15, 8, 1, 0.5, 1)),
    "F": Viseme((0.15, 0.1, 0, 0, 1, 0, 0.2), (0.8, 0.4, 0.5, 1, 7, 0.5, 1)),
    "TH": Viseme((0.20, 0.15, 0, 0, 0, 1, 0.3), _TONGUE),
    "T": Viseme((0.20, 0.2, 0, 0, 0, 0.45, 0.4), _TIP),
    "L": Viseme((0.32, 0.1, 0, 0, 0, 0.8, 0.2), _TONGUE),
    "R": Viseme((0.22, 0, 0.45, 0, 0, 0.1, 0.2), _GLIDE),
    "S": Viseme((0.08, 0.35, 0, 0, 0, 0, 1), (1.4, 0.5, 0.4, 0.5, 0.5, 0.7, 1.5)),
    "SH": Viseme((0.12, 0, 0.6, 0, 0, 0, 0.9), (1.3, 0.7, 1.2, 0.5, 0.5, 0.7, 1.2)),
    "K": Viseme((0.28, 0.05, 0, 0, 0, 0, 0), (0.35, 0.15, 0.15, 0.4, 0.4, 0.4, 0.4)),
    "W": Viseme((0.12, 0, 1, 0, 0, 0, 0), (1, 1, 2.5, 0.5, 0.5, 0.5, 0.5)),
    "Y": Viseme((0.15, 0.5, 0, 0, 0, 0, 0.3), _GLIDE),
    "AA": Viseme((1, 0.05, 0, 0, 0, 0, 0), _VOWEL),
    "AE": Viseme((0.85, 0.45, 0, 0, 0, 0, 0), _VOWEL),
    "AH": Viseme((0.6, 0.1, 0, 0, 0, 0, 0), _VOWEL),
    "AX": Viseme((0.35, 0.1, 0.05, 0, 0, 0, 0), _VOWEL),
    "ER": Viseme((0.3, 0, 0.35, 0, 0, 0, 0), _ROUND),
    "EH": Viseme((0.6, 0.45, 0, 0, 0, 0, 0), _VOWEL),
    "IH": Viseme((0.3, 0.5, 0, 0, 0, 0, 0.1), _VOWEL),
    "IY": Viseme((0.22, 0.95, 0, 0, 0, 0, 0.3), _VOWEL),
    "AO": Viseme((0.7, 0, 0.55, 0, 0, 0, 0), _ROUND),
    "OW": Viseme((0.45, 0, 0.8, 0, 0, 0, 0), _ROUND),
    "UH": Viseme((0.3, 0, 0.6, 0, 0, 0, 0), _ROUND),
    "UW": Viseme((0.2, 0, 1, 0, 0, 0, 0), _ROUND),
    "UY": Viseme((0.2, 0, 0.9, 0, 0, 0, 0), _ROUND),
}
NAMES = tuple(VISEMES)
VOWELS = frozenset(("AA", "AE", "AH", "AX", "ER", "EH", "IH", "IY", "AO", "OW", "UH", "UW", "UY"))

DECAY_S = np.array([0.060, 0.070, 0.080, 0.016, 0.018, 0.035, 0.035])
"""How long each coefficient's dominance outlasts its segment: the jaw is heavy, closing lips are quick: half shut 40 ms
before the sound of an m, open again as soon after."""
SILENCE_DECAY_S = 0.025
"""A pause shuts the mouth, but does not cut into the vowel before it."""

_TARGETS = np.array([v.target for v in VISEMES.values()])
_DOMINANCE = np.array([v.dominance for v in VISEMES.values()])

_IPA: dict[str, str] = {
    sign: name
    for signs, name in (
        ("aɑɐäɶ", "AA"),
        ("æ", "AE"),
        ("ʌ", "AH"),
        ("əɘ", "AX"),
        ("ɜɚɝɞ", "ER"),
        ("eɛ", "EH"),
        ("ɪ", "IH"),
        ("iɨᵻ", "IY"),
        ("yøœʏ", "UY"),
        ("ɔɒ", "AO"),
        ("oɤ", "OW"),
        ("uʉ", "UW"),
        ("ʊɵᵿɯ", "UH"),
        ("pbmɓβ", "P"),
        ("fvʋɱⱱ", "F"),
        ("ɸwʍɥ", "W"),
        ("θð", "TH"),
        ("tdnɾʈɖɳɗ", "T"),
        ("lɫʎɭɬɮɽɺʟ", "L"),
        ("rɹɻ", "R"),
        ("szʦʣ", "S"),
        ("ʃʒʂʐɕʑʧʤɧ", "SH"),
        ("kgɡŋxɣqɢχhɦçʔʀʁɴħʕcɟɲɠɰ", "K"),
        ("jʝ", "Y"),
    )
    for sign in signs
}
_AFFRICATES = (("tʃ", "ʃ"), ("dʒ", "ʒ"), ("tɕ", "ɕ"), ("dʑ", "ʑ"), ("tʂ", "ʂ"), ("dʐ", "ʐ"), ("ts", "s"), ("dz", "z"))
"""Their release is what is seen."""
_JOINS = str.maketrans("", "", "\u0361\u035c")
"""Ties over and under a pair."""


@lru_cache(maxsize=1024)
def classes(ipa: str) -> tuple[str, ...]:
    """The visemes of one phoneme in IPA: two for a diphthong, silence for an empty string, none for a mark that is no
    sound, such as a change of language in brackets."""
    if not ipa.strip():
        return ("sil",)
    if ipa.startswith("("):
        return ()
    text = unicodedata.normalize("NFD", ipa).translate(_JOINS)
    for pair, release in _AFFRICATES:
        text = text.replace(pair, release)
    found: list[str] = []
    for sign in text:
        name = _IPA.get(sign)
        if name and (not found or found[-1] != name):
            found.append(name)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech that looks like one viseme, in seconds."""

    start: float
    end: float
    viseme: str


def segments(phones: Iterable[tuple[float, float, str]]) -> list[Segment]:
    """Phonemes (start, end in seconds, IPA) as visemes; a diphthong's parts share its time."""
    found: list[Segment] = []
    for start, end, ipa in phones:
        names = classes(ipa)
        if end <= start or not names:
            continue
        step = (end - start) / len(names)
        found += [Segment(start + i * step, start + (i + 1) * step, name) for i, name in enumerate(names)]
    return found


def blend(parts: Sequence[Segment], times: npt.NDArray[np.float64]) -> Floats:
    """The mouth at each of `times` (seconds), shape (len(times), 7): the dominance blend, before `shape_mouth`."""
    if not parts:
        return np.zeros((len(times), len(MOUTH)), np.float32)
    index = np.array([NAMES.index(p.viseme) for p in parts])
    start, end = np.array([p.start for p in parts]), np.array([p.end for p in parts])
    outside = np.maximum(np.maximum(start - times[:, None], times[:, None] - end), 0)
    decay = np.where((index == 0)[:, None], SILENCE_DECAY_S, DECAY_S)
    dominance = _DOMINANCE[index] * np.exp(-outside[:, :, None] / decay)
    total = dominance.sum(axis=1) + 1e-4
    return np.asarray((dominance * _TARGETS[index]).sum(axis=1) / total, dtype=np.float32)


def shape_mouth(blended: Floats) -> Floats:
    """From blended targets, shape (…, 7), to what a face shows.

    Blending compresses the range: without this a face mumbles. Closures are stretched to be whole, and their onset is
    cut, so that lips near an m do not hover half shut.
    """
    low = np.array([0.11, 0.0, 0.0, 0.32, 0.42, 0.0, 0.0], np.float32)
    gain = np.array([1.6, 1.15, 1.25, 1 / 0.46, 1 / 0.4, 1.2, 0.9], np.float32)
    return np.asarray(np.clip((blended - low) * gain, 0, 1), dtype=np.float32)


def pooled(halves: Floats) -> Floats:
    """Two mouths of 20 ms, shape (…, 2, 7), as one picture: short closures are kept, all else is the mean."""
    mouth = halves.mean(axis=-2)
    mouth[..., 3:5] = halves[..., 3:5].max(axis=-2)
    return np.asarray(mouth, dtype=np.float32)


def shown(parts: Sequence[Segment], first: int, count: int) -> Floats:
    """The mouth in pictures `first` to `first + count` of a speech, shape (count, 7), from its phonemes."""
    times: npt.NDArray[np.float64] = (np.arange(2 * first, 2 * (first + count), dtype=np.float64) + 0.5) * 0.02
    return shape_mouth(pooled(blend(parts, times).reshape(count, 2, len(MOUTH))))


def aperture(mouth: Floats) -> Floats:
    """How far a mouth, shape (…, 7), stands open, 0 to 1: the measure that lips are judged by."""
    jaw, press, fv = mouth[..., 0], mouth[..., 3], mouth[..., 4]
    return np.asarray(jaw * (1 - press) * (1 - 0.75 * fv), dtype=np.float32)
