"""A person who visits the page, for tests: opens it, presses what its buttons are called, reads what it says."""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.web.browser import PATIENCE_S, Server, state, until

expect.set_options(timeout=PATIENCE_S * 1000)

RECORDER = """
// Keeps what came over the data channel, and the channel itself, so that tests can see and disturb them.
window.__frames = [];
window.__channels = [];
window.__connections = [];
const create = RTCPeerConnection.prototype.createDataChannel;
RTCPeerConnection.prototype.createDataChannel = function (...rest) {
  const channel = create.apply(this, rest);
  channel.addEventListener("message", (event) => window.__frames.push(JSON.parse(event.data)));
  window.__channels.push(channel);
  window.__connections.push(this);
  return channel;
};
"""

HARMLESS = ("Failed to load resource", "Password forms should have")
"""Console messages that tell nothing wrong of the page: refused requests are part of some tests."""


class Visit:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._context: BrowserContext | None = None
        self.page: Page
        self.patience_s = PATIENCE_S
        """How long `until` waits."""
        self.problems: list[str] = []
        """Scripts that failed, and what the security policy blocked."""

    async def open(
        self,
        server: Server,
        *,
        locale: str = "en-US",
        size: tuple[int, int] = (1280, 800),
        dark: bool = False,
        touch: bool = False,
        allowed: bool = True,
        path: str = "/",
        before: str = "",
        calm: bool = False,
    ) -> Page:
        """Opens the page; `before` is script that runs ahead of the page's own, to take a part of the browser away."""
        self._context = await self._browser.new_context(
            locale=locale,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            reduced_motion="reduce" if calm else "no-preference",
            permissions=["microphone"] if allowed else [],
        )
        self.page = await self._context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda message: self._console(message.type, message.text))
        await self.page.add_init_script(RECORDER + before)
        await self.page.goto(server.url + path)
        return self.page

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith(HARMLESS):
            self.problems.append(text)

    async def leave(self) -> None:
        if self._context is not None:
            async with asyncio.timeout(PATIENCE_S):
                await self._context.close()
        assert not self.problems

    # -- what a person does

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def type(self, text: str) -> None:
        box = self.page.get_by_role("textbox").first
        await box.fill(text)
        await box.press("Enter")

    async def show(self, tab: str) -> None:
        await self.page.get_by_role("tab", name=tab).click()

    async def call(self) -> None:
        """Presses Start and waits for the face to move and the server to listen."""
        await self.press("Start")
        await self.until(lambda s: "first_frame" in s["marks"] and "ready" in s["marks"], "the face appeared")

    # -- what a person sees

    async def state(self) -> dict[str, Any]:
        return await state(self.page)

    async def until(self, condition: Any, what: str) -> dict[str, Any]:
        """Waits for `condition` of the page's state; returns the state."""

        async def holds() -> dict[str, Any] | None:
            seen = await self.state()
            return seen if condition(seen) else None

        try:
            seen: dict[str, Any] = await until(holds, what, self.patience_s)
        except AssertionError as error:
            notices = await self.page.locator("#notices").inner_text()
            raise AssertionError(f"{error}; the page says {notices!r} and is {await self.state()}") from None
        return seen

    async def greeted(self) -> None:
        """Waits until the greeting has been spoken, so that what follows is no interruption."""
        await self.until(lambda s: any(t["kind"] == "greeting" for t in s["turns"]), "the greeting was spoken")

    async def frames(self, kind: str) -> list[dict[str, Any]]:
        """The data of the protocol's messages of one type, or of ours as `server:` and its name."""
        frames: list[dict[str, Any]] = await self.page.evaluate("window.__frames")
        if kind.startswith("server:"):
            ours = [f["data"] for f in frames if f["type"] == "server-message"]
            return [data for data in ours if data["t"] == kind.removeprefix("server:")]
        return [frame.get("data", {}) for frame in frames if frame["type"] == kind]

    async def lines(self, side: str) -> list[str]:
        """What one side has said, as the transcript shows it."""
        found: list[str] = await self.page.locator(f"#transcript .{side} .words").all_inner_texts()
        return found
