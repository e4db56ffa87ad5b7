"""Finds out what an OpenAI-compatible endpoint is: where it is, whether it lets us in, its models and voices."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from yarl import URL

from ..errors import Invalid, NotReady
from ..types import Choice
from .answers import MAX_ANSWER, is_loopback, key_headers, one_line, reason
from .endpoint import PROBE_S, Endpoint

_DEFAULT_MODEL = "tts-1"
"""Asked for where the endpoint lists none: OpenAI's name, which single-model servers ignore or map."""
_SPEECH_NAMES = ("tts", "speech", "kokoro", "piper", "voice", "bark", "xtts", "orpheus", "chatterbox", "supertonic")
"""Endpoints list models of all kinds in one list; these words mark the ones that speak."""
_NOT_SPEECH = ("whisper", "transcri", "asr", "embed")


async def endpoint(spec: str, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint that `spec` names, `http://host:port/v1[#model]`. Raises `Invalid` for what is no such URL and
    `NotReady` where nobody answers or the key is refused."""
    base, model = _parse(spec)
    key = environ.get("OPENAI_API_KEY") or None
    shown = str(base.with_user(None))
    async with aiohttp.ClientSession(headers=key_headers(key), trust_env=not is_loopback(base)) as client:
        status, listing = await _get(client, base / "models", shown)
        if status == 404 and not base.path.rstrip("/").endswith("/v1"):
            # The address without /v1 is what people copy from a terminal.
            below, more = await _get(client, base / "v1" / "models", shown)
            if below == 200:
                base, status, listing = base / "v1", below, more
        if status in (401, 403):
            hint = "does not accept OPENAI_API_KEY" if key else "asks for a key: set OPENAI_API_KEY"
            raise NotReady(f"The endpoint {shown} {hint}.", field="tts")
        _, voices = await _get(client, base / "audio" / "voices", shown)
    names = _names(listing, "data", "models")
    why = f"it was asked for at {shown}"
    if not model:
        able = [name for name in names if not any(mark in name.lower() for mark in _NOT_SPEECH)]
        speech = [name for name in able if any(mark in name.lower() for mark in _SPEECH_NAMES)]
        model = next(iter([*speech, *able, *names]), _DEFAULT_MODEL)
        why = f"{shown} was asked for, and lists it" if names else f"{shown} was asked for"
    label = model.rsplit("/", 1)[-1]
    return Endpoint(
        base, model, Choice("tts", f"openai:{label}", why), voices=_names(voices, "voices", "data"), key=key
    )


async def _get(client: aiohttp.ClientSession, url: URL, shown: str) -> tuple[int, Any]:
    """Status and JSON (None for none). Raises `NotReady` where nobody answers."""
    try:
        async with asyncio.timeout(PROBE_S), client.get(url, allow_redirects=False) as response:
            body = await response.content.read(MAX_ANSWER)
            while len(body) < MAX_ANSWER and (more := await response.content.read(MAX_ANSWER - len(body))):
                body += more
            status = response.status
    except TimeoutError:
        raise NotReady(f"The endpoint {shown} does not answer within {PROBE_S:g} s.", field="tts") from None
    except (aiohttp.ClientError, OSError) as error:
        raise NotReady(
            f"The endpoint {shown} cannot be reached ({reason(error)}): is it running?", field="tts"
        ) from None
    with suppress(ValueError):
        return status, json.loads(body) if status == 200 else None
    return status, None


def _parse(spec: str) -> tuple[URL, str]:
    try:
        url = URL(spec)
        _ = url.port  # raises for a port that is none
    except ValueError:
        raise Invalid(f"tts: {one_line(spec, 80)!r} is not a URL.", field="tts") from None
    if not url.host:
        raise Invalid(f"tts: {one_line(spec, 80)!r} names no host.", field="tts")
    path = url.path.rstrip("/").removesuffix("/audio/speech")
    return url.with_fragment(None).with_query(None).with_path(path or "/"), url.fragment


def _names(body: Any, *keys: str) -> list[str]:
    """The names in a list of models or voices: strings, or objects with an id or a name."""
    rows = next((body[key] for key in keys if isinstance(body.get(key), list)), []) if isinstance(body, dict) else body
    found: list[str] = []
    for row in rows if isinstance(rows, list) else []:
        name = next((row[k] for k in ("id", "voice_id", "name") if row.get(k)), None) if isinstance(row, dict) else row
        if isinstance(name, str) and name:
            found.append(name[:100])
    return found
