"""What the voice tests share: collecting a clause's sound, and the contract that every engine keeps."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avatar.seams import TTS
from avatar.types import AudioChunk, Clause, Phone, Word


@dataclass
class Spoken:
    """All of a clause's sound and marks."""

    chunks: list[AudioChunk]

    @property
    def rate(self) -> int:
        return self.chunks[0].rate

    @property
    def pcm(self) -> npt.NDArray[np.int16]:
        return np.concatenate([chunk.pcm for chunk in self.chunks]) if self.chunks else np.zeros(0, np.int16)

    @property
    def words(self) -> list[Word]:
        return [word for chunk in self.chunks for word in chunk.words]

    @property
    def phones(self) -> list[Phone]:
        return [phone for chunk in self.chunks for phone in chunk.phones]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / self.rate if self.chunks else 0.0

    def rms(self, start: int, end: int) -> float:
        """Of samples `start` to `end`, in units of full scale."""
        part = self.pcm[start:end].astype(np.float64) / 32768
        return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0

    def sound_span(self) -> tuple[float, float]:
        """Seconds from the start to the first sound, and from the last sound to the end."""
        hop = self.rate // 200
        count = len(self.pcm) // hop
        levels = np.array([self.rms(i * hop, (i + 1) * hop) for i in range(count)])
        loud = np.flatnonzero(levels > 10 ** (-45 / 20))
        assert len(loud), "silence only"
        return loud[0] * hop / self.rate, (len(self.pcm) - (loud[-1] + 1) * hop) / self.rate


def clause(text: str, language: str = "en") -> Clause:
    return Clause(text, 0, "turn", language)


async def say(tts: TTS, text: str, language: str = "en", voice: str | None = None) -> Spoken:
    async with aclosing(tts.speak(clause(text, language), voice)) as chunks:  # type: ignore[type-var]
        return Spoken([chunk async for chunk in chunks])


def keeps_the_contract(spoken: Spoken, text: str) -> None:
    """Order, contiguous indexes, small chunks, trimmed ends, marks inside the sound and in order."""
    position = 0
    for chunk in spoken.chunks:
        assert chunk.start == position
        assert chunk.pcm.dtype == np.int16 and chunk.pcm.ndim == 1
        assert chunk.rate == spoken.rate
        position = chunk.end
    assert all(0.02 <= chunk.seconds <= 0.1 for chunk in spoken.chunks[:-1])
    lead, tail = spoken.sound_span()
    assert lead <= 0.05, "leading silence"
    assert 0.05 <= tail <= 0.35, "the pause behind the clause"
    assert np.abs(spoken.pcm.astype(int)).max() < 32500, "clipped"
    end = len(spoken.pcm)
    for marks in (spoken.words, spoken.phones):
        starts = [mark.start for mark in marks]
        assert starts == sorted(starts)
        assert all(0 <= mark.start <= mark.end <= end for mark in marks)
    assert all(a.end <= b.start for a, b in zip(spoken.phones, spoken.phones[1:], strict=False))
    if spoken.words:
        assert "".join(word.text for word in spoken.words) == text
