"""A server's peer and a client's, really connected over UDP on this machine's own address, and something to show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from avatar.clock import VIDEO_TICKS, MediaClock
from avatar.play.peer import Peer
from avatar.play.receive import BIAS_TICKS, ClientPeer, ReceivedPicture, ReceivedSound
from avatar.types import I420, AudioChunk, Pcm

SILENCE: Pcm = np.zeros(960, np.int16)
TONE: Pcm = (8000 * np.sin(np.arange(960) * 2 * np.pi * 20 / 960)).astype(np.int16)
"""1 kHz, whole periods."""


def picture(slot: int, width: int = 128, height: int = 128) -> I420:
    """A moving texture in grey."""
    i420 = np.full((height * 3 // 2, width), 128, np.uint8)
    i420[:height] = (np.add.outer(np.arange(height), np.arange(width)) + 3 * slot) % 200 + 20
    return i420


def flat(luma: int, width: int = 128, height: int = 128) -> I420:
    i420 = np.full((height * 3 // 2, width), 128, np.uint8)
    i420[:height] = luma
    return i420


class Pair:
    """Both ends, and what each has received so far."""

    def __init__(self, peer: Peer, client: ClientPeer, clock: MediaClock) -> None:
        self.peer, self.client, self.clock = peer, client, clock
        self.pictures: list[ReceivedPicture] = []
        self.sounds: list[ReceivedSound] = []
        self.chunks: list[AudioChunk] = []
        self.to_client: list[str] = []
        self.to_peer: list[str] = []
        self.tick = 0
        self._news = asyncio.Event()
        self.readers = [
            asyncio.create_task(self._read(client.pictures(), self.pictures)),
            asyncio.create_task(self._read(client.sounds(), self.sounds)),
            asyncio.create_task(self._read(client.texts(), self.to_client)),
            asyncio.create_task(self._read(peer.microphone(), self.chunks)),
            asyncio.create_task(self._read(peer.texts(), self.to_peer)),
        ]

    async def _read(self, source: AsyncIterator[Any], sink: list[Any]) -> None:
        async for item in source:
            sink.append(item)
            self._news.set()

    def slot(self, received: ReceivedPicture) -> float:
        """The slot that a picture is dated with; whole unless it left too late."""
        sender: Any = self.peer._picture
        return float((received.rtp - sender._origin - BIAS_TICKS) % 2**32 / VIDEO_TICKS)

    async def until(self, reached: Callable[[], bool], timeout: float = 30) -> None:
        """Waits for something to be received or counted."""
        async with asyncio.timeout(timeout):
            while not reached():
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), 0.05)
                except TimeoutError:
                    continue

    async def show(
        self,
        seconds: float = 60,
        *,
        image: Callable[[int], I420 | None] = picture,
        sound: Callable[[int], Pcm] = lambda tick: SILENCE,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Sends slots and ticks when they are due, as playout does."""
        if not self.clock.running:
            self.clock.start()
        assert self.clock.epoch is not None
        end = self.tick + int(seconds * 50)
        while self.tick < end and not until():
            await asyncio.sleep(self.clock.epoch + self.tick * 0.02 - time.monotonic())
            if self.tick % 2 == 0:
                self.peer.send_picture(self.tick // 2, image(self.tick // 2))
            self.peer.send_sound(self.tick, sound(self.tick))
            self.tick += 1


async def show_until(peer: Peer, clock: MediaClock, end: asyncio.Event, sound: Pcm = SILENCE) -> None:
    """Pictures and sound when they are due, until `end`."""
    clock.start()
    assert clock.epoch is not None
    tick = 0
    while not end.is_set():
        if tick % 2 == 0:
            peer.send_picture(tick // 2, picture(tick // 2))
        peer.send_sound(tick, sound)
        tick += 1
        await asyncio.sleep(clock.epoch + tick * 0.02 - time.monotonic())


@asynccontextmanager
async def connected(
    client: ClientPeer | None = None, *, offer: Callable[[str], str] = lambda sdp: sdp, **server: Any
) -> AsyncIterator[Pair]:
    clock = MediaClock()
    peer = Peer(clock, **server)
    client = client or ClientPeer()
    try:
        await client.accept(await peer.answer(offer(await client.offer())))
        await asyncio.wait_for(asyncio.gather(peer.connected.wait(), client.connected.wait()), 20)
        pair = Pair(peer, client, clock)
        yield pair
    finally:
        await client.close()
        await peer.close()
    await asyncio.wait_for(asyncio.gather(*pair.readers), 10)


def drop_rtp(pair: Pair, lose: Callable[[int, bytes], bool]) -> list[bytes]:
    """Loses the video packets of the server for which `lose(n, packet)` is true, n counting them; first sendings only.
    Returns what was lost."""
    sender: Any = pair.peer._picture
    real = sender._send_packet
    lost: list[bytes] = []
    count = 0

    def send(packet: Any) -> None:
        nonlocal count
        if packet.ssrc == sender._ssrc:
            count += 1
            if lose(count - 1, packet.payload):
                lost.append(packet.payload)
                return
        real(packet)

    sender._send_packet = send
    return lost
