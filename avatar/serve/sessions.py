"""`/sessions/{id}` and what can be asked of a session."""

from __future__ import annotations

import time

from aiohttp import web

from ..errors import Invalid
from ..quality import client_digest
from ..session import Session
from ..turns import Request
from . import bodies, recordings
from .limits import LIMITS
from .state import STATE


def _session(request: web.Request) -> Session:
    return request.app[STATE].sessions.get(request.match_info["id"])


async def get(request: web.Request) -> web.Response:
    return web.json_response(_session(request).snapshot())


async def patch(request: web.Request) -> web.Response:
    """Changes tunables that are live, all or none; answers the effective set."""
    session = _session(request)
    session.update(await bodies.json_object(request))
    return web.json_response({"session_id": session.id, "session": session.effective()})


async def delete(request: web.Request) -> web.Response:
    await request.app[STATE].sessions.end(request.match_info["id"], "the client ended it")
    return web.Response(status=204)


async def stats(request: web.Request) -> web.Response:
    """Takes what the client measures; answers what the server does."""
    session = _session(request)
    session.quality.report(client_digest(await bodies.json_object(request)))
    return web.json_response(session.quality.now())


async def say(request: web.Request) -> web.Response:
    """The avatar speaks a text, or answers it as the user's turn."""
    session = _session(request)
    began = time.monotonic()
    body = await bodies.json_object(request)
    bodies.known(body, {"text", "as", "interrupt"})
    text = bodies.text_field(body, "text", limit=LIMITS["text_characters"]).strip()
    who = body.get("as", "avatar")
    if who not in ("avatar", "user"):
        raise Invalid("as must be avatar or user.", field="as")
    interrupt = bodies.flag_field(body, "interrupt", default=True)
    turn = Request("user" if who == "user" else "say", began, text=text)
    return web.json_response({"turn_id": session.ask(turn, interrupt=interrupt)}, status=202)


async def speech(request: web.Request) -> web.Response:
    """The avatar speaks a recording."""
    session = _session(request)
    began = time.monotonic()
    recording = await recordings.receive(bodies.chunks(request, LIMITS["speech_bytes"], "A recording"))
    turn = Request("speech", began, recording=recording)
    try:
        _session(request)  # it may have ended while the recording came in
        session.ask(turn, interrupt=True)
    except BaseException:
        recording.close()
        raise
    return web.json_response({"turn_id": turn.turn_id, "duration_s": round(recording.seconds, 3)}, status=202)


async def interrupt(request: web.Request) -> web.Response:
    """Stops what is being said. Nothing to stop is no error."""
    event = _session(request).interrupt(time.monotonic())
    if event is None:
        return web.json_response({"turn_id": None, "heard_text": "", "heard_s": 0.0})
    return web.json_response({"turn_id": event.turn_id, "heard_text": event.heard_text, "heard_s": event.heard_s})
