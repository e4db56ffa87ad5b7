"""`/avatars`: portraits registered, listed, shown, removed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import BadRequest, TooLarge, UnsupportedMedia
from ..face.avatars import AvatarInfo
from . import bodies
from .limits import LIMITS
from .state import STATE


def as_json(info: AvatarInfo) -> dict[str, Any]:
    """A portrait as the routes and `/config` show it."""
    row = asdict(info)
    row["avatar"] = row.pop("id")
    row["face"] = list(info.face) if info.face else None
    return row


async def create(request: web.Request) -> web.Response:
    info = await request.app[STATE].engines.avatars.register(*await _upload(request))
    return web.json_response(as_json(info), status=201)


async def _upload(request: web.Request) -> tuple[bytes, str | None, str | None]:
    """The picture, its type and its file's name: from the multipart field `image`, or the whole body."""
    limit = LIMITS["portrait_bytes"]
    if not request.content_type.startswith("multipart/"):
        if not request.content_type.startswith(("image/", "application/octet-stream")):
            raise UnsupportedMedia("Send the portrait as image/* or as the field image of a multipart form.")
        return await bodies.whole(request, limit, "A portrait"), request.content_type, None
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader) and part.name == "image":
                return await _part(part, limit), part.headers.get("Content-Type"), part.filename
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError):
        raise BadRequest("The multipart form cannot be read.", code="bad_form") from None
    raise BadRequest("The form has no field named image.", code="bad_form", field="image")


async def _part(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(bodies.CHUNK):
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"A portrait may be at most {limit // 1_000_000} MB.", limit_bytes=limit)
    return bytes(data)


async def index(request: web.Request) -> web.Response:
    return web.json_response({"avatars": [as_json(info) for info in request.app[STATE].engines.avatars.list()]})


async def thumbnail(request: web.Request) -> web.Response:
    jpeg = await request.app[STATE].engines.avatars.thumbnail(request.match_info["id"])
    return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def preview(request: web.Request) -> web.Response:
    """A strip of expressions, so that a person sees how the portrait will move."""
    jpeg = await request.app[STATE].engines.avatars.preview(request.match_info["id"])
    return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def delete(request: web.Request) -> web.Response:
    await request.app[STATE].engines.avatars.delete(request.match_info["id"])
    return web.Response(status=204)
