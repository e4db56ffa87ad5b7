"""Text frames over whatever data channels the other side opens."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from aiortc import InvalidStateError

log = logging.getLogger(__name__)

MAX_TEXT = 1_000_000
"""Characters of one frame; longer ones are ignored."""
MAX_BACKLOG = 200
"""Frames kept for a channel that is not open yet; the oldest give way."""
MAX_BUFFERED = 1_000_000
"""Bytes on their way to a client that does not take them; beyond, frames are dropped."""
MAX_INBOX = 1000
"""Frames received and not read yet; beyond, new ones are dropped."""


class Texts:
    def __init__(self) -> None:
        self._channels: list[Any] = []
        self._backlog: deque[str] = deque(maxlen=MAX_BACKLOG)
        self._inbox: deque[str] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self.sent = self.received = self.dropped = 0

    def attach(self, channel: Any) -> None:
        """A channel of aiortc's, open or about to be."""
        self._channels.append(channel)
        channel.on("message", self._take)
        channel.on("open", self._flush)
        channel.on("close", lambda: self._channels.remove(channel) if channel in self._channels else None)
        self._flush()

    @property
    def open(self) -> bool:
        return self._channel() is not None

    def _channel(self) -> Any:
        return next((channel for channel in self._channels if channel.readyState == "open"), None)

    def send(self, text: str) -> None:
        """Over the first channel that is open; kept for it while none has been."""
        channel = self._channel()
        if channel is None:
            if not self.sent and not self._ended:
                self._backlog.append(text)
            return
        if channel.bufferedAmount > MAX_BUFFERED:
            self.dropped += 1
            return
        try:
            channel.send(text)
            self.sent += 1
        except (
            InvalidStateError,
            ConnectionError,
            ValueError,
        ) as error:  # the last: more than the client takes at once
            self.dropped += 1
            log.debug("A text was not sent: %s", error)

    def _flush(self) -> None:
        while self._backlog and self.open:
            self.send(self._backlog.popleft())

    def _take(self, message: Any) -> None:
        if not isinstance(message, str) or len(message) > MAX_TEXT or len(self._inbox) >= MAX_INBOX:
            self.dropped += 1
            return
        self.received += 1
        self._inbox.append(message)
        self._ready.set()

    async def received_texts(self) -> AsyncIterator[str]:
        while True:
            while self._inbox:
                yield self._inbox.popleft()
            if self._ended:
                return
            self._ready.clear()
            await self._ready.wait()

    def end(self) -> None:
        self._ended = True
        self._backlog.clear()
        self._ready.set()
