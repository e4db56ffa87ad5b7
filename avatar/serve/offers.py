"""`/webrtc/offer`: an SDP offer in, an answer and a session out."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ..clock import MediaClock
from ..errors import AtCapacity, AvatarError, BadRequest, Invalid, NotFound
from ..greeting import greeting
from ..play.source import Broadcast
from ..session import Session
from ..tunables import TABLE, update
from . import bodies
from .ice import ice_servers
from .state import STATE

SIGNALLING = {"type", "sdp", "session", "session_id", "pc_id", "webrtc_id", "restart_pc", "requestData", "request_data"}
"""Names beside the tunables; the last ones are the Pipecat client's."""
MAX_CANDIDATES = 200
"""In one PATCH: browsers send a handful."""


def _identity(body: dict[str, Any]) -> str | None:
    """The session that the offer names, in whichever spelling."""
    for name in ("session_id", "pc_id", "webrtc_id"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise Invalid(f"{name} must be a text.", field=name)
        return value
    return None


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    """The tunables in the offer: in `session`, at the top level, or both (the object wins)."""
    nested = body.get("session")
    if nested is not None and not isinstance(nested, dict):
        raise Invalid("session must be an object of tunables.", field="session")
    flat = {name: value for name, value in body.items() if name in TABLE}
    bodies.known(dict.fromkeys(body), SIGNALLING | set(TABLE))
    return flat | (nested or {})


def _sdp(body: dict[str, Any]) -> str:
    if body.get("type") != "offer":
        raise BadRequest('The offer needs "type": "offer".', code="bad_sdp", field="type")
    sdp = body.get("sdp")
    if not isinstance(sdp, str) or not sdp.strip():
        raise BadRequest("The offer needs its SDP as a text.", code="bad_sdp", field="sdp")
    return sdp


async def post(request: web.Request) -> web.Response:
    """Answers an offer. The engines may still be loading: the answer waits for none of them."""
    state = request.app[STATE]
    body = await bodies.json_object(request)
    sdp = _sdp(body)
    changes = _changes(body)
    live = state.sessions.find(_identity(body))
    if live is not None:
        return await _renegotiate(request, live, sdp, changes)
    tunables = update(state.defaults, changes)
    state.engines.check(tunables)
    state.sessions.admit()
    broadcast = Broadcast(MediaClock())
    peer = state.peer(broadcast, tunables, codec=tunables.codec)
    try:
        answer = await peer.answer(sdp)
        state.sessions.admit()  # others may have come in meanwhile
        words = greeting(state.settings.greeting, tunables.language, request.headers.get("Accept-Language", ""))
        session = state.sessions.open(tunables, peer, broadcast, words)
    except BaseException:
        await peer.close()
        raise
    return _answered(request, session, answer)


async def _renegotiate(request: web.Request, session: Session, sdp: str, changes: dict[str, Any]) -> web.Response:
    """The same session goes on: on the same peer, or on a new one where the client brings a new one (its DTLS
    fingerprint tells)."""
    if changes:
        session.update({name: value for name, value in changes.items() if TABLE[name].live != "no"})
    async with session.joining:
        peer = session.peer
        assert peer is not None
        if peer.knows(sdp):
            return _answered(request, session, await peer.answer(sdp))
        try:
            answer = await _replace(request, session, sdp)
        except AtCapacity:
            if not peer.closed.is_set():
                raise
            await peer.close()  # its ports may be the only ones left
            answer = await _replace(request, session, sdp)
        await peer.close()
    return _answered(request, session, answer)


async def _replace(request: web.Request, session: Session, sdp: str) -> str:
    """The answer of a new peer, which the session has taken."""
    fresh = request.app[STATE].peer(session.broadcast, session.tunables, codec=session.tunables.codec)
    try:
        answer = await fresh.answer(sdp)
        if session.ending.is_set():
            raise NotFound("The session has ended meanwhile.", code="no_such_session")
    except BaseException:
        await fresh.close()
        raise
    session.attach(fresh)
    return answer


def _answered(request: web.Request, session: Session, sdp: str) -> web.Response:
    return web.json_response(
        {
            "type": "answer",
            "sdp": sdp,
            "session_id": session.id,
            "pc_id": session.id,
            "webrtc_id": session.id,
            "session": session.effective(),
            "ice_servers": ice_servers(request.app[STATE].settings, session.id),
        }
    )


async def patch(request: web.Request) -> web.Response:
    """Adds trickled candidates to a session's peer, and tells all of the server's own so far."""
    state = request.app[STATE]
    body = await bodies.json_object(request)
    bodies.known(body, {"session_id", "pc_id", "webrtc_id", "candidates"})
    identity = _identity(body)
    if identity is None:
        raise Invalid("session_id must name a session.", field="session_id")
    candidates = body.get("candidates")
    if not isinstance(candidates, list) or len(candidates) > MAX_CANDIDATES:
        raise Invalid(f"candidates must be a list of at most {MAX_CANDIDATES}.", field="candidates")
    session = state.sessions.get(identity)
    for item in candidates:
        await _add(session, item)
    ours, more = session.peer.candidates() if session.peer is not None else ([], False)
    told = [{"candidate": candidate, "sdpMid": None, "sdpMLineIndex": 0} for candidate in ours]
    return web.json_response({"session_id": session.id, "candidates": told, "gathering": more})


async def _add(session: Session, item: Any) -> None:
    if not isinstance(item, dict):
        raise Invalid("Each candidate must be an object.", field="candidates")
    candidate = item.get("candidate")
    mid = item.get("sdpMid", item.get("sdp_mid"))
    line = item.get("sdpMLineIndex", item.get("sdp_mline_index"))
    if not isinstance(candidate, str | None):
        raise Invalid("candidate must be a text.", field="candidate")
    if not isinstance(mid, str | None):
        raise Invalid("sdpMid must be a text.", field="sdpMid")
    if isinstance(line, bool) or not isinstance(line, int | None):
        raise Invalid("sdpMLineIndex must be a whole number.", field="sdpMLineIndex")
    if session.peer is not None:
        try:
            await session.peer.add_candidate(candidate, mid, line)
        except AvatarError:
            raise
        except Exception:
            raise BadRequest("The candidate cannot be read.", code="bad_candidate", field="candidate") from None


async def delete(request: web.Request) -> web.Response:
    """Ends the session that the query or the body names; 204, known or not."""
    identity = request.query.get("session_id") or request.query.get("pc_id")
    if identity is None and request.can_read_body:
        identity = _identity(await bodies.json_object(request))
    if identity is None:
        raise Invalid("session_id must name a session.", field="session_id")
    await request.app[STATE].sessions.end(identity, "the client ended it")
    return web.Response(status=204)
