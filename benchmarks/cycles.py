"""A hundred clients come, see a picture and go: what is left of them in the server.

Forty come first, so that what is taken once (codec libraries, thread pools, the allocator's arenas for their threads)
is not judged; what they leave is reported beside it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from client.api import Api

from . import at_most, equals
from ._peers import viewing
from ._server import QUICK, Served, serving

CYCLES = 20 if QUICK else 100
WARM = 40
"""By then every pool has its threads; memory stood still from the 40th to the 320th visit when this was chosen."""
SETTLE_S = 15.0
"""Threads of pools and sockets of closed connections may take some seconds to go."""
BARS = {
    "tasks_left": at_most(0),
    "threads_left": at_most(0),
    "files_left": at_most(0),
    "growth_mb": at_most(20),
    "sessions_left": equals(0.0),
}


async def settled(server: Served, sessions: float = 0.0) -> dict[str, float]:
    """The server's gauges once its sessions are gone and its counts stand still."""
    end = time.monotonic() + SETTLE_S
    before: tuple[float, ...] = ()
    while True:
        await asyncio.sleep(1)
        gauges = await asyncio.to_thread(server.gauges)
        now = tuple(gauges[name] for name in ("avatar_tasks", "avatar_threads", "avatar_open_files"))
        if (now == before and gauges["avatar_sessions"] == sessions) or time.monotonic() > end:
            return gauges | {"rss": float(server.process.memory_info().rss)}
        before = now


async def come_and_go(api: Api, times: int) -> float:
    """Returns the seconds that one visit takes on average."""
    began = time.monotonic()
    for _ in range(times):
        async with viewing(api):
            pass
    return (time.monotonic() - began) / times


async def run() -> dict[str, Any]:
    with serving() as server:
        async with Api(server.url, None) as api:
            cold = await settled(server)
            await come_and_go(api, WARM)
            before = await settled(server)
            visit_s = await come_and_go(api, CYCLES)
        after = await settled(server)
    return {
        "cycles": CYCLES,
        "visit_ms": visit_s * 1000,
        "tasks_left": after["avatar_tasks"] - before["avatar_tasks"],
        "threads_left": after["avatar_threads"] - before["avatar_threads"],
        "files_left": after["avatar_open_files"] - before["avatar_open_files"],
        "sessions_left": after["avatar_sessions"],
        "growth_mb": (after["rss"] - before["rss"]) / 1e6,
        "warming_mb": (before["rss"] - cold["rss"]) / 1e6,
        "rss_mb": after["rss"] / 1e6,
    }
