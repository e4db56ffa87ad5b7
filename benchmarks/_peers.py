"""Light receiving peers: real WebRTC connections that count pictures without decoding them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from avatar.play.receive import ClientPeer
from client.api import Api
from client.meters import PictureMeter

CONNECT_S = 20.0
FIRST_S = 20.0


class Viewer:
    """One connected session."""

    def __init__(self, session_id: str, peer: ClientPeer) -> None:
        self.session_id = session_id
        self.peer = peer
        self.meter = PictureMeter()
        self.first = asyncio.Event()
        """A picture has come."""

    async def watch(self) -> None:
        async for picture in self.peer.pictures():
            self.meter.picture(picture.arrived, *picture.i420.shape)
            self.first.set()

    async def listen(self) -> None:
        """Empties the sound and the data channel."""

        async def drain(items: AsyncIterator[Any]) -> None:
            async for _ in items:
                pass

        await asyncio.gather(drain(self.peer.sounds()), drain(self.peer.texts()))

    def restart(self) -> None:
        """Counts from now on."""
        self.meter = PictureMeter()


@asynccontextmanager
async def viewing(api: Api, **session: Any) -> AsyncIterator[Viewer]:
    """A session with a light peer, ended with DELETE."""
    peer = ClientPeer(decode=False, microphone=False)
    tasks: list[asyncio.Task[None]] = []
    viewer = None
    try:
        answer = await api.offer(await peer.offer(), session)
        await peer.accept(answer["sdp"])
        viewer = Viewer(answer["session_id"], peer)
        tasks = [asyncio.create_task(viewer.watch()), asyncio.create_task(viewer.listen())]
        async with asyncio.timeout(CONNECT_S):
            await peer.connected.wait()
        async with asyncio.timeout(FIRST_S):
            await viewer.first.wait()
        yield viewer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if viewer is not None:
            with contextlib.suppress(Exception):
                await api.end(viewer.session_id)
        await peer.close()


TOPICS = (
    "Tell me about yourself.",
    "What can you do?",
    "How do I connect a real language model?",
    "What time is it?",
)


async def keep_talking(api: Api, session_id: str, until: float) -> int:
    """Asks the avatar something whenever it is silent, until the monotonic time `until`. Returns how often."""
    asked = 0
    while time.monotonic() < until:
        if (await api.session(session_id))["state"] in ("idle", "listening"):
            await api.say(session_id, TOPICS[asked % len(TOPICS)], "user")
            asked += 1
        await asyncio.sleep(0.5)
    return asked
