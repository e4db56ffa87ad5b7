"""A session's recording: one at a time, and what became of the last one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from .events import Event
from .play.source import Broadcast
from .recording import Film, Format, Recorder, Recording

log = logging.getLogger(__name__)


class Camera:
    """Begins and ends recordings of one broadcast."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._recorder: Recorder | None = None
        self._finishing: asyncio.Task[Film] | None = None
        self._last: Film | Recording | None = None
        """How the last recording ended, when nobody asked for it."""

    @property
    def seconds(self) -> float | None:
        """Of media in the running recording; None without one."""
        return None if self._recorder is None else round(self._recorder.seconds, 1)

    @property
    def path(self) -> Path | None:
        """The file of the running recording."""
        return None if self._recorder is None else self._recorder.path

    def begin(self, path: Path, kind: Format) -> Recorder:
        """Raises `Recording` when one is running, `Invalid` when it cannot be written."""
        if self._recorder is not None:
            raise Recording("A recording is running already; end it first.")
        self._last = None
        self._recorder = Recorder(self._broadcast, path, kind)
        return self._recorder

    def tell(self, event: Event) -> None:
        """An event of the session."""
        if self._recorder is not None:
            self._recorder.tell(event)

    async def end(self) -> Film:
        """Ends the recording; also tells, once, of one that has ended by itself. Raises `Recording` when there is none,
        or it failed."""
        if self._recorder is not None:
            return await self._finish(self._recorder)
        last, self._last = self._last, None
        if isinstance(last, Recording):
            raise last
        if last is None:
            raise Recording("Nothing is being recorded.", code="no_recording")
        return last

    async def look(self) -> Recording | None:
        """Puts a recording in order that has ended by itself; why, when it failed."""
        if self._recorder is None or self._recorder.taking:
            return None
        try:
            self._last = await self._finish(self._recorder)
        except Recording as failure:
            self._last = failure
            return failure
        return None

    async def close(self) -> None:
        """The session ends."""
        if self._recorder is not None:
            with contextlib.suppress(Recording):
                await self._finish(self._recorder)
        elif self._finishing is not None:
            await asyncio.wait([self._finishing])

    async def _finish(self, recorder: Recorder) -> Film:
        self._recorder = None
        self._finishing = asyncio.create_task(recorder.close(), name="recording end")
        film = await asyncio.shield(
            self._finishing
        )  # whoever asked may be cancelled: the file is finished all the same
        log.info("recorded: %s, %g s", film.path.name, film.seconds)
        return film
