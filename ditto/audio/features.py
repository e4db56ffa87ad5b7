"""Features of sound: 1024 numbers for each frame of 40 ms, from windows that an encoder hears one by one (§3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .chunks import FRAME, MOST, Chunks, frames_of

Sound = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float32]

WIDTH = 1024


class Encoder(Protocol):
    """Hears windows; keeps nothing between them."""

    def encode(self, windows: Sound) -> Rows:
        """[b, rows, 1024] at 50 rows a second for windows [b, samples] of 16 kHz sound, −1 to 1."""
        ...


def pool(rows: Rows, chunks: Chunks) -> Rows:
    """[..., current, 1024]: of a window's rows those of its present, the mean of each pair."""
    end = rows.shape[-2] - 2 * chunks.future
    now = rows[..., end - 2 * chunks.current : end, :]
    return np.asarray(now.reshape(*now.shape[:-2], chunks.current, 2, now.shape[-1]).mean(axis=-2), np.float32)


def online(encoder: Encoder, sound: Sound, chunks: Chunks) -> Rows:
    """Features of a whole recording as the published online loop makes them, surplus frames included."""
    cut = WindowCutter(chunks)
    padded = np.zeros(FRAME * chunks.past + len(sound), np.float32)
    padded[FRAME * chunks.past :] = sound
    windows = cut.of(padded, chunks.published_windows(len(sound)))
    return np.concatenate([pool(encoder.encode(w[None])[0], chunks) for w in windows])


def offline(encoder: Encoder, sound: Sound, chunks: Chunks) -> Rows:
    """Features of a whole recording as the published offline path makes them: 80 samples out of step with `online`."""
    lead = chunks.window - FRAME * (chunks.current + chunks.future)
    padded = np.concatenate([np.zeros(lead, np.float32), sound, np.zeros(chunks.window, np.float32)])
    count = frames_of(len(sound))
    rows = []
    for k in range(-(-count // chunks.current)):
        # The reference takes this start in floating point and lands one sample low for some frames.
        start = int(k * chunks.current * 0.04 * 16000)
        rows.append(pool(encoder.encode(padded[None, start : start + chunks.window])[0], chunks))
    return np.concatenate(rows)[:count] if rows else np.empty((0, WIDTH), np.float32)


def silence(encoder: Encoder, frames: int) -> Rows:
    """Features of silence, as they stand before the first speech."""
    return offline(encoder, np.zeros(frames * FRAME, np.float32), Chunks())


@dataclass(frozen=True, slots=True)
class WindowCutter:
    """Cuts windows out of a padded recording."""

    chunks: Chunks

    def of(self, padded: Sound, count: int) -> list[Sound]:
        out = []
        for k in range(count):
            piece = padded[self.chunks.hop * k : self.chunks.hop * k + self.chunks.window]
            out.append(np.pad(piece, (0, self.chunks.window - len(piece))))
        return out


_BACK = FRAME * MOST
"""Samples of the past that are kept: chunks of any size may follow, with whatever history."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """A speech as far as it was heard: a value, so that it can be kept, copied and gone back to.

    Its `chunks` may be replaced between two windows.
    """

    chunks: Chunks
    samples: int = 0
    """Heard so far."""
    frames: int = 0
    """Of the windows cut so far."""
    kept: Sound = field(default_factory=lambda: np.zeros(_BACK, np.float32))
    """Sound from `_BACK` samples before the next frame on; before the speech there are zeros."""

    def feed(self, sound: Sound) -> tuple[Hearing, list[Sound]]:
        """The speech with more of it heard, and the windows that became whole."""
        kept = np.concatenate([self.kept, sound])
        size, hop, start = self.chunks.window, self.chunks.hop, self._start
        count = max(0, (len(kept) - start - size) // hop + 1)
        cut = [kept[start + k * hop : start + k * hop + size].copy() for k in range(count)]
        heard = replace(
            self,
            samples=self.samples + len(sound),
            frames=self.frames + count * self.chunks.current,
            kept=kept[count * hop :].copy(),
        )
        return heard, cut

    def finish(self) -> list[Sound]:
        """The windows still needed for the last frames, zeros after the end."""
        count = -(-(frames_of(self.samples) - self.frames) // self.chunks.current)
        return WindowCutter(self.chunks).of(self.kept[self._start :], max(0, count))

    @property
    def _start(self) -> int:
        """Of the next window, in what is kept."""
        return _BACK - FRAME * self.chunks.past
