"""pocketsphinx: recognition with nothing to download, while the user speaks. English only.

The decoders run in worker processes (`sphinx_worker.py` says why). An utterance is decoded in stretches: at every pause
the words before it are decided and the decoder is given back, so that the end of the turn waits for nothing, and nobody
holds a decoder while silent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from ..errors import EngineError, NotReady
from ..seams import STTStream
from ..types import AudioChunk, Choice, Transcript
from .language import UnknownLanguage, primary_tag
from .resample import RATE
from .sphinx_pool import Pool, Stretch
from .vad import Vad
from .voice import VoiceTracker

NOTE = (
    "It understands English only, and free speech poorly: short, plain sentences work best. "
    "For other languages or better accuracy configure Whisper (--stt whisper) or an endpoint (--stt http://…/v1)."
)

_PAUSE = round(0.3 * RATE)
"""Silence after which the words before it are decided: long enough to be a boundary in the sentence, and early enough
to be done when the turn ends."""
_HELD_S = 0.3
"""Sound kept of a silence for the stretch after it: soft beginnings are noticed late."""
_FINISH_TIMEOUT_S = 20.0
"""A decoder that is this late has hung: even a backlog of 28 s of speech takes 10 s on a slow core."""


class _Stream:
    """One utterance."""

    def __init__(self, pool: Pool, vad: Vad) -> None:
        self._pool = pool
        self._voice = VoiceTracker(vad)
        self._stretches = [pool.borrow()]
        self._running = True
        """The last stretch takes sound."""
        self._decided = 0
        """Where the voice ended in the last pause."""
        self._held: deque[bytes] = deque()
        """The newest silence, while no stretch is running."""
        self._held_s = 0.0
        self._shown = ""
        self._closed = False

    async def feed(self, chunk: AudioChunk) -> str | None:
        if self._closed:
            return None
        self._voice.feed(chunk.pcm)
        self._hold(chunk)
        if not self._running and self._voice.voice_end > self._decided:
            self._stretches.append(self._pool.borrow())
            self._running = True
        if self._running:
            self._stretches[-1].feed(b"".join(self._held))
            self._held.clear()
            self._held_s = 0.0
            if self._voice.silence >= _PAUSE:
                self._decide()
        text = " ".join(filter(None, map(_newest, self._stretches)))
        if text == self._shown:
            return None
        self._shown = text
        return text

    def _hold(self, chunk: AudioChunk) -> None:
        self._held.append(np.ascontiguousarray(chunk.pcm, "<i2").tobytes())
        self._held_s += chunk.seconds
        while len(self._held) > 1 and self._held_s > _HELD_S:
            self._held_s -= len(self._held.popleft()) / (2 * RATE)

    def _decide(self) -> None:
        """What has been said so far is a stretch of its own."""
        if self._running:
            self._decided = self._voice.voice_end
            self._stretches[-1].end()
            self._running = False

    async def guess(self) -> Transcript | None:
        if self._closed or not self._voice.voice_end:
            return None
        self._decide()
        stretches = list(self._stretches)
        try:
            texts = [await asyncio.shield(stretch.text) for stretch in stretches]
        except EngineError:
            return None
        except asyncio.CancelledError:
            if any(stretch.text.cancelled() for stretch in stretches):
                return None  # closed meanwhile
            raise
        text = " ".join(filter(None, texts))
        return Transcript(text, "en" if text else "")

    async def finish(self) -> Transcript:
        if self._closed:
            return Transcript("")
        self._decide()
        try:
            async with asyncio.timeout(_FINISH_TIMEOUT_S):
                texts = [await asyncio.shield(stretch.text) for stretch in self._stretches]
        except TimeoutError:
            for stretch in self._stretches:
                if stretch.worker is not None:
                    stretch.worker.kill()
            raise EngineError("The speech recogniser pocketsphinx hung; it starts again by itself.") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Transcript("")  # closed meanwhile
        finally:
            await self.close()
        text = " ".join(filter(None, texts))
        return Transcript(text, "en" if text else "")

    async def close(self) -> None:
        self._closed = True
        for stretch in self._stretches:
            stretch.drop()
        self._held.clear()


def _newest(stretch: Stretch) -> str:
    """What is known of its text."""
    text = stretch.text
    if text.done() and not text.cancelled() and text.exception() is None:
        return text.result()
    return stretch.partial


class PocketSphinx:
    """The engine: a small pool of decoders, shared by all sessions.

    Streams for a language other than English (`auto` counts as English) yield nothing and `finish` raises
    `EngineError` with the code `language_unavailable`.
    """

    rough = True
    """It makes words of any sound: a cough is "but"."""

    def __init__(self, why: str) -> None:
        if find_spec("pocketsphinx") is None:
            raise NotReady("pocketsphinx is not installed: pip install -r requirements.txt, or use --stt whisper.")
        self.choice = Choice("stt", "pocketsphinx", why, NOTE)
        self._vad: Callable[[], Vad] = Vad.load()
        self._pool = Pool()
        self._warm = False

    async def warm(self) -> None:
        """Starts the first decoder and decodes a little silence with it."""
        if self._warm:
            return
        await self._pool.start_worker()
        stream = self.open("en")
        await stream.feed(AudioChunk(np.zeros(8_000, np.int16), RATE, 0))
        await stream.finish()
        self._warm = True

    def open(self, language: str) -> STTStream:
        if primary_tag(language) not in ("auto", "en"):
            return UnknownLanguage(
                f"Speech in the language {language!r} cannot be recognised here: pocketsphinx knows English only. "
                "Start the server with --stt whisper or an endpoint (--stt http://…/v1), or set the language to en."
            )
        return _Stream(self._pool, self._vad())

    async def close(self) -> None:
        await self._pool.close()
