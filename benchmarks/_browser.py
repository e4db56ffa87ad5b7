"""The page in a real Chromium, observed from outside: what is decoded, shown and played, whatever the page's code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page

from tests.web.browser import chromium

__all__ = ["Tab", "chromium", "opened"]

PATIENCE_S = 60.0

OBSERVER = """
window.bench = {connections: [], sessions: [], click: null, first: null, flashes: [], beeps: []};
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...rest) { super(...rest); bench.connections.push(this); }
};
const fetched = window.fetch;
window.fetch = async (...rest) => {
  const response = await fetched(...rest);
  const method = rest[1]?.method ?? "GET";
  if (method === "POST" && String(rest[0]?.url ?? rest[0]).includes("/webrtc/offer") && response.ok)
    response.clone().json().then((answer) => bench.sessions.push(answer.session_id));
  return response;
};
addEventListener("click", (event) => { bench.click ??= event.timeStamp; }, {capture: true});
addEventListener("DOMContentLoaded", () => {
  const video = document.querySelector("video");
  video.requestVideoFrameCallback((now, frame) => { bench.first = frame.presentationTime; });
});
bench.stats = async () => {
  const rows = [];
  for (const connection of bench.connections)
    if (connection.connectionState === "connected") (await connection.getStats()).forEach((row) => rows.push(row));
  return rows;
};
"""


class Tab:
    """One visit of the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def start(self) -> None:
        """Presses Start and waits for the first picture."""
        await self.page.get_by_role("button", name="Start", exact=True).click()
        await self.until("bench.first !== null")

    async def until(self, expression: str) -> None:
        """Waits until a script's value is true."""
        end = time.monotonic() + PATIENCE_S
        while not await self.page.evaluate(expression):
            if time.monotonic() > end:
                raise RuntimeError(f"it never happened in the page: {expression}")
            await asyncio.sleep(0.05)

    async def first_frame_ms(self) -> float:
        """From the click on Start to the first presented picture."""
        return float(await self.page.evaluate("bench.first - bench.click"))

    async def session_id(self) -> str:
        await self.until("bench.sessions.length > 0")
        return str(await self.page.evaluate("bench.sessions.at(-1)"))

    async def stats(self) -> list[dict[str, Any]]:
        """The rows of getStats of the live connection."""
        rows: list[dict[str, Any]] = await self.page.evaluate("bench.stats()")
        return rows

    async def inbound(self, kind: str) -> dict[str, Any]:
        """The `inbound-rtp` row of "audio" or "video", with its codec's name."""
        rows = await self.stats()
        row = next(r for r in rows if r["type"] == "inbound-rtp" and r["kind"] == kind)
        codec = next((r["mimeType"] for r in rows if r["id"] == row.get("codecId")), "")
        return row | {"codec": codec}


@asynccontextmanager
async def opened(browser: Browser, url: str, script: str = "") -> AsyncIterator[Tab]:
    """The page in a context of its own, the microphone permitted, its security policy off so that it can be
    observed."""
    context: BrowserContext = await browser.new_context(
        permissions=["microphone"], bypass_csp=True, viewport={"width": 1280, "height": 800}
    )
    try:
        page = await context.new_page()
        await page.add_init_script(OBSERVER + script)
        await page.goto(url)
        yield Tab(page)
    finally:
        await context.close()
