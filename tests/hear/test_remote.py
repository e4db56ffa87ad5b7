"""Recognition at an endpoint: a real HTTP server on loopback that can be told to fail."""

from __future__ import annotations

import asyncio
import io
import socket
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from avatar.errors import EngineError, Invalid, NotReady
from avatar.hear import remote
from avatar.hear.remote import Remote
from avatar.types import Transcript
from tests.hear.sounds import clip, recognise


class Endpoint:
    """`/v1/models` and `/v1/audio/transcriptions`."""

    def __init__(self) -> None:
        self.models: Any = {"object": "list", "data": [{"id": "llama3"}, {"id": "whisper-large"}, {"id": "tts-1"}]}
        self.models_status = 200
        self.requests: list[dict[str, Any]] = []
        self.answers: list[web.Response | str | float] = []
        """Scripted: a response, "drop" to cut the connection, or seconds to wait; otherwise a transcript."""
        app = web.Application(client_max_size=8 << 20)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.base = ""

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        if isinstance(self.models, str):
            return web.Response(text=self.models, content_type="text/html", status=self.models_status)
        return web.json_response(self.models, status=self.models_status)

    async def _transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        sent: dict[str, Any] = {name: value for name, value in form.items() if isinstance(value, str)}
        file = form["file"]
        assert isinstance(file, web.FileField)
        with file.file as sound:
            sent["file"], sent["content_type"] = sound.read(), file.content_type
        sent["authorization"] = request.headers.get("Authorization")
        self.requests.append(sent)
        match self.answers.pop(0) if self.answers else None:
            case web.Response() as response:
                return response
            case "drop":
                assert request.transport is not None
                request.transport.abort()
            case float() as seconds:
                await asyncio.sleep(seconds)
        return web.json_response({"text": " what time is it "})


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    endpoint = Endpoint()
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def engine(endpoint: Endpoint) -> AsyncIterator[Remote]:
    engine = await Remote.probe(endpoint.base)
    yield engine
    await engine.close()


async def test_an_utterance_is_one_request(endpoint: Endpoint, engine: Remote) -> None:
    assert await recognise(engine, clip("time"), "en-GB") == (Transcript("what time is it", "en"), [])
    (request,) = endpoint.requests
    assert (request["model"], request["language"], request["response_format"]) == ("whisper-large", "en", "json")
    assert request["content_type"] == "audio/wav"
    with wave.open(io.BytesIO(request["file"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert np.array_equal(np.frombuffer(file.readframes(1 << 30), "<i2"), clip("time"))


async def test_auto_names_no_language(endpoint: Endpoint, engine: Remote) -> None:
    assert (await recognise(engine, clip("time")))[0] == Transcript("what time is it", "")
    assert "language" not in endpoint.requests[0]


async def test_the_key_is_sent_and_never_shown(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    engine = await Remote.probe(endpoint.base)
    await recognise(engine, clip("yes"))
    assert endpoint.requests[0]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(engine.choice)
    await engine.close()


async def test_credentials_in_the_url_are_used_and_never_shown(endpoint: Endpoint) -> None:
    engine = await Remote.probe(endpoint.base.replace("http://", "http://me:hidden@"))
    await recognise(engine, clip("yes"))
    assert endpoint.requests[0]["authorization"].startswith("Basic ")
    assert "hidden" not in repr(engine.choice)
    await engine.close()


async def test_without_a_key_none_is_sent(endpoint: Endpoint, engine: Remote) -> None:
    await recognise(engine, clip("yes"))
    assert endpoint.requests[0]["authorization"] is None


@pytest.mark.parametrize(
    ("models", "fragment", "expected", "noted"),
    [
        (["llama3", "whisper-large"], "", "whisper-large", False),
        (["llama3", "mixtral"], "", "llama3", True),
        (["llama3", "whisper-large"], "#llama3", "llama3", False),
        (["whisper-large"], "#org/other", "org/other", True),
        ([], "", "whisper-1", False),
    ],
)
async def test_the_model(endpoint: Endpoint, models: list[str], fragment: str, expected: str, *, noted: bool) -> None:
    endpoint.models = {"data": [{"id": name} for name in models]}
    engine = await Remote.probe(endpoint.base + "/" + fragment)
    assert engine.choice.name.endswith("#" + expected)
    assert bool(engine.choice.note) == noted
    await recognise(engine, clip("yes"))
    assert endpoint.requests[0]["model"] == expected
    await engine.close()


async def test_an_endpoint_that_lists_no_models_is_used(endpoint: Endpoint) -> None:
    endpoint.models, endpoint.models_status = {"error": "no such route"}, 404
    engine = await Remote.probe(endpoint.base)
    assert (await recognise(engine, clip("yes")))[0].text
    assert endpoint.requests[0]["model"] == "whisper-1"
    await engine.close()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, "<html>welcome</html>", "OpenAI-compatible"),
        (200, {"models": []}, "OpenAI-compatible"),
        (401, {"error": {"message": "no"}}, "OPENAI_API_KEY"),
        (500, {"error": {"message": "GPU on fire"}}, "GPU on fire"),
        (503, "<html>busy</html>", "503"),
    ],
)
async def test_what_is_no_endpoint_is_refused_in_words(endpoint: Endpoint, status: int, body: Any, words: str) -> None:
    endpoint.models, endpoint.models_status = body, status
    with pytest.raises(NotReady, match=words):
        await Remote.probe(endpoint.base)


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotReady, match="Is it running"):
        await Remote.probe(f"http://127.0.0.1:{port}/v1")


async def test_somebody_listens_and_says_nothing(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PROBE_S", 0.2)
    with pytest.raises(NotReady, match="in time"):
        await Remote.probe(f"{silent_server}/v1")


@pytest.mark.parametrize("spec", ["http://", "http:///v1", "https://:80"])
async def test_what_is_no_url(spec: str) -> None:
    with pytest.raises(Invalid):
        await Remote.probe(spec)


FAULTS = {
    "an error": (web.json_response({"error": {"message": "GPU on fire"}}, status=500), "500: GPU on fire"),
    "an error in FastAPI's shape": (web.json_response({"detail": "bad audio"}, status=422), "422: bad audio"),
    "an error in HTML": (web.Response(text="<html>", content_type="text/html", status=502), "HTTP 502"),
    "HTML": (web.Response(text="<html>hi</html>", content_type="text/html"), "no transcript"),
    "a list": (web.json_response([1, 2]), "no transcript"),
    "no text": (web.json_response({"text": None}), "no transcript"),
    "endless": (web.Response(body=b"[" + b"1," * (1 << 20)), "no transcript"),
    "a refused key": (web.json_response({}, status=401), "refuses the key"),
    "too fast": (web.json_response({}, status=429, headers={"Retry-After": "7"}), "429"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_told_in_words_and_passes(endpoint: Endpoint, engine: Remote, fault: str) -> None:
    response, words = FAULTS[fault]
    endpoint.answers = [web.Response(body=response.body, status=response.status, headers=response.headers)]
    with pytest.raises(EngineError, match=words) as caught:
        await recognise(engine, clip("yes"))
    assert caught.value.retry_after_s == (7 if fault == "too fast" else None)
    assert (await recognise(engine, clip("yes")))[0].text == "what time is it"


async def test_an_endpoint_that_never_answers(
    endpoint: Endpoint, engine: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.answers = [60.0]
    with pytest.raises(EngineError, match="did not answer"):
        await engine.transcribe(clip("yes"), "en", timeout_s=0.2)
    assert (await recognise(engine, clip("yes")))[0].text


async def test_a_dropped_connection_is_tried_once_more(endpoint: Endpoint, engine: Remote) -> None:
    endpoint.answers = ["drop"]
    assert (await recognise(engine, clip("yes")))[0].text == "what time is it"
    endpoint.answers = ["drop", "drop"]
    with pytest.raises(EngineError, match="cannot be reached"):
        await recognise(engine, clip("yes"))
    assert len(endpoint.requests) == 4


async def test_an_endpoint_that_went_away(endpoint: Endpoint, engine: Remote) -> None:
    await endpoint.stop()
    with pytest.raises(EngineError, match="cannot be reached"):
        await recognise(engine, clip("yes"))


async def test_cancelling_leaves_the_engine_usable(endpoint: Endpoint, engine: Remote) -> None:
    endpoint.answers = [60.0]
    task = asyncio.create_task(recognise(engine, clip("yes")))
    while not endpoint.requests:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await recognise(engine, clip("yes")))[0].text == "what time is it"


async def test_hallucinations_are_no_text(endpoint: Endpoint, engine: Remote) -> None:
    for said in ("Thanks for watching!", "...", ""):
        endpoint.answers = [web.json_response({"text": said})]
        assert (await recognise(engine, clip("yes")))[0] == Transcript("")


async def test_a_closed_or_empty_utterance_sends_nothing(endpoint: Endpoint, engine: Remote) -> None:
    assert (await engine.open("en").finish()).text == ""
    stream = engine.open("en")
    await stream.close()
    assert (await stream.finish()).text == ""
    assert endpoint.requests == []


async def test_warming_makes_the_server_load_its_model(endpoint: Endpoint, engine: Remote) -> None:
    await engine.warm()
    assert len(endpoint.requests) == 1
    endpoint.answers = [web.json_response({"error": {"message": "no such model"}}, status=404)]
    with pytest.raises(NotReady, match="no such model"):
        await engine.warm()
