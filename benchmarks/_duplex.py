"""A person on the line: a real WebRTC peer that hears, sees, and speaks over the avatar whenever it likes.

Everything it notes carries the monotonic time at which it was sent or came, so that what the avatar does can be dated
against the first audible sample of what was said to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from avatar.play.receive import ClientPeer, ReceivedPicture
from client.api import Api

from ._server import ROOT

RATE = 48_000
TICK = 960
CLIPS = ROOT / "tests" / "hear" / "speech"
AUDIBLE = 300
"""16-bit samples: −40 dBFS."""
ROOM_NOISE = 12.0
"""Root mean square of the microphone's own noise: −68 dBFS."""

Pcm = np.ndarray[Any, np.dtype[np.int16]]


def sound(path: Path) -> Pcm:
    """A file as 48 kHz mono."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        blocks = [b.to_ndarray()[0] for f in container.decode(audio=0) for b in resampler.resample(f)]
    return np.concatenate([*blocks, *(b.to_ndarray()[0] for b in resampler.resample(None))])


def clip(name: str) -> Pcm:
    return sound(CLIPS / f"{name}.flac")


def spoken(voice: str, *words: str) -> Pcm:
    """Flite says it: text, or `-p` and phonemes."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "said.wav"
        subprocess.run(["flite", "-voice", voice, *words, "-o", str(file)], check=True, capture_output=True)
        return sound(file)


class Person:
    """One session and everything that was heard and seen in it."""

    def __init__(self, api: Api, session_id: str, peer: ClientPeer) -> None:
        self.api, self.session_id, self.peer = api, session_id, peer
        self.heard: deque[tuple[float, Pcm]] = deque(maxlen=6000)
        """Arrival and sound of each packet."""
        self.sounded = 0
        """Samples in all of them, forgotten ones too."""
        self.seen: deque[ReceivedPicture] = deque(maxlen=100)
        self.told: list[tuple[float, dict[str, Any]]] = []
        """Arrival and content of our own messages."""
        self._to_say: deque[Pcm] = deque()
        self._said: asyncio.Future[float] | None = None
        self._silent = asyncio.Event()
        """Nothing waits to be said."""
        self._news = asyncio.Event()
        """Something came."""
        self.echo: Callable[[int], np.ndarray[Any, Any] | None] = lambda tick: None
        """What the microphone hears of the avatar in a tick."""
        self._random = np.random.default_rng(5)

    def ours(self, t: str, since: float = 0.0) -> list[dict[str, Any]]:
        return [data for at, data in self.told if data["t"] == t and at >= since]

    async def say(self, pcm: Pcm) -> float:
        """Says it from the next tick on; returns when its first audible sample was captured."""
        whole = np.pad(pcm, (0, -len(pcm) % TICK))
        first = int(np.flatnonzero(np.abs(whole.astype(np.int32)) > AUDIBLE)[0])
        self._said = asyncio.get_running_loop().create_future()
        self._silent.clear()
        self._to_say.extend(whole.reshape(-1, TICK))
        return await self._said + first / RATE

    async def finished(self) -> None:
        """Returns when everything has been said."""
        await self._silent.wait()

    async def until(self, condition: Callable[[], Any], patience_s: float = 20.0) -> Any:
        async with asyncio.timeout(patience_s):
            while not (value := condition()):
                self._news.clear()
                await self._news.wait()
            return value

    def last_audible(self, begin: float, end: float) -> float | None:
        """When the last packet with sound came between two moments; the end of its sound."""
        loud = [at for at, pcm in self.heard if begin <= at < end and np.abs(pcm.astype(np.int32)).max() > AUDIBLE]
        return loud[-1] + TICK / RATE if loud else None

    def received(self, begin: float, end: float) -> Pcm:
        """The sound that came between two moments."""
        parts = [pcm for at, pcm in self.heard if begin <= at < end]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    async def run(self) -> None:
        await asyncio.gather(self._speak(), self._listen(), self._watch(), self._read())

    async def _speak(self) -> None:
        began, tick = time.monotonic(), 0
        while True:
            captured = began + tick * TICK / RATE
            await asyncio.sleep(max(0.0, captured + TICK / RATE - time.monotonic()))
            pcm = self._random.standard_normal(TICK) * ROOM_NOISE
            if self._to_say:
                pcm += self._to_say.popleft()
                if self._said is not None and not self._said.done():
                    self._said.set_result(captured)
            else:
                self._silent.set()
            if (echo := self.echo(tick)) is not None:
                pcm += echo
            self.peer.send_microphone(tick, np.clip(pcm, -32768, 32767).astype(np.int16))
            tick += 1

    async def _listen(self) -> None:
        async for packet in self.peer.sounds():
            self.heard.append((packet.arrived, packet.pcm))
            self.sounded += len(packet.pcm)
            self._news.set()

    async def _watch(self) -> None:
        async for picture in self.peer.pictures():
            self.seen.append(picture)

    async def _read(self) -> None:
        async for text in self.peer.texts():
            with contextlib.suppress(ValueError):
                frame = json.loads(text)
                if frame.get("type") == "server-message":
                    self.told.append((time.monotonic(), frame["data"]))


@asynccontextmanager
async def calling(url: str, *, pictures: bool = False, **session: Any) -> AsyncIterator[Person]:
    """A connected person; the session ends with it."""
    async with Api(url, None) as api:
        peer = ClientPeer(decode=pictures, microphone=True)
        answer = await api.offer(await peer.offer(), session)
        await peer.accept(answer["sdp"])
        person = Person(api, answer["session_id"], peer)
        task = asyncio.create_task(person.run())
        try:
            async with asyncio.timeout(20):
                await peer.connected.wait()
            await asyncio.sleep(1.0)
            yield person
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with contextlib.suppress(Exception):
                await api.end(answer["session_id"])
            await peer.close()
