"""AV1 through SVT-AV1 itself, by ctypes, as in `libvpx`: PyAV cannot change a running encoder's rate.

The library is the one inside PyAV's wheel. Its configuration is never laid out here: the library fills it and takes
changes by name. The layout of pictures and packets is that of version 4; other versions are left to PyAV.

Structures and constants: SVT-AV1, `EbSvtAv1.h`, `EbSvtAv1Enc.h`; its parameters by name: `Docs/Parameters.md`.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
import sys
import threading
import time
import weakref
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..clock import SLOTS_PER_S
from ..types import I420
from . import trial

log = logging.getLogger(__name__)

VERSIONS = ("v4.1.",)
"""Whose layout of pictures and packets is known."""
MIN_SIZE = 64
"""Pixels each way; SVT-AV1 takes no smaller pictures."""
PRESET = 10
"""On 512 × 512 at 330 kbit/s 1.4 dB above 12 and 1 dB above VP9, for 1.4 times VP9's CPU; 8 gains 0.3 dB and costs
twice that."""
TAKES_S = 0.5
"""The library's own threads encode; a picture that has not come back by then is a failure."""
_CONFIG_BYTES = 1 << 14
"""`EbSvtAv1EncConfiguration` has 536; the rest is room."""


class _Picture(ctypes.Structure):
    """`EbBufferHeaderType`: a picture on its way in, or a packet on its way out."""

    _fields_ = [
        ("size", c_uint32),
        ("buffer", c_void_p),
        ("filled", c_uint32),
        ("allocated", c_uint32),
        ("private", c_void_p),
        ("wrapper", c_void_p),
        ("ticks", c_uint32),
        ("dts", c_int64),
        ("pts", c_int64),
        ("temporal_layer", c_uint8),
        ("qp", c_uint32),
        ("avg_qp", c_uint32),
        ("kind", c_int),
        ("sse", c_uint64 * 3),
        ("flags", c_uint32),
        ("ssim", c_double * 3),
        ("metadata", c_void_p),
    ]


class _Planes(ctypes.Structure):
    """`EbSvtIOFormat`."""

    _fields_ = [
        *((name, c_void_p) for name in ("luma", "cb", "cr")),
        *((name, c_uint32) for name in ("luma_stride", "cr_stride", "cb_stride")),
    ]


class _Event(ctypes.Structure):
    """`EbPrivDataNode`: something that changes with a picture."""

    _fields_ = [("kind", c_int), ("data", c_void_p), ("size", c_uint32), ("next", c_void_p)]


class _Rate(ctypes.Structure):
    """`SvtAv1RateInfo`; a qp of 0 leaves it to the rate control."""

    _fields_ = [("qp", c_uint32), ("bitrate", c_uint32)]


_RATE_CHANGE = 4
_KEY, _ANY = 3, 0xFF
_END = 1
_NOTHING_YET = 0x80002033


def available() -> bool:
    """Whether PyAV has SVT-AV1 at all."""
    return "libsvtav1" in av.codecs_available


class SvtError(Exception):
    """SVT-AV1 is not there, is not as expected, or refused a call."""


def parameters(bitrate: int) -> dict[str, int]:
    """What an encoder for live pictures is told, by the library's names for it; bit/s."""
    return {
        "preset": PRESET,
        "rtc": 1,
        "pred-struct": 1,  # low delay: a packet out for each picture in
        "rc": 2,  # CBR
        "tbr": max(1, bitrate // 1000),
        "buf-sz": 1000,
        "buf-initial-sz": 500,
        "buf-optimal-sz": 600,
        "lookahead": 0,
        "keyint": 3000,
        "lp": 1,  # sessions are the unit of parallelism
    }


class _Library:
    def __init__(self, path: Path) -> None:
        os.environ.setdefault("SVT_LOG", "1")  # errors alone; the library writes to the terminal
        self.c = c = ctypes.CDLL(str(path))
        c.svt_av1_get_version.restype = c_char_p
        self.version = c.svt_av1_get_version().decode()
        if not self.version.startswith(VERSIONS):
            raise SvtError(f"its version is {self.version}")
        c.svt_av1_enc_init_handle.argtypes = [c_void_p, c_void_p]
        c.svt_av1_enc_parse_parameter.argtypes = [c_void_p, c_char_p, c_char_p]
        c.svt_av1_enc_set_parameter.argtypes = [c_void_p, c_void_p]
        c.svt_av1_enc_send_picture.argtypes = [c_void_p, POINTER(_Picture)]
        c.svt_av1_enc_get_packet.argtypes = [c_void_p, POINTER(POINTER(_Picture)), c_uint8]
        c.svt_av1_enc_release_out_buffer.argtypes = [POINTER(POINTER(_Picture))]
        c.svt_av1_enc_release_out_buffer.restype = None
        for name in ("init", "deinit", "deinit_handle"):
            getattr(c, f"svt_av1_enc_{name}").argtypes = [c_void_p]
        for name in ("init_handle", "parse_parameter", "set_parameter", "send_picture", "get_packet"):
            getattr(c, f"svt_av1_enc_{name}").restype = c_int32


def _end(c: Any, handle: c_void_p) -> None:
    """Frees an encoder; its threads end."""
    last = _Picture(size=ctypes.sizeof(_Picture), kind=_ANY, flags=_END)
    packet = POINTER(_Picture)()
    if c.svt_av1_enc_send_picture(handle, byref(last)) == 0:
        while c.svt_av1_enc_get_packet(handle, byref(packet), 1) == 0 and packet:
            flags = packet.contents.flags
            c.svt_av1_enc_release_out_buffer(byref(packet))
            if flags & _END:
                break
    c.svt_av1_enc_deinit(handle)
    c.svt_av1_enc_deinit_handle(handle)


class SvtAv1:
    """One AV1 encoder of a fixed picture size. Calls may come from any thread; one works at a time."""

    live = True

    def __init__(self, width: int, height: int, bitrate: int, *, _library: _Library | None = None) -> None:
        """`bitrate` in bit/s."""
        library = _library or load()
        if library is None:
            raise SvtError("SVT-AV1 cannot be reached directly on this machine")
        self._c = c = library.c
        self.width, self.height, self.bitrate = width, height, bitrate
        self._rate = self._wanted = bitrate
        handle = c_void_p()
        config = ctypes.create_string_buffer(_CONFIG_BYTES)
        _check(c.svt_av1_enc_init_handle(byref(handle), config), "make an encoder")
        told = parameters(bitrate) | {"width": width, "height": height, "fps-num": SLOTS_PER_S, "fps-denom": 1}
        try:
            for name, value in told.items():
                _check(c.svt_av1_enc_parse_parameter(config, name.encode(), str(value).encode()), f"take {name}")
            _check(c.svt_av1_enc_set_parameter(handle, config), "take its configuration")
            _check(c.svt_av1_enc_init(handle), "begin")
        except SvtError:
            c.svt_av1_enc_deinit_handle(handle)
            raise
        self._handle = handle
        self._close = weakref.finalize(self, _end, c, handle)
        self._lock = threading.Lock()

    def set_bitrate(self, bitrate: int) -> None:
        """In bit/s, from the next picture, without a key frame."""
        self._wanted = self.bitrate = bitrate

    def encode(self, i420: I420, pts: int, key: bool) -> bytes | None:
        """One picture, `pts` in 90 kHz ticks and growing, as a temporal unit."""
        assert i420.shape == (self.height * 3 // 2, self.width)
        with self._lock:
            if not self._close.alive:
                raise SvtError("SVT-AV1 could not encode: the encoder is closed")
            return self._encode(np.ascontiguousarray(i420), pts, key)

    def _encode(self, pixels: I420, pts: int, key: bool) -> bytes:
        luma, size = pixels.ctypes.data, self.width * self.height
        half = self.width // 2
        planes = _Planes(luma, luma + size, luma + size + size // 4, self.width, half, half)
        picture = _Picture(size=ctypes.sizeof(_Picture), buffer=ctypes.addressof(planes), pts=pts)
        picture.filled = picture.allocated = size * 3 // 2
        picture.kind = _KEY if key else _ANY
        rate = _Rate(0, max(1000, self._wanted))
        event = _Event(_RATE_CHANGE, ctypes.addressof(rate), ctypes.sizeof(rate), None)
        if self._wanted != self._rate:
            self._rate = self._wanted
            picture.private = ctypes.addressof(event)
        _check(self._c.svt_av1_enc_send_picture(self._handle, byref(picture)), "take the picture")
        return self._packet(pts)

    def _packet(self, pts: int) -> bytes:
        """The packet of the picture that was sent last."""
        end = time.monotonic() + TAKES_S
        packet = POINTER(_Picture)()
        while True:
            result = self._c.svt_av1_enc_get_packet(self._handle, byref(packet), 0)
            if result == 0 and packet:
                data = ctypes.string_at(packet.contents.buffer, packet.contents.filled)
                of = packet.contents.pts
                self._c.svt_av1_enc_release_out_buffer(byref(packet))
                if of == pts:
                    return data
            elif result & 0xFFFFFFFF != _NOTHING_YET:
                _check(result or -1, "encode")
            if time.monotonic() > end:
                raise SvtError("SVT-AV1 has not encoded a picture in time")
            time.sleep(0.0005)

    def close(self) -> None:
        """Frees the native memory at once; harmless twice."""
        with self._lock:
            self._close()


def _check(result: int, what: str) -> None:
    if result:
        raise SvtError(f"SVT-AV1 could not {what} ({result & 0xFFFFFFFF:#x})")


@functools.cache
def load() -> _Library | None:
    """The library, checked, or None where it cannot be used. Takes some 20 ms the first time."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return None  # where nobody has tried it
    paths = sorted((Path(av.__file__).parent.parent / "av.libs").glob("libSvtAv1Enc-*.so*"))
    try:
        if not paths:
            raise SvtError("PyAV brings no library file of its own")
        library = _Library(paths[0])
        if not trial.decodes(SvtAv1(trial.SIZE, trial.SIZE, trial.BITRATE, _library=library), "libdav1d"):
            raise SvtError("what it encodes does not decode")
    except (OSError, AttributeError, SvtError, av.FFmpegError) as error:
        log.info("SVT-AV1 cannot be reached directly (%s): bitrate changes will cost a key frame.", error)
        return None
    return library
