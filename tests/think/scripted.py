"""A scripted chat server: what it sends, cut where a test wants it cut. Real servers are in test_engines.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from avatar.errors import EngineError
from avatar.think.openai_chat import OpenAIChat, Timeouts
from avatar.think.wire import TOO_LONG
from avatar.types import Choice, Message

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ASK = [Message("system", "Be brief."), Message("user", "Hello")]
SHORT = Timeouts(connect_s=5, first_token_s=0.2, next_token_s=0.2)


@asynccontextmanager
async def engine(
    handler: Handler, *, timeouts: Timeouts | None = None, key: str | None = None
) -> AsyncIterator[OpenAIChat]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    async with TestServer(app) as server:
        base = URL(str(server.make_url("/v1")))
        chat = OpenAIChat(Choice("llm", "m", "test"), base, "m", label="the test", key=key, timeouts=timeouts)
        try:
            yield chat
        finally:
            await chat.close()


async def spoken(chat: OpenAIChat, messages: list[Message] | None = None, max_tokens: int = 50) -> list[str]:
    async with aclosing(chat.reply(messages or ASK, max_tokens=max_tokens)) as stream:
        return await until_long(stream)


async def until_long(stream: AsyncIterator[str]) -> list[str]:
    """A reply that may be cut because of its length."""
    got = []
    try:
        async for piece in stream:
            got.append(piece)
    except EngineError as error:
        if error.code != TOO_LONG:
            raise
    return got


async def refused(chat: OpenAIChat) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await spoken(chat)
    return caught.value


def delta(text: str, **more: Any) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": None}]}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
FINISH_LENGTH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def streams(*chunks: bytes, gap_s: float = 0.0) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(gap_s)
        return response

    return handler


def answers(status: int, body: Any = None, **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response(body, status=status, headers=headers)

    return handler
