"""Speech to mouth: from its phonemes where they are known, else from its sound by the net, 80 ms late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .coefficients import MOUTH
from .net import LOOK_AHEADS, MouthNet
from .sound import FRAME, HOPS, RATE, Ear, Floats
from .visemes import Segment, pooled, segments, shape_mouth, shown

STEP_HOPS = 2
"""Hops in a step of the net."""
MAX_LOOK_AHEAD = len(LOOK_AHEADS)
"""Pictures of sound heard beyond the one drawn: lips move before their sound. More is never waited for: it tells no
more."""
HANDOVER = 0.5
"""Share by which phonemes take over from the net, or the net from them, in a picture: no seam is seen."""
FRAME_S = FRAME / RATE
SPEECH_LOW, SPEECH_HIGH = 0.15, 0.50
"""The net's certainty that this is speech, from none of which a mouth stays shut to all of it."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A phoneme in IPA, empty for silence, in samples at 16 kHz from the start of the speech."""

    ipa: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lips:
    """The mouth in one picture of speech."""

    shape: Floats
    """As `puppet.coefficients.MOUTH`, shape (7,), each 0 to 1."""
    loudness: float
    """0 to 1, of this picture's own sound."""
    voice: float
    """0 (pause) to 1 (speech)."""


class MouthDrive:
    """Streams one speech in and lips out: one `Lips` for every 40 ms, in order, a look-ahead late."""

    def __init__(self, look_ahead: int = 2, before: Floats | None = None) -> None:
        """`look_ahead` in pictures, at least 1; `before`: whole pictures of sound that was spoken just before, so that
        the speaker is known from the first word."""
        self._look_ahead = min(look_ahead, MAX_LOOK_AHEAD)
        self._ear = Ear()
        self._net = MouthNet()
        self._hops: list[Floats] = []
        """Features that are not a whole step yet."""
        self._steps: list[Floats] = []
        """What the net said of steps that are not a whole picture yet."""
        self._skip = LOOK_AHEADS[self._look_ahead - 1]
        """The net's first answers, which lie before the speech."""
        self._loudness: list[float] = []
        """Of hops whose picture is still owed."""
        self._segments: list[Segment] = []
        self._known = 0.0
        """Seconds up to which phonemes are known."""
        self._share = 0.0
        """How much of the mouth the phonemes drive."""
        self._samples = 0
        self._made = 0
        if before is not None and len(before):
            features, _ = self._ear.hear(before)
            for step in features[: len(features) // STEP_HOPS * STEP_HOPS].reshape(-1, STEP_HOPS, features.shape[1]):
                self._net.step(step)

    def feed(self, samples: Floats, phones: Sequence[Phone] = ()) -> list[Lips]:
        """Samples in −1 to 1 at 16 kHz; phonemes may lie ahead of them."""
        for phone in phones:
            self._segments += segments([(phone.start / RATE, phone.end / RATE, phone.ipa)])
            self._known = max(self._known, phone.end / RATE)
        self._samples += len(samples)
        return self._hear(samples)

    def finish(self) -> list[Lips]:
        """The speech is over: the pictures still owed, ⌈samples ÷ 640⌉ in all. What follows phonemes that reach its end
        is silence."""
        owed = -(-self._samples // FRAME) - self._made
        if self._known > 0.9 * self._samples / RATE:
            self._segments.append(Segment(self._known, float("inf"), "sil"))
            self._known = float("inf")
        return self._hear(np.zeros((owed + self._look_ahead) * FRAME, np.float32), limit=owed)

    def _hear(self, samples: Floats, limit: int | None = None) -> list[Lips]:
        features, loudness = self._ear.hear(samples)
        self._loudness += loudness.tolist()
        lips: list[Lips] = []
        for hop in features:
            self._hops.append(hop)
            if len(self._hops) < STEP_HOPS:
                continue
            answer = self._net.step(np.stack(self._hops))[self._look_ahead - 1]
            self._hops.clear()
            if self._skip:
                self._skip -= 1
                continue
            self._steps.append(answer)
            if len(self._steps) * STEP_HOPS < HOPS:
                continue
            if limit is None or len(lips) < limit:
                lips.append(self._picture(np.stack(self._steps)))
            self._steps.clear()
        return lips

    def _picture(self, steps: Floats) -> Lips:
        """`steps`: what the net says of the picture's steps, shape (2, 8)."""
        speech = float(steps[:, 7].mean())
        voice = min(1.0, max(0.0, (speech - SPEECH_LOW) / (SPEECH_HIGH - SPEECH_LOW)))
        shape = shape_mouth(pooled(steps[:, : len(MOUTH)])) * np.float32(voice)
        covered = self._known >= (self._made + 1) * FRAME_S
        self._share = min(1.0, max(0.0, self._share + (HANDOVER if covered else -HANDOVER)))
        if self._share > 0:
            shape = shape + np.float32(self._share) * (self._said() - shape)
        loudness = sum(self._loudness[:HOPS]) / HOPS
        del self._loudness[:HOPS]
        self._made += 1
        return Lips(shape, loudness, voice)

    def _said(self) -> Floats:
        """The mouth that the known phonemes ask for."""
        now = self._made * FRAME_S
        # Nothing further away than this is felt any more: eight times the longest decay.
        near = [s for s in self._segments if s.end > now - 0.64 and s.start < now + 0.68]
        self._segments = [s for s in self._segments if s.end > now - 0.64]
        return np.asarray(shown(near, self._made, 1)[0])
