"""What the browser tests stand on: a real server in a process of its own, and Chromium with a microphone that plays a
file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
import pytest
from playwright.async_api import Browser, Page, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from tests.hear.sounds import clip, silence

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
"""How long a test waits for what must happen: the machine may be busy, and a test that hangs says nothing."""
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def chromium_path() -> str:
    """The browser to drive: the one that CHROMIUM names, else an installed one."""
    names = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else CHROMIUM_NAMES
    for name in names:
        if found := shutil.which(name):
            return found
    raise RuntimeError(f"no browser: install one of {', '.join(CHROMIUM_NAMES)}, or name one in CHROMIUM")


READY_S = 400
"""A neural face on a machine that has other things to do reads its networks for a minute."""


class Server:
    """`streaming_server.py` as users start it."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self._flags = ["--face", "puppet", "--llm", "responder", "--tts", "espeak", "--stt", "pocketsphinx", *flags]
        self._data_dir = data_dir
        self._log: IO[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, port: int = 0) -> None:
        """Starts it and waits until its engines are warm. `port` 0: a free one."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._log = open(self._data_dir / "server.log", "a", encoding="utf-8")  # noqa: SIM115
        command = [sys.executable, "streaming_server.py", "--port", str(port), "--data-dir", str(self._data_dir)]
        self._process = subprocess.Popen(
            [*command, *self._flags], cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"the server did not start: {self.log()}"
        self.url = re.sub(r"/(\?.*)?$", "", line)
        self.token = line.partition("?token=")[2]
        self._until_ready()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def _until_ready(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.url}/ready", timeout=5).close()
                return
            except urllib.error.HTTPError as error:
                if error.code == 401:
                    return  # only who has the token learns more
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"the server never became ready: {self.log()}")

    def get(self, path: str) -> Any:
        """The JSON that a route answers."""
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            return json.load(response)

    def portrait_width(self) -> int:
        """Pixels across the built-in portrait's working size, of which `frame_scale` is a share."""
        return next(int(row["width"]) for row in self.get("/config")["avatars"] if row["builtin"])

    def log(self) -> str:
        return (self._data_dir / "server.log").read_text(encoding="utf-8")

    def stop(self, *, kill: bool = False) -> None:
        """Ends it; `kill`: without a chance to say goodbye, as when a machine goes down."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        if self._log is not None:
            self._log.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not need one of their own."""
    server = Server(tmp_path_factory.mktemp("server"), "--max-sessions", "6")
    server.start()
    yield server
    server.stop()
    assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers for one test: `own_server("--max-sessions", "1")`."""
    started: list[Server] = []

    def start(*flags: str) -> Server:
        server = Server(tmp_path / f"server{len(started)}", *flags)
        started.append(server)  # one that never becomes ready is stopped as well
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
        assert "Traceback" not in server.log(), server.log()


@asynccontextmanager
async def chromium(*, microphone: Path | None = None, allowed: bool = True) -> AsyncIterator[Browser]:
    """A Chromium of its own. `microphone`: the WAV that its microphone hears, once; without one a beep each second.
    `allowed`: whether somebody says yes to every prompt; else nobody answers them, and headless Chromium refuses."""
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-fake-device-for-media-stream",
        "--autoplay-policy=no-user-gesture-required",
        # Loopback addresses become candidates, so that machines without any other network can run the tests.
        "--allow-loopback-in-peer-connection",
    ]
    if allowed:
        flags.append("--use-fake-ui-for-media-stream")
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    others = {child.pid for child in psutil.Process().children()}
    playwright: Playwright | None = None
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            playwright = await async_playwright().start()
            browser = await playwright.chromium.launch(executable_path=chromium_path(), args=flags)
        yield browser
    finally:
        try:
            async with asyncio.timeout(PATIENCE_S):
                if playwright is not None:
                    await browser.close()
                    await playwright.stop()
        except (TimeoutError, PlaywrightError):
            _kill_drivers(others)


def _kill_drivers(others: set[int]) -> None:
    """Ends Playwright's drivers among this process' children, but for `others`, and their browsers: one that spins
    answers nothing, and whoever waits for its end waits for ever."""
    for driver in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if driver.pid in others or "run-driver" not in driver.cmdline():
                continue
            for process in [*driver.children(recursive=True), driver]:
                process.kill()


class SharedBrowser:
    """One Chromium for many tests; one that no longer answers is replaced, so that it fails one test and not all."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._browser: Browser | None = None

    async def answering(self) -> Browser:
        """The browser, if it opens a window within a while, else another."""
        if self._browser is not None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await (await self._browser.new_context()).close()
                return self._browser
            except (TimeoutError, PlaywrightError):
                await self.close()
        self._browser = await self._stack.enter_async_context(chromium())
        return self._browser

    async def close(self) -> None:
        self._browser = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


def microphone_file(path: Path, said: str, *, lead_s: float = 3.0) -> Path:
    """A WAV for Chromium's microphone: silence while the page connects, a recording of `tests/hear`, silence."""
    sound = np.concatenate([silence(lead_s), clip(said, 48_000), silence(3.0)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(sound.tobytes())
    return path


async def until(condition: Callable[[], Awaitable[Any]], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Waits until `condition()` is true and returns its value. Asks from here, because the page's own security policy
    forbids it the `eval` that Playwright's waiting for functions needs."""
    end = time.monotonic() + patience_s
    while not (value := await condition()):
        assert time.monotonic() < end, f"it never happened: {what}"
        await asyncio.sleep(0.05)
    return value


async def state(page: Page) -> dict[str, Any]:
    """What the page shows of itself for tests."""
    seen: dict[str, Any] = await page.evaluate("JSON.parse(JSON.stringify(window.__avatar))")
    return seen
