"""What OpenAI-compatible servers and failed connections say, as words for a person."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from yarl import URL

MAX_ANSWER = 1 << 20
"""Bytes read of an answer that is no sound."""


def message_of(body: Any) -> str:
    """The message of an error body: `{"error": {"message": …}}`, `{"error": "…"}`, `{"detail": …}`; else empty."""
    if isinstance(body, Mapping):
        for key in ("error", "message", "detail"):
            if value := body.get(key):
                return message_of(value) if isinstance(value, Mapping) else one_line(value)
    return ""


def key_headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def is_loopback(url: URL) -> bool:
    host = url.host or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def one_line(text: object, limit: int = 200) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def reason(error: BaseException) -> str:
    """Why a connection failed, in the operating system's words rather than a library's."""
    inner = getattr(error, "os_error", None) or error
    number = getattr(inner, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    return one_line(str(inner) or type(inner).__name__, 100)


def seconds(value: str | None) -> int | None:
    """Seconds of a `Retry-After` header (RFC 9110 §10.2.3); its date form is rare here and is not read."""
    try:
        return max(1, min(int(value or ""), 3600))
    except ValueError:
        return None
