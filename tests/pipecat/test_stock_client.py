"""The stock Pipecat JavaScript client, as npm has it, against this server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page

from tests.web.browser import Server, chromium, microphone_file, until

HERE = Path(__file__).parent
ESBUILD = HERE / "node_modules" / ".bin" / "esbuild"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("node") is None and "CI" not in os.environ,
        reason="node is not installed: sudo apt install nodejs npm",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the client bundled for browsers, as a developer's build makes it."""
    assert ESBUILD.exists(), "the client is not installed: run npm ci in tests/pipecat (make test does)"
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(HERE / "index.html", folder)
    subprocess.run(
        [ESBUILD, "app.js", "--bundle", "--format=esm", "--log-level=error", f"--outfile={folder / 'bundle.js'}"],
        cwd=HERE,
        check=True,
    )
    return folder


@pytest.fixture
async def origin(site: Path) -> AsyncIterator[str]:
    """The developer's own web server: another origin than the avatar's."""
    app = web.Application()
    app.add_routes([web.static("/", site)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def app_page(origin: str, microphone: Path | None = None) -> AsyncIterator[Page]:
    async with chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(f"{origin}/index.html")
        yield page
        assert not problems


@pytest.fixture
async def page(origin: str) -> AsyncIterator[Page]:
    async with app_page(origin) as page:
        yield page


async def told(page: Page, name: str) -> list[Any]:
    """The data of every event of one name so far."""
    events: list[dict[str, Any]] = await page.evaluate("JSON.parse(JSON.stringify(app.events))")
    return [event.get("data") for event in events if event["name"] == name]


async def happened(page: Page, name: str) -> None:
    """Waits for an event of this name."""
    try:
        await until(lambda: told(page, name), name)
    except AssertionError as error:
        events = await page.evaluate("app.events.map(event => event.name + ' ' + JSON.stringify(event.data ?? null))")
        raise AssertionError(f"{error}; what did: {events}") from None


async def session_of(page: Page, server: Server) -> tuple[str, int]:
    """The session's name, as the bot-ready message tells it, and the status of asking for it."""
    ready = await told(page, "botReady")
    session_id = ready[0]["about"]["session_id"]
    answer = await page.request.get(f"{server.url}/sessions/{session_id}")
    return session_id, answer.status


async def test_it_connects_shows_the_avatar_and_talks(page: Page, server: Server) -> None:
    ready = await page.evaluate("url => app.connect(url)", f"{server.url}/webrtc/offer")
    assert ready["version"].startswith("2.")
    assert await page.evaluate("app.client.state") == "ready"

    side = server.portrait_width() * 0.5

    async def playing() -> bool:
        width, seconds = await page.evaluate("(v => [v.videoWidth, v.currentTime])(document.querySelector('video'))")
        return bool(width == side and seconds > 0.5)

    await until(playing, "the avatar's video plays")
    assert sorted(await told(page, "remoteTrack")) == ["audio", "video"]

    await page.evaluate("app.client.sendText('What time is it?')")
    await happened(page, "botStoppedSpeaking")
    spoken = " ".join(row["text"] for row in await told(page, "botTtsText"))
    written = "".join(row["text"] for row in await told(page, "botLlmText"))
    assert spoken
    assert spoken.split() == written.split()
    assert await told(page, "botStartedSpeaking")
    assert await told(page, "botTtsStarted")
    assert " ".join(row["text"] for row in await told(page, "botOutput")) == spoken
    kinds = {row["t"] for row in await told(page, "serverMessage")}
    assert {"state", "caption", "session", "turn"} <= kinds
    assert not await told(page, "error")


async def test_it_hears_the_microphone(origin: str, server: Server, tmp_path: Path) -> None:
    async with app_page(origin, microphone_file(tmp_path / "microphone.wav", "time")) as page:
        await page.evaluate("url => app.connect(url)", f"{server.url}/webrtc/offer")

        async def final() -> str:
            return " ".join(row["text"] for row in await told(page, "userTranscript") if row["final"])

        heard = await until(final, "a final transcript")
        assert "time" in heard.lower()
        assert await told(page, "userStartedSpeaking")
        assert await told(page, "userStoppedSpeaking")
        await happened(page, "botStartedSpeaking")


async def test_tunables_travel_in_request_data_and_client_messages(page: Page, server: Server) -> None:
    """What the client's own API has for it: `requestData` at the offer, requests on the data channel."""
    await page.evaluate("url => app.connect(url, {anything: 'goes here'})", f"{server.url}/webrtc/offer")
    changed = await page.evaluate("app.request('session.update', {frame_scale: 0.25})")
    assert changed["value"]["frame_scale"] == 0.25
    side = server.portrait_width() * 0.25
    await until(lambda: page.evaluate(f"document.querySelector('video').videoWidth === {side}"), "a smaller picture")
    refused = await page.evaluate("app.request('session.update', {frame_scale: 7})")
    assert "frame_scale" in refused["error"]["error"]
    unknown = await page.evaluate("app.request('no.such.thing', {})")
    assert unknown["error"]["error"]


async def test_the_session_ends_with_the_client(page: Page, server: Server) -> None:
    await page.evaluate("url => app.connect(url)", f"{server.url}/webrtc/offer")
    _, status = await session_of(page, server)
    assert status == 200
    await page.evaluate("app.client.disconnect()")

    async def gone() -> bool:
        return (await session_of(page, server))[1] == 404

    await until(gone, "the session is gone after disconnect", 5)


async def test_the_session_ends_when_the_client_asks_the_bot_to_go(page: Page, server: Server) -> None:
    await page.evaluate("url => app.connect(url)", f"{server.url}/webrtc/offer")
    await page.evaluate("app.client.disconnectBot()")

    async def gone() -> bool:
        return (await session_of(page, server))[1] == 404

    await until(gone, "the session is gone after disconnect-bot", 5)
