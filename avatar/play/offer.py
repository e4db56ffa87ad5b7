"""Reads a client's offer, decides what is done with each of its m-lines, and writes the answer.

aiortc answers only offers it likes: it cannot reject an m-line, takes the client's camera for a wish to send us
pictures, and matches codecs by name alone. So it is given a smaller offer that holds just what we answer, with just the
codecs chosen, and the full answer is written around its own (RFC 3264 §6, RFC 9429 §5.3.1).
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from aiortc import sdp as aiortc_sdp
from aiortc.rtcsctptransport import RTCSctpCapabilities

from ..errors import BadRequest
from . import codecs

Role = Literal["sound", "video", "microphone", "data", "none"]
"""What an m-line is to us. `sound` is the audio line we speak on; it carries the microphone too unless another line
(`microphone`) does."""

MAX_LINES = 32
"""m-lines: a client needs four."""
MAX_CANDIDATES = 64
"""Of the client, in one offer: a machine with many networks has some twenty."""
_DEFAULT_MESSAGE_SIZE = 65_536
"""Bytes, where an offer does not say (RFC 8841 §6.1)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One m-line of the offer and what becomes of it."""

    mid: str
    kind: str
    role: Role
    rejected: bool
    """Answered with port 0. A line of role `none` that is not rejected is answered inactive."""
    media: Any = field(repr=False)
    """aiortc's `MediaDescription`, its codecs cut down to those that are answered."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is answered."""

    lines: tuple[Line, ...]
    """In the offer's order."""
    sdp: str = field(repr=False)
    """The offer that aiortc is given: the lines with a role, in the order in which they were first accepted."""
    directions: dict[str, str]
    """mid → the direction that we want, of the lines with a role."""
    codec: str
    """Name of the video codec, empty without video."""

    def line(self, role: Role) -> Line | None:
        return next((line for line in self.lines if line.role == role), None)

    def receives(self, role: Role) -> bool:
        """Whether the client takes what we send on that line."""
        line = self.line(role)
        return line is not None and line.media.direction in ("recvonly", "sendrecv")

    def sends(self, role: Role) -> bool:
        """Whether the client sends on that line."""
        line = self.line(role)
        return line is not None and line.media.direction in ("sendonly", "sendrecv")


def bad(message: str) -> BadRequest:
    return BadRequest(message, code="bad_sdp")


def read(text: str) -> Any:
    """aiortc's `SessionDescription` of an SDP. Raises `BadRequest` for anything that is none."""
    if not isinstance(text, str) or not text.startswith("v=0"):
        raise bad("The SDP cannot be read: it does not begin with v=0.")
    if text.count("\nm=") > MAX_LINES:
        raise bad(f"The SDP has more than {MAX_LINES} media sections.")
    try:
        description = aiortc_sdp.SessionDescription.parse(_tidy(text))
        # Lines that exist only inside the bundle have port 0 as well as those that are stopped (RFC 8843 §6).
        for media, lines in zip(description.media, aiortc_sdp.grouplines(text)[1], strict=True):
            if "a=bundle-only" in lines:
                media.port = 9
        return description
    except Exception as error:  # the parser leaks whatever its first surprise happens to raise
        raise bad(f"The SDP cannot be read: {error or type(error).__name__}.") from None


def _tidy(text: str) -> str:
    """Leaves out what is no use or does harm: candidates with names, which would be resolved for a second in vain when
    multicast is blocked (the client is found from its own checks), and the end of candidates, after which a client that
    named none would be given up."""
    lines: list[str] = []
    seen = 0
    for line in text.splitlines():
        if line.startswith("a=end-of-candidates"):
            continue
        if line.startswith("a=candidate:"):
            seen += 1
            if seen > MAX_CANDIDATES or candidate_host_is_name(line):
                continue
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def candidate_host_is_name(candidate: str) -> bool:
    """Whether a candidate line names its host instead of giving an address, as browsers do to hide it (mDNS)."""
    parts = candidate.split()
    return len(parts) > 4 and not re.fullmatch(r"[0-9a-fA-F:.]+(%\w+)?", parts[4])


def plan(text: str, preference: str, known: dict[str, Role], *, watches: bool = False) -> Plan:
    """What to answer to an offer.

    `preference` is the video codec wished for; `known` holds the roles by mid that this connection has given before, in
    their order; `watches`: nothing is taken from the client, neither sound nor texts. Raises `BadRequest` when the
    offer cannot be read or holds nothing that can be answered.
    """
    offer = read(text)
    if not offer.media:
        raise bad("The offer has no media sections.")
    bundle = next((group.items for group in offer.group if group.semantic == "BUNDLE"), None)
    mids = [media.rtp.muxId for media in offer.media]
    if len(offer.media) > 1 and (bundle is None or len(set(mids)) != len(mids)):
        raise bad("The offer's media sections must be bundled, each with its own mid.")
    lines = _assign(offer, preference, known, set(bundle or mids), watches=watches)
    kept = [line for line in lines if line.role != "none"]
    if not kept:
        raise bad(
            "The offer has nothing that can be answered: no video in VP9, AV1, H.264 or VP8, no Opus audio, no data "
            "channel."
        )
    order = {mid: index for index, mid in enumerate(known)}
    kept.sort(key=lambda line: order.get(line.mid, len(order)))
    _share_transport(kept, offer)
    inner = copy.copy(offer)
    inner.media = [line.media for line in kept]
    inner.group = [aiortc_sdp.GroupDescription(semantic="BUNDLE", items=[line.mid for line in kept])]
    inner.msid_semantic = [aiortc_sdp.GroupDescription(semantic="WMS", items=["*"])]
    wanted = {"sound": "sendrecv", "video": "sendonly", "microphone": "recvonly"}
    if watches or any(line.role == "microphone" and not line.rejected for line in kept):
        wanted["sound"] = "sendonly"
    try:
        inner_text = str(inner)
        aiortc_sdp.SessionDescription.parse(inner_text)
    except Exception as error:  # as above
        raise bad(f"The SDP cannot be used: {error or type(error).__name__}.") from None
    video = next((line for line in kept if line.role == "video"), None)
    return Plan(
        lines=tuple(lines),
        sdp=inner_text,
        directions={line.mid: wanted[line.role] for line in kept if line.role in wanted},
        codec=codecs.name(video.media.rtp.codecs[0]) if video and video.media.rtp.codecs else "",
    )


def _assign(offer: Any, preference: str, known: dict[str, Role], bundled: set[str], *, watches: bool) -> list[Line]:
    """Gives each m-line its role. A line keeps the role it had; a free role goes to the first line that can fill it."""
    roles: list[Role] = [known.get(media.rtp.muxId, "none") for media in offer.media]
    chosen = [_choose(media, preference, watches=watches) for media in offer.media]
    dead = []
    for media, answer in zip(offer.media, chosen, strict=True):
        if media.kind in ("audio", "video"):
            media.direction = media.direction or "sendrecv"
        dead.append(media.rtp.muxId not in bundled or media.port == 0 or answer is None)

    def fill(role: Role, kind: str, directions: tuple[str | None, ...]) -> None:
        if role in known.values():
            return
        for index, media in enumerate(offer.media):
            if roles[index] == "none" and not dead[index] and media.kind == kind and media.direction in directions:
                roles[index] = role
                return

    fill("sound", "audio", ("sendrecv", "recvonly"))
    fill("video", "video", ("sendrecv", "recvonly"))
    if not watches:
        fill("data", "application", (None,))
    speaks = [media.direction for media, role in zip(offer.media, roles, strict=True) if role == "sound"]
    if "sendrecv" not in speaks and not watches:
        fill("microphone", "audio", ("sendonly",))

    lines = []
    for media, role, answer, gone in zip(offer.media, roles, chosen, dead, strict=True):
        if role != "none" and gone:
            media.direction = "inactive"  # aiortc counts m-lines, so one that it knows stays in its offer
        if role != "none":
            media.port = 9
        if media.kind in ("audio", "video") and answer is not None:
            media.rtp.codecs = answer
            media.fmt = [codec.payloadType for codec in answer]
        media.host = None
        lines.append(Line(media.rtp.muxId, media.kind, role, gone, media))
    return lines


def _choose(media: Any, preference: str, *, watches: bool) -> list[Any] | None:
    """The codecs of the answer to a line; None when it cannot be answered at all."""
    if media.kind == "application":
        if media.profile not in ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"):
            return None
        if media.profile != "DTLS/SCTP" and (media.sctp_port is None or not 0 < media.sctp_port < 65536):
            return None
        if media.sctpCapabilities is None:
            media.sctpCapabilities = RTCSctpCapabilities(maxMessageSize=_DEFAULT_MESSAGE_SIZE)
        return [media]
    if "SAVPF" not in media.profile or not media.rtcp_mux:
        return None
    if media.kind == "video":
        return codecs.choose_video(media.rtp.codecs, preference) or None
    if media.kind == "audio":
        sends = not watches and media.direction in ("sendrecv", "sendonly", None)
        return codecs.choose_audio(media.rtp.codecs, hears=sends) or None
    return None


def _share_transport(kept: list[Line], offer: Any) -> None:
    """Bundled lines share one transport, so those that leave its parameters out get them from one that has them
    (RFC 8843 §7.1.3)."""
    whole = next(
        (m for m in offer.media if m.ice.usernameFragment and m.ice.password and m.dtls and m.dtls.fingerprints), None
    )
    if whole is None:
        raise bad("The offer lacks ICE credentials or a DTLS fingerprint.")
    if not all(
        re.fullmatch(r"[0-9A-Za-z+/]{4,256}", part) for part in (whole.ice.usernameFragment, whole.ice.password)
    ):
        raise bad("The offer's ICE credentials are malformed.")
    for line in kept:
        media = line.media
        if not (media.ice.usernameFragment and media.ice.password):
            media.ice = whole.ice
        if not (media.dtls and media.dtls.fingerprints):
            media.dtls = whole.dtls


def write(plan: Plan, inner: str) -> str:
    """The full answer, given aiortc's answer to the smaller offer."""
    answer = aiortc_sdp.SessionDescription.parse(inner)
    answered = {media.rtp.muxId: media for media in answer.media}
    first = answer.media[0]
    media = []
    for line in plan.lines:
        if line.role != "none" and not line.rejected:
            media.append(answered[line.mid])
        else:
            media.append(_unused(line, first))
    answer.media = media
    answer.group = [
        aiortc_sdp.GroupDescription(semantic="BUNDLE", items=[line.mid for line in plan.lines if not line.rejected])
    ]
    return str(answer)


def _unused(line: Line, transport: Any) -> Any:
    """A line that carries nothing: inactive, or rejected when it could carry nothing."""
    offered = line.media
    fmt = offered.fmt or ["0"]
    unused = aiortc_sdp.MediaDescription(
        kind=line.kind, port=0 if line.rejected else 9, profile=offered.profile, fmt=fmt
    )
    unused.host = "0.0.0.0"
    unused.rtp.muxId = line.mid
    unused.ice = aiortc_sdp.RTCIceParameters()
    if line.kind in ("audio", "video"):
        unused.direction = "inactive"
        unused.rtp.codecs = offered.rtp.codecs
    if not line.rejected:
        unused.rtcp_port, unused.rtcp_host, unused.rtcp_mux = 9, "0.0.0.0", True
        unused.ice, unused.dtls = transport.ice, transport.dtls
    return unused
