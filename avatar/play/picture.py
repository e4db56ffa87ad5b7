"""The sender of pictures: newest first, encoded off the loop, never late under an old stamp."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from aiortc import rtp

from ..clock import AUDIO_RATE, VIDEO_RATE, VIDEO_TICKS, MediaClock
from ..threads import full_pool
from ..types import I420
from .opus import LOOKAHEAD_SAMPLES
from .rate import RateControl
from .sender import MediaSender
from .video import ENCODERS, Encoded, VideoEncoder

log = logging.getLogger(__name__)

BIAS_TICKS = round(LOOKAHEAD_SAMPLES * VIDEO_RATE / AUDIO_RATE)
"""Added to every video timestamp: decoded Opus sounds 6.5 ms after its timestamp, so the picture is dated likewise and
a recording made by timestamps is exact."""
HOLD_S = 0.03
"""A picture leaves this long after its slot. Browsers play sound some 20 to 40 ms behind their picture, because they
buffer sound for longer, and correct only what exceeds about 30 ms; holding the picture back centres the difference.
It also hides how long encoding took."""
MAX_LATE_S = 0.06
"""A picture that has waited longer for its turn is dropped: shown now, it would show lips of the past."""
KEY_PAUSE_S = 0.5
"""At most one key frame in this time: a burst of wishes on a bad network must not fill it with key frames."""
SOUND_RESERVE = 50_000
"""bit/s kept for the sound, headers included."""
RATE_STEP = 0.03
"""Smaller changes of the rate are not worth a call."""


@functools.cache
def workers() -> ThreadPoolExecutor:
    """The threads that encode pictures, shared by all sessions. Not the loop's own pool, which resolves names and reads
    files and may be busy with either."""
    return full_pool(max(2, os.cpu_count() or 1), "video-encode")


EXPECTED_SIZE = (512, 512)
"""The size of a portrait at the default scale, for which an encoder is opened before the first picture comes."""


class PictureSender(MediaSender):
    """Video of one connection."""

    rate = VIDEO_RATE

    def __init__(
        self,
        transport: Any,
        clock: MediaClock,
        open_encoder: Callable[[int], VideoEncoder] = ENCODERS["vp9"],
        *,
        bitrate_kbps: int | Literal["auto"] = "auto",
    ) -> None:
        super().__init__("video", transport, clock)
        self.open_encoder = open_encoder
        self.control = RateControl(bitrate_kbps)
        self._encoder: VideoEncoder | None = None
        self._encoder_rate = 0
        self._encoding = asyncio.Lock()
        """Encoders keep state from picture to picture: one at a time."""
        self._encoding = asyncio.Lock()
        """An encoder takes one picture at a time: the first real one waits for `prepare`."""
        self._waiting: tuple[int, I420] | None = None
        self._wake = asyncio.Event()
        self._latest: I420 | None = None
        self._key_wanted = True
        self._last_key = float("-inf")
        self._last_pts = -1
        self.size: tuple[int, int] | None = None
        self.offered = self.encoded = self.sent = self.key_frames = 0
        self.dropped_waiting = self.dropped_late = self.dropped_encoder = self.restamped = self.failures = 0
        self.pli = self.fir = 0
        self._encode_s = 0.0

    def push(self, slot: int, i420: I420 | None) -> None:
        """The picture of a slot that is due now; None repeats the one before and sends nothing, unless the receiver
        has asked for a key frame."""
        if i420 is not None:
            self._latest = i420
        elif self._key_due(time.monotonic()):
            i420 = self._latest
        if i420 is None:
            return
        self.offered += 1
        if self._waiting is not None:
            self.dropped_waiting += 1
        self._waiting = (slot, i420)
        self._wake.set()

    async def prepare(self, size: tuple[int, int] = EXPECTED_SIZE) -> None:
        """Opens the encoder and has it encode one grey picture that is not sent: the first real one then takes a
        fraction of the time. Call before the connection is up."""
        width, height = size
        grey = np.full((height * 3 // 2, width), 128, np.uint8)
        if self._encoder is None:
            try:
                await self._work(grey, 0, True)
            except Exception as error:  # as in `_run`
                self._failed(error)
            self._encode_s = 0.0

    async def _work(self, i420: I420, pts: int, key: bool) -> Encoded | None:
        """Encodes in a worker thread and waits for it even when cancelled: the encoder must not be freed under it."""
        async with self._encoding:
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(workers(), self._encode, i420, pts, key, self.control.target)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])
                raise

    def set_bitrate(self, kbps: int | Literal["auto"]) -> None:
        self.control.set_limit(kbps)

    def _key_due(self, now: float) -> bool:
        return self._key_wanted and now - self._last_key >= KEY_PAUSE_S

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._waiting is None or not self._clock.running or not self._enabled:
                    continue
                (slot, i420), self._waiting = self._waiting, None
                due = self._clock.due(slot)
                now = time.monotonic()
                if now - due > MAX_LATE_S:
                    self.dropped_late += 1
                    continue
                pts = VIDEO_TICKS * slot + BIAS_TICKS
                try:
                    picture = await self._work(i420, pts, self._key_due(now))
                except Exception as error:  # whatever a codec library throws: the next picture starts afresh
                    self._failed(error)
                    continue
                if picture is None:
                    self.dropped_encoder += 1
                    continue
                self.encoded += 1
                if picture.key:
                    self.key_frames += 1
                    self._key_wanted = False
                    self._last_key = time.monotonic()
                self.size = (picture.width, picture.height)
                await asyncio.sleep(due + HOLD_S - time.monotonic())
                await self._transmit(picture.payloads, self._stamp(pts))
                self.sent += 1
        finally:
            self.release()

    def release(self) -> None:
        """Frees the encoder; harmless twice. Not while it works."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def _encode(self, i420: I420, pts: int, key: bool, target: int) -> Encoded | None:
        """In a worker thread."""
        began = time.perf_counter()
        if self._encoder is None:
            self._encoder = self.open_encoder(target)
            self._encoder_rate = target
        elif abs(target - self._encoder_rate) > RATE_STEP * self._encoder_rate:
            self._encoder.set_bitrate(target)
            self._encoder_rate = target
        picture = self._encoder.encode(i420, pts, key=key)
        self._encode_s += time.perf_counter() - began
        return picture

    def _stamp(self, pts: int) -> int:
        """The timestamp to send under. An encoded picture cannot be dropped, later ones refer to it; when encoding took
        so long that it leaves too late, it is dated as late as it really is, less what is allowed."""
        oldest = round((self._clock.media_s() - MAX_LATE_S) * VIDEO_RATE) + BIAS_TICKS
        if pts < oldest:
            pts = oldest
            self.restamped += 1
        self._last_pts = max(pts, self._last_pts + 1)
        return self._last_pts

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures in (1, 10, 100) or self.failures % 1000 == 0:
            log.warning("A picture could not be encoded (failure %d): %s", self.failures, error)
        self.release()
        self._key_wanted = True

    def _take_report(self, report: Any) -> None:
        super()._take_report(report)
        self.control.on_loss(self.loss, now=time.monotonic())

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        await super()._handle_rtcp_packet(packet)
        if not isinstance(packet, rtp.RtcpPsfbPacket):
            return
        now = time.monotonic()
        if packet.fmt in (rtp.RTCP_PSFB_PLI, rtp.RTCP_PSFB_FIR):
            if packet.fmt == rtp.RTCP_PSFB_PLI:
                self.pli += 1
            else:
                self.fir += 1
            if now - self._last_key > (self.rtt or 0.0):  # else it was sent before the last key frame arrived
                self._key_wanted = True
        elif packet.fmt == rtp.RTCP_PSFB_APP:
            try:
                estimate, ssrcs = rtp.unpack_remb_fci(packet.fci)
            except (ValueError, IndexError):
                return
            if self._ssrc in ssrcs:
                self.control.on_estimate(
                    estimate, sent=self.meter.bits(now) + SOUND_RESERVE, reserved=SOUND_RESERVE, now=now
                )

    def stats(self) -> dict[str, Any]:
        return super().stats() | {
            "width": self.size[0] if self.size else None,
            "height": self.size[1] if self.size else None,
            "frames_offered": self.offered,
            "frames_encoded": self.encoded,
            "frames_sent": self.sent,
            "frames_dropped": self.dropped_waiting + self.dropped_late + self.dropped_encoder,
            "dropped_waiting": self.dropped_waiting,
            "dropped_late": self.dropped_late,
            "dropped_by_encoder": self.dropped_encoder,
            "frames_restamped": self.restamped,
            "encode_failures": self.failures,
            "key_frames": self.key_frames,
            "pli": self.pli,
            "fir": self.fir,
            "target_kbps": round(self.control.target / 1000, 1),
            "estimate_kbps": None if self.control.estimate is None else round(self.control.estimate / 1000, 1),
            "encode_ms": round(self._encode_s * 1000 / self.encoded, 2) if self.encoded else None,
        }
