"""The ear of the puppet: 16 kHz sound to log-mel features that ignore its level, in a stream and causally."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RATE = 16_000
"""Hz. Lips need nothing above 8 kHz."""
FRAME = RATE // 25
"""Samples in a picture's 40 ms."""
HOP = 160
"""10 ms."""
WINDOW = 400
"""25 ms, ending at the newest sample."""
_INDEX = np.arange(WINDOW)
BANDS = 40
LOW_HZ, HIGH_HZ = 60.0, 7600.0
HOPS = FRAME // HOP
"""Hops in a picture."""

QUIETEST = -3.5
"""Decades of band power: the level that silence is measured against, so that noise is not raised to speech."""
START = -1.0
"""Where the level begins: quiet speech by a microphone. Lower, and the noise before a first word is heard as one."""
ATTACK = 0.3
"""Share of the way that the level rises in a hop."""
LOUDEST = 8.0
"""Samples beyond this, far over full scale, are cut: one broken sample must not deafen the ear for good."""
DECAY = 0.001
"""Decades that it falls in a hop: 1 dB a second."""


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


@cache
def _filters() -> Floats:
    """Triangular mel filters of unit area, shape (257, BANDS)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOW_HZ, HIGH_HZ))
    edges = _hz(np.linspace(low, high, BANDS + 2))
    bins = np.fft.rfftfreq(512, 1 / RATE)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.clip(np.minimum(rise, fall), 0, None)
    return np.ascontiguousarray((filters / filters.sum(axis=1, keepdims=True)).T.astype(np.float32))


@cache
def _window() -> Floats:
    return np.hanning(WINDOW).astype(np.float32)


class Ear:
    """Streams features. Hop n covers the samples that end with sample 160·(n + 1)."""

    def __init__(self) -> None:
        self._owed = np.zeros(WINDOW - HOP, np.float32)
        self._level = START

    def hear(self, samples: Floats) -> tuple[Floats, Floats]:
        """Takes samples in −1 to 1; returns the hops that are complete: features (n, BANDS), about −2 to 2, and
        loudness (n,), 0 to 1, relative to the speaker's recent level. Samples that are no numbers count as silence."""
        heard = np.minimum(np.maximum(samples, -LOUDEST), LOUDEST)
        if not math.isfinite(float(heard.sum())):
            heard = np.nan_to_num(heard)
        self._owed = np.concatenate([self._owed, heard])
        hops = (len(self._owed) - WINDOW) // HOP + 1
        if hops <= 0:
            return np.empty((0, BANDS), np.float32), np.empty(0, np.float32)
        windows = self._owed[np.arange(0, hops * HOP, HOP)[:, None] + _INDEX] * _window()
        spectrum = np.fft.rfft(windows, 512)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        bands = power @ _filters() + np.float32(1e-7)
        mel = np.log10(bands)
        self._owed = self._owed[hops * HOP :].copy()
        energy = np.log10(bands.mean(axis=1) + np.float32(1e-7))
        levels = np.empty(hops, np.float32)
        level = self._level
        for i, e in enumerate(energy.tolist()):
            level = level + ATTACK * (e - level) if e > level else max(level - DECAY, QUIETEST)
            levels[i] = level
        self._level = level
        features = np.minimum(np.maximum(mel - levels[:, None], -5), 1.5) / 1.5 + 1
        # 2.2 decades below the level is silence to the eye.
        loudness = np.minimum(np.maximum(1 + (energy - levels) / 2.2, 0), 1)
        return features.astype(np.float32), loudness.astype(np.float32)
