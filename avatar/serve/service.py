"""The service's own routes: `/config`, `/health`, `/ready`, `/metrics` and the page."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from ..errors import NotReady
from ..greeting import greeting
from ..speak.engines import voices
from ..tunables import describe
from .ice import ice_servers
from .limits import LIMITS
from .portraits import as_json
from .state import STATE


async def config(request: web.Request) -> web.Response:
    """Everything the page builds its form from."""
    state = request.app[STATE]
    engines: dict[str, Any] = dict.fromkeys(("stt", "llm", "tts", "face", "vad"))
    for choice in state.engines.choices():
        engines[choice.role] = {"name": choice.name, "why": choice.why, "note": choice.note}
    body = {
        "tunables": describe(state.defaults),
        "engines": engines,
        "avatars": [as_json(info) for info in state.engines.avatars.list()],
        "voices": voices(state.engines.tts) if state.engines.ready.is_set() else [],
        "limits": LIMITS | {"sessions": state.sessions.limit},
        "ice_servers": ice_servers(state.settings),
        "greeting": greeting(state.settings.greeting, "auto", request.headers.get("Accept-Language", "")),
    }
    if state.engines.face_ready.is_set():
        body["ignored"] = sorted(state.engines.face.ignores)
    return web.json_response(body)


async def health(request: web.Request) -> web.Response:
    """The process is alive. Never asks for the token and tells nothing else."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """200 when every engine is warm; else 503 with what is missing and why."""
    engines = request.app[STATE].engines
    if not engines.ready.is_set():
        missing = dict(engines.missing) or {"server": "measuring its capacity"}
        words = "; ".join(f"{role}: {why}" for role, why in missing.items())
        error = NotReady(f"Not ready yet – {words}.", retry_after_s=1)
        headers = {"Retry-After": "1"}
        return web.json_response(error.body() | {"missing": missing}, status=503, headers=headers)
    chosen = {choice.role: choice.name for choice in engines.choices()}
    return web.json_response({"status": "ready", "engines": chosen, "load_s": engines.load_s})


async def metrics(request: web.Request) -> web.Response:
    state = request.app[STATE]
    voice = state.engines.tts if state.engines.tts_ready.is_set() else None
    return web.Response(
        body=state.metrics.render(state.sessions, voice, state.engines.drafts, state.engines.motions),
        headers={"Content-Type": CONTENT_TYPE_LATEST},
    )
