"""The receiver of pictures: whole encoded frames in order; what is missing is asked for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiortc import rtp
from aiortc.rate import RemoteBitrateEstimator

from . import codecs, nack
from .assemble import FrameAssembler, Packet, Whole
from .receiver import MediaReceiver

log = logging.getLogger(__name__)

POLL_S = 0.02
"""How often open gaps in the video are looked at."""
KEY_REQUEST_S = 0.3
"""Between requests for a key frame: about a round trip and the time to send one."""


class PictureReceiver(MediaReceiver):
    """Video. Hands on whole encoded frames in order; asks for what is missing, and in the end for a key frame."""

    def __init__(self, transport: Any) -> None:
        super().__init__("video", transport)
        self._assembler = FrameAssembler(self._key, self._join)
        self._estimator = RemoteBitrateEstimator()
        self._asked_key = float("-inf")
        self.on_frame: Callable[[Whole], None] = lambda frame: None
        """Called on the loop."""
        self.on_end: Callable[[], None] = lambda: None
        self.frames = self.key_frames = 0

    def _key(self, part: bytes) -> bool:
        return codecs.is_key(self.codec, part)

    def _join(self, parts: Iterable[bytes]) -> bytes:
        return codecs.join(self.codec, parts)

    @property
    def assembler(self) -> FrameAssembler:
        return self._assembler

    def want_key(self) -> None:
        """What was handed on cannot be decoded: ask for a key frame and hand on nothing before it."""
        self._assembler.wants_key = True

    def _restart(self, ssrc: int) -> None:
        super()._restart(ssrc)
        self._assembler = FrameAssembler(self._key, self._join)

    def _extra(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._repair(), name="video repair")]

    def _take(self, packet: Any, sequence: int, timestamp: int, now: float) -> None:
        try:
            data, start = codecs.depayload(self.codec, packet.payload)
        except (ValueError, IndexError) as error:
            log.debug("An RTP payload could not be read: %s", error)
            return
        self._hand_on(self._assembler.add(Packet(sequence, timestamp, bool(packet.marker), data, start, now)))

    def _hand_on(self, frames: list[Whole]) -> None:
        for frame in frames:
            self.frames += 1
            self.key_frames += frame.key
            self.on_frame(frame)

    async def _repair(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._ssrc is None or self._own_ssrc is None:
                continue
            now = time.monotonic()
            self._hand_on(self._assembler.overdue(now))
            missing = self._assembler.requests(now)
            self.nack += bool(missing)
            for part in nack.split(missing):
                await self._feed_back(
                    rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, ssrc=self._own_ssrc, media_ssrc=self._ssrc, lost=part)
                )
            waited = now - (self.first_received or now) > KEY_REQUEST_S
            if self._assembler.wants_key and waited and now - self._asked_key > KEY_REQUEST_S:
                self._asked_key = now
                self.pli += 1
                await self._feed_back(
                    rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_PLI, ssrc=self._own_ssrc, media_ssrc=self._ssrc)
                )

    async def _measure(self, packet: Any, arrival_ms: int) -> None:
        extensions = packet.extensions
        if extensions.abs_send_time is None or extensions.transport_sequence_number is not None:
            return  # the sender estimates for itself
        if self._own_ssrc is None:
            return
        estimate = self._estimator.add(
            abs_send_time=packet.extensions.abs_send_time,
            arrival_time_ms=arrival_ms,
            payload_size=len(packet.payload) + packet.padding_size,
            ssrc=packet.ssrc,
        )
        if estimate is not None:
            fci = rtp.pack_remb_fci(*estimate)
            await self._feed_back(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=self._own_ssrc, media_ssrc=0, fci=fci))

    def _ended(self) -> None:
        self.on_end()

    def stats(self) -> dict[str, Any]:
        return super().stats() | {
            "frames": self.frames,
            "key_frames": self.key_frames,
            "given_up": self._assembler.given_up,
            "frames_skipped": self._assembler.skipped,
        }
