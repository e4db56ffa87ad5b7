"""A whole sender on a simulated link, in time that is simulated as well: every run gives the same, on any machine."""

from __future__ import annotations

import asyncio
import concurrent.futures
import heapq
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest
from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters, RTCRtpSendParameters

from avatar import clock
from avatar.play import congestion, feedback, lips, pacer, picture, repair, sender, sound, source
from avatar.play.headers import Headers
from avatar.play.ladder import RUNGS, Rung
from avatar.types import I420

from .links import Link

T = TypeVar("T")
REPORT_S = 0.05
"""How often receivers tell what arrived."""
PATIENCE_S = 1.0
"""A packet that has been missing for so long is given up."""
FAR_S = 5.0
"""What `Link` adds: the receiver's clock is another."""
VIDEO, AGAIN, SOUND = 96, 97, 111


class Time:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = time = monotonic


class Selector(selectors.SelectSelector):
    """Where a loop would wait, time moves on."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen"
            self._time.now += max(0.0, timeout)
        return ready


class Loop(asyncio.SelectorEventLoop):
    def __init__(self, time: Time) -> None:
        super().__init__(Selector(time))
        self._time = time

    def time(self) -> float:
        return self._time.now


class AtOnce(concurrent.futures.Executor):
    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        future.set_result(work(*args, **kwargs))
        return future


def run(work: Callable[[Time], Coroutine[Any, Any, T]], monkeypatch: pytest.MonkeyPatch) -> T:
    """Runs `work` in simulated time."""
    time = Time()
    for module in (clock, congestion, pacer, picture, repair, sender, sound, source):
        monkeypatch.setattr(module, "time", time, raising=False)
    monkeypatch.setattr(source, "workers", AtOnce)
    # When sender reports leave moves everything else by rounding errors, and those grow.
    monkeypatch.setattr(sender, "random", random.Random(1))
    with asyncio.Runner(loop_factory=lambda: Loop(time)) as runner:
        return runner.run(work(time))


@dataclass
class Far:
    """What a receiver saw. Times are media seconds."""

    pictures: list[tuple[float, float]] = field(default_factory=list)
    """Stamp and lag of each picture when it and all before it were complete."""
    sounds: list[tuple[float, float]] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)
    """When each picture was sent, and its bytes."""
    bytes: list[tuple[float, int]] = field(default_factory=list)
    """Arrivals."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """What pictures were told to wait."""

    def frozen(self, begin: float, end: float) -> float:
        """Seconds in gaps of more than 0.2 s between pictures."""
        times = [begin, *(at for stamp, lag in self.pictures if begin < (at := stamp + lag) < end), end]
        gaps = np.diff(times)
        return float(gaps[gaps > 0.2].sum())

    def rate(self, begin: float, end: float) -> float:
        """bit/s."""
        return sum(size for at, size in self.bytes if begin <= at < end) * 8 / (end - begin)


class Sender:
    """Picture and sound senders of one connection, with a receiver of a few lines at the other end of `link`."""

    def __init__(self, time: Time, link: Link, bitrate_kbps: int) -> None:
        self._time, self._link = time, link
        self._clock = clock.MediaClock()
        self.path = congestion.Congestion()
        self.far = Far()
        self._broadcast = source.Broadcast(self._clock)
        transport = SimpleNamespace(
            state="connected", _register_rtp_sender=lambda *_: None, _unregister_rtp_sender=lambda *_: None
        )
        transport.post = self._send
        self.picture = picture.PictureSender(transport, self._clock, self.path)
        self.sound = sound.SoundSender(transport, self._clock, self.path)
        self.picture.set_bitrate(bitrate_kbps)
        self.rung = RUNGS[0]
        self.picture.on_rung = self._step
        self._extensions = Headers()
        self._flying: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._came: dict[int, tuple[int, bool]] = {}
        self._missing: dict[int, float] = {}
        """When it was asked for last."""
        self._since: dict[int, float] = {}
        self._next = self._highest = self.picture._sequence
        self._reports = feedback.Arrivals()

    def _step(self, rung: Rung) -> None:
        self.rung = rung

    def _send(self, data: bytes) -> None:
        if 200 <= data[1] <= 207:
            return  # RTCP
        arrives = self._link.send(self._time.now, len(data) + congestion.OVERHEAD)
        self._count += 1
        if arrives is not None:
            heapq.heappush(self._flying, (arrives - FAR_S, self._count, data))

    @property
    def key_frames(self) -> int:
        return self._broadcast.pictures("vp9").key_frames

    async def _join(self, broadcast: source.Broadcast) -> asyncio.Task[None]:
        video, audio = _parameters(VIDEO, "video/VP9", 90_000), _parameters(SOUND, "audio/opus", 48_000)
        self._extensions.configure(video)
        self.path.set_rtt(2 * self._link.delay)
        self.picture.attach(broadcast.pictures("vp9"))
        broadcast.sound.join(self.sound)
        await self.picture.send(video)
        await self.sound.send(audio)
        return asyncio.create_task(self._receive())

    async def _leave(self, broadcast: source.Broadcast, far_end: asyncio.Task[None]) -> None:
        far_end.cancel()
        await self.picture.stop()
        await self.sound.stop()
        await self.picture.detach()
        broadcast.sound.leave(self.sound)
        self.path.pacer.close()

    async def show(self, pictures: Callable[[int], I420], seconds: float, watcher: Sender | None = None) -> Far:
        """Sends pictures by slot, and a hum; to `watcher`, who does not lead, as well."""
        far_end = await self._join(self._broadcast)
        if watcher is not None:
            watcher.picture.leads = watcher.sound.leads = False
            watcher.picture._clock = watcher.sound._clock = watcher._clock = self._clock
            watching = await watcher._join(self._broadcast)
        self._clock.start(self._time.now + 0.05)
        hum = (3000 * np.sin(np.arange(960) * 0.05)).astype(np.int16)
        for tick in range(round(seconds * 50)):
            await asyncio.sleep(self._clock.due(0) + tick / 50 - self._time.now)
            if tick % 2 == 0:
                self._broadcast.send_picture(tick // 2, self._limited(tick // 2, pictures))
                self.far.waits.append((tick / 50, self.path.lips.wait_s))
            self._broadcast.send_sound(tick, hum)
        await self._leave(self._broadcast, far_end)
        if watcher is not None:
            await watcher._leave(self._broadcast, watching)
        return self.far

    def _limited(self, slot: int, pictures: Callable[[int], I420]) -> I420 | None:
        """What a session shows of `pictures` when the network has its way."""
        rung = self.rung
        if rung.fps < 25 and slot * rung.fps // 25 == (slot - 1) * rung.fps // 25:
            return None
        picture = pictures(slot)
        side = picture.shape[1]
        small = 2 * round(side * rung.scale / 2)
        if small == side:
            return picture
        planes = picture[:side], *picture[side:].reshape(2, side // 2, side // 2)
        parts = [cv2.resize(plane, (small * len(plane) // side,) * 2, interpolation=cv2.INTER_AREA) for plane in planes]
        return np.concatenate([part.reshape(-1) for part in parts]).reshape(small * 3 // 2, small)

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        told = self._time.now
        while True:
            await asyncio.sleep(0.002)
            while self._flying and self._flying[0][0] <= self._time.now:
                moment, _, data = heapq.heappop(self._flying)
                self._take(data, moment)
            if self._time.now - told < REPORT_S:
                continue
            told = self._time.now
            if (report := self._reports.report(1, 2)) is not None:
                loop.call_later(self._link.delay, lambda r=report: self.path.take(feedback.parse(r), self._time.now))  # type: ignore[misc]
            self._give_up(told)
            for sequence, asked in list(self._missing.items()):
                if told - asked > 0.1:
                    self._missing[sequence] = told
                    loop.call_later(self._link.delay, self.picture._retransmit, sequence)

    def _give_up(self, now: float) -> None:
        """What has been missing for long is not asked for any more, but a key frame is."""
        if any(now - since > PATIENCE_S for since in self._since.values()):
            self._missing.clear()
            self._since.clear()
            asyncio.get_running_loop().call_later(self._link.delay, self.picture._want_key)
        key = self.picture._key_sequence
        if key is not None and 0 < (key - self._next) & 0xFFFF < 1 << 15 and not self._waits_before(key):
            self._next = key

    def _waits_before(self, key: int) -> bool:
        return any((key - sequence) & 0xFFFF < 1 << 15 for sequence in self._missing)

    def _take(self, data: bytes, moment: float) -> None:
        packet = rtp.RtpPacket.parse(data, self._extensions)
        self._reports.add(packet.extensions.transport_sequence_number, moment + FAR_S)
        now = self._clock.media_s(moment)
        self.far.bytes.append((now, len(data) + congestion.OVERHEAD))
        if packet.payload_type == SOUND:
            stamp = ((packet.timestamp - self.sound.rtp_origin) & 0xFFFFFFFF) / 48_000
            self.far.sounds.append((stamp, now - stamp))
            return
        again, now_s = packet.payload_type == AGAIN, self._time.now
        sequence = int.from_bytes(packet.payload[:2], "big") if again else packet.sequence_number
        while not again and (sequence - self._highest) & 0xFFFF < 1 << 15 and self._highest != sequence:
            self._highest = (self._highest + 1) & 0xFFFF
            self._missing[self._highest], self._since[self._highest] = 0.0, now_s
        self._missing.pop(sequence, None)
        self._since.pop(sequence, None)
        self._came[sequence] = packet.timestamp, bool(packet.marker)
        while (last := self._whole()) is not None:
            stamp = ((self._came[last][0] - self.picture.rtp_origin) & 0xFFFFFFFF) / 90_000
            self.far.pictures.append((stamp, now - stamp))
            self._next = (last + 1) & 0xFFFF

    def _whole(self) -> int | None:
        """The last packet of the next picture, if all of it is there."""
        sequence = self._next
        while sequence in self._came:
            if self._came[sequence][1]:
                return sequence
            sequence = (sequence + 1) & 0xFFFF
        return None


def _parameters(payload_type: int, mime: str, rate: int) -> RTCRtpSendParameters:
    parameters = RTCRtpSendParameters()
    parameters.codecs = [RTCRtpCodecParameters(mimeType=mime, clockRate=rate, payloadType=payload_type)]
    if mime.startswith("video/"):
        again = RTCRtpCodecParameters(
            mimeType="video/rtx", clockRate=rate, payloadType=AGAIN, parameters={"apt": payload_type}
        )
        parameters.codecs.append(again)
    parameters.headerExtensions = [
        RTCRtpHeaderExtensionParameters(id=5, uri=feedback.URI),
        RTCRtpHeaderExtensionParameters(id=6, uri=lips.URI),
    ]
    parameters.rtcp = SimpleNamespace(cname="far")
    parameters.muxId = "0"
    return parameters
