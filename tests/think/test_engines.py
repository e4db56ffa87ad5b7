"""The choice of a model, and models that really run: llama.cpp over HTTP and inside the process."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from avatar.errors import EngineError, Invalid, NotReady
from avatar.seams import LLM
from avatar.think.engines import choose_llm
from avatar.think.history import History
from avatar.think.responder import Responder
from tests.think.scripted import until_long


def ask(text: str = "Hello") -> list[Any]:
    history = History("Talk.")
    history.add_user(text)
    return history.messages()


async def spoken(engine: LLM, max_tokens: int) -> list[str]:
    return await until_long(engine.reply(ask(), max_tokens=max_tokens))


@asynccontextmanager
async def lists(body: Any, *, status: int = 200, path: str = "/v1/models") -> AsyncIterator[str]:
    """A server that only lists its models."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get(path, handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


def models(*names: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": n, "object": "model"} for n in names]}


NOWHERE = f"http://127.0.0.1:{unused_port()}"


async def test_auto_is_the_responder_where_nothing_else_is() -> None:
    engine = await choose_llm("auto", ollama=NOWHERE)
    assert isinstance(engine, Responder)
    assert engine.choice.role == "llm" and engine.choice.name == "responder"
    assert "Ollama does not answer" in engine.choice.why and "no language model" in engine.choice.note
    assert "".join(await spoken(engine, 100))


async def test_auto_takes_ollamas_first_model_that_can_talk() -> None:
    async with lists(models("nomic-embed-text:latest", "llama3.2:latest", "qwen3:4b")) as url:
        engine = await choose_llm("auto", ollama=url)
    assert engine.choice.name == "ollama:llama3.2:latest"


async def test_auto_does_not_wait_for_an_ollama_that_hangs() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    app = web.Application()
    app.router.add_get("/v1/models", handler)
    async with TestServer(app) as server:
        engine = await choose_llm("auto", ollama=str(server.make_url("/")).rstrip("/"))
    assert engine.choice.name == "responder"


async def test_auto_with_an_ollama_without_models_says_what_to_do() -> None:
    async with lists(models()) as url:
        engine = await choose_llm("auto", ollama=url)
    assert engine.choice.name == "responder" and "ollama pull" in engine.choice.why


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("ollama", "ollama:llama3.2:latest"),
        ("ollama:llama3.2", "ollama:llama3.2:latest"),
        ("ollama:qwen3:4b", "ollama:qwen3:4b"),
        ("ollama:qwen3", "ollama:qwen3:4b"),
    ],
)
async def test_a_model_of_ollama_by_name(spec: str, name: str) -> None:
    async with lists(models("llama3.2:latest", "qwen3:4b")) as url:
        assert (await choose_llm(spec, ollama=url)).choice.name == name


async def test_a_model_that_ollama_lacks_is_named_with_the_fix() -> None:
    async with lists(models("llama3.2:latest")) as url:
        with pytest.raises(NotReady, match="ollama pull gemma"):
            await choose_llm("ollama:gemma", ollama=url)
    with pytest.raises(NotReady, match=r"connection refused.*ollama\.com"):
        await choose_llm("ollama", ollama=NOWHERE)


@pytest.mark.parametrize("spec", ["", "gpt", "responder:x", "auto:x", "ftp://host/v1", "http://", "http://h:99999/v1"])
async def test_what_is_no_engine_is_invalid(spec: str) -> None:
    with pytest.raises(Invalid) as caught:
        await choose_llm(spec)
    assert caught.value.field == "llm"


async def test_an_endpoint_that_is_not_there_or_lists_nothing() -> None:
    with pytest.raises(NotReady, match="connection refused"):
        await choose_llm(f"{NOWHERE}/v1")
    async with lists(models()) as url:
        with pytest.raises(NotReady, match="#model"):
            await choose_llm(f"{url}/v1")
    async with lists({}, status=404) as url:
        with pytest.raises(NotReady, match="404"):
            await choose_llm(f"{url}/v1")
        assert (await choose_llm(f"{url}/v1#mine")).choice.name == "openai:mine"
    async with lists("<html>") as url:
        with pytest.raises(NotReady):
            await choose_llm(f"{url}/v1")


async def test_an_endpoint_that_wants_a_key() -> None:
    async with lists({}, status=401) as url:
        with pytest.raises(NotReady, match="set OPENAI_API_KEY"):
            await choose_llm(f"{url}/v1#m", environ={})
        with pytest.raises(NotReady, match="does not accept OPENAI_API_KEY") as caught:
            await choose_llm(f"{url}/v1#m", environ={"OPENAI_API_KEY": "sk-secret"})
    assert "sk-secret" not in caught.value.message


async def test_an_address_without_v1_or_with_the_whole_route_is_understood() -> None:
    async with lists(models("m")) as url:
        assert (await choose_llm(url)).choice.name == "openai:m"
        assert (await choose_llm(f"{url}/v1/")).choice.name == "openai:m"
        assert (await choose_llm(f"{url}/v1/chat/completions#m")).choice.name == "openai:m"


async def test_a_real_server_streams_tokens(chat_server: str) -> None:
    engine = await choose_llm(chat_server)
    try:
        assert engine.choice.name == "openai:tiny.gguf"
        await engine.warm()
        got = await spoken(engine, 30)
        assert 20 <= len(got) <= 30
        assert 1 <= len("".join(await spoken(engine, 3))) <= 3 * 12
    finally:
        await engine.close()


async def busy(base: str) -> bool:
    url = base.removesuffix("/v1") + "/slots"
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        return any(slot["is_processing"] for slot in json.loads(await response.text()))


async def test_a_real_server_stops_when_the_reply_is_closed(chat_server: str) -> None:
    engine = await choose_llm(chat_server)
    try:
        async with aclosing(engine.reply(ask(), max_tokens=7000)) as stream:  # type: ignore[type-var]
            assert await anext(stream)
            assert await busy(chat_server)
        async with asyncio.timeout(20):
            while await busy(chat_server):
                await asyncio.sleep(0.05)
        assert await spoken(engine, 5)  # and the engine goes on
    finally:
        await engine.close()


async def test_llama_cpp_runs_inside_the_process_and_leaves_nothing(tiny_gguf: Path) -> None:
    engine = await choose_llm(f"llamacpp:{tiny_gguf}")
    assert engine.choice.name == "llamacpp:tiny.gguf"
    with pytest.raises(EngineError, match="not loaded"):
        await spoken(engine, 5)
    gc.collect()
    threads = len(os.listdir("/proc/self/task"))
    listening = _tcp_listeners()
    await engine.warm()
    assert len(await spoken(engine, 20)) >= 10
    assert _tcp_listeners() == listening
    stream = engine.reply(ask(), max_tokens=7000)
    assert await anext(aiter(stream))
    await stream.aclose()  # type: ignore[attr-defined]
    both = await asyncio.gather(spoken(engine, 10), spoken(engine, 10))
    assert all(both)
    await engine.warm()  # a second time is harmless
    await engine.close()
    await engine.close()
    async with asyncio.timeout(20):
        while len(os.listdir("/proc/self/task")) > threads + 1:  # one worker thread of asyncio may stay
            await asyncio.sleep(0.05)


def _tcp_listeners() -> set[str]:
    rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    own = {
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    }
    return {r.split()[1] for r in rows if r.split()[3] == "0A" and f"socket:[{r.split()[9]}]" in own}


async def test_model_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"FILE\.gguf"):
        await choose_llm("llamacpp:")
    with pytest.raises(NotReady, match="no model file"):
        await choose_llm(f"llamacpp:{tmp_path}/none.gguf")
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(NotReady, match="not a GGUF file"):
        await choose_llm(f"llamacpp:{tmp_path}/text.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"x" * 100)
    engine = await choose_llm(f"llamacpp:{tmp_path}/bad.gguf")
    with pytest.raises(EngineError, match="cannot load"):
        await engine.warm()
    await engine.close()
