"""Whether the client of a session is there: the wait for its connection, for its return, and the end without it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from .events import Notice
from .play.peer import Peer

if TYPE_CHECKING:
    from .session import Session

log = logging.getLogger(__name__)

CONNECT_S = 30.0
"""An offer that is never followed up by a connection frees its place after this long."""
RESUME_S = 60.0
"""A session whose connection was lost waits this long for its client to come back."""
IDLE_S = 1800.0
"""A session in which nobody has said anything for this long ends."""


class Ended(Exception):
    """Carries the end of a session out of its task group."""


class Presence:
    """Follows whichever peer a session has at the time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._attached: float | None = None
        """When the newest peer came, monotonic seconds."""
        self._again = False
        """It took another's place."""
        self._new_peer = asyncio.Event()
        """Set, and then another one, whenever the session takes a peer."""
        self._lost: float | None = None
        """When the connection was found to be lost, monotonic seconds."""

    @property
    def state(self) -> str:
        """connecting, connected, doubtful (nothing is heard of the client just now) or lost (it may come back)."""
        peer = self._session.peer
        if self._lost is not None:
            return "lost"
        if peer is None or not peer.connected.is_set():
            return "connecting"
        return "connected" if peer.sure else "doubtful"

    def attached(self) -> None:
        """The session has taken a peer."""
        self._again = self._attached is not None
        self._attached = time.monotonic()
        told, self._new_peer = self._new_peer, asyncio.Event()
        told.set()

    async def replaced(self, old: Peer) -> None:
        """Returns when another peer than `old` is attached."""
        while self._session.peer is old:
            await self._new_peer.wait()

    async def connected(self) -> None:
        """Returns when a peer is connected: the first one, or one that took its place."""
        while True:
            peer = self._session.peer
            assert peer is not None
            if not peer.connected.is_set():
                await _any([peer.connected, self._new_peer], None)
            if peer.connected.is_set():
                return

    async def watch(self) -> None:
        """Raises `Ended` when the session is over; that cancels everything else in its group."""
        session = self._session
        while True:
            peer, new_peer = session.peer, self._new_peer
            assert peer is not None
            awaited = [session.ending, new_peer]
            if not peer.closed.is_set():
                awaited.append(peer.closed)
                if peer.connected.is_set():
                    self._present(peer)
                else:
                    awaited.append(peer.connected)
            await _any(awaited, self._patience())
            if session.ending.is_set():
                raise Ended
            if new_peer.is_set():
                continue
            if peer.closed.is_set():
                self._missing(peer)
            if self._patience() <= 0:
                self._out_of_patience(peer)

    def _present(self, peer: Peer) -> None:
        """The connection is up."""
        if self._lost is not None:
            log.info("session %s goes on after %.1f s", self._session.id, time.monotonic() - self._lost)
            self._lost = None
        if peer.sure:
            self._session.playout.resume()

    def _missing(self, peer: Peer) -> None:
        """The connection is gone: for good when the client said so, else it may come back."""
        session = self._session
        if peer.left:
            session.end("the client left")
        elif self._lost is None and not session.clock.running:
            session.end("no connection was made")
        elif self._lost is None:
            log.info("session %s lost its connection and waits for it", session.id)
            self._lost = time.monotonic()
            session.playout.pause(peer.heard)

    def _out_of_patience(self, peer: Peer) -> None:
        session = self._session
        if self._lost is not None or (self._again and not peer.connected.is_set()):
            session.end(f"nobody came back within {RESUME_S:g} s")
        elif not peer.connected.is_set():
            session.end(f"nobody connected within {CONNECT_S:g} s")
        else:
            words = "Nobody has said anything for half an hour; the session has ended."
            session.outbox(Notice(words, fatal=True))
            session.end("nobody said anything")

    def _patience(self) -> float:
        """Seconds that may pass before the session ends by itself."""
        session, peer, now = self._session, self._session.peer, time.monotonic()
        attached = now if self._attached is None else self._attached
        connecting = max(0.0, attached + CONNECT_S - now)
        if self._lost is not None:
            back = max(0.0, self._lost + RESUME_S - now)
            return back if peer is None or peer.closed.is_set() else max(back, connecting)
        if peer is None or not peer.connected.is_set():
            # Who tries to come back may have to try again.
            return max(0.0, attached + RESUME_S - now) if self._again else connecting
        if session.state != "idle":
            return IDLE_S
        return max(0.0, session.last_activity + IDLE_S - now)


async def _any(events: list[asyncio.Event], timeout_s: float | None) -> None:
    """Returns when one of the events is set, or after that long."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
