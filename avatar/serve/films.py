"""`/sessions/{id}/recording` and `/recordings`: recordings that the server makes, where its operator wants them."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path
from typing import Any

from aiohttp import web

from ..errors import AvatarError, Invalid, NotFound
from ..recording import CODECS, Film, Recording
from . import bodies
from .state import STATE

_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\.(webm|mp4|vtt)")
_TYPES = {".webm": "video/webm", ".mp4": "video/mp4", ".vtt": "text/vtt"}


class NotEnabled(AvatarError):
    """The operator has given no place for recordings."""

    status, code = 403, "recording_disabled"


def _folder(request: web.Request) -> Path:
    folder = request.app[STATE].settings.recordings
    if folder is None:
        raise NotEnabled("This server records nothing; its operator enables it with --recordings DIR.")
    return folder


def _film(film: Film) -> dict[str, Any]:
    return {
        "recording": film.path.name,
        "captions": film.captions.name,
        "duration_s": film.seconds,
        "bytes": film.bytes,
    }


async def begin(request: web.Request) -> web.Response:
    """Begins with the next key frame: 201."""
    folder = _folder(request)
    session = request.app[STATE].sessions.get(request.match_info["id"])
    body = await bodies.json_object(request) if request.can_read_body else {}
    bodies.known(body, {"format"})
    kind = body.get("format", "webm")
    if kind not in CODECS:
        raise Invalid(f"format must be one of {', '.join(CODECS)}.", field="format")
    recorder = session.camera.begin(folder / f"{session.id}-{secrets.token_hex(4)}.{kind}", kind)
    return web.json_response({"recording": recorder.path.name, "codec": recorder.codec}, status=201)


async def end(request: web.Request) -> web.Response:
    """Finishes the file; answers its name, length and size."""
    _folder(request)
    session = request.app[STATE].sessions.get(request.match_info["id"])
    return web.json_response(_film(await session.camera.end()))


async def index(request: web.Request) -> web.Response:
    folder = _folder(request)

    def listing() -> list[dict[str, Any]]:
        files = sorted(folder.glob("*.*")) if folder.is_dir() else []
        return [{"name": f.name, "bytes": f.stat().st_size} for f in files if _NAME.fullmatch(f.name)]

    return web.json_response({"recordings": await asyncio.to_thread(listing)})


def _path(request: web.Request) -> Path:
    """A file that the server itself has named; no other can be asked for."""
    name = request.match_info["name"]
    path = _folder(request) / name
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFound("There is no such recording.", code="no_such_recording")
    return path


async def get(request: web.Request) -> web.StreamResponse:
    path = await asyncio.to_thread(_path, request)
    return web.FileResponse(path, headers={"Content-Type": _TYPES[path.suffix]})


async def delete(request: web.Request) -> web.Response:
    path = await asyncio.to_thread(_path, request)
    if path in {session.camera.path for session in request.app[STATE].sessions.all()}:
        raise Recording("This recording is still running; end it first.")
    await asyncio.to_thread(path.unlink, missing_ok=True)
    return web.Response(status=204)
