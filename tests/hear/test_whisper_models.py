"""Fetching a model, with the Hub's own client against a small Hub on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from avatar.errors import NotReady
from avatar.hear import whisper_models
from avatar.hear.engines import choose_stt
from avatar.hear.whisper_models import fetch, find, hub_answers, is_model
from tests.hear.sounds import WHISPER_SAYS, clip, recognise

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """The routes of the Hugging Face Hub that fetching a model asks for, serving the tiny model under every name."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self.fault = ""
        self.sent: list[str] = []
        app = web.Application()
        app.router.add_get("/", self._ok)
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", self._info)
        app.router.add_get("/api/models/{owner}/{name}", self._info)
        app.router.add_get("/api/models/{owner}/{name}/tree/{revision}", self._tree)
        app.router.add_get("/{owner}/{name}/resolve/{revision}/{file}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.url = ""

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _ok(self, request: web.Request) -> web.Response:
        return web.Response(text="a hub")

    def _files(self) -> list[Path]:
        return sorted(path for path in self._model.iterdir() if path.is_file())

    async def _info(self, request: web.Request) -> web.Response:
        if self.fault == "missing":
            return web.json_response(
                {"error": "Repository not found"}, status=404, headers={"X-Error-Code": "RepoNotFound"}
            )
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        siblings = [{"rfilename": path.name} for path in self._files()]
        body = {"id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []}
        return web.json_response(body | {"downloads": 0, "likes": 0})

    async def _tree(self, request: web.Request) -> web.Response:
        rows = [
            {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": _oid(p.read_bytes())}
            for p in self._files()
        ]
        return web.json_response(rows)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self._model / request.match_info["file"]
        body = path.read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_oid(body)}"'}
        if request.method == "GET":
            self.sent.append(path.name)
            if self.fault == "cut" and path.name == "model.bin":
                response = web.StreamResponse(headers=headers | {"Content-Length": str(len(body))})
                await response.prepare(request)
                await response.write(body[:1000])
                assert request.transport is not None
                request.transport.abort()
                return response
            if self.fault == "hang" and path.name == "model.bin":
                await asyncio.sleep(3600)
        return web.Response(body=body, headers=headers, content_type="application/octet-stream")


def _oid(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@pytest.fixture
async def hub(whisper_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Hub]:
    from huggingface_hub import constants

    hub = Hub(whisper_model)
    await hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    await hub.stop()


async def test_a_named_size_is_fetched_into_our_data(hub: Hub, tmp_path: Path) -> None:
    assert find("tiny", tmp_path) is None
    path = await fetch("tiny", tmp_path)
    assert path == tmp_path / "whisper" / "tiny"
    assert is_model(path)
    assert find("tiny", tmp_path) == path
    assert "README.md" not in hub.sent


async def test_a_terminal_shows_a_bar_and_a_log_shows_lines(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        await fetch("tiny", tmp_path / "shown")
    assert "Whisper tiny" in terminal.getvalue() and "/78.0M" in terminal.getvalue()
    monkeypatch.setattr(whisper_models, "_LOOK_S", 0.01)  # the model is small and here: it comes at once
    monkeypatch.setattr(whisper_models, "_REPORT_S", 0.0)
    with caplog.at_level("INFO", "avatar.hear"):
        await fetch("tiny", tmp_path / "logged")
    assert any("of 78 MB" in record.message for record in caplog.records)


async def test_auto_fetches_measures_and_says_why(hub: Hub, tmp_path: Path) -> None:
    engine = await choose_stt("auto", tmp_path)
    assert engine.choice.name == "whisper"
    await engine.warm()
    assert engine.choice.name == "whisper:base"  # the tiny fixture is fast, so the next size was fetched too
    assert "s per utterance on this machine" in engine.choice.why
    assert (await recognise(engine, clip("yes")))[0].text == WHISPER_SAYS
    await engine.close()


async def test_an_explicit_size_is_kept(hub: Hub, tmp_path: Path) -> None:
    engine = await choose_stt("whisper:small", tmp_path)
    await engine.warm()
    assert engine.choice.name == "whisper:small"
    assert find("tiny", tmp_path) is None
    await engine.close()


async def test_a_failed_download_falls_back_or_says_so(hub: Hub, tmp_path: Path) -> None:
    hub.fault = "missing"
    engine = await choose_stt("auto", tmp_path)
    await engine.warm()
    assert engine.choice.name == "pocketsphinx"
    assert "could not be fetched" in engine.choice.why
    assert "English only" in engine.choice.note
    assert (await recognise(engine, clip("yes")))[0].text == "yes"
    await engine.close()
    explicit = await choose_stt("whisper:tiny", tmp_path)
    with pytest.raises(NotReady, match="could not be fetched"):
        await explicit.warm()
    await explicit.close()


async def test_a_second_attempt_completes_a_cut_download(hub: Hub, tmp_path: Path) -> None:
    hub.fault = "cut"
    with pytest.raises(NotReady):
        await fetch("tiny", tmp_path)
    assert find("tiny", tmp_path) is None
    hub.fault = ""
    assert is_model(await fetch("tiny", tmp_path))


async def test_a_stalled_download_is_given_up(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_models, "_STALL_S", 4.0)
    hub.fault = "hang"
    with pytest.raises(NotReady, match="brought nothing"):
        await fetch("tiny", tmp_path)


async def test_shutting_down_ends_a_download(hub: Hub, tmp_path: Path) -> None:
    hub.fault = "hang"
    fetching = asyncio.create_task(fetch("tiny", tmp_path))
    while "model.bin" not in hub.sent:
        await asyncio.sleep(0.02)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching


async def test_a_model_in_the_hubs_cache_is_used(hub: Hub, whisper_model: Path, tmp_path: Path) -> None:
    repo = tmp_path / "hf" / "hub" / "models--Systran--faster-whisper-tiny"
    shutil.copytree(whisper_model, repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    assert find("tiny", tmp_path) == repo / "snapshots" / COMMIT
    assert hub.sent == []


async def test_half_a_model_is_none(whisper_model: Path, tmp_path: Path, offline: None) -> None:
    target = tmp_path / "whisper" / "tiny"
    shutil.copytree(whisper_model, target)
    (target / "vocabulary.json").unlink()
    assert find("tiny", tmp_path) is None


async def test_without_a_network_the_hub_does_not_answer(offline: None) -> None:
    assert not await hub_answers()


async def test_a_hub_that_says_nothing_does_not_answer(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(whisper_models, "_PROBE_S", 0.2)
    monkeypatch.setattr(constants, "ENDPOINT", silent_server)
    assert not await hub_answers()


def test_the_published_sizes_exist() -> None:
    from faster_whisper.utils import _MODELS

    assert {name: size.repo for name, size in whisper_models.SIZES.items()} == {
        n: _MODELS[n] for n in whisper_models.SIZES
    }
