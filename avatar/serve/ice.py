"""ICE servers for clients: STUN and TURN URLs, with credentials minted for one session.

The credentials are the time-limited ones that TURN servers check against a shared secret
(draft-uberti-behave-turn-rest-00): user name "expiry:name", password base64(HMAC-SHA1(secret, user name)).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from ..errors import Invalid
from ..play.peer import IceServer, Network
from ..settings import Settings

LIFETIME_S = 6 * 3600
"""How long minted credentials open a relay: a long conversation and its reconnections."""


def turn_credentials(secret: str, now: float, name: str = "avatar") -> tuple[str, str]:
    """User name and password for a TURN server that shares `secret`; `now` is Unix time in seconds."""
    username = f"{int(now) + LIFETIME_S}:{name}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def ice_servers(settings: Settings, name: str = "avatar") -> list[dict[str, Any]]:
    """The list as `RTCConfiguration.iceServers` wants it; `name` stands in the relay's log."""
    servers: list[dict[str, Any]] = []
    for url in settings.ice_server:
        entry: dict[str, Any] = {"urls": [url]}
        if url.startswith(("turn:", "turns:")) and settings.turn_secret:
            entry["username"], entry["credential"] = turn_credentials(settings.turn_secret, time.time(), name)
        servers.append(entry)
    return servers


def peer_servers(settings: Settings) -> list[IceServer]:
    """The server's own view of them. Raises `Invalid` for a URL that names no STUN or TURN server, and for relays of
    which browsers, that are told of no credentials for them, would refuse the whole list."""
    for url in settings.ice_server:
        if url.startswith(("turn:", "turns:")) and not settings.turn_secret:
            raise Invalid(
                f"{url} needs --turn-secret, the secret from which credentials for it are made.", field="turn_secret"
            )
    return [
        IceServer(tuple(entry["urls"]), entry.get("username"), entry.get("credential"))
        for entry in ice_servers(settings, "server")
    ]


def network(settings: Settings) -> Network:
    return Network(settings.udp_ports, settings.public_ip)
