"""Voices that live in worker processes: espeak-ng, flite, Open JTalk and Piper behind one adapter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import EngineError
from ..types import AudioChunk, Choice, Clause, Phone
from . import wire
from .accents import Accents
from .language import language_of, primary
from .shape import Shaper, as_samples, gain_for, pause_after
from .spoken import spoken
from .traced import Traced
from .words import WordMap
from .worker import Worker

log = logging.getLogger(__name__)

MAX_PIECE = 400
"""Characters given to a worker at once. A longer clause is spoken piece by piece, so that it neither keeps the worker
from other sessions nor fills memory when nobody listens."""
_PIECE_END = re.compile(r"[.!?。！？][\s」』”\"')）]*|[,;:、，；：]\s*|\s+")

_SAMPLES = {
    "ja": "こんにちは。今日はよい天気ですね。",
    "zh": "你好。今天天气很好。",
    "en": "Good morning. The weather is nice today.",
}
_SAMPLE = "1 2 3 4 5 6 7 8 9 10"
"""What a voice says once to be levelled, and warmed: any language has numbers."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a session may ask for by name."""

    name: str
    language: str
    """BCP 47 tag."""
    engine: str
    id: str
    """The engine's own name of it."""
    rate: int = 0
    """Hz; 0: as the worker says."""
    listed: bool = True
    """Whether `/config` shows it: variants by the hundred would hide the rest."""

    def answers_to(self, name: str) -> bool:
        return name.lower() in (self.name.lower(), self.id.lower())


def pieces(text: str) -> list[tuple[int, str]]:
    """(offset, piece) of a long text, cut behind punctuation or a space where there is any."""
    found: list[tuple[int, str]] = []
    begin = 0
    while len(text) - begin > MAX_PIECE:
        window = text[begin : begin + MAX_PIECE]
        ends = [(match.end(), match[0][0]) for match in _PIECE_END.finditer(window) if match.end() > MAX_PIECE // 4]
        stops = [end for end, sign in ends if sign in ".!?。！？"]
        cut = stops[-1] if stops else ends[-1][0] if ends else MAX_PIECE
        found.append((begin, text[begin : begin + cut]))
        begin += cut
    found.append((begin, text[begin:]))
    return found


class WorkerVoice:
    """A TTS whose engine runs in a `Worker`."""

    def __init__(self, engine: str, worker: Worker, voices: Sequence[Voice], choice: Choice, *, rate: int = 0) -> None:
        """`voices`: the first that fits a language is the one taken for it. `rate` in Hz, 0: as the worker says."""
        self.engine = engine
        self.choice = choice
        self.voices = tuple(voices)
        self.worker = worker
        self._rate = rate
        self._gains: dict[str, float] = {}
        self._levelling = asyncio.Lock()

    def speaks(self, language: str) -> bool:
        return any(primary(voice.language) == primary(language) for voice in self.voices)

    async def warm(self) -> None:
        """Starts the worker and speaks once with the first voice."""
        await self._level(self.voices[0])

    async def speak(self, clause: Clause, voice: str | None) -> AsyncGenerator[AudioChunk]:
        language = clause.language or language_of(clause.text)
        chosen = self.pick(voice, language)
        traced = spoken(clause.text, language)
        if not traced.text:
            return
        await self._prepare(traced)
        gain = await self._level(chosen)
        rate = await self._rate_of(chosen)
        shaper = Shaper(rate, gain, pause_after(clause.text))
        words = WordMap(clause.text, traced)
        accents = Accents(clause.text, language, rate)
        done = 0
        timed = False
        for offset, piece in pieces(traced.text):
            base = done
            async with contextlib.aclosing(self.worker.run(self._request(chosen, piece))) as frames:
                async for kind, payload in frames:
                    if kind == wire.MARKS:
                        marks = json.loads(payload)
                        told = words.words(
                            (a + offset, b + offset, s + base, e + base) for a, b, s, e in marks["words"]
                        )
                        phones = [Phone(ipa, s + base, e + base) for ipa, s, e in marks["phones"]]
                        shaper.mark(told, phones, accents.place(told, phones))
                        timed = timed or bool(told)
                    elif kind == wire.AUDIO:
                        samples = as_samples(payload)
                        done += len(samples)
                        for chunk in shaper.push(samples):
                            yield chunk
        if not timed and (end := accents.at_end(shaper.sound_end)) is not None:
            shaper.mark(accents=[end])
        for chunk in shaper.finish():
            yield chunk

    def pick(self, name: str | None, language: str) -> Voice:
        """The voice of that name where it speaks the language, else the language's own, else the first."""
        own = [voice for voice in self.voices if primary(voice.language) == primary(language)]
        if name is not None:
            named = [voice for voice in self.voices if voice.answers_to(name)]
            if not named:
                raise EngineError(f"There is no voice named {name!r}; GET /config lists them.", code="unknown_voice")
            if named[0] in own:
                return named[0]
        return own[0] if own else self.voices[0]

    async def close(self) -> None:
        await self.worker.close()

    async def _prepare(self, traced: Traced) -> None:
        """An engine's own rewrites of what it is to speak."""

    def _request(self, voice: Voice, text: str) -> wire.Request:
        return {"text": text, "voice": voice.id}

    async def _rate_of(self, voice: Voice) -> int:
        return voice.rate or self._rate or int((await self.worker.hello())["rate"])

    async def _level(self, voice: Voice) -> float:
        """The voice's gain. It is measured once, before its first clause, and never changes within a conversation."""
        async with self._levelling:
            if voice.id not in self._gains:
                text = _SAMPLES.get(primary(voice.language), _SAMPLE)
                sound: list[bytes] = []
                async with contextlib.aclosing(self.worker.run(self._request(voice, text))) as frames:
                    async for kind, payload in frames:
                        if kind == wire.AUDIO:
                            sound.append(payload)
                samples = as_samples(b"".join(sound)) if sound else np.zeros(0, np.float32)
                self._gains[voice.id] = gain_for(samples, await self._rate_of(voice)) or 1.0
            return self._gains[voice.id]
