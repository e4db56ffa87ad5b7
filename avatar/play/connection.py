"""aiortc's peer connection with our senders and receivers in it.

aiortc offers no place to put one's own, so its private factory of transceivers is overridden here, by its mangled name:
the version is pinned, and `tests/play` fails when an upgrade moves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from struct import error as StructError
from struct import unpack_from
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, rtp
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpRouter
from aiortc.rtcicetransport import RTCIceGatherer

from ..clock import MediaClock
from . import feedback
from .congestion import Congestion
from .gather import Agent, IceServer, Network
from .ice import IceTransport
from .listener import SoundReceiver
from .picture import PictureSender
from .sound import SoundSender
from .viewer import PictureReceiver

log = logging.getLogger(__name__)

_ANYWHERE = Network()


class _Router(RtpRouter):
    """Routes full intra requests too: their header names no stream, their body does (RFC 5104 §4.3.1)."""

    def route_rtcp(self, packet: Any) -> set[Any]:
        recipients: set[Any] = super().route_rtcp(packet)
        if isinstance(packet, rtp.RtcpPsfbPacket) and packet.fmt == rtp.RTCP_PSFB_FIR:
            for position in range(0, len(packet.fci), 8):
                with contextlib.suppress(StructError):
                    sender = self.senders.get(unpack_from("!L", packet.fci, position)[0])
                    if sender is not None:
                        recipients.add(sender)
        return recipients


class _DtlsTransport(RTCDtlsTransport):
    """aiortc's, which ends the connection when the parser of some packet is surprised; this one drops the packet."""

    path: Congestion | None = None

    def post(self, data: bytes) -> None:
        """As aiortc's `_send_rtp`, at once: a socket takes a datagram or drops it, so there is nothing to wait for, and
        five coroutines for each packet are a tenth of what a session costs. Raises `ConnectionError`."""
        if self.state != "connected":
            raise ConnectionError("The connection is not up.")
        session = self._tx_srtp
        self.transport.post(session.protect_rtcp(data) if rtp.is_rtcp(data) else session.protect(data))

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        with _surprises("RTP"):
            await super()._handle_rtp_data(data, arrival_time_ms)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        with _surprises("RTCP"):
            reports, data = feedback.take(data)
            for report in reports:
                if self.path is not None:
                    self.path.take(report, time.monotonic())
            if data:
                await super()._handle_rtcp_data(data)

    _data_receiver: Any

    def _register_data_receiver(self, receiver: Any) -> None:
        super()._register_data_receiver(_Guarded(receiver))

    def _unregister_data_receiver(self, receiver: Any) -> None:
        if isinstance(self._data_receiver, _Guarded) and self._data_receiver.receiver is receiver:
            self._data_receiver = None


class _Guarded:
    def __init__(self, receiver: Any) -> None:
        self.receiver = receiver

    async def _handle_data(self, data: bytes) -> None:
        with _surprises("SCTP"):
            await self.receiver._handle_data(data)


@contextlib.contextmanager
def _surprises(kind: str) -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        raise
    except Exception as error:  # what a malformed packet makes parsers raise is of any kind
        log.debug("A packet of %s was dropped: %r", kind, error)


class Connection(RTCPeerConnection):
    """One WebRTC connection; its transceivers push and hand on as `sender` and `receiver` describe."""

    def __init__(
        self,
        clock: MediaClock,
        ice_servers: Sequence[IceServer] = (),
        network: Network = _ANYWHERE,
        *,
        patient: bool = False,
    ) -> None:
        """`patient`: see `gather.Agent`."""
        self._media_clock = clock
        self._closing: asyncio.Task[None] | None = None
        self.path = Congestion()
        self._agent = functools.partial(Agent, tuple(ice_servers), network, patient=patient)
        # One transport for everything; our own agents ask the servers.
        super().__init__(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))

    def _RTCPeerConnection__createDtlsTransport(self) -> Any:  # noqa: N802 - aiortc's private name
        """As aiortc's, with an ICE transport that can restart."""
        ice = IceTransport(self._gatherer)
        ice.iceGatherer.on("statechange", self._RTCPeerConnection__updateIceGatheringState)
        ice.on("statechange", self._RTCPeerConnection__updateIceConnectionState)
        ice.on("statechange", self._RTCPeerConnection__updateConnectionState)
        self._RTCPeerConnection__iceTransports.add(ice)
        dtls = _DtlsTransport(ice, self._RTCPeerConnection__certificates)
        dtls.path = self.path
        dtls._rtp_router = _Router()
        dtls.on("statechange", self._RTCPeerConnection__updateConnectionState)
        self._RTCPeerConnection__dtlsTransports.add(dtls)
        self._RTCPeerConnection__updateIceGatheringState()
        self._RTCPeerConnection__updateIceConnectionState()
        self._RTCPeerConnection__updateConnectionState()
        return dtls

    def _RTCPeerConnection__createTransceiver(  # noqa: N802 - aiortc's private name
        self, direction: str, kind: str, sender_track: Any = None
    ) -> Any:
        made = RTCPeerConnection._RTCPeerConnection__createTransceiver(self, direction, kind, sender_track)
        transport = made.receiver.transport
        sender: SoundSender | PictureSender
        receiver: SoundReceiver | PictureReceiver
        if kind == "audio":
            sender, receiver = SoundSender(transport, self._media_clock, self.path), SoundReceiver(transport)
        else:
            sender, receiver = PictureSender(transport, self._media_clock, self.path), PictureReceiver(transport)
        receiver.path = self.path
        sender._stream_id = made.sender._stream_id
        receiver._set_rtcp_ssrc(sender._ssrc)
        made._RTCRtpTransceiver__sender = sender
        made._RTCRtpTransceiver__receiver = receiver
        return made

    async def close(self) -> None:
        """Ends the connection, once, whoever asks and however often. aiortc's own waits for ever after one that was
        cancelled half way, and it starts one itself when DTLS ends, in whatever task noticed."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="connection close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await super().close()
        self.path.pacer.close()

    def _gatherer(self) -> RTCIceGatherer:
        gatherer = RTCIceGatherer(iceServers=[])
        gatherer._connection = self._agent()
        return gatherer

    @property
    def ice(self) -> IceTransport | None:
        """None before there is one."""
        for transceiver in self.getTransceivers():
            found: IceTransport = transceiver.receiver.transport.transport
            return found
        return self.sctp.transport.transport if self.sctp else None

    @property
    def dtls(self) -> Any:
        """aiortc's DTLS transport, None before there is one."""
        for transceiver in self.getTransceivers():
            return transceiver.receiver.transport
        return self.sctp.transport if self.sctp else None


SILENT_S = 1.5
"""With nothing heard for this long the other side is asked whether it is there."""
LOST_S = 4.0
"""It is gone when it has not answered for this long. Any living peer answers such a check at once (RFC 7675 §5.1), so
a quiet one is safe; aiortc's own check takes half a minute, in which a slot is blocked for nothing. With
what a last check takes, a place is free within 5 s."""
_PROBE_S = 1.0
"""An answer is waited for this long: slow satellites take 0.6 s."""
_LOOK_S = 0.5


async def watch(
    connection: Connection,
    lost: Callable[[], None],
    doubt: Callable[[float], None] = lambda heard: None,
    sure: Callable[[], None] = lambda: None,
) -> None:
    """Waits until the other side of an established connection has vanished without a word, then calls `lost`. Before,
    when it is silent and does not answer, `doubt` is told when it was last heard (monotonic seconds), and `sure` is
    called when it is heard again."""
    heard = time.monotonic()
    paused = doubting = False
    while True:
        await asyncio.sleep(_LOOK_S)
        ice = connection.ice
        if ice is None:
            continue
        heard = max(heard, ice.heard)
        if time.monotonic() - heard < SILENT_S:
            if doubting:
                doubting = False
                sure()
            continue
        if ice.restarting and not paused:
            paused, heard = True, time.monotonic()  # the client is moving: it gets the time once more
        if await _answers(ice):
            paused = False
            heard = time.monotonic()
        elif time.monotonic() - heard >= LOST_S:
            lost()
            return
        elif not doubting and ice.heard <= heard:
            doubting = True
            doubt(ice.heard)


async def _answers(ice: IceTransport) -> bool:
    """Sends one STUN check on the chosen path; whether it was answered within a second."""
    agent = ice._connection
    for pair in list(agent._nominated.values()):
        request = agent.build_request(pair, nominate=False)
        try:
            async with asyncio.timeout(_PROBE_S):
                await pair.protocol.request(
                    request, pair.remote_addr, integrity_key=agent.remote_password.encode(), retransmissions=0
                )
        except Exception as error:  # a transaction that failed, a socket that is closed: no answer, whatever it was
            log.debug("A check of the other side failed: %r", error)
        else:
            return True
    return False
