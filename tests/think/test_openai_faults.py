"""The chat client against servers that misbehave in every way that was thought of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from avatar.errors import EngineError
from avatar.think.openai_chat import OpenAIChat
from avatar.think.wire import TOO_LONG
from avatar.types import Choice
from tests.think.scripted import (
    ASK,
    DONE,
    FINISH,
    FINISH_LENGTH,
    SHORT,
    answers,
    delta,
    engine,
    refused,
    spoken,
    streams,
)


@pytest.mark.parametrize("chunk", [delta("", reasoning_content="hm"), delta("<think>hm")])
async def test_a_reply_of_thinking_alone_is_told(chunk: bytes) -> None:
    async with engine(streams(chunk, FINISH, DONE)) as chat:
        assert "thinking" in (await refused(chat)).message


async def test_an_empty_reply_is_told() -> None:
    async with engine(streams(FINISH, DONE)) as chat:
        assert "nothing" in (await refused(chat)).message


async def test_a_cut_in_the_middle_keeps_what_was_said() -> None:
    async with engine(streams(delta("Once upon"))) as chat:
        got = []
        with pytest.raises(EngineError, match="broke off") as caught:
            async for piece in chat.reply(ASK, max_tokens=50):
                got.append(piece)
    assert got == ["Once upon"] and caught.value.code == "llm_cut"


async def test_a_connection_torn_down_in_the_middle() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(delta("Once"))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with engine(handler) as chat:
        assert (await refused(chat)).code == "llm_cut"


async def test_an_error_inside_the_stream_is_quoted() -> None:
    async with engine(streams(delta("Hi"), b'data: {"error":{"message":"CUDA out of memory"}}\n\n')) as chat:
        assert "CUDA out of memory" in (await refused(chat)).message
    async with engine(streams(b'event: error\ndata: {"message":"overloaded"}\n\n')) as chat:
        assert "overloaded" in (await refused(chat)).message


async def test_a_stream_of_something_else() -> None:
    async with engine(streams(b"data: hello\n\n")) as chat:
        assert "not JSON" in (await refused(chat)).message
    async with engine(streams(*[b"data: " + b"x" * 100_000] * 12)) as chat:
        assert "not a chat" in (await refused(chat)).message


async def test_a_web_page_instead_of_an_answer() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>Welcome", content_type="text/html")

    async with engine(handler) as chat:
        assert "web page" in (await refused(chat)).message


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": {"message": "Incorrect API key provided: sk-1"}}, "OPENAI_API_KEY"),
        (403, None, "OPENAI_API_KEY"),
        (404, {"error": {"message": "model 'm' not found"}}, "model 'm' not found"),
        (500, {"error": "boom"}, "boom"),
        (503, {"error": {"message": "Loading model"}}, "Loading model"),
        (400, {"detail": "no"}, "status 400: no"),
        (418, [1, 2], "418"),
    ],
)
async def test_an_error_status_becomes_a_sentence(status: int, body: Any, words: str) -> None:
    async with engine(answers(status, body), key="sk-1") as chat:
        error = await refused(chat)
    assert words in error.message
    assert "sk-1" not in error.message
    assert error.status == 502


async def test_an_error_page_has_its_status() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>" + "Bad Gateway" * 200_000, content_type="text/html")

    async with engine(handler) as chat:
        assert "502" in (await refused(chat)).message


async def test_a_redirect_is_named_not_followed() -> None:
    async with engine(answers(307, None, Location="https://elsewhere.example/v1")) as chat:
        assert "https://elsewhere.example/v1" in (await refused(chat)).message


async def test_too_many_requests_are_told_with_the_wait() -> None:
    async with engine(answers(429, {"error": {"message": "slow down"}}, **{"Retry-After": "30"})) as chat:
        error = await refused(chat)
    assert error.retry_after_s == 30
    assert "30 seconds" in error.message and "slow down" in error.message


@pytest.mark.parametrize("header", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e999", ""])
async def test_a_strange_retry_after_is_no_harm(header: str) -> None:
    async with engine(answers(429, None, **{"Retry-After": header})) as chat:
        assert "too often" in (await refused(chat)).message


async def test_a_single_message_beyond_the_context_is_told() -> None:
    body = {"error": {"message": "request (5052 tokens) exceeds the available context size"}}
    async with engine(answers(400, body)) as chat:
        assert "exceeds" in (await refused(chat)).message


async def test_endless_output_is_ended() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(delta("words without end ") * 50)

    async with engine(handler) as chat:
        assert 0 < len("".join(await spoken(chat, max_tokens=10))) <= 10 * 12


@pytest.mark.parametrize("chunks", [(delta("Once upon a"), FINISH_LENGTH, DONE), (delta("Once upon a" * 200),)])
async def test_a_reply_that_is_too_long_says_that_it_was_cut(chunks: tuple[bytes, ...]) -> None:
    async with engine(streams(*chunks)) as chat:
        with pytest.raises(EngineError, match="50 tokens") as caught:
            async for piece in chat.reply(ASK, max_tokens=50):
                assert "Once" in piece
    assert caught.value.code == TOO_LONG


@pytest.mark.parametrize("end", [FINISH, FINISH + DONE])
async def test_a_server_that_keeps_the_line_open_after_its_answer_is_not_waited_for(end: bytes) -> None:
    waits = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(delta("Hi.") + end)
        await waits.wait()
        return response

    async with engine(handler) as chat:
        assert await spoken(chat) == ["Hi."], "it does not become an error either"
        waits.set()


async def test_what_comes_after_done_is_not_waited_for_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply of one sentence becomes a clause only when it is over."""
    monkeypatch.setattr("avatar.think.openai_chat.DRAIN_S", 600.0)
    waits = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(delta("Hi.") + FINISH + DONE)
        await waits.wait()
        return response

    async with engine(handler) as chat:
        assert await asyncio.wait_for(spoken(chat), 60) == ["Hi."]
        waits.set()


async def test_thinking_is_waited_for_as_long_as_silence() -> None:
    async with engine(streams(*[delta("", reasoning="hm ")] * 600, gap_s=0.05), timeouts=SHORT) as chat:
        assert "thinking" in (await refused(chat)).message


async def test_endless_thinking_is_ended() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(delta("", reasoning="and again ") * 50)

    async with engine(handler) as chat:
        assert "thinking" in (await refused(chat)).message


async def test_nothing_at_all_is_waited_for_so_long() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    async with engine(handler, timeouts=SHORT) as chat:
        error = await refused(chat)
    assert error.code == "llm_timeout" and "loading" in error.message


async def test_pings_are_no_progress() -> None:
    async with engine(streams(*[b": ping\n\n"] * 600, gap_s=0.05), timeouts=SHORT) as chat:
        assert (await refused(chat)).code == "llm_timeout"


async def test_a_stream_that_falls_silent() -> None:
    async with engine(streams(delta("Well, "), gap_s=60), timeouts=SHORT) as chat:
        assert "stopped sending" in (await refused(chat)).message


async def test_nobody_there() -> None:
    async with engine(streams()) as chat:
        base = chat._base
    chat = OpenAIChat(Choice("llm", "m", "test"), base, "m", label="the test")
    error = await refused(chat)
    assert error.code == "llm_unreachable" and "connection refused" in error.message
    with pytest.raises(EngineError, match="cannot be reached"):
        await chat.warm()
    await chat.close()
