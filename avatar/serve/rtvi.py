"""RTVI 2.1 on the data channel: events out, requests in. Pure: texts and values, no socket.

Frames are JSON texts `{"label":"rtvi-ai","type","id","data"}` as the Pipecat clients speak them; what is ours alone
travels inside `server-message` and `client-message` (`api.md` is the contract). Frames of other kinds that those
clients send (`ping`, signalling) are no error.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..events import (
    AvatarSpeech,
    Caption,
    Event,
    Held,
    Interrupted,
    Notice,
    QualityAlarm,
    ReplyEnded,
    ReplyText,
    SessionChanged,
    Spoken,
    StateChanged,
    TurnEnded,
    UserSpeech,
    UserText,
)
from . import jsontext

VERSION = "2.1.0"
LABEL = "rtvi-ai"
MAX_FRAME = 65_536
"""Characters of an incoming frame: a whole prompt fits, a flood does not."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A frame from the client that means something to us."""

    type: str
    id: str
    data: dict[str, Any] = field(default_factory=dict)


def message(kind: str, data: Any = None, frame_id: str | None = None) -> str:
    """One frame as text."""
    frame: dict[str, Any] = {"label": LABEL, "type": kind, "id": frame_id or secrets.token_hex(4)}
    if data is not None:
        frame["data"] = data
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def bot_ready(frame_id: str, about: dict[str, Any]) -> str:
    """The answer to `client-ready`."""
    return message("bot-ready", {"version": VERSION, "about": about}, frame_id)


def error(text: str, *, fatal: bool = False) -> str:
    return message("error", {"error": text, "message": text, "fatal": fatal})


def response(frame_id: str, t: str, d: Any) -> str:
    """The answer to a `client-message`."""
    return message("server-response", {"t": t, "d": d}, frame_id)


def error_response(frame_id: str, text: str, detail: dict[str, Any] | None = None) -> str:
    """The refusal of a `client-message`; `detail` is the JSON error that a route would have answered."""
    return message("error-response", {"error": text, **({"detail": detail} if detail else {})}, frame_id)


def _ours(t: str, **fields: Any) -> str:
    return message("server-message", {"t": t, **fields})


def encode(event: Event) -> list[str]:
    """The frames that tell the client of an event, in order."""
    match event:
        case StateChanged(state):
            return [_ours("state", state=state)]
        case UserSpeech(speaking):
            return [message("user-started-speaking" if speaking else "user-stopped-speaking")]
        case UserText(text, final, revision):
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
            said = {"text": text, "final": final, "timestamp": stamp, "user_id": "user", "revision": revision}
            return [message("user-transcription", said)]
        case ReplyText(_, text):
            return [message("bot-llm-text", {"text": text})]
        case ReplyEnded(_):
            return [message("bot-llm-stopped")]
        case AvatarSpeech(_, speaking):
            if speaking:
                return [message("bot-tts-started"), message("bot-started-speaking")]
            return [message("bot-tts-stopped"), message("bot-stopped-speaking")]
        case Caption(turn_id, text, start_s, end_s, heard):
            rest = {} if heard is None else {"heard_text": heard}
            frames = [
                _ours("caption", turn_id=turn_id, text=text, start_s=start_s, end_s=end_s, by_word=bool(text), **rest)
            ]
            if text and heard is None:
                spoken = {"text": text, "aggregated_by": "sentence", "will_be_spoken": True}
                frames += [message("bot-tts-text", {"text": text}), message("bot-output", spoken)]
            return frames
        case Spoken(turn_id, text, start_s, end_s):
            return [_ours("word", turn_id=turn_id, text=text, start_s=start_s, end_s=end_s)]
        case Held(turn_id, heard_text):
            return [_ours("held", turn_id=turn_id, heard_text=heard_text)]
        case Interrupted(turn_id, heard_text, heard_s, stop_ms):
            return [_ours("interrupted", turn_id=turn_id, heard_text=heard_text, heard_s=heard_s, stop_ms=stop_ms)]
        case TurnEnded(record):
            return [_ours("turn", **record), *_metrics(record)]
        case SessionChanged(effective, reason):
            # Both spellings: scripts read the tunables flat, the page as one object.
            return [_ours("session", session=effective, **effective, **({"reason": reason} if reason else {}))]
        case QualityAlarm(figure, value, limit, raised):
            return [_ours("alarm", figure=figure, value=value, limit=limit, raised=raised)]
        case Notice(text, fatal):
            return [error(text, fatal=fatal)]


def _metrics(record: dict[str, Any]) -> list[str]:
    """RTVI's own metrics frame: each engine's time to its first output, in seconds."""
    steps = (
        ("stt", "endpoint", "stt_final"),
        ("llm", "stt_final", "llm_first_token"),
        ("tts", "first_clause", "tts_first_audio"),
    )
    rows = []
    for role, begin, end in steps:
        if record.get(end) is not None and role in record["engines"]:
            took = record[end] - (record.get(begin) or 0.0)
            rows.append({"processor": record["engines"][role], "value": round(max(0.0, took) / 1000, 4)})
    return [message("metrics", {"ttfb": rows})] if rows else []


def decode(text: str) -> Incoming | None:
    """An incoming frame; None for what is no request (pings, signalling, other labels, broken JSON)."""
    if len(text) > MAX_FRAME or not text.startswith("{"):
        return None
    try:
        frame = jsontext.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or frame.get("label") != LABEL or not isinstance(frame.get("type"), str):
        return None
    data = frame.get("data")
    return Incoming(frame["type"], str(frame.get("id", "")), data if isinstance(data, dict) else {})
