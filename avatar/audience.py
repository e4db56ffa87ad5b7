"""Those who only watch a session: each has a peer of its own on the session's broadcast."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from .errors import AtCapacity, NotFound
from .play.peer import Peer
from .turns import new_id

log = logging.getLogger(__name__)

VIEWERS = 16
"""Of one session: pictures are encoded once for all, yet each viewer costs packets and their encryption."""
CONNECT_S = 30.0
"""An offer that is never followed up by a connection frees its place after this long."""


class Audience:
    """The viewers of one session, from their offer to their end."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._peers)

    def check(self) -> None:
        """Raises `AtCapacity` when no further viewer finds room, `NotFound` when the session has ended."""
        if self._closed:
            raise NotFound("The session has ended.", code="no_such_session")
        if len(self._peers) >= VIEWERS:
            raise AtCapacity(f"{VIEWERS} people watch this session already.", code="too_many_viewers", retry_after_s=10)

    def admit(self, peer: Peer) -> str:
        """Takes a peer that has answered; returns the viewer's id. Raises as `check`."""
        self.check()
        viewer_id = new_id()
        self._peers[viewer_id] = peer
        self._tasks[viewer_id] = asyncio.create_task(self._attend(viewer_id, peer), name=f"viewer {viewer_id}")
        return viewer_id

    def get(self, viewer_id: str) -> Peer:
        peer = self._peers.get(viewer_id)
        if peer is None:
            raise NotFound("There is no viewer with this id; it may have left.", code="no_such_viewer")
        return peer

    def all(self) -> dict[str, Peer]:
        return dict(self._peers)

    async def end(self, viewer_id: str) -> None:
        """Harmless when there is none."""
        task = self._tasks.get(viewer_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def close(self) -> None:
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _attend(self, viewer_id: str, peer: Peer) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    await peer.connected.wait()
            if peer.connected.is_set():
                await peer.closed.wait()
        finally:
            self._peers.pop(viewer_id, None)
            self._tasks.pop(viewer_id, None)
            await peer.close()
