"""A real server in the test's own loop, and a client that speaks to it over real WebRTC."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from avatar.play.receive import ClientPeer
from avatar.serve.app import build
from avatar.serve.state import STATE, ServerState
from avatar.settings import Settings

WHISPER = Path(__file__).parents[1] / "fixtures" / "whisper"
"""A generated model that always hears the same sentence: it proves the plumbing, not the recognition."""


class Service:
    """The server under test and how to ask it."""

    def __init__(self, url: str, http: aiohttp.ClientSession, state: ServerState) -> None:
        self.url, self.http, self.state = url, http, state

    async def ask(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        """Status and body; the body is JSON wherever there is one."""
        async with self.http.request(method, self.url + path, **kwargs) as response:
            text = await response.text()
            if response.content_type != "application/json":
                return response.status, text
            return response.status, json.loads(text)

    async def ready(self) -> None:
        await asyncio.wait_for(self.state.engines.ready.wait(), 60)

    @asynccontextmanager
    async def call(self, peer: ClientPeer | None = None, **session: Any) -> AsyncIterator[Call]:
        """A connected session."""
        call = Call(self, peer or ClientPeer())
        try:
            await call.connect(session)
            yield call
        finally:
            await call.peer.close()
            await call.reading


class Call:
    """One client in a session: what it has been told so far, and what it received."""

    def __init__(self, service: Service, peer: ClientPeer) -> None:
        self.service, self.peer = service, peer
        self.frames: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self._news = asyncio.Event()
        self.reading: asyncio.Task[None]

    async def connect(self, session: dict[str, Any]) -> None:
        self.reading = asyncio.create_task(self._read())
        offer = {"type": "offer", "sdp": await self.peer.offer(), "session": session}
        status, self.answer = await self.service.ask("POST", "/webrtc/offer", json=offer)
        assert status == 200, self.answer
        await self.peer.accept(self.answer["sdp"])
        await asyncio.wait_for(self.peer.connected.wait(), 20)

    @property
    def id(self) -> str:
        return str(self.answer["session_id"])

    async def _read(self) -> None:
        async for text in self.peer.texts():
            self.frames.append(json.loads(text))
            self._news.set()

    def ours(self, t: str) -> list[dict[str, Any]]:
        """Our own messages of one kind."""
        return [f["data"] for f in self.frames if f["type"] == "server-message" and f["data"]["t"] == t]

    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    def send(self, kind: str, data: Any = None, frame_id: str = "1") -> None:
        self.peer.send_text(json.dumps({"label": "rtvi-ai", "type": kind, "id": frame_id, "data": data}))

    async def until(self, condition: Callable[[], Any], patience_s: float = 30.0) -> Any:
        """Waits for the frames to fulfil a condition and returns its value."""
        end = time.monotonic() + patience_s
        while not (value := condition()):
            self._news.clear()
            left = end - time.monotonic()
            assert left > 0, f"it never happened; heard {self.types()}"
            try:
                await asyncio.wait_for(self._news.wait(), min(left, 0.2))
            except TimeoutError:
                continue
        return value


@asynccontextmanager
async def serving(token: str | None = None, **settings: Any) -> AsyncIterator[Service]:
    defaults: dict[str, Any] = {"face": "pattern", "llm": "responder", "tts": "espeak", "stt": f"whisper:{WHISPER}"}
    app = build(Settings(**(defaults | {"max_sessions": 8} | settings)), token)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Service(str(server.make_url("")).rstrip("/"), http, app[STATE])


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(data_dir=tmp_path) as service:
        yield service
