"""Which bearer token is shown to the server: the flag's, the environment's, or the local server's own."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from avatar.serve.access import token_file

log = logging.getLogger(__name__)


def is_this_machine(host: str) -> bool:
    """Whether `host` leads to this machine: only an address of our own can be bound to."""
    try:
        address = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)[0][4][0]
        if ipaddress.ip_address(str(address).split("%")[0]).is_loopback:
            return True
        family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _kept(path: Path) -> str | None:
    """The token in a file that nobody else can have written or read, else None."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            log.warning("%s is ignored: it must belong to you and be readable by you alone (chmod 600).", path)
            return None
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def find_token(flag: str | None, server: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The token for `server`, a base URL; None when there is none to show. The kept file is read for a server on
    this machine alone: a token must not travel to a stranger who happens to use the same port."""
    if flag:
        return flag
    if environ.get("AVATAR_TOKEN"):
        return environ["AVATAR_TOKEN"]
    parts = urlsplit(server)
    if not parts.hostname or not is_this_machine(parts.hostname):
        return None
    return _kept(token_file(parts.port or (443 if parts.scheme == "https" else 80)))
