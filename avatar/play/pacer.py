"""Spreads packets out, so that a picture does not arrive as a burst that fills the queues on its way.

Sound passes at once and is only counted; retransmissions go before pictures, because a receiver waits for them. What
has been handed over is always sent: whoever makes pictures asks `waiting_s` first and leaves one out when it is long.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

FIRST_RATE = 8_000_000
"""bit/s until the path is known: the first picture is a burst, as TCP's first ten packets are (RFC 6928)."""
FACTOR = 2.5
"""Of the estimate: a picture leaves in two fifths of its time, and a key frame is not stretched over a second."""
DRAIN = 0.5
"""Of the estimate, while a queue stands on the path: it has to become shorter."""
REPAIR_COST = 1.7
"""Repairs leave so much more slowly: they come in crowds, when a queue has overflowed, and would fill it again."""
BURST_S = 0.01
"""What may leave at once, in seconds of the rate: a timer for each packet would cost more than it does good."""

Send = Callable[[], object]


class Budget:
    """When the next packet may leave. Pure: time is handed in."""

    def __init__(self) -> None:
        self.rate: float = FIRST_RATE
        """bit/s; `set_rate` changes it."""
        self._free = 0.0

    def set_rate(self, rate: float, now: float) -> None:
        """What has been sent ahead is owed in bits: at a higher rate it is paid off sooner, at a lower one later. Sound
        is sent whatever it costs; counted in seconds of a slow moment, pictures would wait for it long afterwards."""
        self._free = now + self.pause(now) * self.rate / rate
        self.rate = rate

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
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def set_estimate(self, rate: int, *, queued: bool = False) -> None:
        """What the path carries, bit/s, and whether more waits on it than should."""
        self.budget.set_rate((DRAIN if queued else FACTOR) * rate, time.monotonic())

    @property
    def waiting_s(self) -> float:
        """How long what waits will take."""
        return self._bytes * 8 / self.budget.rate

    def spend(self, size: int) -> None:
        """Counts bytes that were sent past the queue."""
        self.budget.spend(size, time.monotonic())

    def put(self, size: int, send: Send, *, repair: bool = False) -> None:
        """Sends a packet of `size` bytes, now or when its turn has come."""
        if self._closed:
            return
        cost = round(size * REPAIR_COST) if repair else size
        (self._repairs if repair else self._pictures).append((cost, send))
        self._bytes += cost
        if repair and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._run()

    def _run(self) -> None:
        self._timer = None
        while queue := self._repairs or self._pictures:
            now = time.monotonic()
            pause = self.budget.pause(now)
            if pause > 0:
                # The last packet leaves no later if those before it wait for it, within a burst: one timer for all.
                pause += min(BURST_S, (self._bytes - queue[-1][0]) * 8 / self.budget.rate)
                self._timer = asyncio.get_running_loop().call_later(pause, self._run)
                return
            size, send = queue.popleft()
            self._bytes -= size
            self.budget.spend(size, now)
            with contextlib.suppress(ConnectionError):  # the owner of the peer hears of it elsewhere
                send()

    def close(self) -> None:
        """Drops what waits, and what comes; harmless twice."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._repairs.clear()
        self._pictures.clear()
        self._bytes = 0
