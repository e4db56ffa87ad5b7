"""The user's microphone as one unbroken stream of 20 ms chunks, whatever the network did to it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator

import numpy as np

from ..clock import AUDIO_RATE
from ..types import AudioChunk, Pcm
from .jitter import Piece
from .listener import SoundReceiver
from .opus import PACKET_SAMPLES

STILL_S = 0.2
"""After this long without a packet silence is put in, so that whoever listens sees time go on: a muted microphone may
send nothing at all."""
OVERSLEPT_S = 0.1
"""A timer that rings so late tells that this machine stood still, and not the network: what came meanwhile has not been
read yet."""
READ_S = 0.05
"""Within that it has, and what other programs of this machine sent late has come."""
MAX_CHUNKS = 500
"""Ten seconds. A listener that is further behind loses the oldest sound."""
_TICK_S = PACKET_SAMPLES / AUDIO_RATE


class Microphone:
    """Fed by a `SoundReceiver`; read by one listener."""

    def __init__(self) -> None:
        self._rest: Pcm = np.zeros(0, np.int16)
        self._position = 0
        self._chunks: deque[AudioChunk] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self._receiver: SoundReceiver | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        """When the last packet came, monotonic seconds."""
        self._covered = 0.0
        """Up to when the stream has been continued, by packets or by silence."""
        self._due = 0.0
        """When the timer rings, monotonic seconds."""
        self._overslept = False
        """It rang late the last time."""
        self.dropped = 0
        """Chunks that nobody came for."""
        self.filled = 0
        """Samples of silence put in while nothing came."""

    def attach(self, receiver: SoundReceiver) -> None:
        self._receiver = receiver
        receiver.on_sound = self._take
        receiver.on_end = self.end

    def _take(self, pcm: Pcm, piece: Piece) -> None:
        self._heard = self._covered = time.monotonic()
        if self._timer is None and not self._ended:
            self._wake(STILL_S)
        self._append(pcm)

    def _append(self, pcm: Pcm) -> None:
        whole = np.concatenate((self._rest, pcm)) if len(self._rest) else pcm
        for start in range(0, len(whole) - PACKET_SAMPLES + 1, PACKET_SAMPLES):
            self._chunks.append(AudioChunk(whole[start : start + PACKET_SAMPLES], AUDIO_RATE, self._position))
            self._position += PACKET_SAMPLES
        self._rest = whole[len(whole) // PACKET_SAMPLES * PACKET_SAMPLES :]
        while len(self._chunks) > MAX_CHUNKS:
            self._chunks.popleft()
            self.dropped += 1
        if self._chunks:
            self._ready.set()

    def _wake(self, pause: float) -> None:
        self._due = time.monotonic() + pause
        self._timer = asyncio.get_running_loop().call_later(pause, self._fill)

    def _fill(self) -> None:
        """Runs on a timer from the first packet on."""
        now = time.monotonic()
        overslept = now - self._due >= OVERSLEPT_S
        if overslept and not self._overslept:
            self._overslept = True
            self._wake(READ_S)
            return
        self._overslept = overslept
        still = now - self._heard
        buffer = None if self._receiver is None else self._receiver.buffer
        waiting = buffer is not None and buffer.deadline is not None  # for what has been asked for once more
        if still >= STILL_S and not waiting:
            # Whole packets: of what comes next no part would have to wait for the packet behind it.
            samples = int((now - self._covered) / _TICK_S) * PACKET_SAMPLES
            self._covered += samples / AUDIO_RATE
            self.filled += samples
            if buffer is not None:
                buffer.skip(samples)
            self._append(np.zeros(samples, np.int16))
        self._wake(_TICK_S if still >= STILL_S else STILL_S - still)

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ready.set()

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        """48 kHz, 20 ms each, `start` counting from the first sample that arrived."""
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self._ended:
                return
            self._ready.clear()
            await self._ready.wait()
