"""Spoken turns: a recorded voice is played as the microphone, heard, understood, answered, and may interrupt."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from avatar.face.stage import Resampler
from avatar.play.receive import ClientPeer
from avatar.types import Pcm
from tests.hear.sounds import TEXTS, clip
from tests.serve.conftest import Call, serving

HELLO = "hello"
"""The clip that is played: its text is in `TEXTS`."""


def at_48k(pcm: Pcm) -> Pcm:
    resampler = Resampler(16_000, 48_000)
    return np.concatenate([resampler.feed(pcm), resampler.flush()])


async def play(peer: ClientPeer, pcm: Pcm, tick: int = 0) -> int:
    """Plays 48 kHz sound as the microphone in real time; returns the next tick."""
    began = time.monotonic()
    for index in range(len(pcm) // 960):
        await asyncio.sleep(max(0.0, began + 0.02 * index - time.monotonic()))
        peer.send_microphone(tick + index, pcm[960 * index : 960 * (index + 1)])
    return tick + len(pcm) // 960


def quiet(seconds: float) -> Pcm:
    rng = np.random.default_rng(7)
    return (rng.standard_normal(int(48_000 * seconds)) * 20).astype(np.int16)


async def test_a_spoken_line_is_transcribed_answered_and_recorded(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path) as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True)) as call:
            speech = np.concatenate([quiet(0.5), at_48k(clip(HELLO)), quiet(2.0)])
            await play(call.peer, speech)
            # A machine that stalls makes a hole in the microphone, and the line goes on after it as a revision.
            turn = await call.until(lambda: [t for t in call.ours("turn") if not t["interrupted"]])
            turn = turn[0]
            kinds = call.types()
            assert kinds.index("user-started-speaking") < kinds.index("user-stopped-speaking")
            final = [f["data"] for f in call.frames if f["type"] == "user-transcription" and f["data"]["final"]]
            assert final[-1]["text"] == turn["user_text"] and final[-1]["revision"] == turn["revision"]
            assert turn["user_text"].startswith("hello avatar, what can you do?")
            assert turn["engines"]["stt"] and turn["reply_text"] == turn["heard_text"]
            stages = ["endpoint", "stt_final", "llm_first_token", "first_clause", "tts_first_audio", "first_sent"]
            assert [turn[s] for s in stages] == sorted(turn[s] for s in stages)
            assert turn["endpoint"] >= 200, "no silence is believed sooner"
            assert 300 < turn["endpoint"] < 1500, "the pause that ends a turn, counted from the last voice"
            assert "listening" in [state["state"] for state in call.ours("state")]


async def test_real_recognition_hears_what_was_said(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path, stt="pocketsphinx") as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True)) as call:
            await play(call.peer, np.concatenate([quiet(0.5), at_48k(clip(HELLO)), quiet(2.0)]))
            turn = (await call.until(lambda: call.ours("turn")))[0]
            said, heard = set(TEXTS[HELLO].lower().split()), set(turn["user_text"].lower().split())
            assert len(said & heard) >= len(said) / 2, turn["user_text"]


async def _long_answer(service: Any, call: Call) -> None:
    text = "one two three four five six seven eight nine ten " * 4
    await service.ask("POST", f"/sessions/{call.id}/say", json={"text": text})
    await call.until(lambda: call.ours("caption"))


async def test_the_users_voice_stops_the_avatar(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path) as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True)) as call:
            tick = await play(call.peer, quiet(0.5))
            await _long_answer(service, call)
            await play(call.peer, np.concatenate([quiet(1.0), at_48k(clip(HELLO)), quiet(1.5)]), tick)
            event = (await call.until(lambda: call.ours("interrupted")))[0]
            assert event["heard_text"].startswith("one two") and event["heard_s"] > 0.5
            assert 0 < event["stop_ms"] < 900
            turns = await call.until(lambda: call.ours("turn")[1:] and call.ours("turn"))
            assert turns[0]["interrupted"] and not turns[1]["interrupted"]
            assert turns[1]["user_text"]


async def test_a_typed_line_is_answered_while_a_voice_goes_on(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path) as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True)) as call:
            speech = at_48k(clip("weather"))[: 48_000 * 2]
            talking = asyncio.create_task(play(call.peer, np.concatenate([quiet(0.3), speech, speech, speech])))
            await call.until(lambda: "user-started-speaking" in call.types())
            await asyncio.sleep(0.8)
            await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "One two."})
            turn = (await call.until(lambda: call.ours("turn")))[0]
            assert not turn["interrupted"] and turn["heard_text"] == "One two."
            await talking


async def test_an_avatar_that_may_not_be_interrupted_goes_on(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path) as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True), interruptible=False) as call:
            tick = await play(call.peer, quiet(0.3))
            await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "One two three four five six seven."})
            await call.until(lambda: call.ours("caption"))
            await play(call.peer, np.concatenate([at_48k(clip(HELLO)), quiet(1.5)]), tick)
            turns = await call.until(lambda: call.ours("turn")[1:] and call.ours("turn"))
            assert not turns[0]["interrupted"] and turns[0]["heard_text"] == turns[0]["reply_text"]
            assert turns[1]["user_text"]


async def test_a_real_language_model_streams_its_answer(tmp_path: Path, chat_server: str) -> None:
    async with serving(data_dir=tmp_path, llm=chat_server) as service:
        await service.ready()
        async with service.call() as call:
            call.send("send-text", {"content": "Hello"})
            await call.until(lambda: "bot-llm-text" in call.types())
            await call.until(lambda: call.ours("turn") or len([k for k in call.types() if k == "bot-llm-text"]) > 5)


@pytest.mark.parametrize("status", [500, 429, 200])
async def test_a_mind_that_fails_is_apologised_for_and_recovers(tmp_path: Path, status: int) -> None:
    healthy = True

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    async def chat(request: web.Request) -> web.Response:
        if not healthy:
            return web.Response(status=status, text="<html>no</html>", content_type="text/html")
        body = 'data: {"choices":[{"delta":{"content":"I am well."}}]}\n\ndata: [DONE]\n\n'
        return web.Response(text=body, content_type="text/event-stream")

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", chat)])
    async with TestServer(app) as mind, serving(data_dir=tmp_path, llm=str(mind.make_url("/v1"))) as service:
        await service.ready()
        healthy = False
        async with service.call() as call:
            call.send("send-text", {"content": "How are you?"})
            turn = (await call.until(lambda: call.ours("turn")))[0]
            assert turn["error"] and "orry" in turn["heard_text"]
            assert [f for f in call.frames if f["type"] == "error" and f["data"]["error"] == turn["error"]]
            healthy = True
            call.send("send-text", {"content": "元気ですか"})
            turn = (await call.until(lambda: call.ours("turn")[1:]))[0]
            assert turn["heard_text"] == "I am well." and not turn["error"]


async def test_an_endpoint_that_starts_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.engines.RETRY_S", (0.2,))

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    async def chat(request: web.Request) -> web.Response:
        body = 'data: {"choices":[{"delta":{"content":"Hi."}}]}\n\ndata: [DONE]\n\n'
        return web.Response(text=body, content_type="text/event-stream")

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", chat)])
    mind = TestServer(app, port=unused_port())
    async with serving(data_dir=tmp_path, llm=f"http://127.0.0.1:{mind.port}/v1") as service:
        for _ in range(100):
            missing = (await service.ask("GET", "/ready"))[1]["missing"]
            if missing.get("llm") not in (None, "loading"):
                break
            await asyncio.sleep(0.1)
        assert "127.0.0.1" in missing["llm"]
        async with mind:
            await service.ready()
            assert (await service.ask("GET", "/ready"))[0] == 200


async def test_interrupting_a_thought_takes_nothing_from_what_was_said_before(tmp_path: Path) -> None:
    thinking = asyncio.Event()

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    async def chat(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if (await request.json())["messages"][-1]["content"] == "Think long.":
            thinking.set()
            await asyncio.sleep(60)
        await response.write(b'data: {"choices":[{"delta":{"content":"Well said."}}]}\n\ndata: [DONE]\n\n')
        return response

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", chat)])
    async with TestServer(app) as mind, serving(data_dir=tmp_path, llm=str(mind.make_url("/v1"))) as service:
        await service.ready()
        async with service.call() as call:
            call.send("send-text", {"content": "Hello."})
            assert (await call.until(lambda: call.ours("turn")))[0]["heard_text"] == "Well said."
            call.send("send-text", {"content": "Think long."})
            await asyncio.wait_for(thinking.wait(), 20)
            status, done = await service.ask("POST", f"/sessions/{call.id}/interrupt")
            assert status == 200 and done["heard_text"] == "" and done["heard_s"] == 0
            turn = (await call.until(lambda: call.ours("turn")[1:]))[0]
            assert turn["interrupted"] and turn["heard_text"] == ""
            call.send("send-text", {"content": "Hello again."})
            assert (await call.until(lambda: call.ours("turn")[2:]))[0]["heard_text"] == "Well said."
