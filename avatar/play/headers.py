"""RTP header extensions of what is sent: aiortc's, packed without its dozen calls for each of them."""

from __future__ import annotations

from typing import Any

from aiortc import rtp

from . import feedback, lips

_SMALL_IDS = range(1, 15)
"""Those that fit one-byte headers (RFC 8285 §4.2)."""
_SHORT = 4
"""Characters of a `mid` that surely fit them in UTF-8."""
_ONE_BYTE, _TWO_BYTE = 0xBEDE, 0x1000
"""Profiles (RFC 8285 §4.2, §4.3)."""
_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


class Headers(rtp.HeaderExtensionsMap):
    """The extensions of one stream: `configure` takes their ids from a negotiation, `set` packs their values."""

    def __init__(self) -> None:
        super().__init__()
        self._quick = False
        self._mid = self._time = self._level = self._number = self._wait = 0
        self._mid_packed: tuple[str | None, bytes] = (None, b"")

    def configure(self, parameters: Any) -> None:
        super().configure(parameters)
        ids = {extension.uri: extension.id for extension in parameters.headerExtensions}
        self._mid, self._time, self._level, self._number = (ids.get(u, 0) for u in (_MID, _TIME, _LEVEL, feedback.URI))
        self._wait = ids.get(lips.URI, 0)
        self._quick = all(n in _SMALL_IDS for n in (self._mid, self._time, self._level, self._number) if n)

    def set(self, values: Any) -> tuple[int, bytes]:
        """The profile of the header extension, and its elements with their padding."""
        profile, packed = self._set(values)
        wait: bytes | None = getattr(values, "playout_delay", None)
        if not self._wait or wait is None:
            return profile, packed
        if profile == _TWO_BYTE:
            element = bytes((self._wait, len(wait))) + wait
        elif self._wait in _SMALL_IDS:
            profile, element = _ONE_BYTE, bytes((self._wait << 4 | len(wait) - 1,)) + wait
        else:
            return profile, packed
        return profile, packed + element + bytes(-len(element) & 3)

    def _set(self, values: Any) -> tuple[int, bytes]:
        unusual = values.transmission_offset is not None or values.rtp_stream_id is not None
        if unusual or not self._quick or not 1 <= len(values.mid or "-") <= _SHORT:
            packed: tuple[int, bytes] = super().set(values)
            return packed
        elements = b""
        if self._mid and values.mid is not None:
            elements = self._name(values.mid)
        if self._time and values.abs_send_time is not None:
            elements += (self._time << 28 | 2 << 24 | values.abs_send_time).to_bytes(4, "big")
        if self._level and values.audio_level is not None:
            voice, level = values.audio_level
            elements += bytes((self._level << 4, voice << 7 | level))
        if self._number and values.transport_sequence_number is not None:
            elements += (self._number << 20 | 1 << 16 | values.transport_sequence_number).to_bytes(3, "big")
        return _ONE_BYTE if elements else 0, elements + bytes(-len(elements) & 3)

    def _name(self, mid: str) -> bytes:
        if self._mid_packed[0] != mid:
            name = mid.encode()
            self._mid_packed = mid, bytes((self._mid << 4 | len(name) - 1,)) + name
        return self._mid_packed[1]
