"""What one utterance says: recognised once, asked for as often as one likes.

An utterance that goes on after the pause that seemed its end is a new revision of what was said before: its text begins
with the earlier revision's.
"""

from __future__ import annotations

import asyncio

from .errors import EngineError
from .hear.agreement import join
from .seams import STTStream
from .types import AudioChunk


class Recognition:
    """One utterance on its way to text."""

    def __init__(self, stream: STTStream, earlier: Recognition | None = None) -> None:
        self._stream = stream
        self._earlier = earlier
        self._final: asyncio.Task[str] | None = None
        self.revision: int = 0 if earlier is None else earlier.revision + 1
        """How often the user has gone on after a text of theirs was told."""
        self._void = False
        self.shown = ""
        """The newest text that is known."""

    def follow(self, earlier: Recognition) -> None:
        """This utterance goes on where `earlier` only seemed to end."""
        self._earlier = earlier
        self.revision = earlier.revision + (1 if earlier.shown else 0)

    def disregard(self) -> None:
        """Nobody was meant by it: what follows does not begin with its words."""
        self._void = True

    async def feed(self, chunk: AudioChunk) -> str | None:
        """The newest partial text where it changed. Raises `EngineError`."""
        partial = await self._stream.feed(chunk)
        if not partial:
            return None
        self.shown = join("" if self._earlier is None else self._earlier.shown, partial)
        return self.shown

    async def guess(self) -> str | None:
        """The text if nothing more is said, None where that cannot be told yet."""
        before = await self._before()
        transcript = await self._stream.guess()
        return None if transcript is None else join(before, transcript.text.strip())

    async def text(self) -> str:
        """The final text; from now on nothing more is fed. Raises `EngineError` where nothing at all was understood.
        Whoever waits here may be cancelled: the recognition goes on."""
        if self._final is None:
            self._final = asyncio.create_task(self._finish(), name="recognition")
            self._final.add_done_callback(_look)
        before = await self._before()
        try:
            own = await asyncio.shield(self._final)
        except EngineError:
            if not before:
                raise
            own = ""
        self.shown = before if self._void else join(before, own)
        return self.shown

    async def close(self) -> None:
        """Drops the utterance and what it went on from."""
        if self._final is not None and not self._final.done():
            self._final.cancel()
            await asyncio.wait([self._final])
        await self._stream.close()
        if self._earlier is not None:
            await self._earlier.close()

    async def _before(self) -> str:
        """The final text of what this goes on from."""
        if self._earlier is None:
            return ""
        try:
            return await self._earlier.text()
        except EngineError:  # it was told when that turn failed
            return ""

    async def _finish(self) -> str:
        return (await self._stream.finish()).text.strip()


def _look(task: asyncio.Task[str]) -> None:
    """Perhaps nobody waits any more: a failure is no error of its own then."""
    if not task.cancelled():
        task.exception()
