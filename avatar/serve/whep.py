"""`/whep/{session_id}`: watching a session with any WHEP player (draft-ietf-wish-whep; trickle and restart as in
RFC 9725 §4.3)."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from ..errors import AvatarError, BadRequest, UnsupportedMedia
from ..play.peer import Peer
from . import bodies
from .ice import ice_servers
from .limits import LIMITS
from .state import STATE

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
MAX_CANDIDATES = 200
"""In one PATCH: browsers send a handful."""
_UFRAG = re.compile(r"(?m)^a=ice-ufrag:(\S+)\s*$")
_PASSWORD = re.compile(r"(?m)^a=ice-pwd:(\S+)\s*$")
_CANDIDATE = re.compile(r"(?m)^a=(candidate:[^\r\n]+)")


class PreconditionFailed(AvatarError):
    """The request speaks of an ICE session that is over."""

    status, code = 412, "precondition_failed"


async def _text(request: web.Request, kind: str) -> str:
    if request.content_type != kind:
        raise UnsupportedMedia(f"The body must be {kind}.", code="unsupported_media")
    data = await bodies.whole(request, LIMITS["json_bytes"], "An SDP")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadRequest("The SDP is not UTF-8.", code="bad_sdp") from None


async def options(request: web.Request) -> web.Response:
    """What the resources take."""
    accept = {"Accept-Post": SDP} if "viewer" not in request.match_info else {"Accept-Patch": FRAGMENT}
    return web.Response(status=204, headers=accept)


async def post(request: web.Request) -> web.Response:
    """Answers a viewer's offer: 201 with the answer, and the viewer's own address in `Location`."""
    state = request.app[STATE]
    sdp = await _text(request, SDP)
    session = state.sessions.get(request.match_info["id"])
    session.audience.check()
    # What is being encoded already costs nothing more.
    codec = (session.broadcast.codecs or [session.tunables.codec])[0]
    peer = state.peer(session.broadcast, session.tunables, codec=codec, watches=True)
    try:
        answer = await peer.answer(sdp)
        viewer_id = session.audience.admit(peer)
    except BaseException:
        await peer.close()
        raise
    response = web.Response(status=201, body=answer.encode(), content_type=SDP)
    response.headers["Location"] = f"/whep/{session.id}/{viewer_id}"
    response.headers["ETag"] = _etag(answer)
    response.headers["Accept-Patch"] = FRAGMENT
    for link in _links(ice_servers(state.settings, viewer_id)):
        response.headers.add("Link", link)
    return response


def _links(servers: list[dict[str, Any]]) -> list[str]:
    """ICE servers as `Link` headers (RFC 9725 §4.6)."""
    links = []
    for server in servers:
        for url in server["urls"]:
            link = f'<{url}>; rel="ice-server"'
            if "username" in server:
                link += f'; username="{server["username"]}"; credential="{server["credential"]}"'
                link += '; credential-type="password"'
            links.append(link)
    return links


def _etag(sdp: str) -> str:
    """Names the ICE session of an answer."""
    match = _UFRAG.search(sdp)
    return f'"{match[1] if match else ""}"'


def _viewer(request: web.Request) -> Peer:
    session = request.app[STATE].sessions.get(request.match_info["id"])
    return session.audience.get(request.match_info["viewer"])


async def patch(request: web.Request) -> web.Response:
    """Trickled candidates → 204; new ICE credentials restart ICE → 200 with ours."""
    fragment = await _text(request, FRAGMENT)
    peer = _viewer(request)
    current = _etag(peer.local_sdp)
    wanted = request.headers.get("If-Match")
    if wanted not in (None, "*", current):
        raise PreconditionFailed("This ICE session is over: send If-Match with the newest ETag.")
    ufrag, password = _UFRAG.search(fragment), _PASSWORD.search(fragment)
    candidates = _CANDIDATE.findall(fragment)
    if ufrag is not None and password is not None and not peer.knows_ice(ufrag[1]):
        answer = await peer.restart(ufrag[1], password[1], candidates)
        response = web.Response(body=_fragment(answer).encode(), content_type=FRAGMENT)
        response.headers["ETag"] = _etag(answer)
        return response
    for candidate in candidates[:MAX_CANDIDATES]:
        await peer.add_candidate(candidate, None, None)
    return web.Response(status=204)


def _fragment(sdp: str) -> str:
    """The ICE part of an answer (RFC 8840 §9)."""
    ufrag, password = _UFRAG.search(sdp), _PASSWORD.search(sdp)
    assert ufrag is not None and password is not None
    first = re.search(r"(?m)^m=[^\r\n]+", sdp)
    mid = re.search(r"(?m)^a=mid:[^\r\n]+", sdp)
    lines = [f"a=ice-ufrag:{ufrag[1]}", f"a=ice-pwd:{password[1]}"]
    lines += [match[0] for match in (first, mid) if match is not None]
    lines += dict.fromkeys(f"a={candidate}" for candidate in _CANDIDATE.findall(sdp))
    return "\r\n".join(lines) + "\r\n"


async def delete(request: web.Request) -> web.Response:
    """The viewer leaves: 200, known or not."""
    session = request.app[STATE].sessions.find(request.match_info["id"])
    if session is not None:
        await session.audience.end(request.match_info["viewer"])
    return web.Response()
