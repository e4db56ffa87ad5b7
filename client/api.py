"""The server's HTTP routes, as the client uses them. Every failure is a `Refused` or a `Lost` in words."""

from __future__ import annotations

import asyncio
import errno
import json
import mimetypes
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from .exits import Lost, Refused

CONNECT_S = 10.0
"""A server that does not accept a connection in this time is not there."""
ANSWER_S = 60.0
"""The longest a route may stay silent: registering a portrait takes some seconds on a slow machine."""


class Api:
    """One server. An async context manager."""

    def __init__(self, server: str, token: str | None) -> None:
        self._server = server
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
        self._http = aiohttp.ClientSession(headers=headers, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def ready(self) -> str:
        """What the server's engines still wait for, empty when they are warm."""
        try:
            await self._ask("GET", "/ready")
        except Refused as refusal:
            if refusal.status == 503:
                return str(refusal)
            raise
        return ""

    async def offer(self, sdp: str, session: dict[str, Any], resume: str | None = None) -> dict[str, Any]:
        """The answer to an SDP offer; `resume` is the session that is to go on."""
        body = {"type": "offer", "sdp": sdp, "session": session} | ({"session_id": resume} if resume else {})
        answer = await self._ask("POST", "/webrtc/offer", json=body)
        if not isinstance(answer.get("sdp"), str) or not isinstance(answer.get("session_id"), str):
            raise Refused(f"{self._server} does not answer offers as an avatar server does.")
        return answer

    async def say(self, session_id: str, text: str, role: str) -> dict[str, Any]:
        return await self._ask("POST", f"/sessions/{session_id}/say", json={"text": text, "as": role})

    async def speech(self, session_id: str, path: Path) -> dict[str, Any]:
        """Uploads a recording; the answer holds `turn_id` and `duration_s`."""
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        with path.open("rb") as file:
            return await self._ask("POST", f"/sessions/{session_id}/speech", data=file, headers={"Content-Type": kind})

    async def register(self, path: Path) -> dict[str, Any]:
        """Uploads a portrait; the answer holds `avatar`, its id."""
        form = aiohttp.FormData()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        with path.open("rb") as file:
            form.add_field("image", file, filename=path.name, content_type=kind)
            return await self._ask("POST", "/avatars", data=form)

    async def session(self, session_id: str) -> dict[str, Any]:
        return await self._ask("GET", f"/sessions/{session_id}")

    async def report(self, session_id: str, digest: dict[str, Any]) -> None:
        """Tells what this side measures."""
        await self._ask("POST", f"/sessions/{session_id}/stats", json=digest)

    async def end(self, session_id: str) -> None:
        await self._ask("DELETE", f"/sessions/{session_id}")

    async def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        url = self._server + path
        try:
            async with self._http.request(method, url, **request) as response:
                body = await response.read()
                if response.status < 400:
                    return _json(body)
                raise Refused(_message(response, body), response.status)
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            reason = os.strerror(number) if number and number > 0 else error.os_error.strerror or str(error.os_error)
            words = f"No server answers at {self._server}: {reason}."
            raise Lost(words, refused=number == errno.ECONNREFUSED) from None
        except TimeoutError:
            raise Lost(f"{self._server} does not answer.") from None
        except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
            raise Lost(f"The connection to {self._server} broke off: {error}") from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body) if body else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _message(response: aiohttp.ClientResponse, body: bytes) -> str:
    error = _json(body).get("error")
    said = error.get("message") if isinstance(error, dict) else None
    text = str(said) if said else f"{response.method} {response.url.path} was answered with {response.status}."
    if response.status == 401:
        text += " Give a token with --token or AVATAR_TOKEN."
    wait = response.headers.get("Retry-After")
    return f"{text} Try again in {wait} s." if wait and response.status == 503 else text
