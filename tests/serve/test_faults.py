"""Engines that fail in a conversation: the avatar says something sensible once, goes on, and the record says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from avatar.errors import EngineError
from avatar.phrases import APOLOGY, BROKEN_OFF, ENOUGH, NOT_UNDERSTOOD, ONE_MOMENT
from avatar.play.receive import ClientPeer
from avatar.types import AudioChunk, Clause
from tests.hear.sounds import clip
from tests.serve.conftest import Call, serving
from tests.serve.test_bargein import Scribe, scribe  # noqa: F401 (a fixture)
from tests.serve.test_voice import at_48k, play, quiet

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def delta(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode()


async def stream(request: web.Request, *texts: str, done: bool = True, gap_s: float = 0.0) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for text in texts:
        await asyncio.sleep(gap_s)
        await response.write(delta(text))
    if done:
        await response.write(b"data: [DONE]\n\n")
    return response


class Mind:
    """A chat endpoint that behaves as the test wants."""

    def __init__(self) -> None:
        self.behave: Handler = well
        self.asked = 0
        self.prompt: list[dict[str, str]] = []
        self.app = web.Application()
        self.app.add_routes([web.get("/v1/models", self.models), web.post("/v1/chat/completions", self.chat)])

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.prompt = (await request.json())["messages"]
        self.asked += 1
        return await self.behave(request)


async def well(request: web.Request) -> web.StreamResponse:
    return await stream(request, "I am well.")


async def html(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html><h1>Sign in</h1></html>", content_type="text/html")


async def busy(request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "60"})


async def torn(request: web.Request) -> web.StreamResponse:
    response = await stream(request, "The answer is this. ", "And then", done=False)
    assert request.transport is not None
    request.transport.close()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = await stream(request, done=False)
    while True:
        await response.write(delta("words and words and words. ") * 20)
        await asyncio.sleep(0)


@pytest.fixture
async def mind() -> AsyncIterator[tuple[Mind, str]]:
    mind = Mind()
    async with TestServer(mind.app) as server:
        yield mind, str(server.make_url("/v1"))


async def ask(call: Call, text: str) -> dict[str, Any]:
    before = len(call.ours("turn"))
    call.send("send-text", {"content": text})
    turn: dict[str, Any] = (await call.until(lambda: call.ours("turn")[before:], 60))[0]
    return turn


async def recovers(call: Call, mind: Mind) -> None:
    mind.behave = well
    turn = await ask(call, "How are you now?")
    assert turn["heard_text"] == "I am well." and not turn["error"] and not turn["notes"]


@pytest.mark.parametrize(("behave", "words"), [(html, "web page"), (busy, "60 seconds")])
async def test_a_mind_that_refuses_is_apologised_for_once(
    tmp_path: Path, mind: tuple[Mind, str], behave: Handler, words: str
) -> None:
    async with serving(data_dir=tmp_path, llm=mind[1]) as service:
        await service.ready()
        async with service.call() as call:
            mind[0].behave = behave
            turn = await ask(call, "How are you?")
            assert turn["heard_text"] == APOLOGY["en"] and turn["notes"] == ["no_reply"]
            assert words in turn["error"]
            await recovers(call, mind[0])


async def test_a_mind_that_is_gone_is_apologised_for_and_found_again(tmp_path: Path) -> None:
    mind, port = Mind(), unused_port()
    server = TestServer(mind.app, port=port)
    await server.start_server()
    async with serving(data_dir=tmp_path, llm=f"http://127.0.0.1:{port}/v1") as service:
        await service.ready()
        await server.close()
        async with service.call() as call:
            turn = await ask(call, "元気ですか。")
            assert turn["heard_text"] == APOLOGY["ja"] and "127.0.0.1" in turn["error"]
            async with TestServer(Mind().app, port=port):
                assert (await ask(call, "How are you?"))["heard_text"] == "I am well."


async def test_an_answer_that_breaks_off_is_said_to_have(tmp_path: Path, mind: tuple[Mind, str]) -> None:
    async with serving(data_dir=tmp_path, llm=mind[1]) as service:
        await service.ready()
        async with service.call() as call:
            mind[0].behave = torn
            turn = await ask(call, "What is the answer?")
            assert turn["heard_text"].startswith("The answer is this.")
            assert turn["heard_text"].endswith(BROKEN_OFF["en"])
            assert turn["error"] and turn["notes"] == ["broken_off"]
            await recovers(call, mind[0])


async def test_a_slow_mind_is_waited_for_aloud(
    tmp_path: Path, mind: tuple[Mind, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.answer.SLOW_S", 0.5)
    async with serving(data_dir=tmp_path, llm=mind[1]) as service:
        await service.ready()
        async with service.call() as call:
            mind[0].behave = lambda request: stream(request, "Here it is.", gap_s=2.5)
            turn = await ask(call, "Think.")
            assert turn["heard_text"] == f"{ONE_MOMENT['en']} Here it is." and turn["reply_text"] == "Here it is."
            assert turn["notes"] == ["slow"] and not turn["error"]


async def test_the_state_is_thinking_while_a_slow_mind_is_waited_for(
    tmp_path: Path, mind: tuple[Mind, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.answer.SLOW_S", 0.5)
    async with serving(data_dir=tmp_path, llm=mind[1]) as service:
        await service.ready()
        async with service.call() as call:
            ready = asyncio.Event()

            async def ponder(request: web.Request) -> web.StreamResponse:
                await ready.wait()
                return await stream(request, "Here it is.")

            def states() -> list[str]:
                return [message["state"] for message in call.ours("state")]

            mind[0].behave = ponder
            call.send("send-text", {"content": "Think."})
            await call.until(lambda: states()[-2:] == ["speaking", "thinking"], 60)
            ready.set()
            turn = (await call.until(lambda: call.ours("turn"), 60))[0]
            assert turn["heard_text"] == f"{ONE_MOMENT['en']} Here it is."
            await call.until(lambda: states()[-1] == "idle", 60)
            assert states()[-5:] == ["thinking", "speaking", "thinking", "speaking", "idle"]


async def test_endless_output_ends(tmp_path: Path, mind: tuple[Mind, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.conversation.REPLY_TOKENS", 4)
    async with serving(data_dir=tmp_path, llm=mind[1]) as service:
        await service.ready()
        async with service.call() as call:
            mind[0].behave = endless
            turn = await ask(call, "Talk.")
            assert 0 < len(turn["reply_text"]) < 200 and turn["heard_text"].endswith(ENOUGH["en"])
            assert turn["notes"] == ["too_long"] and not turn["error"]
            await recovers(call, mind[0])


async def test_a_voice_that_fails_on_one_clause_costs_that_clause(
    tmp_path: Path, mind: tuple[Mind, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(data_dir=tmp_path, llm=mind[1]) as service:
        await service.ready()
        voice = service.state.engines.tts
        original = voice.speak

        async def moody(clause: Clause, name: str | None) -> AsyncIterator[AudioChunk]:
            if "second" in clause.text:
                raise EngineError("The voice choked.")
            async for chunk in original(clause, name):
                yield chunk

        monkeypatch.setattr(voice, "speak", moody)
        async with service.call() as call:
            text = "This is the very first sentence of it. This is the second one of them. And here is the third one."
            mind[0].behave = lambda request: stream(request, text)
            turn = await ask(call, "Tell me.")
            assert turn["error"] == "The voice choked."
            assert (
                "first" in turn["heard_text"] and "third" in turn["heard_text"] and "second" not in turn["heard_text"]
            )
            await recovers(call, mind[0])
            assert mind[0].prompt[-2] == {"role": "assistant", "content": turn["heard_text"]}, (
                "what was not heard was not said"
            )


async def test_speech_without_words_is_asked_about_once(
    tmp_path: Path,
    scribe: tuple[Scribe, str],  # noqa: F811
) -> None:
    async with serving(data_dir=tmp_path, stt=scribe[1]) as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True), language="en") as call:
            # Long enough that it is surely speech.
            speech = np.concatenate([quiet(0.4), at_48k(clip("weather"))[: 48_000 * 2], quiet(2.0)])
            scribe[0].text = ""
            tick = await play(call.peer, speech)
            turn = (await call.until(lambda: call.ours("turn")))[0]
            assert turn["heard_text"] == NOT_UNDERSTOOD["en"] and turn["notes"] == ["not_understood"]
            scribe[0].text = "..."
            tick = await play(call.peer, speech, tick)
            turn = (await call.until(lambda: call.ours("turn")[1:]))[0]
            assert turn["error"] and not turn["heard_text"], "it does not complain of every noise"
            scribe[0].text = "What time is it?"
            await play(call.peer, speech, tick)
            turn = (await call.until(lambda: call.ours("turn")[2:]))[0]
            assert turn["user_text"] == "What time is it?" and turn["heard_text"] and not turn["error"]
