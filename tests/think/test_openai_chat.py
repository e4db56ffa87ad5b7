"""The chat client against a server that does what it should, as each dialect has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from avatar.errors import EngineError
from avatar.think.openai_chat import OpenAIChat
from avatar.types import Choice, Message
from tests.think.scripted import ASK, DONE, FINISH, answers, delta, engine, spoken, streams


async def test_the_request_is_what_the_api_says() -> None:
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.update(await request.json(), key=request.headers.get("Authorization"))
        return await streams(delta("Hi."), FINISH, DONE)(request)

    async with engine(handler, key="sk-1") as chat:
        assert await spoken(chat, max_tokens=7) == ["Hi."]
    assert seen["key"] == "Bearer sk-1"
    assert seen["stream"] is True and seen["max_tokens"] == 7 and seen["model"] == "m"
    assert seen["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


async def test_pieces_come_as_they_are_sent_wherever_the_network_cuts() -> None:
    raw = b": ping\r\n\r\n" + delta("こんにちは。") + delta(" 元気").replace(b"\n", b"\r\n") + FINISH + DONE
    for size in (1, 2, 3, 7, len(raw)):
        cut = [raw[i : i + size] for i in range(0, len(raw), size)]
        async with engine(streams(*cut)) as chat:
            assert await spoken(chat) == ["こんにちは。", " 元気"]


async def test_an_end_without_done_but_with_a_reason_is_an_end() -> None:
    async with engine(streams(delta("Hi."), FINISH.rstrip())) as chat:
        assert await spoken(chat) == ["Hi."]


async def test_content_in_parts_usage_and_tool_noise() -> None:
    parts = b'data: {"choices":[{"delta":{"content":[{"type":"text","text":"Hi"},{"type":"image"}]}}]}\n\n'
    noise = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\ndata: {"choices":[{"delta":null}]}\n\ndata: 3\n\n'
    async with engine(streams(noise, parts, noise, FINISH, DONE)) as chat:
        assert await spoken(chat) == ["Hi"]


async def test_an_answer_that_is_not_streamed_is_taken_whole() -> None:
    body = {"choices": [{"message": {"content": "<think>x</think>Hello there."}, "finish_reason": "stop"}]}
    async with engine(answers(200, body)) as chat:
        assert await spoken(chat) == ["Hello there."]


async def test_thinking_is_not_spoken() -> None:
    chunks = [delta("", reasoning_content="hm"), delta("<thi"), delta("nk>so</think>\n\nHi"), delta("."), FINISH, DONE]
    async with engine(streams(*chunks)) as chat:
        assert await spoken(chat) == ["Hi", "."]


async def test_a_short_wait_is_waited_once() -> None:
    calls = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 1:
            return await answers(429, None, **{"Retry-After": "1"})(request)
        return await streams(delta("Hi."), FINISH, DONE)(request)

    async with engine(handler) as chat:
        assert await spoken(chat) == ["Hi."]
    assert calls == 2


async def test_parameters_that_a_server_refuses_are_left_out_for_good() -> None:
    bodies: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        bodies.append(body)
        if "max_tokens" in body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return web.json_response({"error": {"message": message}}, status=400)
        if "reasoning_effort" in body:
            return web.json_response({"error": {"message": "Unrecognized argument: reasoning_effort"}}, status=400)
        return await streams(delta("Hi."), FINISH, DONE)(request)

    async with engine(handler) as chat:
        assert await spoken(chat) == ["Hi."]
        assert len(bodies) == 3
        assert await spoken(chat) == ["Hi."]
    assert len(bodies) == 4
    assert bodies[-1]["max_completion_tokens"] == 50


async def test_a_conversation_beyond_the_context_loses_its_older_half() -> None:
    seen: list[list[str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        texts = [m["content"] for m in (await request.json())["messages"]]
        seen.append(texts)
        if len(texts) > 4:
            body = {"error": {"message": "This model's maximum context length is 64 tokens", "code": 400}}
            return web.json_response(body, status=400)
        return await streams(delta("Hi."), FINISH, DONE)(request)

    talk = [Message("system", "S")]
    for number in range(6):
        talk += [Message("user", f"u{number}"), Message("assistant", f"a{number}")]
    talk.append(Message("user", "last"))
    async with engine(handler) as chat:
        assert await spoken(chat, talk) == ["Hi."]
    assert seen[1:] == [["S", "u4", "a4", "u5", "a5", "last"], ["S", "last"]]


async def test_closing_the_reply_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(delta("la "))
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    async with engine(handler) as chat:
        stream = chat.reply(ASK, max_tokens=5000)
        assert await anext(stream) == "la "
        await stream.aclose()
        await asyncio.wait_for(gone.wait(), 10)
        gone.clear()
        task = asyncio.create_task(spoken(chat, max_tokens=5000))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_kept_connection_that_died_is_replaced_in_silence() -> None:
    """The server drops every connection after its first answer without saying so, as a restarted one does."""
    served = 0
    body = delta("Hi.") + FINISH + DONE
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(head + body)
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the next request on this connection gets a closed door
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    chat = OpenAIChat(Choice("llm", "m", "t"), URL(f"http://127.0.0.1:{port}/v1"), "m", label="t")
    try:
        for _ in range(3):
            assert await spoken(chat) == ["Hi."]
    finally:
        await chat.close()
        server.close()
    assert served == 3


async def test_the_connection_is_kept_between_turns() -> None:
    connections = set()
    inner = streams(delta("Hi."), FINISH, DONE)

    async def handler(request: web.Request) -> web.StreamResponse:
        connections.add(request.transport)
        return await inner(request)

    async with engine(handler) as chat:
        for _ in range(4):
            assert await spoken(chat) == ["Hi."]
            await asyncio.gather(*chat._draining)
    assert len(connections) == 1


async def test_a_server_that_never_ends_after_its_done_is_left() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await streams(delta("Hi."), FINISH, DONE)(request)
        await asyncio.sleep(60)
        raise AssertionError

    async with engine(handler) as chat:
        assert await spoken(chat) == ["Hi."]


async def test_replies_run_side_by_side_on_one_engine() -> None:
    async with engine(streams(delta("a"), delta("b"), FINISH, DONE, gap_s=0.01)) as chat:
        assert await asyncio.gather(*(spoken(chat) for _ in range(4))) == [["a", "b"]] * 4


async def test_a_context_that_runs_out_before_the_first_word_is_cut_too() -> None:
    calls = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if len((await request.json())["messages"]) > 2:
            return await streams(b'data: {"error":{"message":"Context size has been exceeded."}}\n\n')(request)
        return await streams(delta("Hi."), FINISH, DONE)(request)

    talk = [Message("system", "S"), Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    async with engine(handler) as chat:
        assert await spoken(chat, talk) == ["Hi."]
    assert calls == 2


async def test_a_context_that_runs_out_in_the_middle_repeats_nothing() -> None:
    out = b'data: {"error":{"message":"Context size has been exceeded."}}\n\n'
    talk = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    async with engine(streams(delta("Hi "), out)) as chat:
        got = []
        with pytest.raises(EngineError, match="exceeded"):
            async for piece in chat.reply(talk, max_tokens=50):
                got.append(piece)
    assert got == ["Hi "]
