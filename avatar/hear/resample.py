"""48 kHz microphone sound → 16 kHz, the rate that speech models listen at.

One resampler lives as long as its stream: swresample keeps its filter's state, so the sound may arrive in pieces of any
length and the result is the same to the bit. Sample i of the result is the moment of sample 3·i of the source; it
comes out once 16 later samples (1 ms) of the source's future are known, which is the filter's look-ahead.
"""

from __future__ import annotations

import av
import numpy as np
from av.audio.resampler import AudioResampler

from ..types import Pcm

SOURCE_RATE = 48_000
RATE = 16_000
RATIO = SOURCE_RATE // RATE
LAG = 16
"""Samples of the result that are still inside the filter after any amount of input."""

_EMPTY: Pcm = np.zeros(0, np.int16)


class Downsampler:
    """The 48 → 16 kHz converter of one stream."""

    def __init__(self) -> None:
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE)

    def feed(self, pcm: Pcm) -> Pcm:
        """Takes any number of samples, returns those that became ready (perhaps none)."""
        if not len(pcm):
            return _EMPTY
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None, :], format="s16", layout="mono")
        frame.sample_rate = SOURCE_RATE
        parts = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        if len(parts) == 1:
            return parts[0]  # type: ignore[no-any-return]
        return np.concatenate(parts) if parts else _EMPTY
