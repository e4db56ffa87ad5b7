"""The stock Pipecat JavaScript client, as npm has it, against this server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.web.browser import Server, microphone_file, until
from tests.web.developer import built, needs_node, opened, serving

HERE = Path(__file__).parent

pytestmark = needs_node


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the client."""
    return built(HERE, tmp_path_factory.mktemp("site"))


@pytest.fixture
async def origin(site: Path) -> AsyncIterator[str]:
    async with serving(site) as origin:
        yield origin


@pytest.fixture
async def page(origin: str) -> AsyncIterator[Page]:
    async with opened(origin) as page:
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
    async with opened(origin, microphone_file(tmp_path / "microphone.wav", "time")) as page:
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
