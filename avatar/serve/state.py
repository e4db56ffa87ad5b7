"""What the routes share, kept in the aiohttp application under one key."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ..engines import Engines
from ..play.peer import IceServer
from ..settings import Settings
from ..tunables import Tunables
from .ice import ice_servers
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

    def peer_ice(self) -> list[IceServer]:
        """The server's own view of the ICE servers."""
        return [
            IceServer(tuple(entry["urls"]), entry.get("username"), entry.get("credential"))
            for entry in ice_servers(self.settings)
        ]


STATE = web.AppKey("state", ServerState)
