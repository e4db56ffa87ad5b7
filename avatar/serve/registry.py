"""The sessions of the process: admission, the way in, the way out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..engines import Engines
from ..errors import AtCapacity, NotFound
from ..play.peer import Peer
from ..play.source import Broadcast
from ..quality import Alarm
from ..session import Session
from ..settings import Settings
from ..tunables import Tunables
from .channel import Channel

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
"""Told to who is turned away: conversations last minutes, but a look now and then costs nothing."""


class Sessions:
    """Every live session by its id."""

    def __init__(
        self,
        engines: Engines,
        settings: Settings,
        on_turn: Callable[[dict[str, Any]], None],
        on_alarm: Callable[[Alarm], None],
    ) -> None:
        self._engines = engines
        self._on_turn = on_turn
        self._on_alarm = on_alarm
        self._live: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.limit = settings.max_sessions
        """0 until it has been measured: then nobody is turned away yet."""
        self.opened = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._live)

    def all(self) -> list[Session]:
        return list(self._live.values())

    def get(self, session_id: str) -> Session:
        session = self._live.get(session_id)
        if session is None:
            raise NotFound("There is no session with this id; it may have ended.", code="no_such_session")
        return session

    def find(self, session_id: str | None) -> Session | None:
        return self._live.get(session_id) if session_id else None

    def admit(self) -> None:
        """Raises `AtCapacity` when no further session may start."""
        if self.limit and len(self._live) >= self.limit:
            self.refused += 1
            raise AtCapacity(
                f"All {self.limit} places are taken; try again in a little while.",
                retry_after_s=RETRY_AFTER_S,
                sessions=len(self._live),
                limit=self.limit,
            )

    def open(self, tunables: Tunables, peer: Peer, broadcast: Broadcast, greeting: str) -> Session:
        """Starts a session on a peer that has just answered."""
        session = Session(
            self._engines, tunables, broadcast, greeting=greeting, on_turn=self._on_turn, on_alarm=self._on_alarm
        )
        Channel(session)
        session.attach(peer)
        self._live[session.id] = session
        task = asyncio.create_task(self._run(session), name=f"session {session.id}")
        self._tasks[session.id] = task
        self.opened += 1
        return session

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except Exception:
            log.exception("session %s failed", session.id)
        finally:
            self._live.pop(session.id, None)
            self._tasks.pop(session.id, None)

    async def end(self, session_id: str, why: str) -> None:
        """Ends a session; its place is free at once. Returns when all of it is closed; unknown ids are no error."""
        session = self._live.pop(session_id, None)
        task = self._tasks.get(session_id)
        if session is not None and task is not None:
            session.end(why)
            await asyncio.wait([task])

    async def close(self) -> None:
        """Ends all of them: the server stops."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))
