"""Opus at 48 kHz, mono: the voice going out and the voices coming in (RFC 6716, RFC 7587)."""

from __future__ import annotations

import ctypes
import functools
import logging
import math
import weakref
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..clock import AUDIO_RATE, AUDIO_TIME_BASE
from ..types import Pcm

log = logging.getLogger(__name__)

PACKET_SAMPLES = AUDIO_RATE // 50
"""20 ms, Opus's usual packet. Other lengths would wait in FFmpeg for the next frame."""
LOOKAHEAD_SAMPLES = 312
"""6.5 ms: libopus's look-ahead in its `voip` mode. Decoded sound comes that much after its RTP timestamp."""
BITRATE = 32_000
"""Full-band speech is transparent to most ears at 32 kbit/s mono; more starves the picture on thin links."""


MAX_PACKET_BYTES = 1275
"""Of one frame (RFC 6716 §3.2.1)."""
FEC_LOSS = 0.01
"""Share of lost packets from which on packets carry a spare copy of the one before them."""
_DTX_BYTES = 2
"""A packet of so few bytes says only that nothing is said (RFC 6716 §2.1.9)."""


class OpusEncoder:
    """20 ms in, at most one packet out. Takes about 0.1 ms, so it runs where it is called."""

    def __init__(self, bitrate: int = BITRATE) -> None:
        self._inner: _DirectEncoder | _PyavEncoder
        library = _libopus()
        self._inner = _PyavEncoder(bitrate) if library is None else _DirectEncoder(library, bitrate)
        self._bitrate = bitrate
        self._loss = 0.0
        self._still = self._dtx = False

    def encode(self, pcm: Pcm) -> bytes:
        """`pcm`: 960 samples. With DTX empty while nothing is said, but for the first packet of a silence and one every
        400 ms: then nothing is to be sent."""
        if len(pcm) != PACKET_SAMPLES:
            raise ValueError(f"An Opus packet takes {PACKET_SAMPLES} samples, not {len(pcm)}.")
        data = self._inner.encode(np.ascontiguousarray(pcm, np.int16))
        still = self._dtx and len(data) <= _DTX_BYTES
        began, self._still = still and not self._still, still
        return data if began or not still else b""

    def set_loss(self, share: float) -> None:
        """The share of packets that get lost. From `FEC_LOSS` on packets carry a spare copy of the one before them, in
        coarser form the more get lost (in-band FEC, RFC 6716 §2.1.7)."""
        step = 0.0 if share < FEC_LOSS else max(0.05, round(min(share, 0.3) * 20) / 20)
        if step != self._loss:
            self._loss = step
            self._inner.set_loss(round(step * 100))

    def set_bitrate(self, bitrate: int) -> None:
        """bit/s, from the next packet; through FFmpeg, without effect."""
        if bitrate != self._bitrate:
            self._bitrate = bitrate
            self._inner.set_bitrate(bitrate)

    def set_dtx(self, wanted: bool) -> None:
        """Whether packets are left out while nothing is said (discontinuous transmission, RFC 7587 §3.1.3)."""
        if wanted != self._dtx:
            self._dtx = wanted
            self._inner.set_dtx(wanted)

    def close(self) -> None:
        """Harmless twice."""
        self._inner.close()


class _DirectEncoder:
    """libopus itself: what is asked of it can change while it runs."""

    def __init__(self, library: _LibOpus, bitrate: int) -> None:
        self._library = library
        error = ctypes.c_int()
        self._state = library.c.opus_encoder_create(AUDIO_RATE, 1, _VOIP, ctypes.byref(error))
        if error.value:
            raise MemoryError(f"An Opus encoder could not be opened ({error.value}).")
        self._close = weakref.finalize(self, library.c.opus_encoder_destroy, self._state)
        self._out = ctypes.create_string_buffer(MAX_PACKET_BYTES)
        self._ask(_SET_BITRATE, bitrate)

    def _ask(self, request: int, value: int) -> None:
        # Of variable arguments: as in `libvpx`, only where ctypes passes those like fixed ones.
        self._library.c.opus_encoder_ctl(ctypes.c_void_p(self._state), ctypes.c_int(request), ctypes.c_int(value))

    def encode(self, pcm: Pcm) -> bytes:
        if not self._close.alive:
            raise ValueError("The Opus encoder is closed.")
        size = self._library.c.opus_encode(self._state, pcm.ctypes.data, len(pcm), self._out, MAX_PACKET_BYTES)
        if size < 0:
            raise ValueError(f"Sound could not be encoded ({size}).")
        return self._out.raw[:size]

    def set_bitrate(self, bitrate: int) -> None:
        self._ask(_SET_BITRATE, bitrate)

    def set_loss(self, percent: int) -> None:
        self._ask(_SET_INBAND_FEC, int(percent > 0))
        self._ask(_SET_PACKET_LOSS_PERC, percent)

    def set_dtx(self, wanted: bool) -> None:
        self._ask(_SET_DTX, int(wanted))

    def close(self) -> None:
        self._close()


class _PyavEncoder:
    """Through FFmpeg, with a spare copy in every packet from the start: it cannot be told later."""

    def __init__(self, bitrate: int) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.bit_rate = bitrate
        codec.sample_rate = AUDIO_RATE
        codec.format = "s16"
        codec.layout = "mono"
        codec.time_base = AUDIO_TIME_BASE
        codec.options = {"application": "voip", "fec": "1", "packet_loss": "5"}
        codec.open()
        self._codec: Any = codec
        self._samples = 0

    def encode(self, pcm: Pcm) -> bytes:
        frame = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE
        frame.time_base = AUDIO_TIME_BASE
        frame.pts = self._samples
        self._samples += PACKET_SAMPLES
        return b"".join(map(bytes, self._codec.encode(frame)))

    def set_bitrate(self, bitrate: int) -> None:
        pass

    def set_loss(self, percent: int) -> None:
        pass

    def set_dtx(self, wanted: bool) -> None:
        pass

    def close(self) -> None:
        self._codec = None


def level_dbov(pcm: Pcm) -> int:
    """The level of a packet in −dBov, 0 (loudest) to 127 (RFC 6464 §3)."""
    loudness = pcm.astype(np.float32)
    power = float(np.dot(loudness, loudness)) / (len(pcm) * 32768.0**2)
    return 127 if power < 1e-12 else min(127, max(0, round(-10 * math.log10(power))))


_VOIP = 2048
_SET_BITRATE, _SET_INBAND_FEC, _SET_PACKET_LOSS_PERC, _SET_DTX = 4002, 4012, 4014, 4016
"""libopus, `opus_defines.h`."""


class _LibOpus:
    """Opus's own codec, out of PyAV's wheel: FFmpeg's wrapper offers neither concealment, nor the spare copy that a
    packet may carry of the one before it, nor a change of mind while it encodes. The functions used have been the same
    since libopus 1.0."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        self.c.opus_decoder_create.restype = ctypes.c_void_p
        self.c.opus_decoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        self.c.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
        self.c.opus_decoder_destroy.restype = None
        self.c.opus_encoder_create.restype = ctypes.c_void_p
        self.c.opus_encoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        self.c.opus_encoder_destroy.argtypes = [ctypes.c_void_p]
        self.c.opus_encoder_destroy.restype = None
        self.c.opus_encode.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int32,
        ]
        self.c.opus_decode.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int,
        ]


@functools.cache
def _libopus() -> _LibOpus | None:
    """None where PyAV has no such file: then lost sound is faded out instead."""
    root = Path(av.__file__).parent
    for pattern in ("../av.libs/libopus*", ".dylibs/libopus*", "../av.libs/opus*.dll"):
        for path in sorted(root.glob(pattern)):
            try:
                return _LibOpus(path)
            except (OSError, AttributeError) as error:
                log.info("libopus cannot be reached directly: %s", error)
    return None


MAX_PACKET_SAMPLES = AUDIO_RATE * 120 // 1000
"""No Opus packet is longer than 120 ms (RFC 6716 §3.4)."""


class OpusDecoder:
    """Packets of any channel count in, 48 kHz mono out, lost ones included."""

    def __init__(self) -> None:
        self._library = _libopus()
        self._codec: Any = None
        self._last = np.zeros(0, np.int16)
        if self._library is not None:
            error = ctypes.c_int()
            self._state = self._library.c.opus_decoder_create(AUDIO_RATE, 1, ctypes.byref(error))
            if error.value:
                raise MemoryError(f"An Opus decoder could not be opened ({error.value}).")
            self._close = weakref.finalize(self, self._library.c.opus_decoder_destroy, self._state)
            self._out = np.zeros(MAX_PACKET_SAMPLES, np.int16)
        else:
            self._codec = av.CodecContext.create("libopus", "r")
            self._codec.sample_rate, self._codec.format, self._codec.layout = AUDIO_RATE, "s16", "mono"

    def decode(self, packet: bytes) -> Pcm:
        """Raises `ValueError` when the packet is not Opus."""
        if not packet:
            raise ValueError("An empty packet is not Opus.")
        if self._library is not None:
            return self._decode(packet, MAX_PACKET_SAMPLES, spare=False)
        try:
            frames = self._codec.decode(av.Packet(packet))
        except av.FFmpegError as error:
            raise ValueError(f"An Opus packet could not be decoded: {error}") from None
        planes = [frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(1) for frame in frames]
        self._last = np.concatenate(planes).astype(np.int16) if planes else np.zeros(0, np.int16)
        return self._last

    def conceal(self, samples: int, following: bytes | None = None) -> Pcm:
        """A guess at `samples` lost ones (a multiple of 2.5 ms). `following` is the packet after them, if it is there:
        it may hold a spare copy (in-band FEC) of the last of them."""
        if samples <= 0:
            return np.zeros(0, np.int16)
        if self._library is None:
            return self._fade(samples)
        parts = []
        while samples > 0:
            share = min(samples, PACKET_SAMPLES)
            samples -= share
            spare = following if samples == 0 else None
            parts.append(self._decode(spare, share, spare=spare is not None))
        return np.concatenate(parts)

    def _decode(self, packet: bytes | None, samples: int, *, spare: bool) -> Pcm:
        assert self._library is not None
        count = self._library.c.opus_decode(
            self._state, packet, len(packet or b""), self._out.ctypes.data, samples, int(spare)
        )
        if count < 0:
            if packet is not None and not spare:
                raise ValueError(f"An Opus packet could not be decoded ({count}).")
            return np.zeros(samples, np.int16)
        return self._out[:count].copy()

    def _fade(self, samples: int) -> Pcm:
        """The last packet again, fading to silence within one packet's length."""
        out = np.zeros(samples, np.int16)
        copy = self._last[:samples]
        out[: len(copy)] = copy * np.linspace(1, 0, len(copy)) if len(copy) else copy
        self._last = np.zeros(0, np.int16)
        return out

    def close(self) -> None:
        if self._library is not None:
            self._close()
        self._codec = None


_FRAME_SAMPLES = (
    (480, 960, 1920, 2880),  # SILK
    (480, 960),  # hybrid
    (120, 240, 480, 960),  # CELT
)


def duration(packet: bytes) -> int:
    """Samples at 48 kHz that a packet holds, by its table of contents (RFC 6716 §3.1, §3.2); 0 when it is broken."""
    if not packet:
        return 0
    config = packet[0] >> 3
    if config < 12:
        frame = _FRAME_SAMPLES[0][config & 3]
    elif config < 16:
        frame = _FRAME_SAMPLES[1][config & 1]
    else:
        frame = _FRAME_SAMPLES[2][config & 3]
    match packet[0] & 3:
        case 0:
            count = 1
        case 3:
            count = packet[1] & 0x3F if len(packet) > 1 else 0
        case _:
            count = 2
    samples = frame * count
    return samples if samples <= MAX_PACKET_SAMPLES else 0
