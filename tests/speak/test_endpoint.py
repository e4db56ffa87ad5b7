"""A speech endpoint over real HTTP: what it sends, what it breaks, and what a person is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from avatar.errors import EngineError, Invalid, NotReady
from avatar.speak.endpoint import Endpoint
from avatar.speak.endpoint_find import endpoint
from tests.speak.test_sound_stream import wav
from tests.speak.voice_checks import clause, keeps_the_contract, say

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TIME = np.arange(36_000) / 24_000
SOUND = (9_000 * np.sin(2 * np.pi * 220 * TIME)).astype("<i2").tobytes()


class Server:
    """A scripted server: each speech request is answered by the next handler, the last one for ever."""

    def __init__(self) -> None:
        self.script: list[Handler] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.models: list[Any] = [{"id": "kokoro"}]
        self.voices: Any = None
        self.gone = asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/audio/speech", self._speech)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/audio/voices", self._voices)
        self._server = TestServer(app)

    async def start(self) -> str:
        await self._server.start_server()
        return str(self._server.make_url("/v1"))

    async def close(self) -> None:
        await self._server.close()

    async def _models(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Authorization"))
        return web.json_response({"object": "list", "data": self.models})

    async def _voices(self, request: web.Request) -> web.Response:
        return web.json_response(self.voices) if self.voices is not None else web.Response(status=404)

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        handler = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await handler(request)


async def pcm(request: web.Request) -> web.StreamResponse:
    return web.Response(body=SOUND, content_type="audio/pcm")


def status(code: int, body: Any = None, **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return answer


def streamed(*pieces: bytes, cut: bool = False, hang: bool = False, content_type: str = "audio/pcm") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if hang:
            await asyncio.sleep(30)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    scripted = Server()
    scripted.url = await scripted.start()  # type: ignore[attr-defined]
    scripted.script = [pcm]
    yield scripted
    await scripted.close()


@pytest.fixture
async def tts(server: Server) -> AsyncIterator[Endpoint]:
    voice = await endpoint(server.url, {})  # type: ignore[attr-defined]
    yield voice
    await voice.close()


async def test_the_request_is_openais(server: Server, tts: Endpoint) -> None:
    keeps_the_contract(await say(tts, "**Hello** at 10:30! 😀"), "**Hello** at 10:30! 😀")
    assert server.requests == [
        {"model": "kokoro", "input": "Hello at 10 30!", "voice": "alloy", "response_format": "pcm"}
    ]
    await say(tts, "Again.", voice="nova")
    assert server.requests[-1]["voice"] == "nova"


async def test_only_its_end_is_known_of_a_voice_without_words(tts: Endpoint) -> None:
    for text, expected in (("Hello there. How are you?", ["question"]), ("Hello, you.", ["sentence"]), ("Hello", [])):
        spoken = await say(tts, text)
        found = [accent for chunk in spoken.chunks for accent in chunk.accents]
        assert [accent.kind for accent in found] == expected
        _, tail = spoken.sound_span()
        assert all(abs(len(spoken.pcm) / spoken.rate - tail - accent.at / spoken.rate) < 0.03 for accent in found)


async def test_sound_is_handed_on_while_it_arrives(server: Server, tts: Endpoint) -> None:
    await say(tts, "The first clause sets the level.")
    release = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        await response.write(SOUND[:20_000])
        await release.wait()
        await response.write(SOUND[20_000:])
        return response

    server.script = [slowly]
    async with aclosing(tts.speak(clause("Hello there."), None)) as chunks:
        first = await anext(chunks)
        assert first.start == 0
        release.set()
        assert len([chunk async for chunk in chunks]) > 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(401, {"error": {"message": "bad key sk-secret"}}), "wants a key: set OPENAI_API_KEY"),
        (status(404, {"detail": "no such model"}), "no model 'kokoro': no such model"),
        (status(404), "no speech at this address"),
        (
            status(429, {"error": {"message": "slow down"}}, **{"Retry-After": "60"}),
            "again in 60 seconds: slow down",
        ),
        (status(500, {"error": "out of memory"}), "failed with status 500: out of memory"),
        (status(400, {"error": {"message": "unknown voice"}}), "status 400: unknown voice"),
        (status(307, None, Location="http://elsewhere/"), "has moved to http://elsewhere/"),
        (status(200, {"error": {"message": "GPU is on fire"}}), "reports: GPU is on fire"),
        (streamed(b"<html>hello</html>", content_type="text/html"), "a web page instead of sound"),
        (streamed(b"<html><body>hello</body></html>", content_type="application/octet-stream"), "a web page instead"),
        (streamed(b""), "no sound"),
        (streamed(SOUND[:30_001], cut=True), "broke off in the middle"),
        (streamed(wav()[:-3_000], content_type="audio/wav"), "broke off in the middle"),
        (streamed(cut=True), "broke off"),
    ],
)
async def test_faults_in_words_and_the_next_clause_is_spoken(
    server: Server, tts: Endpoint, answer: Handler, words: str
) -> None:
    server.script = [answer, pcm]
    with pytest.raises(EngineError, match=r"The voice at 127\.0\.0\.1 ") as caught:
        await say(tts, "Hello there.")
    assert words in caught.value.message
    assert "sk-secret" not in caught.value.message
    keeps_the_contract(await say(tts, "Hello there."), "Hello there.")


async def test_a_short_wait_is_waited_for_once(server: Server, tts: Endpoint) -> None:
    busy = status(429, None, **{"Retry-After": "1"})
    server.script = [busy, pcm]
    assert (await say(tts, "Hello there.")).seconds > 1
    server.script = [busy, busy, pcm]
    with pytest.raises(EngineError) as caught:
        await say(tts, "Hello there.")
    assert caught.value.retry_after_s == 1


async def test_a_refused_format_is_not_asked_for_again(server: Server, tts: Endpoint) -> None:
    server.script = [
        status(400, {"error": {"message": "response_format must be wav or mp3"}}),
        streamed(wav(), content_type="audio/wav"),
    ]
    assert (await say(tts, "Hello there.")).seconds == pytest.approx(0.5 + 0.25, abs=0.1)
    await say(tts, "Hello there.")
    assert [request["response_format"] for request in server.requests] == ["pcm", "wav", "wav"]


async def test_slow_servers_are_given_up(server: Server) -> None:
    url = server.url  # type: ignore[attr-defined]
    probe = await endpoint(url, {})
    tts = Endpoint(probe._base, "kokoro", probe.choice, first_sound_s=0.3, next_sound_s=0.3)
    server.script = [streamed(hang=True), streamed(SOUND, hang=True), pcm]
    try:
        for _ in range(2):
            with pytest.raises(EngineError) as caught:
                await say(tts, "Hello there.")
            assert caught.value.code == "tts_timeout"
        assert (await say(tts, "Hello there.")).seconds > 1
    finally:
        await tts.close()
        await probe.close()


async def test_leaving_closes_the_connection(server: Server, tts: Endpoint) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        try:
            while True:
                await response.write(SOUND)
                await asyncio.sleep(0)
        finally:
            gone.set()

    server.script = [endless]
    async with aclosing(tts.speak(clause("Hello there."), None)) as chunks:
        await anext(chunks)
    async with asyncio.timeout(20):
        await gone.wait()


async def test_a_server_that_goes_away(server: Server, tts: Endpoint) -> None:
    await say(tts, "Hello there.")
    await server.close()
    with pytest.raises(EngineError, match="cannot be reached"):
        await say(tts, "Hello there.")


async def test_models_and_voices_are_found(server: Server) -> None:
    url = server.url  # type: ignore[attr-defined]
    server.models = [{"id": "llama"}, {"id": "whisper-1"}, {"id": "org/kokoro-v1"}]
    for server.voices, names in (
        ({"voices": ["af_heart", "jf_alpha"]}, ["af_heart", "jf_alpha"]),
        ({"voices": [{"id": "a", "name": "A"}, {"name": "b"}, {}, 3]}, ["a", "b"]),
        ([{"voice_id": "c"}], ["c"]),
        ({"voices": None}, []),
        ("nonsense", []),
    ):
        tts = await endpoint(url, {})
        assert [voice.name for voice in tts.voices] == names
        assert tts.choice.name == "openai:kokoro-v1"
        await say(tts, "Hi.")
        assert server.requests[-1]["model"] == "org/kokoro-v1"
        assert server.requests[-1]["voice"] == (names[0] if names else "alloy")
        await tts.close()


async def test_the_key_and_the_model_named(server: Server) -> None:
    url = server.url.removesuffix("/v1")  # type: ignore[attr-defined]
    tts = await endpoint(f"{url}#my-model", {"OPENAI_API_KEY": "k"})
    await say(tts, "Hi.")
    await tts.close()
    assert server.requests[-1]["model"] == "my-model"
    assert server.keys[-1] == "Bearer k"


async def test_a_missing_key_is_told_at_the_start() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({}, status=401)

    app = web.Application()
    app.router.add_get("/v1/models", refuse)
    locked = TestServer(app)
    await locked.start_server()
    try:
        with pytest.raises(NotReady, match="set OPENAI_API_KEY"):
            await endpoint(str(locked.make_url("/v1")), {})
    finally:
        await locked.close()


async def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(NotReady, match="cannot be reached"):
            await endpoint(f"http://127.0.0.1:{port}/v1", {})


@pytest.mark.parametrize("spec", ["http://", "http://a:99999999/v1", "http:///v1"])
async def test_no_url(spec: str) -> None:
    with pytest.raises(Invalid):
        await endpoint(spec, {})
