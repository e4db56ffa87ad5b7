"""A client's side of a WebRTC connection: what the command-line client and the tests receive with.

    peer = ClientPeer(codec="vp9", microphone=True)
    answer = ...  # post `await peer.offer()` to the server
    await peer.accept(answer)
    async for picture in peer.pictures():
        picture.i420, picture.seconds()

Pictures and sound carry their RTP timestamps, not zero-based ones, and know their place on the sender's clock, which
both streams share: `seconds()` of a picture and of a stretch of sound can be compared. Until the stream's first sender
report has come, usually within 100 ms, `seconds()` answers None; it can be asked again later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import av
import numpy as np
from aiortc import RTCSessionDescription

from ..clock import AUDIO_RATE, MediaClock
from ..errors import BadRequest
from ..types import I420, Pcm
from . import codecs, memory
from .assemble import Whole
from .connection import Connection, watch
from .gather import IceServer, Network
from .jitter import Piece
from .listener import SoundReceiver
from .reception import SenderTimeline
from .sound import SoundSender
from .source import BIAS_TICKS
from .texts import Texts
from .viewer import PictureReceiver

__all__ = ["BIAS_TICKS", "ClientPeer", "IceServer", "Network", "ReceivedPicture", "ReceivedSound"]

log = logging.getLogger(__name__)

MAX_WAITING = 500
"""Pictures or sounds that nobody has come for yet, 20 s of pictures; beyond, the oldest are dropped."""
NOT_DECODED: I420 = np.zeros((0, 0), np.uint8)
"""What pictures are for a peer that only counts them."""
_DECODERS = {"vp9": "vp9", "av1": "libdav1d", "vp8": "vp8", "h264": "h264"}


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedPicture:
    i420: I420
    data: bytes = field(repr=False)
    """The encoded frame as it came, for recording without encoding again."""
    key: bool
    codec: str
    rtp: int
    """RTP timestamp at 90 kHz, unwrapped."""
    arrived: float
    """When its last packet came, monotonic seconds."""
    timeline: SenderTimeline = field(repr=False)

    def seconds(self) -> float | None:
        """When it was due, Unix seconds by the sender's clock; None before the first sender report."""
        return self.timeline.seconds(self.rtp)


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedSound:
    pcm: Pcm
    """48 kHz mono."""
    data: bytes = field(repr=False)
    """The Opus packet as it came; empty where sound was lost and `pcm` is a guess."""
    rtp: int
    """RTP timestamp of its first sample at 48 kHz, unwrapped."""
    arrived: float
    """Monotonic seconds."""
    timeline: SenderTimeline = field(repr=False)

    def seconds(self) -> float | None:
        """When its first sample was due, Unix seconds by the sender's clock; None before the first sender report.
        Decoded Opus lags by 6.5 ms; senders of ours date their pictures accordingly."""
        return self.timeline.seconds(self.rtp)


T = TypeVar("T")


class _Inbox(Generic[T]):
    """What has been received and not been read yet."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self.dropped = 0

    def put(self, item: T) -> None:
        self._items.append(item)
        if len(self._items) > MAX_WAITING:
            self._items.popleft()
            self.dropped += 1
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()

    async def items(self) -> AsyncIterator[T]:
        while True:
            while self._items:
                yield self._items.popleft()
            if self._ended:
                return
            self._ready.clear()
            await self._ready.wait()


class _PictureDecoder:
    """Decodes frames in their order, in a thread of its own."""

    def __init__(self, receiver: PictureReceiver, inbox: _Inbox[ReceivedPicture], *, decode: bool) -> None:
        self._receiver = receiver
        self._inbox = inbox
        self._wanted = decode
        self._frames: asyncio.Queue[Whole | None] = asyncio.Queue()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="video-decode")
        self._codec: tuple[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self.failures = 0
        receiver.on_frame = self._frames.put_nowait
        receiver.on_end = lambda: self._frames.put_nowait(None)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="video decoder")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (frame := await self._frames.get()) is not None:
                codec = self._receiver.codec
                picture = (
                    await loop.run_in_executor(self._pool, self._decode, codec, frame.data)
                    if self._wanted
                    else NOT_DECODED
                )
                if picture is None:
                    self.failures += 1
                    self._receiver.want_key()
                    continue
                self._inbox.put(
                    ReceivedPicture(
                        picture, frame.data, frame.key, codec, frame.timestamp, frame.arrival, self._receiver.timeline
                    )
                )
        finally:
            self._inbox.end()
            self._codec = None
            self._pool.shutdown(wait=False)

    def _decode(self, name: str, data: bytes) -> I420 | None:
        if self._codec is None or self._codec[0] != name:
            context = av.CodecContext.create(_DECODERS[name], "r")
            context.thread_count = 1
            self._codec = (name, context)
        try:
            frames = self._codec[1].decode(av.Packet(data))
        except av.FFmpegError as error:
            log.debug("A frame could not be decoded: %s", error)
            return None
        return frames[-1].to_ndarray(format="yuv420p") if frames else None

    async def close(self) -> None:
        self._frames.put_nowait(None)
        if self._task is not None:
            await asyncio.wait([self._task])
        self._pool.shutdown(wait=False)


class ClientPeer:
    """Offers audio and video to receive, a microphone to send if wanted, and a data channel."""

    def __init__(
        self,
        *,
        codec: str = "vp9",
        video: bool = True,
        audio: bool = True,
        microphone: bool = False,
        data: bool = True,
        decode: bool = True,
        ice_servers: Sequence[IceServer] = (),
        network: Network | None = None,
        video_first: bool = False,
    ) -> None:
        """`codec` is offered first, the others that can be decoded after it; `video_first` puts the video's m-line
        before the audio's. Without `decode` pictures come as they were sent, their `i420` empty: for load tests on the
        server's own machine."""
        self.clock = MediaClock()
        """Of the microphone: starts with its first packet."""
        self._connection = Connection(self.clock, ice_servers, network or Network(), patient=True)
        self._connection.on("connectionstatechange", self._changed)
        self._texts = Texts()
        self._sounds: _Inbox[ReceivedSound] = _Inbox()
        self._pictures: _Inbox[ReceivedPicture] = _Inbox()
        self._sound: SoundReceiver | None = None
        self._mouth: SoundSender | None = None
        self._picture: PictureReceiver | None = None
        self._decoder: _PictureDecoder | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        for kind in ("video", "audio") if video_first else ("audio", "video"):
            if kind == "audio" and (audio or microphone):
                self._add_audio(audio, microphone)
            if kind == "video" and video:
                self._add_video(codec, decode)
        if data:
            self._texts.attach(self._connection.createDataChannel("chat"))
        self.times: dict[str, float] = {"made": time.monotonic()}
        """Monotonic seconds: made, offered, answered, ice, dtls; and first_sound, first_picture when decoded."""
        self.left = False
        """The server has closed the connection itself."""
        self.connected = asyncio.Event()
        self.closed = asyncio.Event()

    def _add_audio(self, receive: bool, send: bool) -> None:
        direction = "sendrecv" if receive and send else "recvonly" if receive else "sendonly"
        line = self._connection.addTransceiver("audio", direction)
        line._preferred_codecs = codecs.opus() + (codecs.redundant_opus() if send else [])
        self._sound = line.receiver
        self._sound.on_sound = self._take_sound
        self._sound.on_end = self._sounds.end
        self._mouth = line.sender if send else None
        line.sender.redundant = True

    def _add_video(self, codec: str, decode: bool) -> None:
        line = self._connection.addTransceiver("video", "recvonly")
        line._preferred_codecs = codecs.preferred(codec)
        self._picture = line.receiver
        self._decoder = _PictureDecoder(line.receiver, self._pictures, decode=decode)

    async def offer(self) -> str:
        """An SDP offer with all candidates."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        self.times["offered"] = time.monotonic()
        return str(self._connection.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """The server's answer. Raises `BadRequest` when it cannot be used."""
        self.times["answered"] = time.monotonic()
        ice = self._connection.ice
        if ice is not None:
            ice.on("statechange", lambda: self._mark("ice", ice.state == "completed"))
        if self._decoder is not None:
            self._decoder.start()
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except Exception as error:  # aiortc raises what it likes for answers that it cannot use
            raise BadRequest(f"The answer cannot be used: {error or type(error).__name__}.", code="bad_sdp") from None

    def _mark(self, name: str, reached: bool = True) -> None:
        if reached:
            self.times.setdefault(name, time.monotonic())

    def _changed(self) -> None:
        match self._connection.connectionState:
            case "connected" if self._watch is None:
                self._mark("dtls")
                self._watch = asyncio.create_task(watch(self._connection, self._end), name="peer watch")
                asyncio.get_running_loop().call_soon(self.connected.set)
            case "failed" | "closed" as state:
                self.left = self.left or (state == "closed" and not self.closed.is_set())
                self._end()

    def _end(self) -> None:
        self._texts.end()
        self._sounds.end()
        self._pictures.end()
        self.closed.set()

    def _take_sound(self, pcm: Pcm, piece: Piece) -> None:
        assert self._sound is not None
        self._mark("first_sound")
        data = piece.data if piece.kind == "packet" else b""
        arrived = piece.arrival or time.monotonic()
        self._sounds.put(ReceivedSound(pcm, data, piece.timestamp, arrived, self._sound.timeline))

    def sounds(self) -> AsyncIterator[ReceivedSound]:
        """What the server says, in order and without holes; ends with the connection. For one reader."""
        return self._sounds.items()

    async def pictures(self) -> AsyncIterator[ReceivedPicture]:
        """What the server shows; ends with the connection. For one reader."""
        async for picture in self._pictures.items():
            self._mark("first_picture")
            yield picture

    def send_microphone(self, tick: int, pcm: Pcm) -> None:
        """960 samples of 48 kHz sound, `tick` counting from 0 in steps of 20 ms; to be called when they are due."""
        if self._mouth is None:
            return
        if not self.clock.running:
            self.clock.start(time.monotonic() - tick * len(pcm) / AUDIO_RATE)
        self._mouth.push(tick, np.ascontiguousarray(pcm))

    def send_text(self, text: str) -> None:
        """A text frame, kept until the data channel is open."""
        self._texts.send(text)

    def texts(self) -> AsyncIterator[str]:
        """Text frames of the server; ends with the connection. For one reader."""
        return self._texts.received_texts()

    def stats(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "connection": self._connection.connectionState,
            "times": dict(self.times),
            "video": self._picture.stats()
            | {"dropped": self._pictures.dropped, "decode_failures": self._decoder.failures}
            if self._picture and self._decoder
            else None,
            "audio": self._sound.stats() | {"dropped": self._sounds.dropped} if self._sound else None,
            "microphone": self._mouth.stats() if self._mouth else None,
        }

    async def close(self) -> None:
        """Ends the connection; harmless twice."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._shut(), name="client close")
        await asyncio.shield(self._closing)

    async def _shut(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        self._end()
        await self._connection.close()
        if self._decoder is not None:
            await self._decoder.close()
        memory.released()
