"""Four sessions at once on the machine's cores, all of them talking: pictures per second that each receives.

The peers count pictures without decoding them, so that the figures are the server's. They run in this process, on the
same cores.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from typing import Any

from client.api import Api

from . import at_least
from ._peers import keep_talking, viewing
from ._server import QUICK, serving

SESSIONS = 4
SECONDS = 15 if QUICK else 60
SETTLE_S = 3.0
BARS = {"fps_worst": at_least(24)}


async def measure(url: str, count: int, seconds: float) -> list[Any]:
    """The picture meters of `count` sessions over `seconds`."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(url, None))
        viewers = [await stack.enter_async_context(viewing(api)) for _ in range(count)]
        end = time.monotonic() + SETTLE_S + seconds
        talks = [asyncio.create_task(keep_talking(api, viewer.session_id, end)) for viewer in viewers]
        await asyncio.sleep(SETTLE_S)
        for viewer in viewers:
            viewer.restart()
        await asyncio.gather(*talks)
        return [viewer.meter for viewer in viewers]


async def run() -> dict[str, Any]:
    with serving("--max-sessions", str(SESSIONS)) as server:
        used, began = server.cpu_s(), time.monotonic()
        meters = await measure(server.url, SESSIONS, SECONDS)
        share = (server.cpu_s() - used) / (time.monotonic() - began)
        face = server.get("/ready")["engines"]["face"]
    rates = sorted(meter.fps for meter in meters)
    return {
        "face": face,
        "cores": os.cpu_count() or 0,
        "sessions": len(meters),
        "seconds": SECONDS,
        "fps_worst": rates[0],
        "fps_best": rates[-1],
        "freezes": sum(meter.freezes for meter in meters),
        "max_gap_ms": 1000 * max(meter.max_gap_s for meter in meters),
        "server_cores": share,
        "load": os.getloadavg()[0],
    }
