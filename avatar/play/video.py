"""Video encoders: a picture in, RTP payloads out. One at a time, from any thread; they keep no clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
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
from . import av1, libvpx, svtav1, vp9

REOPEN_ABOVE = 0.3
"""Encoders that cannot change their rate are opened anew, at the price of a key frame, when the wanted rate has moved
by more than this share."""
H264_CEILING = 4_000_000
"""bit/s. x264 changes its rate while it runs, but never above that which it was opened with."""


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


class Codec(Protocol):
    """An encoder of a fixed picture size, as a library has it."""

    width: int
    height: int
    bitrate: int
    """bit/s that it was told last."""

    @property
    def live(self) -> bool:
        """Its rate changes while it runs, without a key frame."""
        ...

    def encode(self, i420: I420, pts: int, key: bool) -> bytes | None: ...

    def set_bitrate(self, bitrate: int) -> None: ...

    def close(self) -> None: ...


class _Pyav:
    """One of FFmpeg's encoders."""

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        bitrate: int,
        options: Mapping[str, str],
        *,
        live: bool = False,
        profile: str | None = None,
    ) -> None:
        self.width, self.height, self.bitrate, self.live = width, height, bitrate, live
        codec = av.CodecContext.create(name, "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = bitrate
        codec.framerate = Fraction(SLOTS_PER_S, 1)
        codec.time_base = VIDEO_TIME_BASE
        codec.gop_size = 3000
        codec.thread_count = 1
        codec.options = dict(options)
        if profile is not None:
            codec.profile = profile
        if name.startswith("libvpx"):
            codec.qmin, codec.qmax = 2, 56
        if live:
            codec.open()  # its first rate is the ceiling
        self._codec: Any = codec

    def encode(self, i420: I420, pts: int, key: bool) -> bytes | None:
        frame = as_frame(i420, pts)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return b"".join(map(bytes, self._codec.encode(frame))) or None

    def set_bitrate(self, bitrate: int) -> None:
        if self.live:
            self.bitrate = self._codec.bit_rate = bitrate

    def close(self) -> None:
        self._codec = None


class Encoder:
    """Opens a codec for each picture size, and anew where a change of rate needs it."""

    def __init__(self, bitrate: int) -> None:
        self._bitrate = bitrate
        self._codec: Codec | None = None
        self._picture_id = random.randrange(vp9.PICTURE_IDS)

    def _open(self, width: int, height: int, bitrate: int) -> Codec:
        raise NotImplementedError

    def _packetize(self, data: bytes, width: int, height: int) -> tuple[list[bytes], bool]:
        """The RTP payloads of an encoded picture, and whether it is a key frame."""
        raise NotImplementedError

    def encode(self, i420: I420, pts: int, *, key: bool) -> Encoded | None:
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        codec = self._codec
        if codec is not None and (codec.width, codec.height) != (width, height):
            self.close()
            codec = None
        if codec is not None and not codec.live and abs(self._bitrate / codec.bitrate - 1) > REOPEN_ABOVE:
            self.close()
            codec = None
        if codec is None:
            codec = self._codec = self._open(width, height, self._bitrate)
        data = codec.encode(i420, pts, key)
        if data is None:
            return None
        payloads, is_key = self._packetize(data, width, height)
        self._picture_id = (self._picture_id + 1) % vp9.PICTURE_IDS
        return Encoded(payloads, is_key, width, height)

    def set_bitrate(self, bitrate: int) -> None:
        self._bitrate = bitrate
        if self._codec is not None and self._codec.live:
            self._codec.set_bitrate(bitrate)

    def close(self) -> None:
        if self._codec is not None:
            self._codec.close()
            self._codec = None


def _constant(bitrate: int) -> dict[str, str]:
    """FFmpeg's options for CBR with a buffer of a second."""
    return {"minrate": str(bitrate), "maxrate": str(bitrate), "bufsize": str(bitrate)}


class Vp9Encoder(Encoder):
    """VP9 profile 0, one layer (RFC 9628), through libvpx directly where that can be, else through PyAV."""

    def _open(self, width: int, height: int, bitrate: int) -> Codec:
        if libvpx.load() is not None:
            return libvpx.LibvpxVp9(width, height, bitrate)
        options = {
            "deadline": "realtime",
            "speed": str(libvpx.VP9_SPEED),
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
        }
        return _Pyav("libvpx-vp9", width, height, bitrate, options | _constant(bitrate))

    def _packetize(self, data: bytes, width: int, height: int) -> tuple[list[bytes], bool]:
        is_key = vp9.is_key(data)
        return vp9.packetize(data, self._picture_id, (width, height) if is_key else None), is_key


class Vp8Encoder(Encoder):
    """VP8 (RFC 7741), in the same two ways."""

    def _open(self, width: int, height: int, bitrate: int) -> Codec:
        if libvpx.load() is not None:
            return libvpx.LibvpxVp8(width, height, bitrate)
        options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "static-thresh": "1",
            "undershoot-pct": "100",
            "overshoot-pct": "15",
            "max-intra-rate": "300",
        }
        return _Pyav("libvpx", width, height, bitrate, options | _constant(bitrate))

    def _packetize(self, data: bytes, width: int, height: int) -> tuple[list[bytes], bool]:
        is_key = not data[0] & 1  # RFC 6386 §9.1
        return aiortc_vpx.Vp8Encoder._packetize(data, self._picture_id), is_key


class H264Encoder(Encoder):
    """H.264 constrained baseline (RFC 6184, packetization mode 1) by x264."""

    def _open(self, width: int, height: int, bitrate: int) -> Codec:
        ceiling = max(H264_CEILING, bitrate)
        options = {
            "preset": "veryfast",
            "tune": "zerolatency",
            "level": "31",
            "sc_threshold": "0",  # no key frame that nobody asked for
            # x264 follows a new rate only within a buffer (VBV); a tenth of a second of the ceiling is half a second of
            # a usual rate.
            "maxrate": str(ceiling),
            "bufsize": str(ceiling // 10),
        }
        codec = _Pyav("libx264", width, height, ceiling, options, live=True, profile="Baseline")
        codec.set_bitrate(bitrate)
        return codec

    def _packetize(self, data: bytes, width: int, height: int) -> tuple[list[bytes], bool]:
        units = list(aiortc_h264.H264Encoder._split_bitstream(data))
        # x264 puts its parameter sets (type 7, SPS) before each IDR picture.
        return aiortc_h264.H264Encoder._packetize(units), any(unit[0] & 0x1F == 7 for unit in units if unit)


class Av1Encoder(Encoder):
    """AV1 main profile, one layer, through SVT-AV1 directly where that can be, else through PyAV."""

    def _open(self, width: int, height: int, bitrate: int) -> Codec:
        if svtav1.load() is not None:
            return svtav1.SvtAv1(width, height, bitrate)
        told = ":".join(f"{name}={value}" for name, value in svtav1.parameters(bitrate).items() if name != "preset")
        return _Pyav("libsvtav1", width, height, bitrate, {"preset": str(svtav1.PRESET), "svtav1-params": told})

    def encode(self, i420: I420, pts: int, *, key: bool) -> Encoded | None:
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        if min(width, height) < svtav1.MIN_SIZE:
            scale = svtav1.MIN_SIZE / min(width, height)
            width, height = (max(svtav1.MIN_SIZE, round(side * scale / 2) * 2) for side in (width, height))
            i420 = as_frame(i420, pts).reformat(width=width, height=height).to_ndarray()
        return super().encode(i420, pts, key=key)

    def _packetize(self, data: bytes, width: int, height: int) -> tuple[list[bytes], bool]:
        return av1.packetize(data), av1.is_key(data)


ENCODERS: dict[str, Callable[[int], VideoEncoder]] = {
    "vp9": Vp9Encoder,
    "av1": Av1Encoder,
    "h264": H264Encoder,
    "vp8": Vp8Encoder,
}
"""Name → what opens an encoder at a bitrate in bit/s."""
