"""Request bodies, read within their limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from ..errors import BadRequest, Invalid, TooLarge
from . import jsontext
from .limits import LIMITS

CHUNK = 65_536
"""Bytes read at a time."""


async def chunks(request: web.Request, limit: int, what: str) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises `TooLarge` as soon as it is known to pass `limit` bytes."""
    too_large = TooLarge(f"{what} may be at most {limit // 1_000_000} MB.", limit_bytes=limit)
    if request.content_length is not None and request.content_length > limit:
        raise too_large
    total = 0
    async for chunk in request.content.iter_chunked(CHUNK):
        total += len(chunk)
        if total > limit:
            raise too_large
        yield chunk


async def whole(request: web.Request, limit: int, what: str) -> bytes:
    return b"".join([chunk async for chunk in chunks(request, limit, what)])


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object. `BadRequest` when it is not; numbers too large for a float count as infinite."""
    raw = await whole(request, LIMITS["json_bytes"], "A JSON body")
    try:
        body = jsontext.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.", code="bad_json") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.", code="bad_json")
    return body


def known(body: dict[str, Any], names: set[str]) -> None:
    """Raises `Invalid` for a name that the route does not know."""
    for name in body:
        if name not in names:
            raise Invalid(f"There is no field named {name!r} here; there are {', '.join(sorted(names))}.", field=name)


def text_field(body: dict[str, Any], name: str, *, limit: int) -> str:
    """A text that is not empty. `Invalid` for another type, `TooLarge` over its limit."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Invalid(f"{name} must be a text that is not empty.", field=name)
    if len(value) > limit:
        raise TooLarge(f"{name} may hold at most {limit:,} characters, not {len(value):,}.", field=name)
    return value


def flag_field(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise Invalid(f"{name} must be true or false.", field=name)
    return value
