"""RTP receivers: packets in, feedback out. What they carry is read in `listener` (sound) and `viewer` (pictures).

aiortc's own receiver counts timestamps from zero for each stream, so sound and picture cannot be lined up, and its
jitter buffer answers one lost sound packet with 300 ms of silence and a lag for good. `MediaReceiver` takes its place
in a transceiver and keeps its interface; nothing of its private state is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from aiortc.stats import RTCStatsReport

from ..clock import VIDEO_RATE
from . import codecs
from .congestion import Congestion
from .reception import Reception, SenderTimeline, Unwrapper

FEEDBACK_S = 0.06
"""Between transport-wide feedbacks: some 6 kbit/s, and a queue is noticed before it is long."""
STREAM_S = 0.2
"""When a stream has been still for so long, the next packet of another begins that one at once."""
REPORT_S = (0.5, 1.5)
"""Pauses between receiver reports are drawn from this range (RFC 3550 §6.2)."""


class MediaReceiver(RTCRtpReceiver):
    """One stream: the packets that arrive for a transceiver."""

    rate = VIDEO_RATE
    stream_packets = 1
    """Packets in a row under another SSRC that begin a new stream."""

    def __init__(self, kind: str, transport: Any) -> None:
        super().__init__(kind, transport)
        self._media_kind = kind
        self._codecs: dict[int, Any] = {}
        self._originals: dict[int, int] = {}
        """SSRC of a retransmission stream → SSRC of the stream it repairs."""
        self._ssrc: int | None = None
        self._others: list[Any] = []
        """Packets of what may be the next stream, since the last one of this one."""
        self._own_ssrc: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False
        self._last_report: tuple[int, float] | None = None
        """Middle 32 bits of the last sender report's NTP time, and when it came."""
        self._sequences = Unwrapper(16)
        self._timestamps = Unwrapper(32)
        self._reception = Reception(self.rate)
        self.timeline = SenderTimeline(self.rate)
        self.codec = ""
        self.bytes_received = self.repaired = self.nack = self.pli = 0
        self.path: Congestion | None = None
        """The connection's, where arrivals are collected."""
        self.tells_arrivals = True
        """The other side is told when each packet came."""
        self.first_received: float | None = None
        self.last_received: float | None = None

    # What aiortc's peer connection and transport call.

    def _set_rtcp_ssrc(self, ssrc: int) -> None:
        self._own_ssrc = ssrc

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Starts; harmless when it has been."""
        if self._started:
            return
        self._started = True
        self._codecs = {codec.payloadType: codec for codec in parameters.codecs}
        for encoding in parameters.encodings:
            if encoding.rtx:
                self._originals[encoding.rtx.ssrc] = encoding.ssrc
        self.transport._register_rtp_receiver(self, parameters)
        self._tasks = [asyncio.create_task(self._report(), name=f"{self._media_kind} receiver reports"), *self._extra()]

    def _extra(self) -> list[asyncio.Task[None]]:
        """More tasks that live as long as the receiver."""
        return []

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            self.transport._unregister_rtp_receiver(self)
            await asyncio.wait(tasks)
        self._ended()

    def _handle_disconnect(self) -> None:
        self._ended()

    async def getStats(self) -> RTCStatsReport:  # noqa: N802 - aiortc's name
        return RTCStatsReport()

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        if isinstance(packet, rtp.RtcpSrPacket) and self._ssrc in (packet.ssrc, None):
            info = packet.sender_info
            self._last_report = ((info.ntp_timestamp >> 16) & 0xFFFFFFFF, time.monotonic())
            self.timeline.update(self._timestamps.peek(info.rtp_timestamp), info.ntp_timestamp)

    async def _handle_rtp_packet(self, packet: Any, arrival_time_ms: int) -> None:
        if not self._enabled:
            return
        now = time.monotonic()
        await self._note(packet, now)
        await self._measure(packet, arrival_time_ms)
        codec = self._codecs.get(packet.payload_type)
        if codec is None:
            return
        self.bytes_received += len(packet.payload)
        if codecs.is_rtx(codec):
            original = self._originals.get(packet.ssrc, self._ssrc)
            main = self._codecs.get(int(codec.parameters.get("apt", -1)))
            if original is None or main is None or len(packet.payload) < 2:
                return
            packet = rtp.unwrap_rtx(packet, payload_type=main.payloadType, ssrc=original)
            self.repaired += 1
            packets = [packet] if original == self._ssrc else []  # else a repair of a stream that is over
        else:
            packets = self._of_stream(packet, now)
        for each in packets:
            self._accept(each, now)

    def _of_stream(self, packet: Any, now: float) -> list[Any]:
        """What of the stream that is received has come with this packet: it, or nothing, or the next stream's first."""
        if packet.ssrc == self._ssrc:
            self._others.clear()
            return [packet]
        if self._others and self._others[-1].ssrc != packet.ssrc:
            self._others.clear()
        self._others.append(packet)
        still = self.last_received is None or now - self.last_received >= STREAM_S
        if not still and len(self._others) < self.stream_packets:
            return []
        self._restart(packet.ssrc)
        others, self._others = self._others, []
        return others

    def _accept(self, packet: Any, now: float) -> None:
        if self.first_received is None:
            self.first_received = now
        self.last_received = now
        self.codec = codecs.name(self._codecs[packet.payload_type])
        padding = not packet.payload  # it probes the bandwidth, under sequence numbers of its own
        self._reception.add(packet.sequence_number, packet.timestamp, now, padding=padding)
        take = self._take_padding if padding else self._take
        take(packet, self._sequences(packet.sequence_number), self._timestamps(packet.timestamp), now)

    async def _note(self, packet: Any, now: float) -> None:
        """Transport-wide feedback: one of the receivers of a connection sends it for all of them."""
        number = packet.extensions.transport_sequence_number
        if number is None or self.path is None or self._own_ssrc is None or not self.tells_arrivals:
            return
        self.path.arrivals.add(number, now)
        if now - self.path.arrivals_told >= FEEDBACK_S:
            self.path.arrivals_told = now
            report = self.path.arrivals.report(self._own_ssrc, packet.ssrc)
            if report is not None:
                await self._feed_back(report)

    def _restart(self, ssrc: int) -> None:
        """The sender has begun a new stream."""
        first, self._ssrc = self._ssrc is None, ssrc
        if first:
            return
        self._sequences, self._timestamps = Unwrapper(16), Unwrapper(32)
        self._reception = Reception(self.rate)
        self.timeline = SenderTimeline(self.rate)

    # For the subclasses.

    def _take(self, packet: Any, sequence: int, timestamp: int, now: float) -> None:
        raise NotImplementedError

    def _take_padding(self, packet: Any, sequence: int, timestamp: int, now: float) -> None:
        """A packet without media."""

    def _ended(self) -> None:
        """Nothing more will come. May be called twice."""

    async def _measure(self, packet: Any, arrival_ms: int) -> None:
        """Sees every packet before anything else does."""

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*REPORT_S))
            if self._ssrc is None or self._own_ssrc is None or not self._reception.received:
                continue
            lsr, delay = 0, 0
            if self._last_report is not None:
                lsr = self._last_report[0]
                delay = min(0xFFFFFFFF, int((time.monotonic() - self._last_report[1]) * 65536))
            block = rtp.RtcpReceiverInfo(
                ssrc=self._ssrc,
                fraction_lost=self._reception.fraction(),
                packets_lost=rtp.clamp_packets_lost(self._reception.lost),
                highest_sequence=self._reception.highest,
                jitter=min(0xFFFFFFFF, int(self._reception.jitter)),
                lsr=lsr,
                dlsr=delay,
            )
            await self._feed_back(rtp.RtcpRrPacket(ssrc=self._own_ssrc, reports=[block]))

    async def _feed_back(self, packet: Any) -> None:
        with contextlib.suppress(ConnectionError):
            await self.transport._send_rtp(bytes(packet))

    def stats(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "codec": self.codec,
            "packets_received": self._reception.received,
            "packets_lost": self._reception.lost,
            "jitter_ms": round(self._reception.jitter / self.rate * 1000, 2),
            "bytes_received": self.bytes_received,
            "repaired": self.repaired,
            "nack": self.nack,
            "pli": self.pli,
        }
