"""A sound file played as the user's microphone, in real time and to the sample."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from avatar.clock import AUDIO_RATE
from avatar.types import Pcm

from .exits import Usage

FRAME = AUDIO_RATE // 50
"""Samples of a 20 ms frame, the length of one Opus packet."""
AHEAD = AUDIO_RATE
"""Samples decoded ahead of the moment they are played."""

Send = Callable[[int, Pcm], None]
"""Takes frame number n, counting from 0, when it is due."""
Tap = Callable[[Pcm, float], None]
"""Gets every frame that was sent and the monotonic time at which its first sample was "captured"."""


def decode(path: Path) -> Iterator[Pcm]:
    """The sound of a file as 48 kHz mono blocks. Raises `Usage` when there is none."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise Usage(f"{path} holds no sound.")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
            for frame in container.decode(audio=0):
                for block in resampler.resample(frame):
                    yield block.to_ndarray()[0]
            for block in resampler.resample(None):
                yield block.to_ndarray()[0]
    except av.FFmpegError as error:
        raise Usage(f"{path} cannot be read as sound: {error.strerror}.") from None


def seconds(path: Path) -> float:
    """Length of a file's sound, 0 when it does not say. Raises `Usage` when it holds none."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise Usage(f"{path} holds no sound.")
            return float(container.duration or 0) / float(av.time_base)
    except av.FFmpegError as error:
        raise Usage(f"{path} cannot be read as sound: {error.strerror}.") from None


class Microphone:
    """Silence until `play`, then the file, then silence again.

    As from a real microphone a frame leaves when its last sample has been captured. The pace is set by the count of
    samples alone: a late wake-up is caught up, nothing is dropped or stretched.
    """

    def __init__(self, path: Path | None = None, tap: Tap | None = None) -> None:
        self._tap = tap
        self._blocks = decode(path) if path is not None else iter(())
        self._buffer: Pcm = np.zeros(0, np.int16)
        self._exhausted = path is None
        self._playing = False
        self.position = 0
        """Samples of the file that have been sent."""
        self.finished = asyncio.Event()
        """The whole file has been sent."""
        self.failure: Usage | None = None
        """Why the file could not be read to its end."""

    async def ready(self) -> None:
        """Decodes the first second, so that a file that cannot be read is known before anything is connected."""
        await asyncio.to_thread(self._refill)
        if self.failure is not None:
            raise self.failure

    def play(self) -> None:
        """The file begins with the next frame."""
        self._playing = True

    async def run(self, send: Send) -> None:
        """Sends frame after frame until cancelled."""
        began = time.monotonic()
        for tick in itertools.count():
            captured = began + tick * FRAME / AUDIO_RATE
            await asyncio.sleep(captured + FRAME / AUDIO_RATE - time.monotonic())
            pcm = await self._next()
            send(tick, pcm)
            if self._tap is not None:
                self._tap(pcm, captured)

    async def _next(self) -> Pcm:
        pcm: Pcm = np.zeros(FRAME, np.int16)
        if self._playing and not self.finished.is_set():
            if len(self._buffer) < FRAME and not self._exhausted:
                await asyncio.to_thread(self._refill)
            taken = self._buffer[:FRAME]
            pcm[: len(taken)] = taken
            self._buffer = self._buffer[FRAME:]
            self.position += len(taken)
            if self._exhausted and not len(self._buffer):
                self.finished.set()
        return pcm

    def _refill(self) -> None:
        blocks, size = [self._buffer], len(self._buffer)
        try:
            while size < AHEAD:
                block = next(self._blocks, None)
                if block is None:
                    self._exhausted = True
                    break
                blocks.append(block)
                size += len(block)
        except Usage as error:
            self.failure, self._exhausted = error, True
        self._buffer = np.concatenate(blocks)
