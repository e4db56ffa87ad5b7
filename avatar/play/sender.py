"""RTP senders that are pushed to: packets, retransmissions and sender reports of one stream.

aiortc's own sender pulls from a track and dates its reports by the moment of sending, which hides every delay from
the receiver. Here a packet's timestamp comes from its slot or tick, and the reports say what the media clock says, so
a receiver can line up both streams exactly (RFC 3550 §6.4.1).

`MediaSender` takes aiortc's place in a transceiver and keeps its interface; nothing of its private state is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any

from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpSendParameters
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.stats import RTCStatsReport

from ..clock import MediaClock
from . import codecs, feedback
from .congestion import Congestion, Fate
from .headers import Headers

log = logging.getLogger(__name__)

HISTORY_PACKETS = 512
"""Packets kept for retransmission: some three seconds at 1.5 Mbit/s, longer than any receiver goes on asking."""
EARLY_REPORTS_S = (0.0, 0.1, 0.2, 0.4)
"""Pauses before the first sender reports: a receiver cannot line up sound and picture before it has one of each."""
REPORT_S = (0.5, 1.5)
"""Later pauses are drawn from this range, so that reports of many sessions do not fall together (RFC 3550 §6.2)."""
REPEAT_S = 0.03
"""A packet is not sent again sooner than this, or than a round trip takes: the receiver cannot have missed the copy."""
MAX_REPEATS = 0.5
"""Of what goes out in a second, the share that may be retransmissions: on a full link more of them make it fuller."""
HEADER_BYTES = 32
"""Of an RTP packet with its extensions, about."""


class Meter:
    """Bytes per second over the last second."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, now: float, size: int) -> None:
        self._marks.append((now, size))
        self._sum += size
        self._trim(now)

    def _trim(self, now: float) -> None:
        while self._marks and now - self._marks[0][0] > 1.0:
            self._sum -= self._marks.popleft()[1]

    def bits(self, now: float) -> int:
        """Bits in the last second."""
        self._trim(now)
        return self._sum * 8


class MediaSender(RTCRtpSender):
    """The stream of one kind. Its payloads come from a subclass."""

    rate = 90_000
    """Hz of the RTP clock."""
    resends = False
    """Lost packets are sent again as they were, on the same stream, if the other side asks for them."""

    def __init__(self, kind: str, transport: Any, clock: MediaClock, path: Congestion) -> None:
        super().__init__(kind, transport)
        self._clock = clock
        self._path = path
        self._numbered = False
        """The other side tells when each packet came."""
        self._origin = random.getrandbits(32)
        self._sequence = random.getrandbits(15)  # the lower half: wrapping soon after the start trips SRTP
        self._rtx_sequence = random.getrandbits(15)
        self._codec: RTCRtpCodecParameters | None = None
        self._rtx_type: int | None = None
        self._mid: str | None = None
        self._cname = ""
        self._extensions = Headers()
        self._history: dict[int, Any] = {}
        self._repeated: dict[int, float] = {}
        """Sequence number modulo `HISTORY_PACKETS` → when it was last sent again."""
        self._tasks: list[asyncio.Task[None]] = []
        self._reports: OrderedDict[int, float] = OrderedDict()
        """Middle 32 bits of the NTP time of recent sender reports → when they were sent, monotonic seconds."""
        self._packet_count = 0
        self._octet_count = 0
        self.meter, self.repeats = Meter(), Meter()
        """Everything that goes out, and the part of it that is sent again."""
        self.repeat_limit = 0
        """bit/s of retransmissions, once the path is known; 0 before."""
        self._flowing = asyncio.Event()
        self.playout_delay: bytes | None = None
        """What the receiver is told about its buffer (`lips`)."""
        self.lag_s = 0.0
        """How much later than planned the newest media left, seconds."""
        self.first_sent: float | None = None
        """Monotonic seconds."""
        self.rtt: float | None = None
        """Seconds, smoothed as in RFC 6298 §2."""
        self.loss = 0.0
        """Share of packets lost between the receiver's last two reports."""
        self.lost = 0
        self.jitter: float | None = None
        """Seconds, as the receiver measures it (RFC 3550 §6.4.1)."""
        self.nack = self.retransmitted = self.reports_sent = self.reports_received = self.failures = 0

    # What aiortc's peer connection calls.

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        """Starts; harmless when it has been."""
        if self._codec is not None:
            return
        self._codec = self._choose(parameters.codecs)
        self._cname = parameters.rtcp.cname
        self._mid = parameters.muxId
        for codec in parameters.codecs:
            if codecs.is_rtx(codec) and str(codec.parameters.get("apt")) == str(self._codec.payloadType):
                self._rtx_type = codec.payloadType
        self._extensions.configure(parameters)
        self._numbered = any(extension.uri == feedback.URI for extension in parameters.headerExtensions)
        self.transport._register_rtp_sender(self, parameters)
        self._tasks = [asyncio.create_task(self._guard(self._report()), name=f"{self.kind} reports")]

    def _choose(self, negotiated: list[Any]) -> Any:
        return negotiated[0]

    async def stop(self) -> None:
        if self._codec is None:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            self.transport._unregister_rtp_sender(self)
            self._send_reports([rtp.RtcpByePacket(sources=[self._ssrc])])
        self._history.clear()

    async def getStats(self) -> RTCStatsReport:  # noqa: N802 - aiortc's name
        return RTCStatsReport()

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        if isinstance(packet, rtp.RtcpRrPacket | rtp.RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    self._take_report(report)
        elif isinstance(packet, rtp.RtcpRtpfbPacket) and packet.fmt == rtp.RTCP_RTPFB_NACK:
            self.nack += 1
            for sequence in packet.lost:
                self._retransmit(sequence & 0xFFFF)

    # Sending.

    async def _guard(self, work: Any) -> None:
        with self._caught():
            await work

    @contextlib.contextmanager
    def _caught(self) -> Iterator[None]:
        """What fails here ends no one else's work."""
        try:
            yield
        except ConnectionError:
            pass  # the transport is gone; whoever owns the peer hears of it there
        except Exception:
            self.failures += 1
            if self.failures == 1:
                log.exception("The %s sender failed.", self.kind)

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    @property
    def rtp_origin(self) -> int:
        """The RTP timestamp of pts 0."""
        return self._origin

    def _transmit(self, payloads: Iterable[bytes], pts: int, *, marker: bool = True, level: int | None = None) -> None:
        """Sends the packets of one frame. `pts` counts `rate` from the media clock's epoch."""
        assert self._codec is not None
        timestamp = (self._origin + pts) & 0xFFFFFFFF
        payloads = list(payloads)
        for index, payload in enumerate(payloads):
            packet = rtp.RtpPacket(
                payload_type=self._codec.payloadType,
                marker=int(marker and index == len(payloads) - 1),
                sequence_number=self._sequence,
                timestamp=timestamp,
                ssrc=self._ssrc,
                payload=payload,
            )
            packet.extensions.mid = self._mid
            packet.extensions.playout_delay = self.playout_delay
            if level is not None:
                packet.extensions.audio_level = (False, level)
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._rtx_type is not None or self.resends:
                slot = packet.sequence_number % HISTORY_PACKETS
                self._history[slot] = packet
                self._repeated.pop(slot, None)
            self._dispatch(packet)

    def _dispatch(self, packet: Any) -> None:
        """Sends a new packet, or hands it on to be sent in its turn."""
        self._send_new(packet)

    def _send_new(self, packet: Any) -> None:
        self._send_packet(packet)
        self._packet_count += 1
        self._octet_count += len(packet.payload)
        if self.first_sent is None:
            self.first_sent = time.monotonic()
            self._flowing.set()

    def _send_packet(self, packet: Any) -> int:
        """Returns the bytes that were sent. Raises `ConnectionError`."""
        # Also of a retransmission the time of *this* sending: an old one would look like a delay of the network.
        # Receivers take differences, so any clock will do; seconds with 6 and 18 bits.
        now = time.monotonic()
        packet.extensions.abs_send_time = int(now * (1 << 18)) & 0xFFFFFF
        if self._numbered:
            packet.extensions.transport_sequence_number = self._path.number()
        data = packet.serialize(self._extensions)
        if self._numbered:
            self._path.sent(len(data), now, self._fate(packet))
        self.meter.add(now, len(data))
        self.transport.post(data)
        return len(data)

    def _fate(self, packet: Any) -> Fate | None:
        """What to tell when the other side says whether this packet arrived."""
        return None

    def _due(self, packet: Any) -> float:
        """Media seconds of the stamp of a packet that is sent about now."""
        now = self._clock.media_s()
        behind: int = self._origin + round(now * self.rate) - packet.timestamp
        return now - (((behind + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)) / self.rate

    def _retransmit(self, sequence_number: int) -> None:
        packet = self._history.get(sequence_number % HISTORY_PACKETS)
        if packet is None or packet.sequence_number != sequence_number:
            return
        slot, now = sequence_number % HISTORY_PACKETS, time.monotonic()
        if now - self._repeated.get(slot, float("-inf")) < max(REPEAT_S, self.rtt or 0.0, self._path.trip_s):
            return
        if self.repeats.bits(now) > (self.repeat_limit or MAX_REPEATS * self.meter.bits(now)):
            return
        self._repeated[slot] = now
        self.retransmitted += 1
        self.repeats.add(now, len(packet.payload))
        self._send_again(packet)

    def _send_again(self, packet: Any, *, repair: bool = True) -> None:
        """Queues a copy on the retransmission stream (RFC 4588)."""

        def send() -> None:
            again = rtp.wrap_rtx(
                packet, payload_type=self._rtx_type, sequence_number=self._rtx_sequence, ssrc=self._rtx_ssrc
            )
            self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
            self._send_packet(again)

        self._path.pacer.put(len(packet.payload) + HEADER_BYTES, send, repair=repair)

    # Reports.

    async def _report(self) -> None:
        await self._flowing.wait()
        for pause in EARLY_REPORTS_S:
            await asyncio.sleep(pause)
            self._send_report()
        while True:
            await asyncio.sleep(random.uniform(*REPORT_S))
            self._send_report()

    def _send_report(self) -> None:
        now = time.monotonic()
        ntp = self._clock.ntp(now)
        self._reports[(ntp >> 16) & 0xFFFFFFFF] = now
        while len(self._reports) > 16:
            self._reports.popitem(last=False)
        info = rtp.RtcpSenderInfo(
            ntp_timestamp=ntp,
            rtp_timestamp=(self._origin + round(self._clock.media_s(now) * self.rate)) & 0xFFFFFFFF,
            packet_count=self._packet_count & 0xFFFFFFFF,
            octet_count=self._octet_count & 0xFFFFFFFF,
        )
        name = rtp.RtcpSourceInfo(ssrc=self._ssrc, items=[(1, self._cname.encode())])
        self._send_reports([rtp.RtcpSrPacket(ssrc=self._ssrc, sender_info=info), rtp.RtcpSdesPacket([name])])
        self.reports_sent += 1

    def _send_reports(self, packets: list[Any]) -> None:
        with contextlib.suppress(ConnectionError):
            self.transport.post(b"".join(map(bytes, packets)))

    def _take_report(self, report: Any) -> None:
        self.reports_received += 1
        self.loss = report.fraction_lost / 256
        self.lost = report.packets_lost
        self.jitter = report.jitter / self.rate
        sent = self._reports.get(report.lsr)
        if sent is not None and report.lsr:
            rtt = max(0.0, time.monotonic() - sent - report.dlsr / 65536)
            self.rtt = rtt if self.rtt is None else self.rtt * 7 / 8 + rtt / 8
            self._path.set_rtt(self.rtt)

    def stats(self) -> dict[str, Any]:
        """JSON-able."""
        now = time.monotonic()
        return {
            "kbps": round(self.meter.bits(now) / 1000, 1),
            "packets_sent": self._packet_count,
            "bytes_sent": self._octet_count,
            "nack": self.nack,
            "retransmitted": self.retransmitted,
            "rtt_ms": None if self.rtt is None else round(self.rtt * 1000, 1),
            "loss": round(self.loss, 4),
            "lost": self.lost,
            "jitter_ms": None if self.jitter is None else round(self.jitter * 1000, 1),
        }
