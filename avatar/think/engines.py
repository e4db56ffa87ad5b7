"""Which language model answers: the table from a setting to an engine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from ..errors import Invalid, NotReady
from ..seams import LLM
from ..types import Choice
from . import llamacpp
from .openai_chat import MAX_BODY, OpenAIChat, is_loopback
from .responder import Responder
from .wire import error_text, model_names, one_line, reason

log = logging.getLogger(__name__)

OLLAMA = "http://127.0.0.1:11434"
OLLAMA_S = 0.3
"""`auto` must not hold up a start where there is no Ollama; one on this machine lists its models in milliseconds."""
ENDPOINT_S = 5.0
"""An endpoint that was asked for by name may be far away."""


async def choose_llm(
    spec: str, *, environ: Mapping[str, str] | None = None, ollama: str = OLLAMA, patience_s: float = ENDPOINT_S
) -> LLM:
    """The engine that `spec` names: `auto`, `ollama[:model]`, `llamacpp:FILE.gguf`, `responder`, or the base URL of an
    OpenAI-compatible endpoint with an optional `#model`. Its key is `OPENAI_API_KEY`.

    `auto` always finds something: a model of Ollama on this machine, else the responder. It never calls anything
    beyond this machine. Raises `Invalid` for what is not in the list and `NotReady`, with the fix, for what is not
    there.
    """
    spec = spec.strip()
    name, _, rest = spec.partition(":")
    match name.lower():
        case "auto" if not rest:
            return await _auto(ollama)
        case "responder" if not rest:
            return Responder(Choice("llm", "responder", "it was asked for", _RESPONDER_NOTE))
        case "ollama":
            return await _ollama(ollama, rest, "it was asked for", patience_s)
        case "llamacpp":
            return llamacpp.find(rest)
        case "http" | "https":
            key = (os.environ if environ is None else environ).get("OPENAI_API_KEY") or None
            return await _endpoint(spec, key, patience_s)
    raise Invalid(
        f"llm must be auto, ollama[:model], llamacpp:FILE.gguf, responder or a base URL, not {one_line(spec, 80)!r}.",
        field="llm",
    )


_RESPONDER_NOTE = "A few fixed rules, no language model: it knows itself, the time and simple things."


async def _auto(ollama: str) -> LLM:
    try:
        return await _ollama(ollama, "", "Ollama answers on this machine", OLLAMA_S)
    except NotReady as error:
        return Responder(Choice("llm", "responder", f"no language model was found: {error.message}", _RESPONDER_NOTE))


async def _ollama(base: str, model: str, why: str, patience_s: float) -> LLM:
    url = URL(base) / "v1"
    listing = await _models(url, None, patience_s)
    if listing.problem:
        raise NotReady(
            f"Ollama does not answer at {base} ({listing.problem}): install it from ollama.com and start it.",
            field="llm",
        )
    if not listing.names:
        raise NotReady("Ollama runs but has no model: fetch one, such as `ollama pull llama3.2`.", field="llm")
    if model:
        # `llama3.2` stands for `llama3.2:latest`, and failing that for any tag of it.
        fitting = [n for n in listing.names if n in (model, f"{model}:latest")] or [
            n for n in listing.names if n.partition(":")[0] == model
        ]
        if not fitting:
            have = ", ".join(listing.names[:8])
            raise NotReady(
                f"Ollama has no model {model!r}: `ollama pull {model}` fetches it. It has {have}.", field="llm"
            )
        model = fitting[0]
    else:
        model = listing.names[0]
    return OpenAIChat(Choice("llm", f"ollama:{model}", why), url, model, label=f"Ollama's {model}")


async def _endpoint(spec: str, key: str | None, patience_s: float) -> LLM:
    url, model = _parse(spec)
    shown = str(url.with_user(None))
    listing = await _models(url, key, patience_s)
    if listing.status == 404 and not url.path.rstrip("/").endswith("/v1"):
        # The address without /v1 is what people copy from a terminal.
        below = await _models(url / "v1", key, patience_s)
        if not below.problem:
            url, listing = url / "v1", below
            shown = str(url.with_user(None))
    if listing.status in (401, 403):
        hint = "does not accept OPENAI_API_KEY" if key else "asks for a key: set OPENAI_API_KEY"
        raise NotReady(f"The endpoint {shown} {hint}.", field="llm")
    if not listing.status:
        raise NotReady(f"The endpoint {shown} cannot be reached ({listing.problem}): is it running?", field="llm")
    if not model:
        if listing.problem or not listing.names:
            raise NotReady(
                f"The endpoint {shown} does not list a model ({listing.problem or 'the list is empty'}): "
                f"check that the address ends in /v1, or name a model, as in {shown}#model.",
                field="llm",
            )
        model = listing.names[0]
        why = f"{shown} was asked for and lists it first"
    else:
        why = f"it was asked for at {shown}"
        if listing.names and model not in listing.names:
            log.warning("%s does not list the model %s; it will be asked for all the same", shown, model)
    shown = model.rsplit("/", 1)[-1] if model.startswith("/") else model  # llama.cpp calls a model by its file's path
    return OpenAIChat(Choice("llm", f"openai:{shown}", why), url, model, label=f"{shown} at {url.host}", key=key)


def _parse(spec: str) -> tuple[URL, str]:
    try:
        url = URL(spec)
        _ = url.port  # raises for a port that is none
    except ValueError:
        raise Invalid(f"llm: {one_line(spec, 80)!r} is not a URL.", field="llm") from None
    if not url.host:
        raise Invalid(f"llm: {one_line(spec, 80)!r} names no host.", field="llm")
    model = url.fragment
    url = url.with_fragment(None).with_query(None)
    path = url.path.rstrip("/").removesuffix("/chat/completions")
    return url.with_path(path or "/"), model


@dataclass(frozen=True, slots=True)
class _Listing:
    """What `GET …/models` brought."""

    names: tuple[str, ...] = ()
    status: int = 0
    """HTTP status; 0: no answer at all."""
    problem: str = ""
    """Why there are no names; empty when the list was read, though it may be empty."""


async def _models(base: URL, key: str | None, patience_s: float) -> _Listing:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with (
            asyncio.timeout(patience_s),
            aiohttp.ClientSession(headers=headers, trust_env=not is_loopback(base)) as client,
            client.get(base / "models", allow_redirects=False) as response,
        ):
            data = await response.content.read(MAX_BODY)
            while len(data) < MAX_BODY and (more := await response.content.read(MAX_BODY - len(data))):
                data += more
            status = response.status
    except TimeoutError:
        return _Listing(problem=f"no answer within {patience_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return _Listing(problem=reason(error))
    try:
        body = json.loads(data)
    except ValueError:
        return _Listing(status=status, problem=f"status {status}, and no JSON")
    if status != 200:
        return _Listing(status=status, problem=f"status {status} {error_text(body)}".strip())
    return _Listing(tuple(model_names(body)), status)
