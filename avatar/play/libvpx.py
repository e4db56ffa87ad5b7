"""VP9 and VP8 through libvpx itself, by ctypes: what PyAV cannot do is change the bitrate of a running encoder.

A change through FFmpeg means a new encoder and a key frame, just when the network is already too thin for one. The
library is the one inside PyAV's own wheel. It is a private file of that wheel, so nothing about it is taken on trust:
`load` checks the configuration's layout against the library's documented defaults and encodes a small clip that must
decode; where any of that fails, `video` uses the PyAV encoder instead.

Structures and constants: libvpx, `vpx/vpx_encoder.h`, `vpx/vpx_codec.h`, `vpx/vp8cx.h`.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import platform
import sys
import threading
import weakref
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_long, c_size_t, c_uint, c_uint32, c_ulong, c_void_p
from pathlib import Path
from typing import Literal

import av
import numpy as np

from ..clock import SLOTS_PER_S, VIDEO_RATE, VIDEO_TICKS
from ..types import I420
from . import trial

log = logging.getLogger(__name__)

_uint = c_uint


class _Config(ctypes.Structure):
    """`vpx_codec_enc_cfg_t` up to the fields used here; the rest is room for what later versions append."""

    _fields_ = [
        *((name, _uint) for name in ("usage", "threads", "profile", "w", "h", "bit_depth", "input_bit_depth")),
        ("timebase_num", c_int),
        ("timebase_den", c_int),
        ("error_resilient", _uint),
        ("pass_", c_int),
        ("lag_in_frames", _uint),
        ("dropframe_thresh", _uint),
        ("resize_allowed", _uint),
        ("scaled_width", _uint),
        ("scaled_height", _uint),
        ("resize_up_thresh", _uint),
        ("resize_down_thresh", _uint),
        ("end_usage", c_int),
        ("twopass_stats", c_void_p),
        ("twopass_stats_size", c_size_t),
        ("firstpass_mb_stats", c_void_p),
        ("firstpass_mb_stats_size", c_size_t),
        ("target_bitrate", _uint),
        ("min_quantizer", _uint),
        ("max_quantizer", _uint),
        ("undershoot_pct", _uint),
        ("overshoot_pct", _uint),
        ("buf_sz", _uint),
        ("buf_initial_sz", _uint),
        ("buf_optimal_sz", _uint),
        ("vbr_bias_pct", _uint),
        ("vbr_minsection_pct", _uint),
        ("vbr_maxsection_pct", _uint),
        ("vbr_corpus_complexity", _uint),
        ("kf_mode", c_int),
        ("kf_min_dist", _uint),
        ("kf_max_dist", _uint),
        ("rest", ctypes.c_char * 4096),
    ]


_DEFAULTS = {
    "w": 320,
    "h": 240,
    "timebase_num": 1,
    "timebase_den": 30,
    "lag_in_frames": 25,
    "target_bitrate": 256,
    "min_quantizer": 0,
    "max_quantizer": 63,
    "buf_sz": 6000,
    "buf_initial_sz": 4000,
    "buf_optimal_sz": 5000,
    "kf_max_dist": 128,
}
"""What `vpx_codec_enc_config_default` has written for VP9 since 1.3. Their finding each other in the right places shows
that the layout above is the library's."""


class _Packet(ctypes.Structure):
    """`vpx_codec_cx_pkt_t`, its frame variant."""

    _fields_ = [
        ("kind", c_int),
        ("data", c_void_p),
        ("size", c_size_t),
        ("pts", c_int64),
        ("duration", c_ulong),
        ("flags", c_uint32),
    ]


_FRAME_PACKET = 0
_IS_KEY = 1
_FORCE_KEY = 1
_LAST_ALONE = 1 << 17 | 1 << 21
"""VP8_EFLAG_NO_REF_GF, VP8_EFLAG_NO_REF_ARF: a picture refers to the one before it and to no older one."""
_CBR = 1
_KF_AUTO = 1
_REALTIME = 1
_I420 = 0x102
_ABI_MISMATCH = 3
_CONTEXT_BYTES = 512
"""`vpx_codec_ctx_t` has seven pointer-sized fields; the rest is room."""

_CPU_USED = 13  # VP8E_SET_CPUUSED
_MAX_INTRA = {26: 300}
"""VP8E_SET_MAX_INTRA_BITRATE_PCT: a key frame costs at most three frames' worth of the rate."""
_VP9 = _MAX_INTRA | {
    36: 3,  # VP9E_SET_AQ_MODE: cyclic refresh, spreads the repair of a static background over many frames
    33: 0,  # VP9E_SET_TILE_COLUMNS: one thread, so no tiles
    14: 0,  # VP8E_SET_ENABLEAUTOALTREF: hidden frames would add delay
    35: 0,  # VP9E_SET_FRAME_PARALLEL_DECODING: adapt probabilities from frame to frame, the better compression
}
_VP8 = _MAX_INTRA | {
    15: 0,  # VP8E_SET_NOISE_SENSITIVITY: drawn pictures have no camera's noise
    17: 1,  # VP8E_SET_STATIC_THRESHOLD: a background that rests is skipped
    18: 0,  # VP8E_SET_TOKEN_PARTITIONS: one
}


def _declare(library: ctypes.CDLL) -> None:
    for interface in (library.vpx_codec_vp9_cx, library.vpx_codec_vp8_cx):
        interface.restype = c_void_p
        interface.argtypes = []
    library.vpx_codec_enc_config_default.argtypes = [c_void_p, c_void_p, c_uint]
    library.vpx_codec_enc_init_ver.argtypes = [c_void_p, c_void_p, c_void_p, c_long, c_int]
    library.vpx_codec_enc_config_set.argtypes = [c_void_p, c_void_p]
    library.vpx_codec_encode.argtypes = [c_void_p, c_void_p, c_int64, c_ulong, c_long, c_ulong]
    library.vpx_codec_get_cx_data.argtypes = [c_void_p, c_void_p]
    library.vpx_codec_get_cx_data.restype = POINTER(_Packet)
    library.vpx_codec_destroy.argtypes = [c_void_p]
    library.vpx_codec_error.argtypes = [c_void_p]
    library.vpx_codec_error.restype = c_char_p
    library.vpx_codec_version_str.restype = c_char_p
    library.vpx_img_wrap.argtypes = [c_void_p, c_int, c_uint, c_uint, c_uint, c_void_p]
    library.vpx_img_wrap.restype = c_void_p
    library.vpx_img_free.argtypes = [c_void_p]


VP9_SPEED = 8
"""libvpx's speed where bits are scarce: 7 gives 0.1 to 0.3 dB more for a fifth more CPU."""
_VP9_FAST = 9
"""Where they are not: a sixth less CPU for 0.1 dB of a photograph at 48 dB, 0.4 of a drawing at 52."""
_AMPLE = 0.08
"""Bits a pixel from which on they are not: 524 kbit/s at 512 × 512."""


class LibvpxError(Exception):
    """libvpx is not there, is not as expected, or refused a call."""


class _Library:
    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        _declare(self.c)
        self.vp9, self.vp8 = self.c.vpx_codec_vp9_cx(), self.c.vpx_codec_vp8_cx()
        self.version = self.c.vpx_codec_version_str().decode()
        config = self.defaults(self.vp9)
        wrong = {name: getattr(config, name) for name, value in _DEFAULTS.items() if getattr(config, name) != value}
        if wrong:
            raise LibvpxError(f"its configuration is laid out differently: {wrong}")
        self.abi = self._find_abi(config)

    def defaults(self, interface: int) -> _Config:
        config = _Config()
        if self.c.vpx_codec_enc_config_default(interface, byref(config), 0):
            raise LibvpxError("it has no default configuration")
        return config

    def _find_abi(self, config: _Config) -> int:
        """The version number that this build wants to be called with: headers are not at hand, so it is asked."""
        context = ctypes.create_string_buffer(_CONTEXT_BYTES)
        for version in range(1, 128):
            result = self.c.vpx_codec_enc_init_ver(context, self.vp9, byref(config), 0, version)
            if result == 0:
                self.c.vpx_codec_destroy(context)
                return version
            if result != _ABI_MISMATCH:
                break
        raise LibvpxError("it cannot be initialised")


class _Libvpx:
    """One encoder of a fixed picture size. Calls may come from any thread; one works at a time, because libvpx answers
    two at once with a crash of the process."""

    codec: Literal["vp9", "vp8"]
    shoot_pct = (50, 50)
    """How far the rate may fall below its target and rise above it."""
    flags = 0
    """With every picture that is not forced to be a key frame."""
    controls: dict[int, int]
    live = True
    """The rate changes while it runs."""

    def __init__(self, width: int, height: int, bitrate: int, *, _library: _Library | None = None) -> None:
        """`bitrate` in bit/s."""
        library = _library or load()
        if library is None:
            raise LibvpxError("libvpx cannot be reached directly on this machine")
        self._library = library
        self.width, self.height, self.bitrate = width, height, bitrate
        interface = library.vp9 if self.codec == "vp9" else library.vp8
        config = library.defaults(interface)
        config.w, config.h = width, height
        config.threads = 1  # two threads cost 20 % more CPU in total; sessions are the unit of parallelism
        config.timebase_num, config.timebase_den = 1, VIDEO_RATE
        config.lag_in_frames = 0
        config.end_usage = _CBR
        config.target_bitrate = max(1, bitrate // 1000)
        config.min_quantizer, config.max_quantizer = 2, 56
        config.undershoot_pct, config.overshoot_pct = self.shoot_pct
        config.buf_sz, config.buf_initial_sz, config.buf_optimal_sz = 1000, 500, 600  # ms
        config.dropframe_thresh = 30  # % of the buffer: on a thin link skip pictures, do not queue them
        config.kf_mode, config.kf_min_dist, config.kf_max_dist = _KF_AUTO, 0, 3000
        self._config = config
        self._context = ctypes.create_string_buffer(_CONTEXT_BYTES)
        self._check(library.c.vpx_codec_enc_init_ver(self._context, interface, byref(config), 0, library.abi), "open")
        self._close = weakref.finalize(self, library.c.vpx_codec_destroy, self._context)
        self._speed = self._speed_at(bitrate)
        for control, value in {_CPU_USED: self._speed, **self.controls}.items():
            self._control(control, value)
        self._last_pts: int | None = None
        self._lock = threading.Lock()

    def _speed_at(self, bitrate: int) -> int:
        raise NotImplementedError

    def _control(self, control: int, value: int) -> None:
        context = c_void_p(ctypes.addressof(self._context))
        self._check(
            self._library.c.vpx_codec_control_(context, c_int(control), c_int(value)), f"take control {control}"
        )

    def _check(self, result: int, what: str) -> None:
        if result:
            reason = self._library.c.vpx_codec_error(self._context) or b""
            raise LibvpxError(f"libvpx could not {what}: {reason.decode(errors='replace')} ({result})")

    def set_bitrate(self, bitrate: int) -> None:
        """In bit/s, from the next frame, without a key frame."""
        with self._lock:
            self._must_be_open("change the bitrate")
            self.bitrate = bitrate
            self._config.target_bitrate = max(1, bitrate // 1000)
            result = self._library.c.vpx_codec_enc_config_set(self._context, byref(self._config))
            self._check(result, "change the bitrate")
            speed = self._speed_at(bitrate)
            if speed != self._speed:
                self._control(_CPU_USED, speed)
                self._speed = speed

    def _must_be_open(self, what: str) -> None:
        if not self._close.alive:
            raise LibvpxError(f"libvpx could not {what}: the encoder is closed")

    def encode(self, i420: I420, pts: int, key: bool) -> bytes | None:
        """One picture, `pts` in 90 kHz ticks and growing. None: the encoder dropped it to keep to its rate."""
        assert i420.shape == (self.height * 3 // 2, self.width)
        with self._lock:
            self._must_be_open("encode")
            return self._encode(np.ascontiguousarray(i420), pts, key)

    def _encode(self, pixels: I420, pts: int, key: bool) -> bytes | None:
        duration = VIDEO_TICKS if self._last_pts is None else max(1, pts - self._last_pts)
        self._last_pts = pts
        image = self._library.c.vpx_img_wrap(None, _I420, self.width, self.height, 1, pixels.ctypes.data)
        if not image:
            raise LibvpxError("libvpx could not take the picture")
        try:
            self._check(
                self._library.c.vpx_codec_encode(
                    self._context, image, pts, duration, _FORCE_KEY if key else self.flags, _REALTIME
                ),
                "encode",
            )
            iterator = c_void_p(None)
            data = b""
            while packet := self._library.c.vpx_codec_get_cx_data(self._context, byref(iterator)):
                if packet.contents.kind == _FRAME_PACKET:
                    data += ctypes.string_at(packet.contents.data, packet.contents.size)
        finally:
            self._library.c.vpx_img_free(image)
        return data or None

    def close(self) -> None:
        """Frees the native memory at once; harmless twice."""
        with self._lock:
            self._close()


class LibvpxVp9(_Libvpx):
    codec = "vp9"
    controls = _VP9
    # What comes back in a face has rarely been as it is now: older references cost 3 % and give nothing.
    flags = _LAST_ALONE

    def _speed_at(self, bitrate: int) -> int:
        ample = bitrate >= _AMPLE * self.width * self.height * SLOTS_PER_S
        return _VP9_FAST if ample else VP9_SPEED


class LibvpxVp8(_Libvpx):
    codec = "vp8"
    shoot_pct = (100, 15)
    controls = _VP8

    def _speed_at(self, bitrate: int) -> int:
        return -6  # negative: the speed itself, whatever the machine


@functools.cache
def load() -> _Library | None:
    """The library, checked, or None where it cannot be used. Takes some 15 ms the first time."""
    # vpx_codec_control_ takes variable arguments, which ctypes passes like fixed ones: right on these two, wrong on
    # Apple's arm64. Elsewhere the PyAV encoder does.
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return None
    paths = sorted((Path(av.__file__).parent.parent / "av.libs").glob("libvpx-*.so*"))
    try:
        if not paths:
            raise LibvpxError("PyAV brings no library file of its own")
        library = _Library(paths[0])
        for kind in (LibvpxVp9, LibvpxVp8):
            if not trial.decodes(kind(trial.SIZE, trial.SIZE, trial.BITRATE, _library=library), kind.codec):
                raise LibvpxError(f"the {kind.codec} that it encodes does not decode")
    except (OSError, AttributeError, LibvpxError, av.FFmpegError) as error:
        log.info("libvpx cannot be reached directly (%s): bitrate changes will cost a key frame.", error)
        return None
    return library
