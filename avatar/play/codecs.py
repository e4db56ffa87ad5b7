"""Which codecs are negotiated, and how they are told to aiortc.

The only change to aiortc's own data is made here, once, on import: VP9 and AV1 are appended to its table of video
codecs, redundant Opus to that of sound, transport-wide feedback to all of them and more numbers to its payload types,
since an offer or an answer can hold nothing that is not in its tables.
Encoders, decoders and payload formats are ours or called by us, so nothing of aiortc is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiortc import rtp
from aiortc import sdp as aiortc_sdp
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters

from . import av1, lips, red, svtav1, vp9
from .feedback import URI

VIDEO_CODECS = ("vp9", "av1", "h264", "vp8") if svtav1.available() else ("vp9", "h264", "vp8")
"""What can be sent and received, by the names that `codec` takes."""

_ARRIVALS = "transport-cc"
_FEEDBACK = (("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None), (_ARRIVALS, None))
_ADDED = {"video/VP9": {"profile-id": "0"}, "video/AV1": {"profile": "0", "level-idx": "5", "tier": "0"}}
"""With the parameters of offers of ours; AV1's are its defaults (payload format §7.2.1)."""
_RED_TYPE = 63
"""Payload type of redundant Opus in offers of ours, the browsers' own; one that aiortc does not use."""
_NUMBERS_ID = 5
"""Header extension id of the transport-wide numbers in offers of ours; one that aiortc does not use."""
_WAIT_ID = 6
"""Likewise of what pictures are to wait."""
_PAYLOAD_TYPES = (*range(35, 64), *range(96, 128))
"""Those that offers may give a meaning to (RFC 8834 §4.2, RFC 5761 §4): browsers use the lower ones for AV1."""


def _register() -> None:
    known = CODECS["video"]
    if any(codec.mimeType == "video/VP9" for codec in known):
        return
    feedback = [RTCRtcpFeedback(type=kind, parameter=parameter) for kind, parameter in _FEEDBACK]
    for mime, parameters in _ADDED.items():
        payload_type = max(codec.payloadType for codec in known) + 1
        known.append(
            RTCRtpCodecParameters(
                mimeType=mime,
                clockRate=90_000,
                payloadType=payload_type,
                rtcpFeedback=feedback,
                parameters=dict(parameters),
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
    for codec in opus():
        codec.rtcpFeedback = [RTCRtcpFeedback(type=_ARRIVALS)]
        CODECS["audio"].append(
            RTCRtpCodecParameters(
                mimeType="audio/red",
                clockRate=codec.clockRate,
                channels=codec.channels,
                payloadType=_RED_TYPE,
                rtcpFeedback=[RTCRtcpFeedback(type=_ARRIVALS)],
                parameters={f"{codec.payloadType}/{codec.payloadType}": None},
            )
        )
    setattr(rtp, "DYNAMIC_PAYLOAD_TYPES", _PAYLOAD_TYPES)  # noqa: B010 - aiortc has it as a range
    for extensions in HEADER_EXTENSIONS.values():
        extensions.append(RTCRtpHeaderExtensionParameters(id=_NUMBERS_ID, uri=URI))
    HEADER_EXTENSIONS["video"].append(RTCRtpHeaderExtensionParameters(id=_WAIT_ID, uri=lips.URI))


def is_rtx(codec: Any) -> bool:
    return str(codec.mimeType).lower().endswith("/rtx")


def is_red(codec: Any) -> bool:
    return name(codec) == "red"


def forgo_arrivals(codecs: Iterable[Any]) -> bool:
    """Takes the promise to tell when each packet arrived out of the answer to a client that sends its voice, and says
    whether it did. Browsers take it for a wish to know the path's width, and pad the voice up to ten times its rate;
    they name it for Opus. Clients of ours, which mind it when they choose how much they repeat, name it for redundant
    packets too."""
    codecs = list(codecs)
    if any(is_red(codec) and any(f.type == _ARRIVALS for f in codec.rtcpFeedback) for codec in codecs):
        return False
    for codec in codecs:
        codec.rtcpFeedback = [f for f in codec.rtcpFeedback if f.type != _ARRIVALS]
    return True


def name(codec: Any) -> str:
    """ "vp9", "h264", "opus", …"""
    return str(codec.mimeType).rpartition("/")[2].lower()


def opus() -> list[Any]:
    """The audio codec of offers of ours."""
    return [codec for codec in CODECS["audio"] if name(codec) == "opus"]


def redundant_opus() -> list[Any]:
    """The same with copies of the packets before (RFC 2198), for offers to send."""
    return [codec for codec in CODECS["audio"] if is_red(codec)]


_register()


def _plays(codec: Any) -> bool:
    """Whether an offered video codec is exactly one that we send. The name alone would match VP9 profile 2 (10 bits),
    AV1 in High profile and H.264 in High profile or packetization mode 0."""
    parameters = codec.parameters
    match name(codec):
        case "vp9":
            return str(parameters.get("profile-id", "0")) == "0"
        case "av1":
            return "av1" in VIDEO_CODECS and str(parameters.get("profile", "0")) == "0"
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

    The preference first, then VP9, then whichever of H.264 and VP8 the offer names first, then AV1.
    """
    playable = [codec for codec in offered if _plays(codec)]
    for wanted in ((preference,), ("vp9",), ("h264", "vp8"), ("av1",)):
        for codec in playable:
            if name(codec) in wanted:
                rtx = [x for x in offered if is_rtx(x) and str(x.parameters.get("apt")) == str(codec.payloadType)]
                return [codec, *rtx[:1]]
    return []


def choose_audio(offered: Sequence[Any], *, hears: bool = False) -> list[Any]:
    """Opus, which every WebRTC peer has (RFC 7874 §3); empty when it is not offered. `hears`: sound is taken on this
    line; then redundant Opus stands before it, which asks the other side for it (RFC 3264 §6.1), if that is offered."""
    plain = [c for c in offered if name(c) == "opus" and c.clockRate == 48_000 and c.channels == 2][:1]
    if not plain or not hears:
        return plain
    # Every block is Opus: what the blocks of a packet may be stands in the parameters (RFC 2198 §5).
    kinds = {"/".join([str(plain[0].payloadType)] * n) for n in range(2, red.MAX_COPIES + 2)}
    mixed = [c for c in offered if is_red(c) and c.clockRate == 48_000 and c.channels == 2]
    return [c for c in mixed if kinds & {str(key) for key in c.parameters}][:1] + plain


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


def depayload(codec: str, payload: bytes) -> tuple[bytes, bool]:
    """What `join` makes a frame of, of one packet, and whether it may begin the frame. Raises `ValueError` when the
    payload cannot be read."""
    match codec:
        case "vp9":
            descriptor, data = vp9.parse(payload)
            return data, descriptor.start
        case "av1":
            return av1.parse(payload)
        case "vp8":
            data = vp8_depayload(payload)
            return data, payload[0] & 0x1F == 0x10  # S=1, PID=0 (RFC 7741 §4.2)
        case "h264":
            data = h264_depayload(payload)
            return data, data[:4] == b"\0\0\0\1"  # anything but the rest of a fragmented unit (RFC 6184 §5.8)
    return payload, True


def is_key(codec: str, part: bytes) -> bool:
    """Whether the frame that begins with this part, as `depayload` gives it, can be decoded without others."""
    match codec:
        case "vp9":
            return vp9.is_key(part)
        case "av1":
            return av1.begins_sequence(part)
        case "vp8":
            return bool(part) and not part[0] & 1  # RFC 6386 §9.1
        case "h264":
            return len(part) > 4 and part[4] & 0x1F in (5, 7)  # an IDR picture or the parameter sets before it
    return True


def join(codec: str, parts: Iterable[bytes]) -> bytes:
    """The encoded frame, of the parts that `depayload` gives. Raises `ValueError` when they do not make one."""
    return av1.join(parts) if codec == "av1" else b"".join(parts)


def frame(codec: str, payloads: Iterable[bytes]) -> bytes:
    """The encoded frame whose RTP payloads these are, all of them and in order. Raises `ValueError` as above."""
    return join(codec, (depayload(codec, payload)[0] for payload in payloads))
