"""The receiver of sound: decoded pieces in order, each with its timestamp, what was lost repaired or concealed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from aiortc import rtp

from ..clock import AUDIO_RATE
from ..types import Pcm
from . import codecs, nack, red
from .congestion import FIRST_RTT_S
from .jitter import Piece, SoundBuffer
from .opus import OpusDecoder
from .receiver import MediaReceiver

log = logging.getLogger(__name__)


class SoundReceiver(MediaReceiver):
    """Opus, plain or redundant. Hands on decoded pieces in order, each with its timestamp. What was lost is taken from
    a copy that came with a later packet (RFC 2198), else asked for again (RFC 4585), else taken from the coarse copy of
    Opus's own, else guessed."""

    rate = AUDIO_RATE
    stream_packets = 3
    """Single packets are no stream (RFC 3550 §6.2.1 and appendix A.1): repairs may come that way."""

    def __init__(self, transport: Any) -> None:
        super().__init__("audio", transport)
        self._buffer = SoundBuffer()
        self._nacks = nack.Nacks()
        self._decoder: OpusDecoder | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.on_sound: Callable[[Pcm, Piece], None] = lambda pcm, piece: None
        """Called on the loop with 48 kHz mono sound."""
        self.on_end: Callable[[], None] = lambda: None
        self.concealed = 0
        """Samples that were guessed."""
        self.malformed = 0
        """Redundant packets that could not be read."""

    @property
    def buffer(self) -> SoundBuffer:
        return self._buffer

    def _restart(self, ssrc: int) -> None:
        super()._restart(ssrc)
        self._hand_on(math.inf)  # what waits for answers that nobody sends any more
        self._buffer = SoundBuffer()
        self._nacks = nack.Nacks()

    def _take(self, packet: Any, sequence: int, timestamp: int, now: float) -> None:
        data = packet.payload
        if codecs.is_red(self._codecs[packet.payload_type]):
            try:
                copies, data = red.parse(packet.payload, self._plain())
            except ValueError as error:
                self.malformed += 1
                log.debug("%s", error)
                return
            for copy in reversed(copies):
                self._buffer.mend(sequence, timestamp, copy.offset, copy.data, now)
        self._add(sequence, timestamp, data, now)

    def _take_padding(self, packet: Any, sequence: int, timestamp: int, now: float) -> None:
        self._add(sequence, timestamp, b"", now)

    def _add(self, sequence: int, timestamp: int, data: bytes, now: float) -> None:
        self._nacks.arrived(sequence, now)
        self.repaired = self._nacks.answered
        self._buffer.add(sequence, timestamp, data, now)
        self._drain()
        self._ask(now)

    def _ask(self, now: float) -> None:
        """Asks for what is missing, if it may come in time."""
        missing = self._buffer.missing()
        rtt = FIRST_RTT_S if self.path is None else self.path.rtt_s
        if not (asked := self._nacks.ask(missing, now, rtt)) or self._own_ssrc is None or self._ssrc is None:
            return
        for sequence in asked:
            if (until := self._nacks.until(sequence)) is not None:
                self._buffer.expect(sequence, until)
        self.nack += 1
        for part in nack.split(asked):
            packet = rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, ssrc=self._own_ssrc, media_ssrc=self._ssrc, lost=part)
            with contextlib.suppress(ConnectionError):
                self.transport.post(bytes(packet))

    def _plain(self) -> int:
        """The payload type of Opus, whose packets the blocks of redundant ones are."""
        return next(number for number, codec in self._codecs.items() if codecs.name(codec) == "opus")

    def _hand_on(self, now: float) -> None:
        if self._decoder is None:
            self._decoder = OpusDecoder()
        for piece in self._buffer.pop(now):
            self.on_sound(self._decode(piece), piece)

    def _drain(self) -> None:
        self._hand_on(time.monotonic())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self._buffer.deadline) is not None and self._tasks:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, deadline - time.monotonic()), self._drain)

    def _decode(self, piece: Piece) -> Pcm:
        assert self._decoder is not None
        if piece.kind == "packet":
            try:
                pcm = self._decoder.decode(piece.data)
                if len(pcm) == piece.samples:
                    return pcm
            except ValueError as error:
                log.debug("%s", error)
            return self._decoder.conceal(piece.samples)
        if piece.kind == "lost":
            self.concealed += piece.samples
            return self._decoder.conceal(piece.samples, piece.data)
        return np.zeros(piece.samples, np.int16)

    def _ended(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        self.on_end()

    def stats(self) -> dict[str, Any]:
        buffer = self._buffer
        return super().stats() | {
            "concealed_ms": round(self.concealed / AUDIO_RATE * 1000, 1),
            "recovered": buffer.recovered,
            "malformed": self.malformed,
            "late": buffer.late,
            "duplicates": buffer.duplicates,
            "wait_ms": round(buffer.wait_s * 1000, 1),
        }
