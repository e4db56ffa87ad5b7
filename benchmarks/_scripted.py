"""An OpenAI-compatible transcription endpoint that knows the script: speech recognition for what the benchmark says.

It cannot be taken for recognition: it knows the lines beforehand, and only finds out which of them is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import wave
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web

from avatar.types import Pcm

Envelope = npt.NDArray[np.floating[Any]]

DECODE_S = 0.15
"""What an answer takes: a small Whisper on a GPU, or a hosted one."""


STEP = 320
"""Samples at 16 kHz that one value of an envelope stands for: 20 ms."""
LAG = 60
"""Steps by which a line may begin late in what was recorded: its pre-roll."""


class Script:
    """Knows which of its lines an utterance is by the course of its loudness."""

    def __init__(self, lines: Sequence[tuple[str, Pcm]]) -> None:
        """Text and sound at 16 kHz."""
        self._lines = [(text, _envelope(pcm)) for text, pcm in lines]
        self.requests = 0

    def text(self, pcm: Pcm) -> str:
        """The line that this is most like."""
        heard = _envelope(pcm)
        return max(self._lines, key=lambda line: _likeness(line[1], heard))[0]

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "scripted-whisper"}]})

    async def transcribe(self, request: web.Request) -> web.Response:
        sound = (await request.post())["file"]
        assert isinstance(sound, web.FileField)
        with wave.open(io.BytesIO(sound.file.read())) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        self.requests += 1
        await asyncio.sleep(DECODE_S)
        return web.json_response({"text": self.text(pcm)})


def _envelope(pcm: Pcm) -> Envelope:
    steps = pcm[: len(pcm) // STEP * STEP].reshape(-1, STEP).astype(np.float64)
    envelope: Envelope = np.log10(1e-3 + np.sqrt((steps**2).mean(axis=1)) / 32768)
    return envelope


def _likeness(line: Envelope, heard: Envelope) -> float:
    """Correlation at the best lag."""
    best = -1.0
    for lag in range(min(LAG, max(1, len(heard) - 5))):
        a, b = line, heard[lag : lag + len(line)]
        if len(b) < len(line):
            b = np.concatenate([b, np.full(len(line) - len(b), -3.0)])
        a, b = a - a.mean(), b - b.mean()
        norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
        best = max(best, float((a * b).sum()) / norm if norm else -1.0)
    return best


@contextlib.contextmanager
def endpoint(script: Script) -> Iterator[str]:
    """Serves the script in a thread of its own; gives the base URL."""
    loop = asyncio.new_event_loop()
    app = web.Application(client_max_size=64 << 20)
    app.add_routes([web.get("/v1/models", script.models), web.post("/v1/audio/transcriptions", script.transcribe)])
    runner = web.AppRunner(app)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
