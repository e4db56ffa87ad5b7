"""The connection of a run: what arrives is put on the sender's line of time and handed to `Media`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from avatar.errors import BadRequest
from avatar.play.receive import ClientPeer, IceServer, ReceivedPicture, ReceivedSound

from .api import Api
from .exits import Refused
from .media import Media
from .microphone import Microphone
from .quality import Reading
from .report import Facts

PATIENCE_S = 3.0
"""How long the first sender reports are waited for: the server sends four of them in its first second."""
MARKS = {
    "offer": "answered",
    "ice": "ice",
    "dtls": "dtls",
    "first_audio": "first_sound",
    "first_frame": "first_picture",
}
"""The report's names for the moments of connecting, and `ClientPeer`'s."""


class Lineup:
    """Holds pictures and sound back until both streams can be placed on the sender's clock; the first sound would
    otherwise be recorded before it is known where it belongs."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._held: deque[ReceivedPicture | ReceivedSound] = deque()
        self._open = False

    def take(self, item: ReceivedPicture | ReceivedSound) -> None:
        if self._open:
            self._hand_on(item)
            return
        self._held.append(item)
        placed = {type(held) for held in self._held if held.seconds() is not None}
        late = item.arrived - self._held[0].arrived > PATIENCE_S
        if placed == {ReceivedPicture, ReceivedSound} or (placed and late):
            self.release()

    def release(self) -> None:
        """Waits no longer."""
        self._open = True
        while self._held:
            self._hand_on(self._held.popleft())

    def _hand_on(self, item: ReceivedPicture | ReceivedSound) -> None:
        at = item.seconds()
        if at is None:
            return  # a new stream whose first report has not come: nobody can tell where it belongs
        if isinstance(item, ReceivedPicture):
            self._media.picture(item.i420, at, item.arrived)
        else:
            self._media.voice(item.pcm, at, item.arrived, missing=not item.data)


class Peer:
    """One WebRTC connection and the tasks that empty it."""

    def __init__(
        self, media: Media, microphone: Microphone | None, codec: str, ice_servers: Sequence[IceServer] = ()
    ) -> None:
        self._peer = ClientPeer(codec=codec, microphone=microphone is not None, ice_servers=ice_servers)
        self._microphone = microphone
        self._lineup = Lineup(media)
        self._tasks: list[asyncio.Task[None]] = []
        self._codec = ""
        self.connected, self.closed = self._peer.connected, self._peer.closed
        self.session_id: str | None = None

    async def connect(self, api: Api, tunables: dict[str, Any], resume: str | None = None) -> dict[str, Any]:
        """Offers, and takes the server's answer, which is returned; `resume` is the session that is to go on. The media
        flow once `connected` is set."""
        answer = await api.offer(await self._peer.offer(), tunables, resume)
        self.session_id = answer["session_id"]
        try:
            await self._peer.accept(answer["sdp"])
        except BadRequest as error:
            raise Refused(error.message) from None
        self._tasks = [asyncio.create_task(work) for work in (self._see(), self._hear(), self._speak())]
        return answer

    @property
    def left(self) -> bool:
        """The server has closed the connection itself: the session is over."""
        return self._peer.left

    def send_text(self, text: str) -> None:
        self._peer.send_text(text)

    async def texts(self) -> AsyncIterator[tuple[str, float]]:
        """Text frames of the server and when they came, monotonic seconds."""
        async for text in self._peer.texts():
            yield text, time.monotonic()

    async def _see(self) -> None:
        async for picture in self._peer.pictures():
            self._lineup.take(picture)

    async def _hear(self) -> None:
        async for sound in self._peer.sounds():
            self._lineup.take(sound)

    async def _speak(self) -> None:
        await self.connected.wait()
        if self._microphone is not None:
            await self._microphone.run(self._peer.send_microphone)

    async def stop(self) -> None:
        """Takes nothing more; what was held back goes where it can."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lineup.release()

    async def close(self) -> None:
        await self._peer.close()

    def reading(self) -> Reading:
        """What has come so far."""
        stats = self._peer.stats()
        return Reading(time.monotonic(), stats["video"], stats["audio"])

    def facts(self) -> Facts:
        """What the report says of the connection."""
        stats = self._peer.stats()
        video, audio, times = stats["video"], stats["audio"], stats["times"]
        return Facts(
            session_id=self.session_id or "",
            codec=video["codec"],
            connect_s={mark: times[name] - times["made"] for mark, name in MARKS.items() if name in times},
            video_bytes=video["bytes_received"],
            audio_bytes=audio["bytes_received"],
            nack=video["nack"],
            pli=video["pli"],
        )
