"""How far a voice has fallen where it pauses. A pure core.

Speakers of most languages let the pitch of a statement sink to the bottom of their range at its end, and keep it up
before a pause inside it (Pierrehumbert 1980, "The phonology and phonetics of English intonation"; for a review of many
languages Ladd 2008, "Intonational Phonology"). Questions may end high: a voice that has not fallen says little.

The pitch is the first strong peak of the autocorrelation, divided by that of the window (Boersma 1993).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..types import Pcm
from .resample import RATE

_Floats = npt.NDArray[np.float32]

_LOOK_S = 6.0
"""Of the utterance, its newest, whose median is the voice's middle."""
_LAST, _LOW = 20, 25
"""Voiced frames (10 ms) at the end, and the percentile of them that counts: the lower part of the last syllable or two,
and not the lowest, which is often a creak taken an octave too low."""
_FEWEST = 20
"""Voiced frames below which nothing can be said."""
_HALF = RATE // 2
_WINDOW, _HOP, _FFT = 320, 80, 512
"""Samples at 8 kHz: three periods of a deep voice, 10 ms, room for the longest lag."""
_SHORTEST, _LONGEST = 20, 114
"""Lags at 8 kHz: 400 to 70 Hz."""
_LOWPASS = round(1200 / _HALF * _FFT)
"""Bin above which nothing belongs to the lowest harmonics."""
_VOICED = 0.5
"""Autocorrelation of a voice; noise and breath lie below."""
_QUIET = 10 ** (-30 / 10)
"""Power below that of the loud frames at which nothing is pitched."""
_FIRST = 0.88
"""Of the highest peak: an earlier one that reaches this is the period, the highest a multiple of it."""
_HANN: _Floats = np.hanning(_WINDOW).astype(np.float32)
_OWN: npt.NDArray[np.float64] = np.fft.irfft(np.abs(np.fft.rfft(_HANN, _FFT)) ** 2)[: _LONGEST + 2]


def fall(pcm: Pcm, end: int) -> float | None:
    """Semitones by which the voice that ends at sample `end` of `pcm` (16 kHz) has come down below its own middle,
    negative where it rose; None where too little of it is voiced. Costs about 5 ms."""
    pitch = semitones(pcm[max(0, end - round(_LOOK_S * RATE)) : end])
    if len(pitch) < _FEWEST:
        return None
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(pitch, 2, mode="edge"), 5), axis=1)
    return float(np.median(smooth) - np.percentile(smooth[-_LAST:], _LOW))


def semitones(pcm: Pcm) -> npt.NDArray[np.float64]:
    """The pitch of every voiced frame, in order, above 1 Hz."""
    wave = pcm[: len(pcm) // 2 * 2].astype(np.float32).reshape(-1, 2).mean(axis=1)
    if len(wave) < _WINDOW:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP]
    frames = (frames - frames.mean(axis=1, keepdims=True)) * _HANN
    power = np.einsum("ij,ij->i", frames, frames)
    spectrum = np.abs(np.fft.rfft(frames, _FFT, axis=1)) ** 2
    spectrum[:, _LOWPASS:] = 0
    likeness = np.fft.irfft(spectrum, axis=1)[:, : _LONGEST + 2]
    likeness = likeness / np.maximum(likeness[:, :1], 1e-3) / (_OWN / _OWN[0])
    inside = likeness[:, _SHORTEST : _LONGEST + 1]
    before, after = likeness[:, _SHORTEST - 1 : _LONGEST], likeness[:, _SHORTEST + 1 : _LONGEST + 2]
    highest = inside.max(axis=1)
    peaks = (inside >= _FIRST * highest[:, None]) & (inside >= before) & (inside >= after)
    at = np.where(peaks.any(axis=1), peaks.argmax(axis=1), inside.argmax(axis=1))
    rows = np.arange(len(inside))
    left, top, right = before[rows, at], inside[rows, at], after[rows, at]
    bend = left - 2 * top + right
    shift = np.where(bend < -1e-6, 0.5 * (left - right) / np.minimum(bend, -1e-6), 0.0)
    voiced = (top > _VOICED) & (power > _QUIET * np.percentile(power, 95)) & (power > 0)
    lag = _SHORTEST + at[voiced] + np.clip(shift[voiced], -0.5, 0.5)
    return np.asarray(12 * np.log2(_HALF / lag))
