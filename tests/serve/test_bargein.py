"""A voice over the avatar's: what was nothing costs nothing, what was something is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from avatar.play.receive import ClientPeer
from tests.hear.sounds import clip
from tests.serve.conftest import Call, Service, serving
from tests.serve.test_voice import at_48k, play, quiet

COUNT = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


class Scribe:
    """A transcription endpoint that writes what it is told to."""

    def __init__(self) -> None:
        self.text = ""
        self.asked = 0
        self.app = web.Application()
        self.app.add_routes([web.get("/v1/models", self.models), web.post("/v1/audio/transcriptions", self.write)])

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "whisper-1"}]})

    async def write(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked += 1
        return web.json_response({"text": self.text})


@pytest.fixture
async def scribe() -> AsyncIterator[tuple[Scribe, str]]:
    scribe = Scribe()
    async with TestServer(scribe.app) as server:
        yield scribe, str(server.make_url("/v1"))


async def interjected(service: Service, call: Call, text: str, clip_name: str = "yes") -> list[dict[str, Any]]:
    """A recording is played while the avatar counts. The turns that ended."""
    tick = await play(call.peer, quiet(0.3))
    await service.ask("POST", f"/sessions/{call.id}/say", json={"text": text})
    await call.until(lambda: call.ours("caption"))
    await play(call.peer, np.concatenate([quiet(0.8), at_48k(clip(clip_name)), quiet(1.5)]), tick)
    await call.until(lambda: call.ours("turn"))
    return call.ours("turn")


@pytest.mark.parametrize("heard", ["Uh-huh.", "はい", ""])
async def test_a_false_alarm_loses_no_word(tmp_path: Path, scribe: tuple[Scribe, str], heard: str) -> None:
    async with serving(data_dir=tmp_path, stt=scribe[1]) as service:
        await service.ready()
        scribe[0].text = heard
        async with service.call(ClientPeer(microphone=True)) as call:
            turns = await interjected(service, call, COUNT)
            assert len(turns) == 1 and not call.ours("interrupted")
            turn = turns[0]
            assert turn["heard_text"] == COUNT and turn["false_alarms"] == 1 and not turn["interrupted"]
            held = call.ours("held")
            assert len(held) == 1 and COUNT.startswith(held[0]["heard_text"]) and held[0]["heard_text"] != COUNT
            captions = [caption["text"] for caption in call.ours("caption")]
            assert " ".join(captions[1:]).endswith("fourteen.") and len(captions) >= 2
            states = [state["state"] for state in call.ours("state")]
            assert "listening" in states[states.index("speaking") :]
            assert call.types().count("bot-tts-text") == 1, "the rest of a clause is no new text"


async def test_listening_sounds_ask_for_nothing_where_nobody_may_interrupt(
    tmp_path: Path, scribe: tuple[Scribe, str]
) -> None:
    async with serving(data_dir=tmp_path, stt=scribe[1]) as service:
        await service.ready()
        async with service.call(ClientPeer(microphone=True), interruptible=False) as call:
            scribe[0].text = "Uh-huh."
            turns = await interjected(service, call, COUNT)
            assert [turn["heard_text"] for turn in turns] == [COUNT] and not call.ours("held")
            await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Goodbye."})
            turns = await call.until(lambda: call.ours("turn")[1:])
            assert len(turns) == 1 and turns[0]["kind"] == "say", "nobody answers it"


async def test_words_end_the_turn_and_are_answered(tmp_path: Path, scribe: tuple[Scribe, str]) -> None:
    async with serving(data_dir=tmp_path, stt=scribe[1]) as service:
        await service.ready()
        scribe[0].text = "No, thank you."
        async with service.call(ClientPeer(microphone=True)) as call:
            turns = await interjected(service, call, COUNT, "thanks")
            assert turns[0]["interrupted"] and COUNT.startswith(turns[0]["heard_text"])
            event = call.ours("interrupted")[0]
            assert event["heard_text"] == turns[0]["heard_text"] and 0 < event["stop_ms"] < 900
            turns = await call.until(lambda: call.ours("turn")[1:] and call.ours("turn"))
            assert turns[1]["user_text"] == "No, thank you." and turns[1]["heard_text"]
            assert scribe[0].asked == 2, "warming, and one utterance understood once"
