"""Spreads packets out, so that a picture does not arrive as a burst that fills the queues on its way.

Sound passes at once and is only counted; retransmissions go before pictures, because a receiver waits for them. What
has been handed over is always sent: whoever makes pictures asks `waiting_s` first and leaves one out when it is long.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

FIRST_RATE = 8_000_000
"""bit/s until the path is known: the first picture is a burst, as TCP's first ten packets are (RFC 6928)."""
FACTOR = 2.5
"""Of the estimate: a picture leaves in two fifths of its time, and a key frame is not stretched over a second."""
BURST_S = 0.01
"""What may leave at once, in seconds of the rate: a timer for each packet would cost more than it does good."""

Send = Callable[[], Awaitable[None]]


class Budget:
    """When the next packet may leave. Pure: time is handed in."""

    def __init__(self) -> None:
        self.rate: float = FIRST_RATE
        self._free = 0.0

    def spend(self, size: int, now: float) -> None:
        """Bytes that are being sent."""
        self._free = max(self._free, now - BURST_S) + size * 8 / self.rate

    def pause(self, now: float) -> float:
        """Seconds to wait before anything else is sent."""
        return max(0.0, self._free - now)


class Pacer:
    """The queue of one connection."""

    def __init__(self) -> None:
        self.budget = Budget()
        self._repairs: deque[tuple[int, Send]] = deque()
        self._pictures: deque[tuple[int, Send]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def set_estimate(self, rate: int) -> None:
        """What the path carries, bit/s."""
        self.budget.rate = FACTOR * rate

    @property
    def waiting_s(self) -> float:
        """How long what waits will take."""
        return self._bytes * 8 / self.budget.rate

    def spend(self, size: int) -> None:
        """Counts bytes that were sent past the queue."""
        self.budget.spend(size, time.monotonic())

    def put(self, size: int, send: Send, *, repair: bool = False) -> None:
        """Queues a packet of `size` bytes; `send` is awaited when its turn has come."""
        (self._repairs if repair else self._pictures).append((size, send))
        self._bytes += size
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="pacer")

    async def _run(self) -> None:
        while True:
            while queue := self._repairs or self._pictures:
                now = time.monotonic()
                pause = self.budget.pause(now)
                if pause > 0:
                    await asyncio.sleep(pause)
                    continue
                size, send = queue.popleft()
                self._bytes -= size
                self.budget.spend(size, now)
                with contextlib.suppress(ConnectionError):  # the owner of the peer hears of it elsewhere
                    await send()
            self._wake.clear()
            await self._wake.wait()

    async def close(self) -> None:
        """Drops what waits; harmless twice."""
        task, self._task = self._task, None
        self._repairs.clear()
        self._pictures.clear()
        self._bytes = 0
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
