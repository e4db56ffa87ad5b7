"""How well a mouth follows speech whose phoneme times are known. Plain numpy: the benchmark uses it too.

Everything is judged inside speech only: pauses are easy and inflate every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..sound import FRAME
from ..visemes import Segment, aperture, segments, shown

Floats = npt.NDArray[np.float32]

FRAME_S = 0.04
OTHERS = frozenset("tdnɾkɡglrɹ")
"""Consonants that do not close the lips, against which closures are judged."""
QUIET = 10 ** (-40 / 20)
"""Level of a pause, as a share of the loudest picture's."""
CLEAR_S = 0.07
"""A consonant nearer than this to a closure, to f or v or to a pause says nothing: its lips are its neighbour's."""


@dataclass(frozen=True, slots=True)
class Score:
    """Correlations with the reference inside speech, and the closure AUC: the chance that the lips of an m, b or p come
    nearer than those of a t, d, n, k, g, l or r."""

    jaw: float
    aperture: float
    width: float
    closure: float
    pause: float
    """Mean aperture in silent pauses longer than 160 ms, as a share of that in speech."""
    closures: int

    def __str__(self) -> str:
        return (
            f"jaw {self.jaw:.2f}  aperture {self.aperture:.2f}  width {self.width:.2f}  closure AUC {self.closure:.2f} "
            f"({self.closures})  pauses {100 * self.pause:.0f} %"
        )


def width(mouth: Floats) -> Floats:
    """How wide a mouth is, up to a constant: as the built-in characters' lips are drawn."""
    return np.asarray(0.15 * mouth[..., 1] - 0.40 * mouth[..., 2], dtype=np.float32)


def reference(phones: Sequence[tuple[float, float, str]], frames: int) -> Floats:
    """The mouth that true phoneme times ask for in each picture, shape (frames, 7)."""
    return shown(segments(phones), 0, frames)


def stretches(parts: Sequence[Segment], frames: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pictures lie in speech, and which well inside a pause."""
    centre = (np.arange(frames) + 0.5) * FRAME_S
    speech, pause = np.zeros(frames, bool), np.zeros(frames, bool)
    for p in parts:
        if p.viseme != "sil":
            speech |= (centre >= p.start) & (centre < p.end)
        elif p.end - p.start > 0.16:
            pause |= (centre >= p.start + 0.08) & (centre < p.end - 0.08)
    return speech, pause


def quiet(sound: npt.NDArray[np.int16], frames: int) -> npt.NDArray[np.bool_]:
    """Pictures whose sound is a true pause. Some engines speak on into what they call one."""
    padded = np.pad(sound.astype(np.float32), (0, max(0, frames * FRAME - len(sound))))[: frames * FRAME]
    level = np.sqrt((padded.reshape(frames, FRAME) ** 2).mean(axis=1))
    return np.asarray(level < QUIET * level.max())


def closures(phones: Sequence[tuple[float, float, str]], open_: Floats) -> tuple[list[float], list[float]]:
    """Least aperture in each m, b, p and in each other consonant that can be compared."""
    parts = segments(phones)
    shut = [p for p in parts if p.viseme in ("P", "F", "sil")]
    lips: list[float] = []
    others: list[float] = []
    for start, end, ipa in phones:
        bare = ipa.strip("ˈˌː")
        closing = bool(bare) and bare in "pbm"
        if not closing and bare not in OTHERS:
            continue
        clear = all(
            s.end <= start - CLEAR_S or s.start >= end + CLEAR_S
            for s in shut
            if not (closing and s.viseme == "P" and s.start >= start - 1e-6 and s.end <= end + 1e-6)
        )
        first, last = int(start / FRAME_S), int(np.ceil(end / FRAME_S))
        if clear and last <= len(open_) and last > first:
            (lips if closing else others).append(float(open_[first:last].min()))
    return lips, others


def auc(low: list[float], high: list[float]) -> float:
    if not low or not high:
        return float("nan")
    a, b = np.array(low)[:, None], np.array(high)[None]
    return float((a < b).mean() + 0.5 * (a == b).mean())


def _correlation(a: Floats, b: Floats) -> float:
    if a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def score(
    mouths: Sequence[Floats],
    phones: Sequence[Sequence[tuple[float, float, str]]],
    sounds: Sequence[npt.NDArray[np.int16]],
) -> Score:
    """Judges mouths, each of shape (frames, 7) at 25 per second, against the phonemes (start, end in seconds, IPA) of
    the same takes and their sound at 16 kHz. All takes count as one long one."""
    found, wanted, lips, others, pauses = [], [], [], [], []
    for mouth, said, sound in zip(mouths, phones, sounds, strict=True):
        truth = reference(said, len(mouth))
        speech, pause = stretches(segments(said), len(mouth))
        pause &= quiet(sound, len(mouth))
        found.append(mouth[speech])
        wanted.append(truth[speech])
        pauses.append(aperture(mouth[pause]))
        a, b = closures(said, aperture(mouth))
        lips += a
        others += b
    got, want = np.concatenate(found), np.concatenate(wanted)
    still = np.concatenate(pauses)
    return Score(
        jaw=_correlation(got[:, 0], want[:, 0]),
        aperture=_correlation(aperture(got), aperture(want)),
        width=_correlation(width(got), width(want)),
        closure=auc(lips, others),
        pause=float(still.mean() / max(1e-6, float(aperture(got).mean()))) if len(still) else 0.0,
        closures=len(lips),
    )
