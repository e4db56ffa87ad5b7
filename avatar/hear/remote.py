"""Recognition at an OpenAI-compatible endpoint: `POST BASE/audio/transcriptions`, one request per utterance.

Spoken by OpenAI, vLLM, speaches, LocalAI, whisper.cpp's server and others. The request is a multipart form with the
utterance as a WAV file (https://platform.openai.com/docs/api-reference/audio/createTranscription). The protocol has
no partial texts, so there are none.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import wave
from typing import Any

import aiohttp
import numpy as np
from yarl import URL

from ..errors import EngineError, Invalid, NotReady
from ..seams import STTStream
from ..types import AudioChunk, Choice, Pcm, Transcript
from .hallucination import is_stock_phrase, is_wordless
from .language import primary_tag
from .resample import RATE
from .vad import Vad
from .voice import VoiceTracker

log = logging.getLogger(__name__)

_PROBE_S = 3.0
"""To list the models: the server's start waits for it."""
_WARM_S = 120.0
"""For the first request: self-hosted servers load their model then."""
_REQUEST_S = 20.0
"""For an utterance: later than this nobody waits for the answer any more."""
_CONNECT_S = 3.0
_MAX_ANSWER = 1 << 20
"""Bytes read of an answer: 30 s of speech are under a kilobyte."""
_DEFAULT_MODEL = "whisper-1"
"""Asked for where the endpoint cannot list its models: OpenAI's name, which single-model servers ignore."""
_SPEECH_NAMES = ("whisper", "transcribe", "asr", "voxtral", "parakeet", "canary", "moonshine", "sensevoice")
"""Endpoints list models of all kinds in one list; these words mark the ones that listen."""


def _wav(pcm: Pcm) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.ascontiguousarray(pcm, "<i2").tobytes())
    return out.getvalue()


async def _read(response: aiohttp.ClientResponse) -> Any:
    """The answer's JSON, or None where it is none."""
    body = bytearray()
    async for block in response.content.iter_chunked(1 << 16):
        body += block
        if len(body) > _MAX_ANSWER:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _reason(answer: Any) -> str:
    """What the endpoint says is wrong: OpenAI's shape, FastAPI's, or nothing."""
    if isinstance(answer, dict):
        error = answer.get("error", answer.get("detail", answer.get("message")))
        if isinstance(error, dict):
            error = error.get("message")
        if isinstance(error, str) and error:
            return f": {error[:300]}"
    return ""


def _retry_after(response: aiohttp.ClientResponse) -> int | None:
    value = response.headers.get("Retry-After", "")
    return int(value) if value.isascii() and value.isdigit() else None


class Remote:
    """The engine: a base URL, a model and one pool of connections."""

    def __init__(self, base: URL, model: str, why: str, note: str = "") -> None:
        self._base = base
        self._model = model
        self._http: aiohttp.ClientSession | None = None
        self.choice = Choice("stt", f"{base.with_user(None)}#{model}", why, note)

    @classmethod
    async def probe(cls, spec: str) -> Remote:
        """The engine for `http://HOST/v1[#MODEL]`. Raises `Invalid` for what is no URL, `NotReady` where nothing that
        looks like such an endpoint answers."""
        try:
            url = URL(spec)
        except ValueError:
            url = URL()
        if not url.host:
            raise Invalid(f"{spec!r} is no base URL such as http://localhost:8000/v1.", field="stt")
        base = url.with_fragment(None).with_query(None)
        base = base.with_path(base.path.rstrip("/"))
        shown = base.with_user(None)
        engine = cls(base, url.fragment, "")
        try:
            async with asyncio.timeout(_PROBE_S), engine._session().get(engine._url("models")) as response:
                answer = await _read(response)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            raise NotReady(f"No speech recognition answers at {shown} ({reason}). Is it running?") from None
        finally:
            await engine.close()
        if status in (401, 403):
            raise NotReady(f"{shown} refuses the key (HTTP {status}): set OPENAI_API_KEY to one that it accepts.")
        if status not in (200, 404, 405, 501):
            raise NotReady(f"{shown} answered HTTP {status} when asked for its models{_reason(answer)}.")
        names = _models(answer) if status == 200 else []
        if status == 200 and names is None:
            raise NotReady(f"{shown} does not answer like an OpenAI-compatible API. Does the URL end in /v1?")
        if url.fragment:
            note = ""
            if names and url.fragment not in names:
                note = f"The endpoint does not list a model {url.fragment}; it lists {', '.join(names[:8])}."
            return cls(base, url.fragment, "asked for", note)
        if not names:
            return cls(base, _DEFAULT_MODEL, "the endpoint does not list its models")
        speech = [name for name in names if any(word in name.lower() for word in _SPEECH_NAMES)]
        if speech:
            return cls(base, speech[0], "the endpoint's first model for speech")
        return cls(base, names[0], "the endpoint's first model", "Its name does not say that it recognises speech.")

    def _url(self, what: str) -> URL:
        return self._base / what

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            key = os.environ.get("OPENAI_API_KEY")
            headers = {"Authorization": f"Bearer {key}"} if key and self._base.user is None else {}
            self._http = aiohttp.ClientSession(
                headers=headers, trust_env=True, timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
            )
        return self._http

    async def warm(self) -> None:
        """Has half a second of silence recognised, which makes a self-hosted server load its model."""
        try:
            await self.transcribe(np.zeros(RATE // 2, np.int16), "auto", _WARM_S)
        except EngineError as error:
            raise NotReady(error.message) from error

    def open(self, language: str) -> STTStream:
        return _Stream(self, primary_tag(language))

    async def transcribe(self, pcm: Pcm, language: str, timeout_s: float = _REQUEST_S) -> Transcript:
        """One request. Raises `EngineError`."""
        name = self.choice.name
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._post(pcm, language)
                except aiohttp.ServerDisconnectedError:  # it had closed the idle connection: once more on a new one
                    return await self._post(pcm, language)
        except TimeoutError:
            raise EngineError(f"The speech recognition {name} did not answer within {timeout_s:.0f} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise EngineError(f"The speech recognition {name} cannot be reached ({error}).") from None

    async def _post(self, pcm: Pcm, language: str) -> Transcript:
        form = aiohttp.FormData()
        form.add_field("file", _wav(pcm), filename="utterance.wav", content_type="audio/wav")
        form.add_field("model", self._model)
        form.add_field("response_format", "json")
        if language != "auto":
            form.add_field("language", language)
        name = self.choice.name
        async with self._session().post(self._base / "audio" / "transcriptions", data=form) as response:
            answer = await _read(response)
            if response.status in (401, 403):
                raise EngineError(f"The speech recognition {name} refuses the key in OPENAI_API_KEY.")
            if response.status != 200:
                raise EngineError(
                    f"The speech recognition {name} answered HTTP {response.status}{_reason(answer)}.",
                    retry_after_s=_retry_after(response),
                )
        if not isinstance(answer, dict) or not isinstance(text := answer.get("text"), str):
            raise EngineError(f"The speech recognition {name} sent something that is no transcript.")
        text = text.strip()
        if is_wordless(text) or is_stock_phrase(text):
            return Transcript("")
        return Transcript(text, "" if language == "auto" else language)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None


def _models(answer: Any) -> list[str] | None:
    """The ids in a list of models; None where the answer is no such list."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        return None
    return [row["id"] for row in data if isinstance(row, dict) and isinstance(row.get("id"), str)]


class _Stream:
    """One utterance, sent when the user pauses; the answer counts when nothing more was said."""

    def __init__(self, engine: Remote, language: str) -> None:
        self._engine = engine
        self._language = language
        self._parts: list[Pcm] = []
        self._voice = VoiceTracker(Vad.load()())
        self._asked: asyncio.Task[Transcript] | None = None
        """The newest request."""
        self._asked_for = 0
        """Where the voice ended that it covers."""

    async def feed(self, chunk: AudioChunk) -> str | None:
        self._parts.append(chunk.pcm)
        self._voice.feed(chunk.pcm)
        if self._voice.voice_end > self._asked_for:
            self._forget()  # more was said: that answer is out of date
        return None

    async def guess(self) -> Transcript | None:
        """Asks at once: one request a pause."""
        if not self._voice.voice_end or not self._parts:
            return None
        asked = self._ask()
        try:
            return await asyncio.shield(asked)
        except EngineError:
            return None
        except asyncio.CancelledError:
            if asked.cancelled():
                return None  # more was said, or the utterance is dropped
            raise

    def _ask(self) -> asyncio.Task[Transcript]:
        """The request for what has been said so far; the one that runs already where nothing was said since."""
        if self._asked is not None and self._asked_for == self._voice.voice_end and not self._failed():
            return self._asked
        self._forget()
        sound = np.concatenate(self._parts)
        self._parts = [sound]
        self._asked_for = self._voice.voice_end
        self._asked = asyncio.create_task(self._engine.transcribe(sound, self._language), name="transcribe")
        return self._asked

    def _failed(self) -> bool:
        asked = self._asked
        return asked is not None and asked.done() and (asked.cancelled() or asked.exception() is not None)

    def _forget(self) -> None:
        """Nobody wants the answer to the last request."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._asked = None

    async def finish(self) -> Transcript:
        if not self._parts:
            return Transcript("")
        asked = self._ask()
        try:
            return await asked
        finally:
            await self.close()

    async def close(self) -> None:
        self._parts.clear()
        self._forget()
