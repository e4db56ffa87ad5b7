"""Offers as browsers write them, put together line by line."""

from __future__ import annotations

FINGERPRINT = "sha-256 " + ":".join(f"{n * 7 % 256:02X}" for n in range(32))

_AUDIO = {
    111: ("opus/48000/2", "minptime=10;useinbandfec=1"),
    63: ("red/48000/2", "111/111"),
    9: ("G722/8000", ""),
    0: ("PCMU/8000", ""),
    126: ("telephone-event/8000", ""),
}
_VIDEO = {
    96: ("VP8/90000", ""),
    97: ("rtx/90000", "apt=96"),
    100: ("VP9/90000", "profile-id=2"),
    101: ("rtx/90000", "apt=100"),
    98: ("VP9/90000", "profile-id=0"),
    99: ("rtx/90000", "apt=98"),
    116: ("H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
    104: ("H264/90000", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
    108: ("H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    109: ("rtx/90000", "apt=108"),
    45: ("AV1/90000", "level-idx=5;profile=0;tier=0"),
    46: ("rtx/90000", "apt=45"),
    118: ("red/90000", ""),
}


def line(
    kind: str,
    mid: str,
    direction: str = "sendrecv",
    *,
    only: tuple[int, ...] | None = None,
    port: int = 9,
    transport: bool = True,
    extra: tuple[str, ...] = (),
) -> list[str]:
    """One m-line, as Chromium 156 writes it. `only` names the payload types that are offered, in order."""
    if kind == "application":
        head = [f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0"]
        tail = ["a=sctp-port:5000", "a=max-message-size:262144"]
    else:
        known = _AUDIO if kind == "audio" else _VIDEO
        table = {pt: known[pt] for pt in (known if only is None else only)}
        head = [f"m={kind} {port} UDP/TLS/RTP/SAVPF {' '.join(map(str, table))}", "c=IN IP4 0.0.0.0"]
        head += ["a=rtcp:9 IN IP4 0.0.0.0", "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid", f"a={direction}"]
        tail = ["a=rtcp-mux", "a=rtcp-rsize"]
        for pt, (codec, parameters) in table.items():
            tail.append(f"a=rtpmap:{pt} {codec}")
            if kind == "video" and not codec.startswith(("rtx", "red")):
                tail += [f"a=rtcp-fb:{pt} {f}" for f in ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")]
            if parameters:
                tail.append(f"a=fmtp:{pt} {parameters}")
    shared = ["a=ice-ufrag:Ab1/", "a=ice-pwd:bFIpQe3KnzY+cF0e6IqBA0km", "a=ice-options:trickle"]
    shared += [f"a=fingerprint:{FINGERPRINT}", "a=setup:actpass"]
    return [*head, *(shared if transport else []), f"a=mid:{mid}", *tail, *extra]


def offer(*lines: list[str], bundle: str | None = None, session: tuple[str, ...] = ()) -> str:
    """A whole offer; `bundle` names the mids in it, all by default, "" leaves the group out."""
    mids = [part.removeprefix("a=mid:") for one in lines for part in one if part.startswith("a=mid:")]
    group = " ".join(mids) if bundle is None else bundle
    head = ["v=0", "o=- 6283488592929697687 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    head += [f"a=group:BUNDLE {group}"] if group else []
    head += ["a=extmap-allow-mixed", "a=msid-semantic: WMS", *session]
    return "\r\n".join([*head, *(part for one in lines for part in one)]) + "\r\n"


def sections(sdp: str) -> list[dict[str, list[str]]]:
    """Each m-line of an answer: attribute → its values; `m` and the direction included."""
    found: list[dict[str, list[str]]] = []
    for row in sdp.splitlines():
        if row.startswith("m="):
            found.append({"m": row[2:].split()})
        elif found and row.startswith("a="):
            name, _, value = row[2:].partition(":")
            found[-1].setdefault(name, []).append(value)
    return found


def direction(section: dict[str, list[str]]) -> str:
    [found] = [name for name in ("sendrecv", "sendonly", "recvonly", "inactive") if name in section]
    return found
