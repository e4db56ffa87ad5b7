"""The sender of sound: Opus, a packet for each tick of 20 ms, alone or with copies of those before it."""

from __future__ import annotations

import functools
import time
from typing import Any

from ..clock import AUDIO_RATE, MediaClock
from ..types import Pcm
from . import codecs, red
from .congestion import Congestion, Fate
from .opus import BITRATE, FEC_LOSS, PACKET_SAMPLES, OpusEncoder, level_dbov
from .sender import HEADER_BYTES, MediaSender
from .takers import Sound

COPIES, COPIES_LOSSY = 1, 3
"""Packets that a redundant one carries once more, and so many when some get lost on a path that is not full: then two
or three in a row do as well."""
WARY_S = 30.0
"""So long after a loss the path counts as lossy for that."""
COPIED_FEC_LOSS = 0.3
"""Share of lost packets from which on copies are not enough and Opus adds its coarse ones: those are paid with the
quality of all of the sound, which word recognisers hear."""

HEADERS = 26_000
"""bit/s around fifty packets a second: RTP with its extensions, SRTP, UDP and IP."""
SHARE, SHARE_ALONE = 1 / 3, 0.7
"""Of what a thin path carries beyond that, what Opus gets, beside pictures and without them."""
MOST = 50_000
"""bit/s that speech at the full rate takes with headers, over some seconds: pauses cost less."""
LEAST = 10_000
"""bit/s: speech that is easily understood still."""


def opus_rate(path: float, *, alone: bool) -> int:
    """bit/s of Opus on a path that carries `path` bit/s in all; `alone`: no pictures are sent."""
    return int(min(BITRATE, max(LEAST, (SHARE_ALONE if alone else SHARE) * (path - HEADERS))))


def reserve(rate: int) -> int:
    """bit/s to keep for sound of that rate, headers included."""
    return min(MOST, HEADERS + rate)


class SoundSender(MediaSender):
    """Opus, a packet for each tick of 20 ms: from a `SoundSource`, or from `push` with an encoder of its own."""

    rate = AUDIO_RATE
    resends = True

    def __init__(self, transport: Any, clock: MediaClock, path: Congestion) -> None:
        super().__init__("audio", transport, clock, path)
        self._encoder: OpusEncoder | None = None
        self.leads = True
        """The encoder's rate and spare copies follow this client's network."""
        self._ended = False
        self._last = -1
        """The tick that was sent last."""
        self._block_type: int | None = None
        """Payload type of Opus within redundant packets; None while plain ones are sent."""
        self._before: list[Sound] = []
        """What was sent last, newest first."""
        self.most_copies = COPIES_LOSSY
        self._wary_until = float("-inf")

    @property
    def taking(self) -> bool:
        return bool(self.running and self._enabled)

    redundant = False
    """Packets carry those before them once more, if the other side takes it (RFC 2198)."""
    dtx = False
    """The receiver would rather have no packets while nothing is said (RFC 7587 §6.1, usedtx)."""

    @property
    def target(self) -> int:
        """bit/s of Opus that the path has room for."""
        estimate = self._path.estimate
        return BITRATE if estimate is None else opus_rate(estimate.rate, alone=self._path.sound_only)

    @property
    def lossy(self) -> float:
        """The share of packets that get lost, by feedback if there is any, else by the receiver's reports."""
        return self.loss if self._path.estimate is None else self._path.estimate.loss

    def take(self, sound: Sound) -> None:
        """Sends it, at once: it is due."""
        if not self.running:
            return
        marker = sound.tick != self._last + 1  # the first packet after silence (RFC 3551 §4.1)
        self._last = sound.tick
        payload = self._payload(sound)
        with self._caught():
            self._transmit([payload], sound.tick * PACKET_SAMPLES, marker=marker, level=sound.level)
        self._path.pacer.spend(len(payload) + HEADER_BYTES)
        self.lag_s = self._clock.media_s() - sound.tick * PACKET_SAMPLES / AUDIO_RATE

    def push(self, tick: int, pcm: Pcm) -> None:
        """960 samples that are due now. Encoded here and now: it takes a tenth of a millisecond."""
        if not self.taking or self._ended:
            return
        if self._encoder is None:
            self._encoder = OpusEncoder()
        alone = self._block_type is None
        self._encoder.set_loss(self.lossy if alone or self.lossy >= COPIED_FEC_LOSS else 0.0)
        if data := self._encoder.encode(pcm):
            self.take(Sound(tick, data, level_dbov(pcm)))

    def _choose(self, negotiated: list[Any]) -> Any:
        plain = next(codec for codec in negotiated if not codecs.is_red(codec))
        mixed = [codec for codec in negotiated if codecs.is_red(codec)]
        if not self.redundant or not mixed:
            return plain
        self._block_type = plain.payloadType
        return mixed[0]

    def _payload(self, sound: Sound) -> bytes:
        """With the packets before it, as long as there was no pause between them."""
        if self._block_type is None:
            return sound.data
        estimate, now = self._path.estimate, time.monotonic()
        if self.lossy >= FEC_LOSS:
            self._wary_until = now + WARY_S
        calm = estimate is None or estimate.calm(now)
        count = min(self.most_copies, COPIES_LOSSY if calm and now < self._wary_until else COPIES)
        copies: list[red.Copy] = []
        for back, before in enumerate(self._before[:count], 1):
            if before.tick != sound.tick - back:
                break
            copies.insert(0, red.Copy(back * PACKET_SAMPLES, before.data))
        self._before = [sound, *self._before][:COPIES_LOSSY]
        return red.join(copies, sound.data, self._block_type)

    def _send_again(self, packet: Any, *, repair: bool = True) -> None:
        """At once: sound waits for nothing."""
        with self._caught():
            self._send_packet(packet)

    def _fate(self, packet: Any) -> Fate | None:
        if packet.sequence_number != (self._sequence - 1) & 0xFFFF:
            return None  # sent again: late by that, and not by the path
        return functools.partial(self._path.lips.heard, self._due(packet))

    async def stop(self) -> None:
        await super().stop()
        self._ended = True
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
