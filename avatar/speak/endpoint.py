"""A voice at an OpenAI-compatible endpoint: `POST BASE/audio/speech`, one request for each clause, played as it comes.

Spoken by OpenAI, Kokoro-FastAPI, vLLM-Omni, LocalAI, Speaches and others
(https://platform.openai.com/docs/api-reference/audio/createSpeech). The protocol has no word times, so there are none.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
import numpy as np
from yarl import URL

from ..errors import EngineError
from ..types import AudioChunk, Choice, Clause
from .accents import Accents
from .answers import MAX_ANSWER, is_loopback, key_headers, message_of, one_line, reason, seconds
from .language import language_of
from .native import Voice
from .shape import Samples, Shaper, gain_for, pause_after
from .sound_stream import NotSound, SoundReader
from .spoken import speakable

log = logging.getLogger(__name__)

PROBE_S = 5.0
"""To list models and voices: the server's start waits for it."""
CONNECT_S = 5.0
WARM_S = 120.0
"""For the first request: self-hosted servers load their model then."""
FIRST_SOUND_S = 15.0
"""From the request to its first byte: after that nobody waits in front of a face."""
NEXT_SOUND_S = 8.0
KEEPALIVE_S = 120.0
"""Turns are further apart than aiohttp's 15 s, and a new TLS handshake is heard as hesitation."""
PATIENCE_S = 2
"""A `Retry-After` up to this is waited for once; more would be a hole in the conversation."""
LEVELLING_S = 0.5
"""Sound of a voice's very first clause that is held back to set its level, which then stays."""
_FORMATS = ("pcm", "wav", "mp3")
"""Asked for in this order: what a server refuses is not asked for again."""
DEFAULT_VOICE = "alloy"
"""Asked for where the endpoint lists none: OpenAI's name, which single-voice servers ignore or map."""


class _Refused(Exception):
    """An error status, with what is needed to adapt and try again."""

    def __init__(self, status: int, text: str, error: EngineError) -> None:
        super().__init__(text)
        self.status, self.error = status, error
        self.about_format = status in (400, 415, 422) and "format" in text.lower()


class Endpoint:
    """One model of one endpoint. Made for one event loop; clauses of several sessions may be spoken side by side."""

    engine = "endpoint"

    def __init__(
        self,
        base: URL,
        model: str,
        choice: Choice,
        *,
        voices: list[str] | None = None,
        key: str | None = None,
        first_sound_s: float = FIRST_SOUND_S,
        next_sound_s: float = NEXT_SOUND_S,
    ) -> None:
        self.choice = choice
        self.voices = [Voice(name, "", "endpoint", name) for name in voices or []]
        self._base = base
        self._model = model
        self._key = key
        self._first_sound_s = first_sound_s
        self._next_sound_s = next_sound_s
        self._local = is_loopback(base)
        self._client: aiohttp.ClientSession | None = None
        self._format = 0
        self._gains: dict[str, float] = {}

    def speaks(self, language: str) -> bool:
        return True

    async def warm(self) -> None:
        """On this machine: speaks once, which has the model loaded. Elsewhere: opens the connection, since speech
        there may cost money. Raises `EngineError`."""
        if not self._local:
            try:
                async with asyncio.timeout(PROBE_S):
                    async with self._session().get(self._base / "models", allow_redirects=False) as response:
                        await response.content.read(MAX_ANSWER)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(error) from error
            return
        clause = Clause("Good morning. The weather is nice today.", 0, "", "en")
        async with aclosing(self._speak(clause, None, WARM_S)) as chunks:
            async for _ in chunks:
                pass

    async def speak(self, clause: Clause, voice: str | None) -> AsyncGenerator[AudioChunk]:
        async with aclosing(self._speak(clause, voice, self._first_sound_s)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _speak(self, clause: Clause, voice: str | None, patience_s: float) -> AsyncGenerator[AudioChunk]:
        text = speakable(clause.text, clause.language or language_of(clause.text))
        if not text:
            return
        name = voice or (self.voices[0].id if self.voices else DEFAULT_VOICE)
        shaper: Shaper | None = None
        held: list[Samples] = []
        async with aclosing(self._sound(text, name, patience_s)) as pieces:
            async for rate, samples in pieces:
                held.append(samples)
                if shaper is None and (name in self._gains or sum(map(len, held)) >= rate * LEVELLING_S):
                    shaper = Shaper(rate, self._level(name, held, rate), pause_after(clause.text))
                if shaper is not None:
                    for chunk in shaper.push(np.concatenate(held)):
                        yield chunk
                    held.clear()
        if shaper is None and held:  # a short clause, and the voice's first
            shaper = Shaper(rate, self._level(name, held, rate), pause_after(clause.text))
            for chunk in shaper.push(np.concatenate(held)):
                yield chunk
        if shaper is None:
            return
        end = Accents(clause.text, clause.language or language_of(clause.text), rate).at_end(shaper.sound_end)
        if end is not None:
            shaper.mark(accents=[end])
        for chunk in shaper.finish():
            yield chunk

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _level(self, voice: str, held: list[Samples], rate: int) -> float:
        """The voice's gain: set by its first sound, unless there is too little to judge by, and kept."""
        if voice not in self._gains:
            gain = gain_for(np.concatenate(held), rate)
            if gain is None:
                return 1.0
            self._gains[voice] = gain
        return self._gains[voice]

    async def _sound(self, text: str, voice: str, patience_s: float) -> AsyncGenerator[tuple[int, Samples]]:
        """The raw sound with its rate. Adapts the request to what the server refuses, before anything was heard."""
        waited = False
        while True:
            body = {"model": self._model, "input": text, "voice": voice, "response_format": _FORMATS[self._format]}
            try:
                async with aclosing(self._attempt(body, patience_s)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except _Refused as refused:
                retry = refused.error.retry_after_s
                if refused.status == 429 and retry is not None and retry <= PATIENCE_S and not waited:
                    waited = True
                    await asyncio.sleep(retry)
                elif refused.about_format and self._format + 1 < len(_FORMATS):
                    self._format += 1
                else:
                    raise refused.error from None

    async def _attempt(self, body: dict[str, Any], patience_s: float) -> AsyncGenerator[tuple[int, Samples]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        response = await self._post(body, deadline)
        reader = SoundReader(response.headers.get("Content-Type", ""))
        heard = False
        try:
            if response.status != 200:
                raise await self._refusal(response)
            if response.content_type in ("text/html", "application/json", "text/plain", "text/event-stream"):
                raise await self._not_sound(response)
            while True:
                async with asyncio.timeout_at(deadline):
                    data = await response.content.readany()
                if not data:
                    break
                samples = reader.feed(data)
                if len(samples):
                    heard = True
                    yield reader.rate, samples
                deadline = loop.time() + self._next_sound_s
            # A compressed file is decoded here, as a whole.
            samples = await asyncio.to_thread(reader.finish)
            if len(samples):
                heard = True
                yield reader.rate, samples
        except TimeoutError as error:
            raise self._failed("stopped sending before the clause was complete.", "tts_timeout") from error
        except NotSound as error:
            raise self._failed(f"answered with {error} instead of sound: check its base URL and model.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed("broke off in the middle of a clause.", "tts_cut") from error
        finally:
            response.close()  # not released: closing is what tells the server to stop
        if reader.cut:
            raise self._failed("broke off in the middle of a clause.", "tts_cut")
        if not heard:
            raise self._failed("answered with no sound.")

    async def _post(self, body: dict[str, Any], deadline: float) -> aiohttp.ClientResponse:
        for attempt in (1, 2):
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._session().post(self._base / "audio/speech", json=body, allow_redirects=False)
            except TimeoutError as error:
                raise self._failed("has not begun to speak: it may still be loading.", "tts_timeout") from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept connection that the server has closed meanwhile fails on its first use.
                if attempt == 2 or isinstance(error, aiohttp.ClientConnectorError):
                    raise self._unreachable(error) from error
            except (aiohttp.ClientError, OSError) as error:
                raise self._unreachable(error) from error
        raise AssertionError("unreachable")

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S),
                headers=key_headers(self._key),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                # A proxy from the environment is for the internet, never for this machine.
                trust_env=not self._local,
            )
        return self._client

    async def _refusal(self, response: aiohttp.ClientResponse) -> _Refused:
        """What an error status means for a person."""
        text = ""
        with suppress(aiohttp.ClientError, OSError, ValueError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                text = message_of(json.loads(await response.content.read(MAX_ANSWER)))
        status, retry = response.status, None
        quoted = f": {text}" if text else "."
        match status:
            case 401 | 403:
                # The body is not quoted: some servers repeat a part of the key in it.
                sentence = f"wants {'another' if self._key else 'a'} key: set OPENAI_API_KEY to one that it accepts."
            case 404:
                sentence = f"has no speech at this address, or no model {self._model!r}{quoted}"
            case 429:
                retry = seconds(response.headers.get("Retry-After"))
                sentence = f"is asked too often: try again{f' in {retry} seconds' if retry else ' later'}{quoted}"
            case _ if 300 <= status < 400:
                sentence = f"has moved to {one_line(response.headers.get('Location', 'another address'))}."
            case _ if status >= 500:
                sentence = f"failed with status {status}{quoted}"
            case _:
                sentence = f"refused the clause with status {status}{quoted}"
        error = self._failed(sentence)
        error.retry_after_s = retry
        return _Refused(status, text, error)

    async def _not_sound(self, response: aiohttp.ClientResponse) -> EngineError:
        text = ""
        with suppress(aiohttp.ClientError, OSError, ValueError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                text = message_of(json.loads(await response.content.read(MAX_ANSWER)))
        if text:
            return self._failed(f"reports: {text}")
        kind = "a web page" if response.content_type == "text/html" else response.content_type
        return self._failed(f"answered with {kind} instead of sound: check its base URL, which usually ends in /v1.")

    def _failed(self, what: str, code: str = "tts_failed") -> EngineError:
        return EngineError(f"The voice at {self._base.host} {what}", code=code, role="tts")

    def _unreachable(self, error: BaseException) -> EngineError:
        return self._failed(f"cannot be reached: {reason(error)}. Is it running?", "tts_unreachable")
