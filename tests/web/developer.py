"""A developer's own web site: a page with npm's packages bundled for browsers, on another origin than the avatar's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page

from tests.web.browser import chromium

needs_node = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("node") is None and "CI" not in os.environ,
        reason="node is not installed: sudo apt install nodejs npm",
    ),
]


def built(folder: Path, into: Path) -> Path:
    """Bundles `folder`'s app.js, as a developer's build does, beside its index.html; returns `into`."""
    esbuild = folder / "node_modules" / ".bin" / "esbuild"
    assert esbuild.exists(), f"packages are not installed: run npm ci in tests/{folder.name} (make test does)"
    shutil.copy(folder / "index.html", into)
    bundle = f"--outfile={into / 'bundle.js'}"
    subprocess.run([esbuild, "app.js", "--bundle", "--format=esm", "--log-level=error", bundle], cwd=folder, check=True)
    return into


@asynccontextmanager
async def serving(site: Path) -> AsyncIterator[str]:
    """The address of a web server for such a page."""
    app = web.Application()
    app.add_routes([web.static("/", site)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def opened(origin: str, microphone: Path | None = None) -> AsyncIterator[Page]:
    """The page in a Chromium of its own; in the end it must have met no error."""
    async with chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(f"{origin}/index.html")
        yield page
        assert not problems
