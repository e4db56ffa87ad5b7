"""Lips as an outside judge sees them: on the encoded film, not in what the puppet meant.

The judge (`benchmarks._judge`) measures the mouth on each decoded picture: aperture is the distance of the inner lips,
width that of the corners, both as a share of the distance of the eyes. They are compared with what the phonemes of the
sound ask for at the same time. What it says of lips that follow loudness, or another sound, shows what it can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from puppet.actor import Actor
from puppet.renderer import Rig
from puppet.training.measure import auc, closures, quiet, stretches
from puppet.training.measure import width as mouth_width
from puppet.visemes import aperture, blend, segments, shape_mouth

from ._judge import Judge, Plane

Phones = Sequence[tuple[float, float, str]]

UPPER, LOWER = (13, 82, 312), (14, 87, 317)
"""Inner lip points at the middle and beside it."""
CORNERS, EYES = (61, 291), (33, 263)
FRAME_S = 0.04
GRID_S = 0.01
OPEN_PERCENTILE = 95
"""Of the apertures in speech: the open mouth."""
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
    closure: float
    """Closure AUC, as `puppet.training.measure` defines it."""
    pause: float
    """Mean aperture in true pauses, as a share of the open mouth's, both above that of a shut one."""
    pauses: int
    """Pictures in such pauses."""
    found: float
    """Share of the pictures on which a face was found."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge measured: one value for each picture, NaN where there was no face."""

    aperture: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]


def measured(p: Plane | None) -> tuple[float, float]:
    """Aperture and width of the mouth of a face; NaN where there is none."""
    if p is None:
        return np.nan, np.nan
    eyes = np.linalg.norm(p[EYES[0]] - p[EYES[1]])
    gap = np.mean([np.linalg.norm(p[u] - p[v]) for u, v in zip(UPPER, LOWER, strict=True)])
    return float(gap / eyes), float(np.linalg.norm(p[CORNERS[0]] - p[CORNERS[1]]) / eyes)


def look(film: Path, judge: Judge) -> Seen:
    with av.open(str(film)) as source:
        table = np.array([measured(judge.points(frame.to_ndarray(format="rgb24"))) for frame in source.decode(video=0)])
    return Seen(table[:, 0], table[:, 1])


def shut(rig: Rig, judge: Judge, *, pressed: bool) -> float:
    """What the judge reads of a mouth that is known to be shut, since it is never 0: at rest, or `pressed` together
    where the mouth at rest is not the picture's own."""
    renderer, actor = rig.open(), Actor(3)
    poses = [replace(actor.idle(), press=float(pressed)) for _ in range(50)][::5]
    scale = 512 / max(rig.width, rig.height)
    pictures = [cv2.cvtColor(renderer.draw(pose, scale), cv2.COLOR_YUV2RGB_I420) for pose in poses]
    return float(np.nanmedian([measured(judge.points(rgb))[0] for rgb in pictures]))


def _correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def compare(seen: Seen, phones: Phones, sound: npt.NDArray[np.int16], closed: float) -> Judged:
    """Correlations at no lag inside speech, and the lag at which the whole film fits best. `sound` is the film's, at
    16 kHz: it tells which of the phonemes' pauses are silent. `closed` is the aperture that a shut mouth is read as."""
    n = len(seen.aperture)
    when = (np.arange(n, dtype=np.float64) + 0.5) * FRAME_S
    parts = segments(phones)
    speech, pause = stretches(parts, n)
    pause &= quiet(sound, n)
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
    open_ = np.where(known, seen.aperture, np.nanmedian(seen.aperture))
    most = np.percentile(open_[speech], OPEN_PERCENTILE)
    still = open_[pause]
    lips, others = closures(phones, open_.astype(np.float32))
    return Judged(
        aperture=_correlation(seen.aperture[good], aperture(wanted)[good].astype(np.float64)),
        width=_correlation(seen.width[good], mouth_width(wanted)[good].astype(np.float64)),
        lag_ms=round(1000 * float(max(fits)[1]), 1),
        closure=auc(lips, others),
        pause=float((np.mean(still) - closed) / (most - closed)) if len(still) else 0.0,
        pauses=len(still),
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
