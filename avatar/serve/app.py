"""The aiohttp application: routes, errors as JSON, start and stop of what is shared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from ..engines import Engines
from ..errors import AvatarError
from ..settings import Settings
from ..threads import full_pool
from ..tunables import Tunables
from . import films, offers, portraits, service, sessions, whep
from .access import guard, is_loopback
from .capacity import measure
from .ice import peer_servers
from .metrics import Metrics
from .registry import Sessions
from .state import STATE, ServerState

log = logging.getLogger(__name__)

PAGE = Path(__file__).resolve().parents[2] / "web"
"""The page's files."""
HELPERS = 4
"""Threads for files and other short waits; the faces, the encoders and the engines have their own."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def build(settings: Settings, token: str | None = None) -> web.Application:
    """The application; `token` is what every route asks for, None where nobody is asked. Raises `Invalid` for settings
    that name no STUN or TURN server."""
    peer_servers(settings)  # a URL that is none is told now and not to the first client
    local = token is None and is_loopback(settings.host) and not settings.open
    app = web.Application(middlewares=[_errors, guard(token, local=local), _errors])  # type: ignore[list-item]
    engines = Engines(settings)
    metrics = Metrics()
    app[STATE] = ServerState(
        settings, engines, Sessions(engines, settings, metrics.turn, metrics.alarm), metrics, Tunables()
    )
    app.add_routes(
        [
            web.post("/webrtc/offer", offers.post),
            web.patch("/webrtc/offer", offers.patch),
            web.delete("/webrtc/offer", offers.delete),
            web.get("/config", service.config),
            web.get("/health", service.health),
            web.get("/ready", service.ready),
            web.get("/metrics", service.metrics),
            web.get("/sessions/{id}", sessions.get),
            web.patch("/sessions/{id}", sessions.patch),
            web.delete("/sessions/{id}", sessions.delete),
            web.post("/sessions/{id}/stats", sessions.stats),
            web.post("/sessions/{id}/say", sessions.say),
            web.post("/sessions/{id}/speech", sessions.speech),
            web.post("/sessions/{id}/interrupt", sessions.interrupt),
            web.post("/sessions/{id}/recording", films.begin),
            web.delete("/sessions/{id}/recording", films.end),
            web.get("/recordings", films.index),
            web.get("/recordings/{name}", films.get),
            web.delete("/recordings/{name}", films.delete),
            web.options("/whep/{id}", whep.options),
            web.post("/whep/{id}", whep.post),
            web.options("/whep/{id}/{viewer}", whep.options),
            web.patch("/whep/{id}/{viewer}", whep.patch),
            web.delete("/whep/{id}/{viewer}", whep.delete),
            web.post("/avatars", portraits.create),
            web.get("/avatars", portraits.index),
            web.get("/avatars/{id}.jpg", portraits.thumbnail),
            web.get("/avatars/{id}/preview.jpg", portraits.preview),
            web.delete("/avatars/{id}", portraits.delete),
            web.get("/", _page),
            web.static("/web", PAGE, append_version=False),
        ]
    )
    app.on_response_prepare.append(_headers)
    app.cleanup_ctx.append(_life)
    return app


async def _page(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(PAGE / "index.html")


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


async def _life(app: web.Application) -> AsyncIterator[None]:
    """Loads the engines beside the first requests; at the end closes sessions before engines."""
    asyncio.get_running_loop().set_default_executor(full_pool(HELPERS, "helper"))
    loading = asyncio.create_task(_load(app[STATE]), name="load engines")
    yield
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    await app[STATE].sessions.close()
    await app[STATE].engines.close()


async def _load(state: ServerState) -> None:
    settings, engines = state.settings, state.engines
    state.defaults = replace(state.defaults, avatar=await _first_avatar(settings.avatar, engines))
    await engines.load()
    if not state.sessions.limit and engines.face_ready.is_set():
        state.sessions.limit = await measure(engines, state.defaults)
    if engines.ready.is_set():
        log.info("ready: room for %d sessions", state.sessions.limit)


async def _first_avatar(name: str, engines: Engines) -> str:
    """The id of the portrait that sessions start with: an id, or a file on this machine that is registered now."""

    def read() -> bytes | None:
        path = Path(name)
        return path.read_bytes() if path.is_file() else None

    try:
        data = await asyncio.to_thread(read)
        return engines.avatars.get(name).id if data is None else (await engines.avatars.register(data, None)).id
    except AvatarError as error:
        log.error("--avatar %s: %s The built-in portrait is shown instead.", name, error.message)
        return Tunables().avatar


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON with its true status; what nobody foresaw is logged and told without detail."""
    try:
        return await handler(request)
    except AvatarError as error:
        return _refusal(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = error.reason.lower().replace(" ", "_")
        words = {404: "There is nothing here.", 405: "This route does not know that method."}
        refusal = AvatarError(words.get(error.status, f"{error.reason}."), code=code)
        response = _refusal(refusal, error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _refusal(AvatarError("Something went wrong in the server; its log says what."))


def _refusal(error: AvatarError, status: int | None = None) -> web.Response:
    response = web.json_response(error.body(), status=status or error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
