"""An ICE transport that can change its path: a new round of checks beneath a connection that goes on (RFC 8445 §2.4).

aiortc has none: whoever restarts ICE, as browsers do when a laptop moves from Wi-Fi to a cable, loses the session. Here
the transport keeps the agent that carries data until the next one has found a path, and DTLS above notices nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aioice import ConnectionClosed
from aiortc.rtcicetransport import (
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
    candidate_to_aioice,
)

log = logging.getLogger(__name__)


class IceTransport(RTCIceTransport):
    """`agent` below is aioice's `Connection`: candidates, checks and sockets of one round."""

    def __init__(self, make_gatherer: Callable[[], RTCIceGatherer]) -> None:
        self._make_gatherer = make_gatherer
        self._gatherer = make_gatherer()
        """Of the newest round; its candidates are the ones that are told."""
        super().__init__(self._gatherer)
        self._connection: Any = self._newest
        """The agent that carries the data."""
        self._queue: asyncio.Queue[tuple[bytes, int] | None] = self._newest._queue
        """What all agents put their data into, and None when one of them ends."""
        self._remote: tuple[str | None, str | None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        """The ends of rounds that came to nothing."""
        self.on_path: Callable[[], None] = lambda: None
        """Another path has been taken."""
        self.heard = time.monotonic()
        """When the last packet of the other side came, monotonic seconds."""
        self._recv = self._receive
        self._send = self._transmit

    @property
    def iceGatherer(self) -> RTCIceGatherer:  # noqa: N802 - aiortc's name
        return self._gatherer

    @property
    def restarting(self) -> bool:
        """A new path is being looked for."""
        return self._restarting is not None and not self._restarting.done()

    async def addRemoteCandidate(self, candidate: RTCIceCandidate | None) -> None:  # noqa: N802
        # Never the end of them: a round to which no address was named would give up, and wait for the client's checks
        # no longer.
        if candidate is not None and self.state != "closed":
            await self._newest.add_remote_candidate(candidate_to_aioice(candidate))

    def candidates(self) -> tuple[list[str], bool]:
        """Our candidates of the newest round so far, and whether there may be more."""
        return self._newest.candidates(), self._newest.gathering

    @property
    def relayed(self) -> bool | None:
        """Whether the path goes over a relay; None before there is one."""
        relayed: bool | None = self._connection.relayed()
        return relayed

    @property
    def _newest(self) -> Any:
        return self._gatherer._connection

    async def start(self, remoteParameters: RTCIceParameters) -> None:
        if self._remote is None:
            self._remote = (remoteParameters.usernameFragment, remoteParameters.password)
        await super().start(remoteParameters)

    def renew(self, remote: RTCIceParameters) -> bool:
        """Prepares a new round if the other side has begun one, which shows in its credentials; False if it has not.
        Call before its offer is applied, so that its candidates go to the new round and our answer tells ours."""
        credentials = (remote.usernameFragment, remote.password)
        if self.state != "completed" or self._remote in (None, credentials):
            return False
        self._remote = credentials
        if self._newest is not self._connection:  # that round has found nothing yet, or was never begun
            task = asyncio.create_task(self._newest.close(), name="ICE round close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._gatherer = self._make_gatherer()
        self._newest.ice_controlling = self._connection.ice_controlling
        self._newest._queue = self._queue
        if self._restarting is not None:
            self._restarting.cancel()
        return True

    def restart(self) -> None:
        """Begins the checks of a round that `renew` has prepared, when our candidates have been gathered."""
        self._restarting = asyncio.create_task(self._find_path(self._newest), name="ICE restart")

    async def _find_path(self, agent: Any) -> None:
        assert self._remote is not None
        agent.remote_username, agent.remote_password = self._remote
        try:
            await agent.connect()
        except BaseException:
            await agent.close()
            raise
        before, self._connection = self._connection, agent
        self.on_path()
        await before.close()

    async def _receive(self) -> bytes:
        while self._connection._nominated or not self._queue.empty():
            item = await self._queue.get()
            if item is not None:
                self.heard = time.monotonic()
                return item[0]
        raise ConnectionError("The connection was lost.")

    def post(self, data: bytes) -> None:
        """Sends a datagram now. Raises `ConnectionError` while there is no path."""
        self._connection.post(data)

    async def _transmit(self, data: bytes) -> None:
        await self._connection.send(data)

    async def _monitor(self) -> None:
        while True:
            agent = self._connection
            event = await agent.get_event()
            if agent is not self._connection:
                continue  # a newer one carries the data
            if event is None or isinstance(event, ConnectionClosed):
                if self.state == "completed":
                    self._RTCIceTransport__setState("failed")
                return

    async def stop(self) -> None:
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait([self._restarting])
        if self._newest is not self._connection:
            await self._newest.close()
        if self._closing:
            await asyncio.wait(list(self._closing))
        await super().stop()
