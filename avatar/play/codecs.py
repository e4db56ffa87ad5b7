"""Which codecs are negotiated, and how they are told to aiortc.

The only change to aiortc's own data is made here, once, on import: VP9 is appended to its table of video codecs, and
transport-wide feedback to all of them, since an offer or an answer can hold nothing that is not in its tables.
Encoders, decoders and payload formats are ours or called by us, so nothing of aiortc is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiortc import sdp as aiortc_sdp
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters

from . import vp9
from .feedback import URI

VIDEO_CODECS = ("vp9", "h264", "vp8")
"""What can be sent and received, by the names that `codec` takes."""

_FEEDBACK = (("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None), ("transport-cc", None))
_NUMBERS_ID = 5
"""Header extension id of the transport-wide numbers in offers of ours; one that aiortc does not use."""


def _register() -> None:
    known = CODECS["video"]
    if any(codec.mimeType == "video/VP9" for codec in known):
        return
    payload_type = max(codec.payloadType for codec in known) + 1
    feedback = [RTCRtcpFeedback(type=kind, parameter=parameter) for kind, parameter in _FEEDBACK]
    known.append(
        RTCRtpCodecParameters(
            mimeType="video/VP9",
            clockRate=90_000,
            payloadType=payload_type,
            rtcpFeedback=feedback,
            parameters={"profile-id": "0"},
        )
    )
    known.append(
        RTCRtpCodecParameters(
            mimeType="video/rtx", clockRate=90_000, payloadType=payload_type + 1, parameters={"apt": payload_type}
        )
    )
    for codec in known:
        if not is_rtx(codec):
            codec.rtcpFeedback = feedback
    for codec in CODECS["audio"]:
        if name(codec) == "opus":
            codec.rtcpFeedback = [RTCRtcpFeedback(type="transport-cc")]
    for extensions in HEADER_EXTENSIONS.values():
        extensions.append(RTCRtpHeaderExtensionParameters(id=_NUMBERS_ID, uri=URI))


def is_rtx(codec: Any) -> bool:
    return str(codec.mimeType).lower().endswith("/rtx")


def name(codec: Any) -> str:
    """ "vp9", "h264", "opus", …"""
    return str(codec.mimeType).rpartition("/")[2].lower()


_register()


def _plays(codec: Any) -> bool:
    """Whether an offered video codec is exactly one that we send. The name alone would match VP9 profile 2 (10 bits)
    and H.264 in High profile or packetization mode 0."""
    parameters = codec.parameters
    match name(codec):
        case "vp9":
            return str(parameters.get("profile-id", "0")) == "0"
        case "vp8":
            return True
        case "h264":
            if str(parameters.get("packetization-mode", "0")) != "1":
                return False
            try:
                profile, _ = aiortc_sdp.parse_h264_profile_level_id(str(parameters.get("profile-level-id", "42E01F")))
            except ValueError:
                return False
            return profile in (
                aiortc_sdp.H264Profile.PROFILE_CONSTRAINED_BASELINE,
                aiortc_sdp.H264Profile.PROFILE_BASELINE,
            )
    return False


def choose_video(offered: Sequence[Any], preference: str) -> list[Any]:
    """The codec to answer a video offer with, and its retransmission format if offered; empty when nothing fits.

    The preference first, then VP9, then whichever of the others the offer names first.
    """
    playable = [codec for codec in offered if _plays(codec)]
    for wanted in (preference, "vp9", None):
        for codec in playable:
            if wanted is None or name(codec) == wanted:
                rtx = [x for x in offered if is_rtx(x) and str(x.parameters.get("apt")) == str(codec.payloadType)]
                return [codec, *rtx[:1]]
    return []


def choose_audio(offered: Sequence[Any]) -> list[Any]:
    """Opus, which every WebRTC peer has (RFC 7874 §3); empty when it is not offered."""
    return [c for c in offered if name(c) == "opus" and c.clockRate == 48_000 and c.channels == 2][:1]


def preferred(preference: str) -> list[Any]:
    """Our own video codecs in the order in which an offer of ours names them, each followed by its retransmission
    format."""
    table = CODECS["video"]
    order = [preference, *(n for n in VIDEO_CODECS if n != preference)]
    codecs = []
    for wanted in order:
        for codec in table:
            if name(codec) == wanted:
                codecs += [codec, *(x for x in table if is_rtx(x) and x.parameters.get("apt") == codec.payloadType)]
    return codecs


def opus() -> list[Any]:
    """The only audio codec of offers of ours."""
    return [codec for codec in CODECS["audio"] if name(codec) == "opus"]


def depayload(codec: str, payload: bytes) -> tuple[bytes, bool]:
    """The part of a frame that a packet carries, and whether it may begin the frame. Raises `ValueError` when the
    payload cannot be read."""
    match codec:
        case "vp9":
            descriptor, data = vp9.parse(payload)
            return data, descriptor.start
        case "vp8":
            data = vp8_depayload(payload)
            return data, payload[0] & 0x1F == 0x10  # S=1, PID=0 (RFC 7741 §4.2)
        case "h264":
            data = h264_depayload(payload)
            return data, data[:4] == b"\0\0\0\1"  # anything but the rest of a fragmented unit (RFC 6184 §5.8)
    return payload, True


def is_key(codec: str, frame: bytes) -> bool:
    """Whether an encoded frame, as `depayload` joins it, can be decoded without others."""
    match codec:
        case "vp9":
            return vp9.is_key(frame)
        case "vp8":
            return bool(frame) and not frame[0] & 1  # RFC 6386 §9.1
        case "h264":
            return len(frame) > 4 and frame[4] & 0x1F in (5, 7)  # an IDR picture or the parameter sets before it
    return True
