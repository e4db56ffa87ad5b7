"""What OpenAI-compatible servers write, read without a socket: pieces of text, errors, refusals.

Source: the OpenAI API reference for `/v1/chat/completions`, and the wordings of llama.cpp, Ollama and vLLM.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..types import Message

TOO_LONG = "llm_too_long"
"""Code of the error that ends a reply which was cut because of its length."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One event's share of a reply."""

    text: str = ""
    thinking: bool = False
    """It stands for reasoning that the server keeps apart from the answer."""
    ended: bool = False
    """The server says that there is no more."""
    cut_short: bool = False
    """It ended because it had become as long as was asked for, and not by itself."""


def one_line(text: object, limit: int = 200) -> str:
    """Another program's words, made fit for a sentence."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def reason(error: BaseException) -> str:
    """Why a connection failed, in the operating system's words rather than a library's."""
    inner = getattr(error, "os_error", None) or error
    number = getattr(inner, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    return one_line(getattr(inner, "strerror", None) or inner or type(inner).__name__, 100)


def error_text(body: Any) -> str:
    """The message of an error body: `{"error": {"message": …}}`, `{"error": "…"}`, `{"detail": …}`; else empty."""
    if isinstance(body, Mapping):
        for key in ("error", "message", "detail"):
            if value := body.get(key):
                return error_text(value) if isinstance(value, Mapping) else one_line(value)
    return ""


def read_chunk(chunk: Any) -> Piece:
    """One decoded event of a stream, or the whole of an answer that was not streamed."""
    choices = chunk.get("choices") if isinstance(chunk, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return Piece()  # usage and timings come without choices
    why = choices[0].get("finish_reason")
    ended, cut_short = bool(why), why == "length"
    delta = choices[0].get("delta") or choices[0].get("message")
    if not isinstance(delta, Mapping):
        return Piece(ended=ended, cut_short=cut_short)
    text = _content(delta.get("content")) or _content(delta.get("refusal"))
    return Piece(text, bool(delta.get("reasoning_content") or delta.get("reasoning")), ended, cut_short)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(p["text"] for p in content if isinstance(p, Mapping) and isinstance(p.get("text"), str))
    return ""


def model_names(body: Any) -> list[str]:
    """The ids in an answer to `GET /v1/models`. Models that only make vectors cannot talk and are left out."""
    rows = body.get("data") if isinstance(body, Mapping) else None
    names = [row["id"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str)] if rows else []
    return [n for n in names if not any(mark in n.lower() for mark in ("embed", "rerank", "bge-", "minilm"))]


def is_too_long(text: str) -> bool:
    """Whether a refusal (lower case) is about the context: llama.cpp, vLLM and OpenAI word it differently."""
    return "context" in text and any(word in text for word in ("exceed", "maximum", "length", "longer", "too long"))


def newer_half(messages: list[Message]) -> list[Message] | None:
    """The system prompt and the newer half of what follows it, from a user's message on. None: nothing can go."""
    head = 1 if messages and messages[0].role == "system" else 0
    cut = head + (len(messages) - head + 1) // 2
    while cut < len(messages) and messages[cut].role != "user":
        cut += 1
    return messages[:head] + messages[cut:] if cut < len(messages) else None


def retry_after(value: str | None) -> int | None:
    """Seconds of a `Retry-After` header (RFC 9110 §10.2.3); its date form is rare here and is not read."""
    try:
        return max(1, min(int(value or ""), 3600))
    except ValueError:
        return None
