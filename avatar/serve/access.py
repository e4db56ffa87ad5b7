"""Who may ask: the bearer token, the page's cookie, and other web sites' scripts.

Without a token the server listens on loopback alone, yet any web site that is open in the user's browser could reach
it. So requests that carry a foreign `Origin` are refused, except from pages that the same machine serves.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from ..errors import AvatarError, Unauthorized

COOKIE = "avatar_token"
OPEN_PATHS = ("/health", "/web/", "/favicon.ico")
"""What never asks for the token: the sign of life and the page's static files."""
CORS_METHODS = "GET, POST, PATCH, DELETE"
CORS_HEADERS = "Authorization, Content-Type, If-Match"
CORS_EXPOSED = "Location, ETag, Link, Accept-Patch"
EMBEDDED = "/whep/"
"""Players stand on other people's pages: with the token, which such a page must hold itself, these routes answer to any
origin. Cookies do not count there."""


class Forbidden(AvatarError):
    """A page of another origin may not use this server."""

    status, code = 403, "forbidden_origin"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    """The host name in a URL or header; empty when there is none that can be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def new_token() -> str:
    return secrets.token_urlsafe(24)


def token_file(port: int) -> Path:
    """Where the token of the server on `port` lies for clients of the same user on the same machine."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "streaming-avatar" / f"token-{port}"


def keep_token(port: int, token: str) -> Path:
    """Writes the token where only its user can read it."""
    path = token_file(port)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token)
    return path


def guard(token: str | None, *, local: bool) -> Handler:
    """The middleware that lets requests in or not, and answers CORS for pages on this machine. `local`: the server is
    meant for this machine alone, so a request under any other host name is a trick (DNS rebinding)."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if local and not is_loopback(_host(f"//{request.host}")):
            raise Forbidden("This server answers under localhost only; start it with --host to open it to others.")
        origin = request.headers.get("Origin")
        foreign = origin is not None and not _same_origin(request, origin)
        if foreign and token is None and not is_loopback(_host(origin or "")):
            raise Forbidden("This server does not talk to pages of other web sites.")
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _cors(web.Response(status=204), origin, anywhere=_embedded(request, token))
        if token is not None:
            _check(request, token)
        response = await handler(request)
        if not foreign or response.prepared:
            return response
        return _cors(response, origin, anywhere=_embedded(request, token))

    return middleware  # type: ignore[return-value]


def _same_origin(request: web.Request, origin: str) -> bool:
    return origin.partition("://")[2] == request.host


def _embedded(request: web.Request, token: str | None) -> bool:
    return token is not None and request.path.startswith(EMBEDDED)


def _cors(response: web.StreamResponse, origin: str | None, *, anywhere: bool) -> web.StreamResponse:
    if origin is not None and (anywhere or is_loopback(_host(origin))):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
        response.headers["Access-Control-Allow-Headers"] = CORS_HEADERS
        response.headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
        response.headers["Vary"] = "Origin"
    return response


def _check(request: web.Request, token: str) -> None:
    if any(request.path == path or (path.endswith("/") and request.path.startswith(path)) for path in OPEN_PATHS):
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and _equal(given.strip(), token):
        return
    if _equal(request.cookies.get(COOKIE, ""), token):
        return
    query = request.query.get("token")
    if request.path == "/" and query is not None and _equal(query, token):
        # Moved into a cookie, so that the token neither stays in the address bar nor in the history.
        redirect = web.HTTPFound("/")
        redirect.set_cookie(COOKIE, token, httponly=True, samesite="Strict", path="/", secure=request.secure)
        raise redirect
    if request.path == "/" and query is None:
        return  # the page itself is a static file; it asks for the token when a route refuses it
    raise Unauthorized("This server asks for its token: send it as a bearer token, or open the page with ?token=.")


def _equal(given: str, token: str) -> bool:
    # Headers may hold bytes that are no UTF-8: aiohttp hands them on as lone surrogates.
    return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())
