"""How many sessions this machine can hold, measured on its own face at start."""

from __future__ import annotations

import asyncio
import logging
import os
import time

from ..clock import SLOT_S
from ..engines import Engines
from ..seams import Performance
from ..tunables import Tunables

log = logging.getLogger(__name__)

FRAMES = 25
"""A second of idle life: enough for a steady mean, and `/ready` waits no longer than it takes."""
MEDIA_S = 0.005
"""Encoding, packets and encryption of one slot on one core, as measured (12 % of a core at 512 x 512)."""
SHARE = 0.85
"""Of the machine: the rest is for recognition and the voice, which come in bursts."""


async def measure(engines: Engines, tunables: Tunables) -> int:
    """The admission limit: at least 1, whatever the machine."""
    rig = await engines.face.rig(tunables.avatar)
    performance = engines.face.perform(rig, tunables, 0)
    cost = await asyncio.get_running_loop().run_in_executor(engines.pool, _cost, performance)
    limit = max(1, int((os.cpu_count() or 1) * SHARE * SLOT_S / (cost + MEDIA_S)))
    held = getattr(engines.face, "sessions", None)
    if held is not None and (room := held()) is not None:
        # A face with a device of its own has measured that.
        limit = min(limit, room)
    log.info("a frame costs %.1f ms to draw and about %.0f ms to send", 1000 * cost, 1000 * MEDIA_S)
    return limit


def _cost(performance: Performance) -> float:
    """Seconds of processor time a frame, in this thread: other work on the machine does not count."""
    try:
        performance.idle()  # the first frame fills caches
        began = time.thread_time()
        for _ in range(FRAMES):
            performance.idle()
        return (time.thread_time() - began) / FRAMES
    finally:
        performance.close()
