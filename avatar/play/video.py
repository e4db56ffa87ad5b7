"""Video encoders: a picture in, RTP payloads out. One at a time, from any thread; they keep no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from aiortc.codecs import h264 as aiortc_h264
from aiortc.codecs import vpx as aiortc_vpx
from av.video.frame import PictureType

from ..clock import SLOTS_PER_S, VIDEO_TIME_BASE
from ..types import I420
from . import libvpx, vp9

REOPEN_ABOVE = 0.3
"""Encoders that cannot change their rate are opened anew, at the price of a key frame, when the wanted rate has moved
by more than this share."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture."""

    payloads: list[bytes]
    """In order; together one RTP frame."""
    key: bool
    width: int
    height: int

    @property
    def size(self) -> int:
        """Bytes of RTP payload."""
        return sum(map(len, self.payloads))


class VideoEncoder(Protocol):
    def encode(self, i420: I420, pts: int, *, key: bool) -> Encoded | None:
        """`pts` in 90 kHz ticks, growing. A picture of another size than the last one starts a key frame. None: the
        encoder dropped the picture to keep to its rate."""
        ...

    def set_bitrate(self, bitrate: int) -> None:
        """Bit/s, from the next picture."""
        ...

    def close(self) -> None:
        """Frees native memory at once; harmless twice."""
        ...


def as_frame(i420: I420, pts: int) -> Any:
    """The picture as PyAV takes it."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(i420), format="yuv420p")
    frame.pts = pts
    frame.time_base = VIDEO_TIME_BASE
    return frame


class _PyavVp9:
    """VP9 through FFmpeg: the same encoder, without the change of rate at run time."""

    def __init__(self, width: int, height: int, bitrate: int) -> None:
        self.width, self.height, self.bitrate = width, height, bitrate
        codec = av.CodecContext.create("libvpx-vp9", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = bitrate
        codec.framerate = Fraction(SLOTS_PER_S, 1)
        codec.time_base = VIDEO_TIME_BASE
        codec.gop_size = 3000
        codec.qmin, codec.qmax = 2, 56
        codec.thread_count = 1
        rate = str(bitrate)
        codec.options = {
            "deadline": "realtime",
            "speed": str(libvpx.speed(width, height)),
            "lag-in-frames": "0",
            "aq-mode": "3",
            "row-mt": "1",
            "tile-columns": "0",
            "auto-alt-ref": "0",
            "frame-parallel": "0",
            "error-resilient": "0",
            "undershoot-pct": "50",
            "overshoot-pct": "50",
            "max-intra-rate": "300",
            "minrate": rate,  # minrate = maxrate = bit_rate asks FFmpeg for CBR
            "maxrate": rate,
            "bufsize": rate,
        }
        self._codec = codec

    def encode(self, i420: I420, pts: int, key: bool) -> bytes | None:
        frame = as_frame(i420, pts)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return b"".join(map(bytes, self._codec.encode(frame))) or None

    def close(self) -> None:
        self._codec = None


class Vp9Encoder:
    """VP9 profile 0, one layer (RFC 9628), through libvpx directly where that can be, else through PyAV."""

    def __init__(self, bitrate: int) -> None:
        self._bitrate = bitrate
        self._codec: libvpx.LibvpxVp9 | _PyavVp9 | None = None
        self._picture_id = random.randrange(vp9.PICTURE_IDS)

    def encode(self, i420: I420, pts: int, *, key: bool) -> Encoded | None:
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        codec = self._codec
        if codec is not None and (codec.width, codec.height) != (width, height):
            self.close()
            codec = None
        if isinstance(codec, _PyavVp9) and abs(self._bitrate / codec.bitrate - 1) > REOPEN_ABOVE:
            self.close()
            codec = None
        if codec is None:
            kind = _PyavVp9 if libvpx.load() is None else libvpx.LibvpxVp9
            codec = self._codec = kind(width, height, self._bitrate)
        data = codec.encode(i420, pts, key)
        if data is None:
            return None
        is_key = vp9.is_key(data)
        payloads = vp9.packetize(data, self._picture_id, (width, height) if is_key else None)
        self._picture_id = (self._picture_id + 1) % vp9.PICTURE_IDS
        return Encoded(payloads, is_key, width, height)

    def set_bitrate(self, bitrate: int) -> None:
        self._bitrate = bitrate
        if isinstance(self._codec, libvpx.LibvpxVp9):
            self._codec.set_bitrate(bitrate)

    def close(self) -> None:
        if self._codec is not None:
            self._codec.close()
            self._codec = None


class _Vp8(aiortc_vpx.Vp8Encoder):
    """aiortc's VP8 without its limits of 250 and 1,500 kbit/s."""

    target_bitrate = 0


class _H264(aiortc_h264.H264Encoder):
    """aiortc's H.264 without its limits of 500 and 3,000 kbit/s."""

    target_bitrate = 0


class AiortcEncoder:
    """VP8 or H.264 through aiortc's own encoders, which reopen, with a key frame, when the rate moves by a tenth."""

    def __init__(self, bitrate: int, kind: type[_Vp8] | type[_H264]) -> None:
        self._kind = kind
        self._inner: Any = kind()
        self._inner.target_bitrate = bitrate

    def encode(self, i420: I420, pts: int, *, key: bool) -> Encoded | None:
        payloads, _ = self._inner.encode(as_frame(i420, pts), key)
        if not payloads:
            return None
        is_key = _vp8_key(payloads[0]) if self._kind is _Vp8 else _h264_key(payloads[0])
        return Encoded(payloads, is_key, i420.shape[1], i420.shape[0] * 2 // 3)

    def set_bitrate(self, bitrate: int) -> None:
        if abs(bitrate / self._inner.target_bitrate - 1) > REOPEN_ABOVE:
            self._inner.target_bitrate = bitrate

    def close(self) -> None:
        self._inner.codec = None


def _vp8_key(payload: bytes) -> bool:
    """RFC 7741 §4.3: the inverse key frame flag is the lowest bit of the frame's first byte."""
    return not aiortc_vpx.vp8_depayload(payload)[0] & 1


def _h264_key(payload: bytes) -> bool:
    """x264 puts its parameter sets (type 7, SPS) before each IDR picture; a STAP-A (type 24) holds them here."""
    kind = payload[0] & 0x1F
    return (payload[3] if kind == aiortc_h264.NAL_TYPE_STAP_A and len(payload) > 3 else payload[0]) & 0x1F == 7


ENCODERS: dict[str, Callable[[int], VideoEncoder]] = {
    "vp9": Vp9Encoder,
    "h264": lambda bitrate: AiortcEncoder(bitrate, _H264),
    "vp8": lambda bitrate: AiortcEncoder(bitrate, _Vp8),
}
"""Name → what opens an encoder at a bitrate in bit/s."""
