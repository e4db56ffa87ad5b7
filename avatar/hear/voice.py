"""Where the voice is in a growing utterance, for engines that use the speaker's pauses to work ahead."""

from __future__ import annotations

import numpy as np

from ..types import Pcm
from .endpoint import KEEP_THRESHOLD, START_THRESHOLD
from .vad import FRAME, Vad


class VoiceTracker:
    """Follows one utterance at 16 kHz; positions are samples from its beginning."""

    def __init__(self, vad: Vad) -> None:
        self._vad = vad
        self._rest: Pcm = np.zeros(0, np.int16)
        self.judged = 0
        """One past the last sample that was judged: whole frames only."""
        self.voice_end = 0
        """One past the last sample of voice; 0 while there was none."""

    def feed(self, pcm: Pcm) -> None:
        """Takes the next sound, of any length."""
        sound = np.concatenate((self._rest, pcm))
        whole = len(sound) - len(sound) % FRAME
        for at in range(0, whole, FRAME):
            goes_on = self.voice_end == self.judged > 0
            self.judged += FRAME
            if self._vad.probability(sound[at : at + FRAME]) >= (KEEP_THRESHOLD if goes_on else START_THRESHOLD):
                self.voice_end = self.judged
        self._rest = sound[whole:]

    @property
    def silence(self) -> int:
        """Samples since the last voice; 0 while there was none."""
        return self.judged - self.voice_end if self.voice_end else 0
