"""The sender of pictures to one client: in order, from a key frame on, never late under an old stamp."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpSendParameters

from ..clock import VIDEO_RATE, MediaClock
from .congestion import Congestion
from .ladder import Ladder, Rung
from .opus import BITRATE
from .rate import RateControl
from .repair import REPAIR_S, RepairingSender
from .sender import MAX_REPEATS
from .sound import opus_rate, reserve
from .source import BIAS_TICKS, HOLD_S, MAX_LATE_S, PictureSource
from .takers import Shot

log = logging.getLogger(__name__)

SOUND_RESERVE = reserve(BITRATE)
"""bit/s kept for the sound, headers included, on a path that is not thin."""
HEADERS = 1.07
"""What goes over the link for each bit of video."""
COPIED = 2.3
"""The rate that is of use at most, over the video's ceiling: all packets twice, and the estimate's own swing."""
LOSSY = (0.006, 0.012)
"""Share of lost packets below which copies end and above which they begin."""
COPY_ALL = 0.03
"""From so much loss on everything is sent twice, below it a share of that. A picture of four packets that lacks one
comes a round trip after its sound; at 2 % of loss every twelfth would."""
COPY_AGAIN, COPIES_AGAIN = (0.06, 0.09), 0.5
"""Between these losses a third copy comes in, of so many packets in the end: at 10 % of loss one picture in twenty
loses both of a packet's."""
OVERLOAD = 0.1
"""Share of packets lost to a full queue at which sound itself is in danger."""
MAX_HELD_S = 0.5
"""Of packets that wait for the pacer, for a client whose network does not set the rate: beyond, it starts again from a
key frame."""
MAX_QUEUE_S = 0.1
"""Of packets that wait for the pacer: beyond, the next picture is left out, before it is encoded."""
SHORT_QUEUE_S = 0.06
"""A queue that repairs need not wait for."""
LONG_QUEUE_S = 0.12
"""With more than this waiting on the path only a few pictures are sent until it is shorter."""
LONG_QUEUE_PAUSE_S = 0.15
LONG_QUEUE_RATE = 300_000
"""bit/s. On a thinner path each of them takes longer, and is waited for by the sound behind it."""
DRAIN = 0.5
"""Of the estimate, until then."""
DARK_S = 0.5
"""Without a report for so long nothing gets through."""
DARK_PAUSE_S = 0.25
"""Between pictures that are sent into the dark all the same."""
OUTBOX_PICTURES = 8
"""What a transport that hangs may hold up; beyond, it starts again from a key frame."""


class PictureSender(RepairingSender):
    """Video of one connection."""

    def __init__(self, transport: Any, clock: MediaClock, path: Congestion) -> None:
        super().__init__(transport, clock, path)
        self.control = RateControl()
        self.leads = True
        """The encoder's rate follows this client's network."""
        self._source: PictureSource | None = None
        self._outbox: deque[Shot] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._needs_key = True
        self._last_pts = -1
        self._last_sent = float("-inf")
        self._ladder = Ladder()
        self._seen: tuple[int, int] | None = None
        self._wished = 0
        """Pixels of the picture that the session would show on a good path."""
        self.on_rung: Callable[[Rung], None] = lambda rung: None
        """Called on the loop when the path asks for fewer or smaller pictures, or allows more."""
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
        if len(self._outbox) >= OUTBOX_PICTURES or self._path.pacer.waiting_s > MAX_HELD_S:
            self.held_up += len(self._outbox) + 1
            self._drop()
            self._needs_key = True
            self._want_key()
            return
        self._outbox.append(shot)
        self._plan()

    def _want_key(self) -> None:
        if self._source is not None:
            self._source.want_key(watches=not self.leads and self.sent > 0)

    def set_bitrate(self, kbps: int | Literal["auto"]) -> None:
        self.control.set_limit(kbps)
        self._path.set_ceiling(round(COPIED * self.control.ceiling * HEADERS) + SOUND_RESERVE)

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        if not self.running:
            self._path.on_estimate.append(self._follow)
            self._want_key()
        await super().send(parameters)

    async def stop(self) -> None:
        self._drop()
        await super().stop()

    def blocked(self, now: float) -> bool:
        """Whether a picture would only make things worse: those before it still wait, or nothing gets through."""
        if self._path.pacer.waiting_s > MAX_QUEUE_S or not self._ladder.rung.video:
            return True
        queue = 0.0 if self._path.estimate is None else self._path.estimate.queue_s
        pause = 0.0
        if queue > LONG_QUEUE_S and self._path.estimate is not None:
            pause = LONG_QUEUE_PAUSE_S * max(1.0, LONG_QUEUE_RATE / self._path.estimate.rate)
        if queue > SHORT_QUEUE_S and self.missing(now):
            pause = REPAIR_S  # what is missing waits in the same queue, and without it no picture can be shown
        if now - self._last_sent < pause:
            return True
        dark = self._path.silent_s(now) > DARK_S + 2 * (self.rtt or 0.0)
        return self._numbered and dark and now - self._last_sent < DARK_PAUSE_S

    def _follow(self, now: float) -> None:
        """The path's estimate has changed."""
        estimate = self._path.estimate
        assert estimate is not None
        pictures = (estimate.rate - reserve(opus_rate(estimate.rate, alone=False))) / HEADERS
        available = max(0.0, pictures)
        if self._path.dark_s > DARK_S:
            self._want_key()  # what was swallowed is older than a key frame would be
        if estimate.queue_s > LONG_QUEUE_S:
            available *= DRAIN
        calm = estimate.calm(now)
        self.guarded = calm and estimate.loss > (LOSSY[0] if self.guarded else LOSSY[1])
        self.repeat_limit = int(MAX_REPEATS * estimate.rate)
        if self.guarded:
            low, high = COPY_AGAIN
            again = COPIES_AGAIN * min(1.0, max(0.0, (estimate.loss - low) / (high - low)))
            self.copy_share = min(1.0, estimate.loss / COPY_ALL) + again
            video = min(self.control.ceiling, available / (1 + self.copy_share))
        else:
            video, self.copy_share = max(0.3 * available, available - self.repeats.bits(now)), 0.0
        self.control.follow(int(video))
        self._climb(pictures, estimate.loss > OVERLOAD and not calm, now)

    def _climb(self, rate: float, lossy: bool, now: float) -> None:
        if not self.leads or self._source is None or self._source.size is None:
            return
        if self._source.size != self._seen:  # not at a step already: the pictures follow it a little later
            self._seen = width, height = self._source.size
            self._wished = round(width * height / self._ladder.rung.scale**2)
        if self._ladder.update(rate, self._wished, lossy, now):
            self._path.sound_only = not self._ladder.rung.video
            log.info("The network allows: %s.", self._ladder.rung.name)
            self.on_rung(self._ladder.rung)

    def _plan(self) -> None:
        """Sends what is due and sets the timer for the next picture; the loop's clock is the monotonic one."""
        while self._timer is None and self._outbox:
            due = self._clock.due(self._outbox[0].slot) + HOLD_S
            if due > time.monotonic():
                self._timer = asyncio.get_running_loop().call_at(due, self._leave)
            else:
                self._send_next()

    def _drop(self) -> None:
        """What waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._outbox.clear()

    def _leave(self) -> None:
        self._timer = None
        self._plan()

    def _send_next(self) -> None:
        shot = self._outbox.popleft()
        if shot.picture.key:
            self._key_sequence = self._sequence
        self._last_sent = time.monotonic()
        self.playout_delay = self._path.lips.next()
        with self._caught():
            self._transmit(shot.picture.payloads, self._stamp(shot.pts))
        self.lag_s = time.monotonic() - self._clock.due(shot.slot) - HOLD_S
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
                if not self.control.following:
                    limited = self.control.target < self.control.ceiling
                    self._climb(self.control.target if limited else float("inf"), self.loss > OVERLOAD, now)

    def stats(self) -> dict[str, Any]:
        encoding = self._source.stats() if self._source is not None else {}
        path = self._path.estimate
        return {
            **super().stats(),
            **encoding,
            "frames_sent": self.sent,
            "frames_restamped": self.restamped,
            "held_up": self.held_up,
            "rung": self._ladder.rung.name,
            "copies": self.copies,
            "path_kbps": None if path is None else round(path.rate / 1000, 1),
            "path_loss": None if path is None else round(path.loss, 4),
            "path_queue_ms": None if path is None else round(path.queue_s * 1000),
            "wait_ms": round(self._path.lips.wait_s * 1000),
            "pli": self.pli,
            "fir": self.fir,
            "target_kbps": round(self.control.target / 1000, 1),
            "estimate_kbps": None if self.control.estimate is None else round(self.control.estimate / 1000, 1),
        }
