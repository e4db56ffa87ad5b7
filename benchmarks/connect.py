"""Connecting and coming back: through a real coturn, after a cut, and how soon a place is free."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from aiohttp.test_utils import TestServer

from avatar.play.receive import ClientPeer, IceServer, Network
from avatar.serve.app import build
from avatar.serve.state import STATE
from avatar.settings import Settings
from client.api import Api
from tests.play.relay import Relay, coturn

from . import Bar, Skipped, at_most
from ._browser import chromium, opened
from ._server import QUICK, percentile, serving

RUNS = 5 if QUICK else 15
BARS: dict[str, Bar] = {
    "loopback_first_frame_ms": at_most(150),
    "relay_udp_first_frame_ms": at_most(400),
    "relay_tcp_first_frame_ms": at_most(400),
    "cut_noticed_s": at_most(5),
    "reconnect_to_picture_ms": at_most(1500),
    "page_stands_still_ms": at_most(1500),
    "whep_first_frame_ms": at_most(1000),
    "slot_free_ms": at_most(100),
}


async def first_frame(api: Api, peer: ClientPeer, resume: str | None = None) -> tuple[str, float]:
    """Session and milliseconds from the moment at which the offer is posted to the first picture, decoded."""
    sdp = await peer.offer()
    began = time.monotonic()
    answer = await api.offer(sdp, {"mode": "speak"} if resume is None else {}, resume)
    await peer.accept(answer["sdp"])
    async with asyncio.timeout(20):
        async for _ in peer.pictures():
            break
    return str(answer["session_id"]), 1000 * (time.monotonic() - began)


async def setups(api: Api, servers: list[IceServer], network: Network) -> list[float]:
    times = []
    for _ in range(RUNS):
        peer = ClientPeer(ice_servers=servers, network=network)
        session, took = await first_frame(api, peer)
        times.append(took)
        await api.end(session)
        await peer.close()
    return times


def cut(peer: ClientPeer) -> None:
    """No packet of this connection comes or goes any more, as when a network is switched off."""
    agent: Any = peer._connection.ice._connection  # type: ignore[union-attr]
    for protocol in agent._protocols:
        protocol.transport.sendto = lambda *args: None
        protocol.datagram_received = lambda *args: None


async def reconnects(api: Api) -> tuple[list[float], list[float]]:
    """Seconds until the server has noticed a cut; milliseconds from the attempt to come back to its picture."""
    noticed, back = [], []
    for _ in range(max(3, RUNS // 3)):
        peer = ClientPeer()
        session, _ = await first_frame(api, peer)
        cut(peer)
        began = time.monotonic()
        while (await api.session(session))["connection"] != "lost":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        noticed.append(time.monotonic() - began)
        fresh = ClientPeer()
        same, took = await first_frame(api, fresh, session)
        assert same == session
        back.append(took)
        await api.end(session)
        await fresh.close()
        await peer.close()
    return noticed, back


async def ends(api: Api) -> list[float]:
    """Milliseconds from DELETE to its answer, by when the place is free."""
    times = []
    for _ in range(RUNS):
        peer = ClientPeer()
        session, _ = await first_frame(api, peer)
        began = time.monotonic()
        await api.end(session)
        times.append(1000 * (time.monotonic() - began))
        await peer.close()
    return times


async def watching(api: Api, url: str) -> list[float]:
    """Milliseconds from a WHEP offer to the first picture, beside a client that is there already."""
    times = []
    peer = ClientPeer()
    session, _ = await first_frame(api, peer)
    for _ in range(RUNS):
        viewer = ClientPeer(data=False)
        sdp = await viewer.offer()
        began = time.monotonic()
        headers = {"Content-Type": "application/sdp"}
        async with api._http.post(f"{url}/whep/{session}", data=sdp, headers=headers) as response:
            await viewer.accept(await response.text())
        async with asyncio.timeout(20):
            async for _ in viewer.pictures():
                break
        times.append(1000 * (time.monotonic() - began))
        await viewer.close()
    await api.end(session)
    await peer.close()
    return times


SHOWN = """
window.__shown = [];
const video = document.querySelector("video");
const note = (now) => { window.__shown.push(now); video.requestVideoFrameCallback(note); };
video.requestVideoFrameCallback(note);
"""


async def page_cuts() -> list[float]:
    """Milliseconds without a new picture in the page when the path that its connection uses dies without a word, and
    another one is there: noticing included. The server runs in this process, so that the path can be cut."""
    stood = []
    app = build(Settings(face="puppet", llm="responder", tts="espeak", stt="pocketsphinx"))
    async with TestServer(app) as server, chromium() as browser, opened(browser, str(server.make_url("/"))) as tab:
        await asyncio.wait_for(app[STATE].engines.ready.wait(), 60)
        await tab.start()
        await tab.page.evaluate(SHOWN)
        for _ in range(max(3, RUNS // 3)):
            await asyncio.sleep(6)  # the greeting, and the page's pause between two searches for a path
            session = app[STATE].sessions.all()[0]
            agent: Any = session.peer._connection.ice._connection  # type: ignore[union-attr]
            began = float(await tab.page.evaluate("performance.now()"))
            for protocol in agent._protocols:
                protocol.transport.sendto = lambda *args: None
                protocol.datagram_received = lambda *args: None
            await asyncio.sleep(5)
            shown = [at for at in await tab.page.evaluate("window.__shown") if at > began - 500]
            stood.append(max((b - a for a, b in pairwise(shown)), default=5000.0))
    return stood


@contextmanager
def relaying() -> Iterator[Relay]:
    if shutil.which("turnserver") is None:
        raise Skipped("coturn is not installed")
    with tempfile.TemporaryDirectory() as folder, coturn(Path(folder)) as relay:
        yield relay


async def run() -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with relaying() as relay, serving("--face", "puppet") as served:
        async with Api(served.url, None) as api:
            direct = await setups(api, [], Network())
            figures["loopback_first_frame_ms"] = median(direct)
            figures["loopback_first_frame_p95_ms"] = percentile(direct, 0.95)
            for transport in ("udp", "tcp"):
                times = await setups(api, [relay.server(transport)], Network(relay_only=True))
                figures[f"relay_{transport}_first_frame_ms"] = median(times)
                figures[f"relay_{transport}_first_frame_p95_ms"] = percentile(times, 0.95)
            noticed, back = await reconnects(api)
            figures["cut_noticed_s"] = max(noticed)
            figures["reconnect_to_picture_ms"] = median(back)
            figures["reconnect_to_picture_max_ms"] = max(back)
            figures["whep_first_frame_ms"] = median(await watching(api, served.url))
            cuts = await page_cuts()
            figures["page_stands_still_ms"] = median(cuts)
            figures["page_stands_still_max_ms"] = max(cuts)
            freed = await ends(api)
            figures["slot_free_ms"] = median(freed)
            figures["slot_free_p95_ms"] = percentile(freed, 0.95)
    return figures
