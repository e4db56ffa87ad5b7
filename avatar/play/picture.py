"""The sender of pictures to one client: in order, from a key frame on, never late under an old stamp."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any, Literal

from aiortc import rtp

from ..clock import VIDEO_RATE, MediaClock
from .rate import RateControl
from .sender import MediaSender
from .source import BIAS_TICKS, MAX_LATE_S, PictureSource, Shot

log = logging.getLogger(__name__)

HOLD_S = 0.03
"""A picture leaves this long after its slot. Browsers play sound some 20 to 40 ms behind their picture, because they
buffer sound for longer, and correct only what exceeds about 30 ms; holding the picture back centres the difference.
It also hides how long encoding took."""
SOUND_RESERVE = 50_000
"""bit/s kept for the sound, headers included."""
OUTBOX_PICTURES = 8
"""What a transport that hangs may hold up; beyond, it starts again from a key frame."""


class PictureSender(MediaSender):
    """Video of one connection."""

    rate = VIDEO_RATE

    def __init__(self, transport: Any, clock: MediaClock) -> None:
        super().__init__("video", transport, clock)
        self.control = RateControl()
        self.leads = True
        """The encoder's rate follows this client's network."""
        self._source: PictureSource | None = None
        self._outbox: deque[Shot] = deque()
        self._ready = asyncio.Event()
        self._needs_key = True
        self._last_pts = -1
        self.sent = self.restamped = self.held_up = self.pli = self.fir = 0

    # A taker of the source.

    def attach(self, source: PictureSource) -> None:
        """Sends what `source` encodes; until `detach`."""
        self._source = source
        source.join(self)

    async def detach(self) -> None:
        """Harmless twice."""
        if self._source is not None:
            await self._source.leave(self)

    @property
    def source(self) -> PictureSource | None:
        return self._source

    @property
    def taking(self) -> bool:
        return bool(self.running and self._enabled)

    @property
    def target(self) -> int:
        return self.control.target

    def take(self, shot: Shot) -> None:
        if self._needs_key and not shot.picture.key:
            self._want_key()
            return
        self._needs_key = False
        if len(self._outbox) >= OUTBOX_PICTURES:
            self.held_up += len(self._outbox)
            self._outbox.clear()
            self._needs_key = True
            self._want_key()
            return
        self._outbox.append(shot)
        self._ready.set()

    def _want_key(self) -> None:
        if self._source is not None:
            self._source.want_key()

    def set_bitrate(self, kbps: int | Literal["auto"]) -> None:
        self.control.set_limit(kbps)

    async def _run(self) -> None:
        self._want_key()
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._outbox:
                shot = self._outbox.popleft()
                await asyncio.sleep(self._clock.due(shot.slot) + HOLD_S - time.monotonic())
                await self._transmit(shot.picture.payloads, self._stamp(shot.pts))
                self.sent += 1

    def _stamp(self, pts: int) -> int:
        """The timestamp to send under. An encoded picture cannot be dropped, later ones refer to it; when encoding took
        so long that it leaves too late, it is dated as late as it really is, less what is allowed."""
        oldest = round((self._clock.media_s() - MAX_LATE_S) * VIDEO_RATE) + BIAS_TICKS
        if pts < oldest:
            pts = oldest
            self.restamped += 1
        self._last_pts = max(pts, self._last_pts + 1)
        return self._last_pts

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
            # Else it was sent before the last key frame arrived.
            if self._source is not None and now - self._source.last_key > (self.rtt or 0.0):
                self._want_key()
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
        encoding = self._source.stats() if self._source is not None else {}
        return {
            **super().stats(),
            **encoding,
            "frames_sent": self.sent,
            "frames_restamped": self.restamped,
            "held_up": self.held_up,
            "pli": self.pli,
            "fir": self.fir,
            "target_kbps": round(self.control.target / 1000, 1),
            "estimate_kbps": None if self.control.estimate is None else round(self.control.estimate / 1000, 1),
        }
