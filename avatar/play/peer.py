"""The server's side of one WebRTC connection: pictures and sound of a slot go in, the microphone and texts come out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

from aiortc import RTCSessionDescription
from aiortc import sdp as aiortc_sdp

from ..clock import MediaClock
from ..errors import AvatarError, BadRequest
from ..types import I420, AudioChunk, Pcm
from . import codecs, memory, offer
from .connection import Connection, watch
from .gather import IceServer, Network
from .ladder import Rung
from .listener import SoundReceiver
from .microphone import Microphone
from .picture import PictureSender
from .sound import SoundSender
from .source import Broadcast
from .texts import Texts

__all__ = ["IceServer", "Network", "Peer"]

log = logging.getLogger(__name__)

MAX_TRICKLED = 256
"""Candidates taken after the offer: a client that roams for an hour sends fewer."""


class Peer:
    """One client. Everything is called on the event loop; nothing but `answer`, `add_candidate` and `close` waits."""

    def __init__(
        self,
        clock: MediaClock,
        *,
        codec: str = "vp9",
        bitrate_kbps: int | Literal["auto"] = "auto",
        ice_servers: Sequence[IceServer] = (),
        network: Network | None = None,
        broadcast: Broadcast | None = None,
        watches: bool = False,
    ) -> None:
        """`broadcast` is what is shown and said; one of this peer's own by default. `watches`: the client only takes;
        what it offers of a microphone or a data channel is declined, and its network does not set the picture's
        rate."""
        self._broadcast = broadcast or Broadcast(clock)
        self._watches = watches
        self._preference = codec
        self._bitrate: int | Literal["auto"] = bitrate_kbps
        self._roles: dict[str, offer.Role] = {}
        self._connection = Connection(clock, ice_servers, network or Network())
        self._connection.on("connectionstatechange", self._changed)
        self._connection.on("datachannel", self._opened)
        self._answering = asyncio.Lock()
        self._picture: PictureSender | None = None
        self._sound: SoundSender | None = None
        self._ear: SoundReceiver | None = None
        self._microphone = Microphone()
        self._texts = Texts()
        self._trickled = 0
        self._offer = ""
        self.local_sdp = ""
        """The last answer."""
        self._made = time.monotonic()
        self._connected_s: float | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self.codec = ""
        """What is really sent, after `answer`: "vp9", "av1", "h264" or "vp8"; empty when the offer has no video."""
        self.has_video = False
        self.has_audio = False
        self.has_microphone = False
        self.has_data = False
        self.on_rung: Callable[[Rung], None] = lambda rung: None
        """The network asks for fewer or smaller pictures, or allows more."""
        self.left = False
        """The client has closed the connection itself."""
        self.sure = True
        """The client is being heard; False while it is silent and does not answer."""
        self.on_doubt: Callable[[float], None] = lambda heard: None
        """It is not any more: told when it was last heard, monotonic seconds."""
        self.on_sure: Callable[[], None] = lambda: None
        """It is heard again."""
        self.connected = asyncio.Event()
        """Media can flow."""
        self.closed = asyncio.Event()
        """The connection has failed, was closed by either side, or the client has vanished."""

    # Setting up.

    async def answer(self, sdp: str) -> str:
        """The answer to a client's offer, with all of our candidates in it. On a live connection it renegotiates.

        Raises `BadRequest` (`bad_sdp`) when the offer cannot be read or holds nothing that can be answered; a live
        connection then goes on as before.
        """
        async with self._answering:
            if self._closing is not None or self.closed.is_set():
                raise offer.bad("The connection is closed.")
            plan = offer.plan(sdp, self._preference, self._roles, watches=self._watches)
            answer = offer.write(plan, await self._negotiate(plan))
            source = self._picture.source if self._picture is not None else None
            if source is not None and self._preparing is None:
                self._preparing = asyncio.create_task(source.prepare(), name="encoder opening")
            self._roles |= {line.mid: line.role for line in plan.lines if line.role != "none"}
            self.codec = plan.codec if plan.receives("video") else ""
            self.has_video = plan.receives("video")
            self.has_audio = plan.receives("sound")
            self.has_microphone = not self._watches and (plan.sends("sound") or plan.sends("microphone"))
            self.has_data = plan.line("data") is not None
            self._offer, self.local_sdp = sdp, answer
            return answer

    def knows_ice(self, ufrag: str) -> bool:
        """Whether the client's last offer had this ICE user name fragment."""
        return f"a=ice-ufrag:{ufrag}" in map(str.strip, self._offer.splitlines())

    async def restart(self, ufrag: str, password: str, candidates: Sequence[str]) -> str:
        """The answer to the client's last offer with new ICE credentials, for a client that tells nothing else when its
        network has changed. Raises as `answer` and `add_candidate` do."""
        lines = []
        for line in self._offer.splitlines():
            if line.startswith("a=ice-ufrag:"):
                line = f"a=ice-ufrag:{ufrag}"  # noqa: PLW2901
            elif line.startswith("a=ice-pwd:"):
                line = f"a=ice-pwd:{password}"  # noqa: PLW2901
            if not line.startswith("a=candidate:"):
                lines.append(line)
        answer = await self.answer("\r\n".join(lines) + "\r\n")
        for candidate in candidates:
            await self.add_candidate(candidate, None, None)
        return answer

    async def _negotiate(self, plan: offer.Plan) -> str:
        connection = self._connection
        first = next(line for line in plan.lines if line.role != "none").media
        renewed = connection.ice is not None and connection.ice.renew(first.ice)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(plan.sdp, "offer"))
            for transceiver in connection.getTransceivers():
                self._set_up(transceiver, plan)
            await connection.setLocalDescription(await connection.createAnswer())
        except AvatarError:
            raise
        except Exception as error:  # aiortc raises what it likes for offers that it cannot use
            log.debug("An offer could not be answered.", exc_info=True)
            raise offer.bad(f"The offer cannot be answered: {error or type(error).__name__}.") from None
        if renewed and connection.ice is not None:
            connection.ice.on_path = self._refresh
            connection.ice.restart()
        return str(connection.localDescription.sdp)

    def _set_up(self, transceiver: Any, plan: offer.Plan) -> None:
        line = next((line for line in plan.lines if line.mid == transceiver.mid), None)
        if line is None or line.role == "none":
            return
        transceiver.direction = plan.directions[line.mid]
        # aiortc writes its own payload types for those that it takes for static ones; the offer's are meant.
        for ours, theirs in zip(transceiver._codecs, line.media.rtp.codecs, strict=False):
            ours.payloadType = theirs.payloadType
            if "apt" in ours.parameters:
                ours.parameters["apt"] = theirs.parameters["apt"]
            if codecs.is_red(ours):
                ours.parameters = dict(theirs.parameters)
        sender, receiver = transceiver.sender, transceiver.receiver
        if line.role == "video" and self._picture is None:
            self._picture = sender
            sender.leads = not self._watches
            sender.on_rung = self._rung
            sender.set_bitrate(self._bitrate)
            sender.attach(self._broadcast.pictures(plan.codec))
        if line.role == "sound" and self._sound is None:
            self._sound = sender
            sender.leads = not self._watches
            offered = next(codec for codec in line.media.rtp.codecs if codecs.name(codec) == "opus")
            sender.dtx = str(offered.parameters.get("usedtx", "0")) == "1"
            self._broadcast.sound.join(sender)
        if line.role in ("sound", "microphone"):
            # The client's voice in mono and without pauses: stereo=0 is the default (RFC 7587 §6.1), and so are
            # usedtx=0 and useinbandfec=0. Opus pays for spare copies with the quality of all of the sound, so they
            # are for clients without redundant packets.
            mixed = any(map(codecs.is_red, transceiver._codecs))
            for codec in transceiver._codecs:
                if codecs.name(codec) == "opus":
                    codec.parameters = {"minptime": 10} if mixed else {"minptime": 10, "useinbandfec": 1}
            if plan.sends(line.role):
                receiver.tells_arrivals = not codecs.forgo_arrivals(transceiver._codecs)
            if self._ear is None or line.role == "microphone":
                self._ear = receiver
                self._microphone.attach(receiver)

    def _rung(self, rung: Rung) -> None:
        self.on_rung(rung)

    async def add_candidate(self, candidate: str | None, sdp_mid: str | None, sdp_mline_index: int | None) -> None:
        """A candidate that the client found after its offer; empty or None marks the end of them. All media share one
        transport, so `sdp_mid` and `sdp_mline_index` are only checked. Raises `BadRequest` when it cannot be read."""
        if sdp_mline_index is not None and not 0 <= sdp_mline_index < offer.MAX_LINES:
            raise BadRequest("sdpMLineIndex is out of range.", code="bad_candidate")
        if not candidate or self.closed.is_set():
            return
        text = candidate.removeprefix("a=").removeprefix("candidate:")
        try:
            parsed = aiortc_sdp.candidate_from_sdp(text)
            if parsed.type not in ("host", "srflx", "prflx", "relay") or not 0 <= parsed.port < 1 << 16:
                raise ValueError
        except (AssertionError, ValueError, IndexError):
            raise BadRequest("The candidate cannot be read.", code="bad_candidate") from None
        self._trickled += 1
        if self._trickled > MAX_TRICKLED or offer.candidate_host_is_name(text):
            return
        ice = self._connection.ice
        if ice is None:
            raise BadRequest("A candidate came before any offer.", code="bad_candidate")
        with contextlib.suppress(ValueError):  # an address that aioice does not take: not worth a word
            await ice.addRemoteCandidate(parsed)

    def candidates(self) -> tuple[list[str], bool]:
        """Our own candidates so far, as `candidate` attributes, and whether servers may still tell of more. The answer
        waits for none of them."""
        ice = self._connection.ice
        return ([], False) if ice is None else ice.candidates()

    def _refresh(self) -> None:
        """What was sent into the old path is lost: the client needs a key frame, and need not ask for it."""
        if self._picture is not None and self._picture.source is not None:
            self._picture.source.want_key()

    def _changed(self) -> None:
        match self._connection.connectionState:
            case "connected" if self._connected_s is None:
                self._connected_s = time.monotonic()
                self._watch = asyncio.create_task(
                    watch(self._connection, self._lost, self._doubt, self._certain), name="peer watch"
                )
                # aiortc tells this before it starts senders and receivers, in the same breath.
                asyncio.get_running_loop().call_soon(self.connected.set)
            case "failed" | "closed" as state:
                self.left = self.left or (state == "closed" and not self.closed.is_set())
                self._end()

    def _lost(self) -> None:
        log.info("A client has vanished.")
        self._end()

    def _doubt(self, heard: float) -> None:
        self.sure = False
        self.on_doubt(heard)

    def _certain(self) -> None:
        self.sure = True
        self.on_sure()

    @property
    def heard(self) -> float:
        """When the client's last packet came, monotonic seconds."""
        ice = self._connection.ice
        return self._made if ice is None else ice.heard

    def _end(self) -> None:
        self._microphone.end()
        self._texts.end()
        self.closed.set()

    def _opened(self, channel: Any) -> None:
        self._texts.attach(channel)

    # Sending.

    def send_picture(self, slot: int, i420: I420 | None) -> None:
        """To everybody who takes this peer's broadcast: see there."""
        self._broadcast.send_picture(slot, i420)

    def send_sound(self, tick: int, pcm: Pcm) -> None:
        """To everybody who takes this peer's broadcast: see there."""
        self._broadcast.send_sound(tick, pcm)

    def send_text(self, text: str) -> None:
        """A text frame to the client, kept until it opens its first data channel."""
        self._texts.send(text)

    def set_bitrate(self, kbps: int | Literal["auto"]) -> None:
        """The video's ceiling, at once."""
        self._bitrate = kbps
        if self._picture is not None:
            self._picture.set_bitrate(kbps)

    def media_origin(self) -> dict[str, int]:
        """The RTP timestamps of media time 0, by which a client finds the moment that a caption speaks of."""
        senders = {"audio_rtp": self._sound, "video_rtp": self._picture}
        return {name: sender.rtp_origin for name, sender in senders.items() if sender is not None}

    def knows(self, sdp: str) -> bool:
        """Whether an offer comes from the client of this very connection: its DTLS fingerprint tells (RFC 8122 §5)."""
        current = self._connection.remoteDescription
        known = _fingerprints(current.sdp) if current is not None else set()
        return not self.closed.is_set() and bool(known & _fingerprints(sdp))

    # Receiving.

    def microphone(self) -> AsyncIterator[AudioChunk]:
        """48 kHz mono chunks of 20 ms from the client's first packet on, without a gap; ends with the connection. For
        one reader."""
        return self._microphone.chunks()

    def texts(self) -> AsyncIterator[str]:
        """Text frames from any data channel; ends with the connection. For one reader."""
        return self._texts.received_texts()

    # Looking after it.

    def stats(self) -> dict[str, Any]:
        """JSON-able: the video's figures, with those of the sound and the microphone under names of their own. Times
        ending in `_s` are monotonic seconds."""
        connection = self._connection
        picture = self._picture if self.has_video else None
        sound = self._sound if self.has_audio else None
        ear = self._ear if self.has_microphone else None
        return {
            "codec": self.codec,
            "connection": connection.connectionState,
            "ice": connection.iceConnectionState,
            "relayed": connection.ice.relayed if connection.ice is not None else None,
            "dtls": connection.dtls.state if connection.dtls is not None else "new",
            "made_s": self._made,
            "connected_s": self._connected_s,
            "first_picture_s": picture.first_sent if picture else None,
            "first_sound_s": sound.first_sent if sound else None,
            **(picture.stats() if picture else {}),
            "sent_offset_ms": round(1000 * (sound.lag_s - picture.lag_s), 1) if picture and sound else None,
            "audio": sound.stats() if sound else None,
            "microphone": ear.stats() | {"filled_ms": self._microphone.filled // 48} if ear else None,
            "texts": {"sent": self._texts.sent, "received": self._texts.received, "dropped": self._texts.dropped},
        }

    async def close(self) -> None:
        """Ends the connection; harmless twice."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._shut(), name="peer close")
        await asyncio.shield(self._closing)

    async def _shut(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        self._end()
        await self._connection.close()
        if self._preparing is not None:
            await asyncio.wait([self._preparing])
        if self._sound is not None:
            self._broadcast.sound.leave(self._sound)
        if self._picture is not None:
            await self._picture.detach()
        memory.released()


def _fingerprints(sdp: str) -> set[str]:
    return {line.strip().lower() for line in sdp.splitlines() if line.startswith("a=fingerprint:")}
