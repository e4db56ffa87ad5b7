"""Unmodified WHEP players, as npm has them, watch a session in a real Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page

from client.api import Api
from client.media import Media
from client.peer import Peer
from tests.web.browser import Server, chromium, until

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
    """The page with the players bundled for browsers, as a developer's build makes it."""
    assert ESBUILD.exists(), "the players are not installed: run npm ci in tests/whep (make test does)"
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(HERE / "index.html", folder)
    subprocess.run(
        [ESBUILD, "app.js", "--bundle", "--format=esm", "--log-level=error", f"--outfile={folder / 'bundle.js'}"],
        cwd=HERE,
        check=True,
    )
    return folder


@pytest.fixture
async def page(site: Path) -> AsyncIterator[Page]:
    """Another web site than the avatar's, with the players on it."""
    app = web.Application()
    app.add_routes([web.static("/", site)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with chromium() as browser:
        page = await browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(f"http://localhost:{runner.addresses[0][1]}/index.html")
        yield page
        assert not problems
    await runner.cleanup()


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
