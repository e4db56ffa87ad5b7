"""An outside judge of lips: it sees the encoded film, not what the puppet meant.

The face landmark nets measure the mouth on each decoded picture: aperture is the distance of the inner lips, width that
of the corners, both as a share of the distance of the eyes. They are compared with what the phonemes of the sound ask
for at the same time. What it says of loudness-driven lips, and of the lips of another sound, shows what it can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from puppet.landmarks import FaceModels
from puppet.training.measure import width as mouth_width
from puppet.visemes import aperture, blend, segments, shape_mouth

Phones = Sequence[tuple[float, float, str]]

UPPER, LOWER = (13, 82, 312), (14, 87, 317)
"""Inner lip points at the middle and beside it."""
CORNERS, EYES = (61, 291), (33, 263)
FRAME_S = 0.04
GRID_S = 0.01
REACH_S = 0.2
"""Lags that are tried, both ways."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A film against its phonemes, inside speech."""

    aperture: float
    """Correlation."""
    width: float
    lag_ms: float
    """Positive: the lips are late."""
    found: float
    """Share of the pictures on which a face was found."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge measured: one value for each picture, NaN where there was no face."""

    aperture: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]


def look(film: Path, models: FaceModels) -> Seen:
    rows = []
    with av.open(str(film)) as source:
        for frame in source.decode(video=0):
            faces = models.find(frame.to_ndarray(format="rgb24"))
            if not faces:
                rows.append((np.nan, np.nan))
                continue
            p = faces[0].landmarks[:, :2]
            eyes = np.linalg.norm(p[EYES[0]] - p[EYES[1]])
            gap = np.mean([np.linalg.norm(p[u] - p[v]) for u, v in zip(UPPER, LOWER, strict=True)])
            rows.append((float(gap / eyes), float(np.linalg.norm(p[CORNERS[0]] - p[CORNERS[1]]) / eyes)))
    table = np.array(rows)
    return Seen(table[:, 0], table[:, 1])


def _correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def compare(seen: Seen, phones: Phones) -> Judged:
    """Correlations at no lag inside speech, and the lag at which the whole film fits best."""
    n = len(seen.aperture)
    parts = segments(phones)
    when = (np.arange(n, dtype=np.float64) + 0.5) * FRAME_S
    speech = np.zeros(n, bool)
    for p in parts:
        if p.viseme != "sil":
            speech |= (when >= p.start) & (when < p.end)
    known = ~np.isnan(seen.aperture)

    def asked(times: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        # A picture stands for 40 ms.
        mouth = np.stack([shape_mouth(blend(parts, times + d)) for d in (-0.01, 0.01)])
        return np.asarray(mouth.mean(axis=0), np.float32)

    good = speech & known
    wanted = asked(when)
    fits = [
        (_correlation(seen.aperture[known], aperture(asked(when[known] - lag)).astype(np.float64)), lag)
        for lag in np.arange(-REACH_S, REACH_S + GRID_S / 2, GRID_S)
    ]
    return Judged(
        aperture=_correlation(seen.aperture[good], aperture(wanted)[good].astype(np.float64)),
        width=_correlation(seen.width[good], mouth_width(wanted)[good].astype(np.float64)),
        lag_ms=round(1000 * float(max(fits)[1]), 1),
        found=float(known.mean()),
    )


def align(sound: npt.NDArray[np.int16], words: str) -> list[tuple[float, float, str]]:
    """Phonemes of a recording whose words are known, by pocketsphinx. Words that its dictionary lacks may be spelt out
    as `word=P H O N E S`."""
    from pocketsphinx import Config, Decoder

    from puppet.training.phonesets import CMU

    decoder = Decoder(Config(bestpath=False, loglevel="FATAL"))
    said = []
    for word in words.split():
        name, _, phones = word.partition("=")
        if decoder.lookup_word(name) is None and phones:
            decoder.add_word(name, phones.replace("-", " "))
        if decoder.lookup_word(name) is None:
            raise ValueError(f"pocketsphinx does not know {name!r}: write it as {name}=P-H-O-N-E-S")
        said.append(name)
    decoder.set_align_text(" ".join(said))
    for again in (False, True):
        if again:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(sound.tobytes(), full_utt=True)
        decoder.end_utt()
    return [
        (p.start / 100, (p.start + p.duration) / 100, CMU[p.name.lower()])
        for word in decoder.get_alignment()
        for p in word
    ]
