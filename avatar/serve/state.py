"""What the routes share, kept in the aiohttp application under one key."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ..engines import Engines
from ..play.peer import Peer
from ..play.source import Broadcast
from ..settings import Settings
from ..tunables import Tunables
from .ice import network, peer_servers
from .metrics import Metrics
from .registry import Sessions


@dataclass(slots=True)
class ServerState:
    settings: Settings
    engines: Engines
    sessions: Sessions
    metrics: Metrics
    defaults: Tunables
    """What a session starts with where its offer says nothing."""

    def peer(self, broadcast: Broadcast, tunables: Tunables, *, codec: str, watches: bool = False) -> Peer:
        """A peer for a client of a broadcast, reachable as the settings say."""
        return Peer(
            broadcast.clock,
            codec=codec,
            bitrate_kbps="auto" if watches else tunables.bitrate_kbps,
            ice_servers=peer_servers(self.settings),
            network=network(self.settings),
            broadcast=broadcast,
            watches=watches,
        )


STATE = web.AppKey("state", ServerState)
