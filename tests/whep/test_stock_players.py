"""Unmodified WHEP players, as npm has them, watch a session in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from client.api import Api
from client.media import Media
from client.peer import Peer
from tests.web.browser import Server, until
from tests.web.developer import built, needs_node, opened, serving

HERE = Path(__file__).parent

pytestmark = needs_node


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the players."""
    return built(HERE, tmp_path_factory.mktemp("site"))


@pytest.fixture
async def page(site: Path) -> AsyncIterator[Page]:
    async with serving(site) as origin, opened(origin) as page:
        yield page


@pytest.fixture
async def session_id(server: Server) -> AsyncIterator[str]:
    """A session in which somebody is."""
    async with Api(server.url, None) as api:
        peer = Peer(Media(), None, "vp9")
        answer = await peer.connect(api, {"mode": "speak"})
        await peer.connected.wait()
        yield str(answer["session_id"])
        await peer.stop()
        await api.end(str(answer["session_id"]))
        await peer.close()


async def playing(page: Page, server: Server) -> None:
    """Waits until the picture has run for a second more."""
    side = server.portrait_width() * 0.5
    where = "(v => [v.videoWidth, v.currentTime])(document.querySelector('video'))"
    _, begin = await page.evaluate(where)

    async def runs() -> bool:
        width, seconds = await page.evaluate(where)
        return bool(width == side and seconds > begin + 1)

    await until(runs, "the picture plays")


def viewers(server: Server, session_id: str) -> Any:
    return server.get(f"/sessions/{session_id}")["viewers"]


@pytest.mark.parametrize("player", ["whip", "eyevinn"])
async def test_the_player_plays_and_leaves(page: Page, server: Server, session_id: str, player: str) -> None:
    await page.evaluate(f"url => players.{player}(url)", f"{server.url}/whep/{session_id}")
    await playing(page, server)
    assert viewers(server, session_id) == 1
    tracks = await page.evaluate("document.querySelector('video').srcObject.getTracks().map(t => t.kind).sort()")
    assert tracks == ["audio", "video"]
    await page.evaluate("leave()")

    async def gone() -> bool:
        return viewers(server, session_id) == 0

    await until(gone, "the viewer's place is free")
