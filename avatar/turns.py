"""What a session is asked to do, and the record of what became of it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .recognition import Recognition
from .types import AudioChunk, Turn

Kind = Literal["user", "say", "speech", "greeting", "recast"]

STAGES = (
    "endpoint",
    "stt_final",
    "llm_first_token",
    "first_clause",
    "tts_first_audio",
    "face_first_frame",
    "first_sent",
)
"""The waterfall's stages, in the order in which a turn reaches them."""


class Sound(Protocol):
    """Recorded speech that waits for its turn."""

    def chunks(self) -> AsyncIterator[AudioChunk]: ...

    def close(self) -> None: ...


def new_id() -> str:
    """An unguessable id for a session or turn."""
    return secrets.token_hex(8)


@dataclass(slots=True)
class Request:
    """One turn that waits to be taken."""

    kind: Kind
    """What is wanted; `recast` says nothing and only brings another portrait on the stage."""
    began: float
    """Monotonic seconds that the turn's waterfall counts from."""
    text: str = ""
    """What is said to the avatar (`user`) or what it shall say (`say`, `greeting`)."""
    endpoint: float | None = None
    """Monotonic seconds at which the end of the user's speech was noticed."""
    heard: Recognition | None = None
    """What yields the text of a spoken user turn."""
    spoken_s: float = 0.0
    """Seconds from the first to the last of the user's voice."""
    recording: Sound | None = None
    """The sound of a `speech` turn."""
    turn_id: str = field(default_factory=new_id)

    async def drop(self) -> None:
        """Frees what a request that will not be taken holds."""
        if self.heard is not None:
            await self.heard.close()
        if self.recording is not None:
            self.recording.close()


def mark(turn: Turn, stage: str, now: float) -> None:
    """Notes when a stage was first reached."""
    turn.marks.setdefault(stage, round(1000 * (now - turn.began), 1))


def mark_ahead(turn: Turn, times: Mapping[str, float], now: float) -> None:
    """Notes the stages that were reached before the turn was certain, which is `now`."""
    turn.ahead = {stage: round(1000 * (now - at), 1) for stage, at in times.items()}


def record(turn: Turn) -> dict[str, Any]:
    """The waterfall as it goes to the data channel, `/sessions/{id}`, the log and the histograms."""
    return {
        "turn_id": turn.id,
        "kind": turn.kind,
        "user_text": turn.user_text,
        "reply_text": turn.reply_text,
        "heard_text": turn.heard_text,
        "interrupted": turn.interrupted,
        "false_alarms": turn.false_alarms,
        "cached": list(turn.cached),
        "engines": dict(turn.engines),
        "error": turn.error,
        "notes": list(turn.notes),
        "revision": turn.revision,
        "ahead_ms": dict(turn.ahead),
    } | {stage: turn.marks.get(stage) for stage in STAGES}
