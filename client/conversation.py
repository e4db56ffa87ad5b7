"""What the server tells over the data channel: RTVI messages and our own, kept as the state of one conversation.

Pure: takes text frames and the time they came, remembers, and wakes whoever waits for a change.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LABEL = "rtvi-ai"
MAX_TURNS = 1000
"""Waterfalls kept for the report: more than a day of talking has; older ones are dropped."""

Listener = Callable[[str, dict[str, Any], float], None]
"""Is told a message's type (ours: the `t` inside it), its data, and when it came (monotonic seconds)."""


def message(kind: str, data: dict[str, Any] | None = None) -> str:
    """A text frame to the server (RTVI 2.1)."""
    return json.dumps({"label": LABEL, "type": kind, "id": uuid.uuid4().hex[:8], "data": data or {}})


def client_ready() -> str:
    return message("client-ready", {"version": "1.2.0", "about": {"library": "streaming-avatar-client"}})


@dataclass
class Conversation:
    """The newest state of everything, and what has happened."""

    listener: Listener | None = None
    state: str = ""
    """idle, listening, thinking or speaking; empty until the server says."""
    bot_ready: bool = False
    speaking: bool = False
    """Between bot-started-speaking and bot-stopped-speaking."""
    started: float | None = None
    """When the running turn began to sound, by bot-started-speaking, monotonic seconds; None before it does."""
    turns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Waterfalls by turn id, in the order of their first record; a later record of a turn replaces the former."""
    told: dict[str, float] = field(default_factory=dict)
    """When the server said that a turn begins to sound, by the ids of the turns that did, monotonic seconds."""
    session: dict[str, Any] = field(default_factory=dict)
    """Effective tunables after the last change; empty when there was none."""
    errors: list[str] = field(default_factory=list)
    active: float = 0.0
    """When the state last changed, monotonic seconds."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, text: str, now: float) -> None:
        """Takes one text frame. What is not RTVI is none of our business."""
        try:
            frame = json.loads(text)
        except ValueError:
            return
        if not isinstance(frame, dict) or frame.get("label") != LABEL:
            return
        data = frame.get("data")
        data = data if isinstance(data, dict) else {}
        kind = str(frame.get("type"))
        if kind == "server-message":
            kind = str(data.get("t"))
            self._ours(kind, data, now)
        else:
            self._rtvi(kind, data, now)
        if self.listener is not None:
            self.listener(kind, data, now)
        self._changed.set()

    def wake(self) -> None:
        """Makes `until` look again: something else has changed."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], every: float = 0.1) -> None:
        """Returns when `condition` holds; it is looked at after every message and every `every` seconds."""
        while not condition():
            self._changed.clear()
            try:
                async with asyncio.timeout(every):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _rtvi(self, kind: str, data: dict[str, Any], now: float) -> None:
        match kind:
            case "bot-ready":
                self.bot_ready = True
            case "bot-started-speaking":
                self.speaking = True
                if self.started is None:  # else it goes on after it was held: it began before
                    self.started = now
            case "bot-stopped-speaking":
                self.speaking = False
            case "error" | "error-response":
                self.errors.append(str(data.get("message") or data.get("error") or "unknown error"))

    def _ours(self, kind: str, data: dict[str, Any], now: float) -> None:
        match kind:
            case "state":
                self.state = str(data.get("state"))
                self.active = now
            case "turn":
                turn_id = str(data.get("turn_id"))
                self.turns[turn_id] = {name: value for name, value in data.items() if name != "t"}
                if self.started is not None:  # one turn runs at a time: it was this one's
                    self.told[turn_id], self.started = self.started, None
                while len(self.turns) > MAX_TURNS:
                    oldest = next(iter(self.turns))
                    del self.turns[oldest]
                    self.told.pop(oldest, None)
            case "session":
                self.session = _effective(data)


def _effective(data: dict[str, Any]) -> dict[str, Any]:
    """The tunables of a `session` message, nested or flat."""
    inner = data.get("session")
    if isinstance(inner, dict):
        return inner
    return {name: value for name, value in data.items() if name not in ("t", "reason")}
