"""What a session tells the person at the other end. The wire format is the business of `serve/rtvi.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["idle", "listening", "thinking", "speaking"]


@dataclass(frozen=True, slots=True)
class StateChanged:
    state: State


@dataclass(frozen=True, slots=True)
class UserSpeech:
    """The user's voice was heard to begin or to end."""

    speaking: bool


@dataclass(frozen=True, slots=True)
class UserText:
    """What the user is understood to say; partial texts replace each other until the final one."""

    text: str
    final: bool
    revision: int = 0
    """Above 0 the text replaces the last final one: the user had not finished."""


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A piece of the reply as the language model streams it."""

    turn_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The language model has said all it has to say in this turn."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class AvatarSpeech:
    """The avatar's voice begins or ends, as it is sent."""

    turn_id: str
    speaking: bool


@dataclass(frozen=True, slots=True)
class Caption:
    """A clause that begins to sound now, in media seconds of the tracks."""

    turn_id: str
    text: str
    start_s: float
    end_s: float
    heard_text: str | None = None
    """Of the rest of a clause that was held: what of the turn was heard before. None for a clause that is new."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word that begins to sound now, in media seconds of the tracks."""

    turn_id: str
    text: str
    """With the marks and the space that follow it."""
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """The avatar fell silent because somebody may want to speak. It is interrupted, or goes on, within seconds; then
    its captions go on with the words that follow `heard_text`."""

    turn_id: str
    heard_text: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    turn_id: str
    heard_text: str
    heard_s: float
    stop_ms: float
    """From the onset of the voice (or the request) that stopped it to the last spoken sample sent."""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The waterfall of a finished turn."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """The effective tunables after a change, and why if the server made it."""

    effective: dict[str, Any]
    reason: Literal["", "network", "load"] = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something went wrong that a person should know of; the session goes on unless `fatal`."""

    message: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class QualityAlarm:
    """A figure of the connection is beyond its bar for some seconds, or within it again."""

    figure: str
    value: float
    limit: float
    raised: bool


Event = (
    StateChanged
    | UserSpeech
    | UserText
    | ReplyText
    | ReplyEnded
    | AvatarSpeech
    | Caption
    | Spoken
    | Held
    | Interrupted
    | TurnEnded
    | SessionChanged
    | Notice
    | QualityAlarm
)
