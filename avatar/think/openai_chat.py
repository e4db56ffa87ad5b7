"""Any OpenAI-compatible `/v1/chat/completions`, streamed over HTTP, without an SDK.

Cancelling is closing the response: servers stop generating when their client is gone. Whatever goes wrong becomes an
`EngineError` with a sentence for a person; what the server wrote is quoted only where it helps.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from ..errors import EngineError
from ..types import Choice, Message
from .history import system_prompt
from .reasoning import ReasoningFilter
from .sse import Event, EventParser, Overlong
from .wire import TOO_LONG, Piece, error_text, is_too_long, newer_half, one_line, read_chunk, reason, retry_after

log = logging.getLogger(__name__)

CONNECT_S = 5.0
FIRST_TOKEN_S = 30.0
"""A model that reads a long prompt on a CPU needs its time; after half a minute nobody waits in front of a face."""
NEXT_TOKEN_S = 15.0
KEEPALIVE_S = 120.0
"""Turns are further apart than aiohttp's 15 s, and a new TLS handshake is heard as hesitation."""
CHARS_PER_TOKEN = 12
"""More characters than this for each token asked for, and the server does not honour `max_tokens`: the reply ends."""
MAX_BODY = 1_000_000
"""Bytes of an answer that is not a stream."""
DRAIN_S = 0.5
"""The end of a stream comes with `[DONE]` or never, and `[DONE]` with the last piece or never."""
_NEW_LIMIT = "max_completion_tokens"
"""OpenAI's newer name of `max_tokens`, which its newer models insist on."""
_SLOW = "has not begun to answer: it may still be loading its model."
_CUT = "broke off in the middle of its answer."
PATIENCE_S = 2
"""A `Retry-After` up to this is waited for once; more would be a hole in the conversation."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_s: float = CONNECT_S
    first_token_s: float = FIRST_TOKEN_S
    next_token_s: float = NEXT_TOKEN_S


def is_loopback(url: URL) -> bool:
    host = url.host or ""
    return host in ("localhost", "::1") or host.startswith("127.")


class _Refused(Exception):
    """The server answered with an error, by status or in the stream; carries what is needed to adapt and try again."""

    def __init__(self, status: int, text: str, error: EngineError) -> None:
        super().__init__(text)
        self.status, self.text, self.error = status, text.lower(), error


class OpenAIChat:
    """One model of one endpoint. Made for one event loop; replies may run side by side.

    `base` is the base URL (`http://host:port/v1`), `label` what a person calls the endpoint. `connector` replaces the
    TCP connector, for a server behind a Unix socket.
    """

    def __init__(
        self,
        choice: Choice,
        base: URL,
        model: str,
        *,
        label: str,
        key: str | None = None,
        timeouts: Timeouts | None = None,
        connector: aiohttp.BaseConnector | None = None,
    ) -> None:
        self.choice = choice
        self._base = base
        self._model = model
        self._label = label
        self._key = key
        self._timeouts = timeouts or Timeouts()
        self._connector = connector
        self._local = connector is not None or is_loopback(base)
        self._client: aiohttp.ClientSession | None = None
        self._draining: set[asyncio.Task[None]] = set()
        # Spoken answers cannot wait for a chain of thought. Servers that do not know the parameter, or the older name
        # of the other one, say so in a 400: what they refuse is left out from then on.
        self._effort: dict[str, str] = {"reasoning_effort": "none"}
        self._limit_name = "max_tokens"

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            self._client = aiohttp.ClientSession(
                connector=self._connector or aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s),
                # A proxy from the environment is for the internet, never for this machine.
                trust_env=not self._local,
            )
        return self._client

    async def close(self) -> None:
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def warm(self) -> None:
        """On this machine: has the model loaded, by a reply of one token. Elsewhere: opens the connection, since a
        reply there may cost money. Raises `EngineError`."""
        if not self._local:
            try:
                async with asyncio.timeout(self._timeouts.first_token_s):
                    async with self._session().get(self._base / "models", allow_redirects=False) as response:
                        await response.content.read(MAX_BODY)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(error) from error
            return
        # The real system prompt: a server that keeps the prefix of its last prompt has read it by the first turn.
        hello = [Message("system", system_prompt(None)), Message("user", "Hello")]
        async with aclosing(self._stream(hello, 1)) as stream:
            async for _ in stream:
                break

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        """Streams the reply without its thinking. Raises `EngineError`; what was said before it stands. One that is
        longer than `max_tokens` ends there, with the code `TOO_LONG`."""
        spoken = ReasoningFilter()
        said = thought = cut_short = False
        left = max_tokens * CHARS_PER_TOKEN
        clock = asyncio.get_running_loop().time
        late = clock() + self._timeouts.first_token_s
        async with aclosing(self._stream(list(messages), max_tokens)) as stream:
            async for piece in stream:
                thought |= piece.thinking
                cut_short |= piece.cut_short
                if text := spoken.feed(piece.text[:left]):
                    said = True
                    yield text
                elif not said and clock() > late:
                    break
                left -= max(1, len(piece.text))
                if left <= 0:
                    log.warning("%s does not honour %s; its reply was ended", self._label, self._limit_name)
                    cut_short = True
                    break
        if text := spoken.finish():
            said = True
            yield text
        if not said and (thought or spoken.thought):
            raise self._failed("spent its whole answer on thinking: choose a model that answers at once.")
        if not said:
            raise self._failed("answered with nothing.")
        if cut_short:
            raise self._failed(f"had more to say than {max_tokens} tokens.", TOO_LONG)

    async def _stream(self, messages: list[Message], max_tokens: int) -> AsyncGenerator[Piece, None]:
        """The raw reply. Adapts the request to what the server refuses, before anything has been said."""
        waited = said = False
        while True:  # each round leaves something out that is never put back
            body = {
                "model": self._model,
                "messages": [{"role": m.role, "content": m.text} for m in messages],
                "stream": True,
                self._limit_name: max_tokens,
                **self._effort,
            }
            try:
                async with aclosing(self._attempt(body)) as pieces:
                    async for piece in pieces:
                        said = True
                        yield piece
                return
            except _Refused as refused:
                if said:
                    raise refused.error from None
                status, text, retry = refused.status, refused.text, refused.error.retry_after_s
                if status == 429 and retry is not None and retry <= PATIENCE_S and not waited:
                    waited = True
                    await asyncio.sleep(retry)
                elif status in (400, 422) and _NEW_LIMIT in text and self._limit_name != _NEW_LIMIT:
                    self._limit_name = _NEW_LIMIT
                elif status in (400, 413, 500) and is_too_long(text) and (shorter := newer_half(messages)):
                    log.info("%s: the conversation outgrew its context; the older half was left out", self._label)
                    messages = shorter
                elif status in (400, 422) and self._effort:
                    self._effort = {}
                else:
                    raise refused.error from None

    async def _attempt(self, body: dict[str, Any]) -> AsyncGenerator[Piece, None]:
        response = await self._post(body)
        over = False
        try:
            if response.status != 200:
                raise await self._refusal(response)
            if response.content_type == "application/json":
                yield await self._whole(response)
                return
            if response.content_type != "text/event-stream":
                raise self._not_a_stream(response)
            async with aclosing(self._pieces_of(response)) as pieces:
                async for piece in pieces:
                    yield piece
            over = True
        finally:
            if over:  # nobody waits for what comes after the answer
                task = asyncio.create_task(_drain(response))
                self._draining.add(task)
                task.add_done_callback(self._draining.discard)
            else:
                response.close()  # tells the server to stop

    async def _post(self, body: dict[str, Any]) -> aiohttp.ClientResponse:
        url = self._base / "chat/completions"
        for attempt in (1, 2):
            try:
                async with asyncio.timeout(self._timeouts.first_token_s):
                    return await self._session().post(url, json=body, allow_redirects=False)
            except aiohttp.ConnectionTimeoutError as error:
                raise self._unreachable(error) from error
            except TimeoutError as error:
                raise self._failed(_SLOW, "llm_timeout") from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept connection that the server has closed meanwhile fails on its first use.
                if attempt == 2 or isinstance(error, aiohttp.ClientConnectorError):
                    raise self._unreachable(error) from error
            except (aiohttp.ClientError, OSError) as error:
                raise self._unreachable(error) from error
        raise AssertionError("unreachable")

    async def _pieces_of(self, response: aiohttp.ClientResponse) -> AsyncGenerator[Piece, None]:
        parser = EventParser()
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._timeouts.first_token_s  # comments keep the line alive but do not count as progress
        finished = False
        data = b"not yet over"
        try:
            while data:
                async with asyncio.timeout_at(deadline):
                    data = await response.content.readany()
                for event in parser.feed(data) if data else parser.finish():
                    if event.data.strip() == "[DONE]":
                        return
                    piece = self._read(event)
                    finished |= piece.ended
                    if piece.text or piece.thinking or piece.ended:
                        yield piece
                        deadline = clock() + (DRAIN_S if finished else self._timeouts.next_token_s)
        except TimeoutError as error:
            if finished:  # all was said: a server that says nothing more is not waited for
                return
            raise self._failed("stopped sending before its answer was complete.", "llm_timeout") from error
        except Overlong as error:
            raise self._failed(f"sent a stream that is not a chat: {error}.") from error
        except (aiohttp.ClientError, OSError) as error:
            if not finished:
                raise self._failed(_CUT, "llm_cut") from error
        if not finished:
            raise self._failed(_CUT, "llm_cut")

    def _read(self, event: Event) -> Piece:
        try:
            chunk = json.loads(event.data)
        except ValueError:
            raise self._failed(f"sent an event that is not JSON: {one_line(event.data, 80)}") from None
        if event.name == "error" or (isinstance(chunk, dict) and chunk.get("error")):
            text = error_text(chunk) or one_line(event.data)
            raise _Refused(500, text, self._failed(f"reports: {text}"))
        return read_chunk(chunk)

    async def _whole(self, response: aiohttp.ClientResponse) -> Piece:
        """The answer of a server that does not stream."""
        try:
            async with asyncio.timeout(self._timeouts.first_token_s):
                data = await _read_body(response)
        except TimeoutError as error:
            raise self._failed("has not finished its answer in time.", "llm_timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(_CUT, "llm_cut") from error
        return self._read(Event("", data.decode("utf-8", "replace")))

    def _not_a_stream(self, response: aiohttp.ClientResponse) -> EngineError:
        kind = "a web page" if response.content_type == "text/html" else one_line(response.content_type, 60)
        return self._failed(f"answered with {kind} instead of text: check its base URL, which usually ends in /v1.")

    async def _refusal(self, response: aiohttp.ClientResponse) -> _Refused:
        """What an error status means for a person."""
        status = response.status
        body: Any = None
        # The status says enough when the body cannot be had.
        with suppress(aiohttp.ClientError, OSError, ValueError, TimeoutError):
            async with asyncio.timeout(self._timeouts.connect_s):
                body = json.loads(await _read_body(response))
        text = error_text(body)
        retry: int | None = None
        match status:
            case 401 | 403:
                # The body is not quoted: some servers repeat a part of the key in it.
                what = "wants another key" if self._key else "wants a key"
                sentence = f"{what}: set OPENAI_API_KEY to one that it accepts."
            case 404:
                sentence = f"has no model {self._model!r}, or its base URL is not the one given{_quoted(text)}"
            case 429:
                retry = retry_after(response.headers.get("Retry-After"))
                when = f" in {retry} seconds" if retry else " later"
                sentence = f"is asked too often: try again{when}{_quoted(text)}"
            case _ if 300 <= status < 400:
                target = one_line(response.headers.get("Location", "another address"))
                sentence = f"has moved to {target}: give that address."
            case _ if status >= 500:
                sentence = f"failed with status {status}{_quoted(text)}"
            case _:
                sentence = f"refused the request with status {status}{_quoted(text)}"
        error = self._failed(sentence)
        error.retry_after_s = retry
        return _Refused(status, text, error)

    def _failed(self, what: str, code: str | None = None) -> EngineError:
        return EngineError(f"The language model ({self._label}) {what}", code=code or "llm_failed", role="llm")

    def _unreachable(self, error: Exception) -> EngineError:
        return self._failed(f"cannot be reached: {reason(error)}. Is it running?", "llm_unreachable")


def _quoted(text: str) -> str:
    return f": {text}" if text else "."


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads the few bytes after `[DONE]`: a connection whose answer was read to its end is kept for the next turn."""
    try:
        with suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(DRAIN_S):
                while await response.content.readany():
                    pass
    finally:
        response.close()  # does nothing to one that was read to its end


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > MAX_BODY:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(data)
