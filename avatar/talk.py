"""One speaking turn: clauses → voice → face → playout, each stage running while the next is busy.

    clauses ──(2)──▶ voice ──(1 clause, bounded sound)──▶ tape ──▶ stage ──▶ slices ──▶ playout

The first clause is spoken while later ones are still being written. Cancelling the task cancels every stage; closing
the iterators stops the engines. A turn that playout holds waits for its floor and goes on from the tape, at the word
that was cut.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from .errors import EngineError
from .face.stage import Stage
from .play.playout import Playout
from .tape import CHUNKS_AHEAD, Sound, Tape
from .types import AudioChunk, Clause

log = logging.getLogger(__name__)

CLAUSES_AHEAD = 2
"""Written clauses that may wait for the voice: enough to bridge it, few enough to throw away."""
Voice = Callable[[Clause], AsyncIterator[AudioChunk]]


@dataclass(slots=True)
class Marks:
    """What the pipeline tells its turn as it goes; each but `waiting` is called at most once a clause or turn."""

    clause: Callable[[Clause], None]
    """A clause has been written."""
    sound: Callable[[], None]
    """The voice has given its first sound."""
    frame: Callable[[], None]
    """The face has made its first slice."""
    failed: Callable[[EngineError], None]
    """The voice or the face failed on a clause; the turn goes on."""
    unsaid: Callable[[], None] = lambda: None
    """The voice left out a clause, or the rest of one."""
    recalled: Callable[[], None] = lambda: None
    """The face moves as it did before."""
    waiting: Callable[[], None] = lambda: None
    """All that was written has been sent, and more is to come. May be called again."""


async def speak(
    clauses: AsyncIterator[Clause],
    voice: Voice,
    stage: Stage,
    playout: Playout,
    marks: Marks,
    *,
    turn_id: str,
    floor: asyncio.Event,
) -> None:
    """Speaks the clauses in order; returns when the last slice has been sent. A voice that fails on one clause
    costs that clause alone, a face that fails costs pictures alone. Nothing is drawn while `floor` is not set."""
    written: asyncio.Queue[Clause | None] = asyncio.Queue(CLAUSES_AHEAD)
    spoken: asyncio.Queue[tuple[Clause, Sound] | None] = asyncio.Queue(1)
    show = _Show(Tape(spoken), stage, playout, marks, turn_id, floor)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(clauses, written, marks), name="write")
            group.create_task(_voice(written, spoken, voice), name="voice")
            group.create_task(show.run(), name="show")
    except BaseExceptionGroup as group_error:
        raise _only(group_error) from None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of a group: the stages of one turn fail for one reason."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _write(clauses: AsyncIterator[Clause], written: asyncio.Queue[Clause | None], marks: Marks) -> None:
    async for clause in clauses:
        marks.clause(clause)
        await written.put(clause)
    await written.put(None)


async def _voice(
    written: asyncio.Queue[Clause | None], spoken: asyncio.Queue[tuple[Clause, Sound] | None], voice: Voice
) -> None:
    while (clause := await written.get()) is not None:
        sound: Sound = asyncio.Queue(CHUNKS_AHEAD)
        await spoken.put((clause, sound))
        chunks = voice(clause)
        try:
            async for chunk in chunks:
                await sound.put(chunk)
            await sound.put(None)
        except EngineError as error:
            await sound.put(error)
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()
    await spoken.put(None)


@dataclass(slots=True)
class _Show:
    """Performs what the voice says, and again what was held before it was heard."""

    tape: Tape
    stage: Stage
    playout: Playout
    marks: Marks
    turn_id: str
    floor: asyncio.Event

    async def run(self) -> None:
        """Returns when the whole turn has been sent, or has been cut."""
        while True:
            while not self.floor.is_set():  # it may be taken again before this wakes
                await self.floor.wait()
            place = self.playout.position()
            begin = self.tape.resume(place)
            take = self.playout.go_on(self.turn_id, place.clause, begin)
            if take is None or await self._from(place.clause, begin, take):
                return

    async def _from(self, number: int, begin: int, take: int) -> bool:
        """Performs from sample `begin` of that clause on. False when the take was held."""
        while (clause := await self._next(number)) is not None:
            if not await self._clause(number, clause, begin, take):
                return False
            number, begin = number + 1, 0
        await self.playout.finish()
        return self.playout.current(take)

    async def _next(self, number: int) -> Clause | None:
        clause = asyncio.create_task(self.tape.clause(number))
        silence = asyncio.create_task(self.playout.silent())
        try:
            await asyncio.wait([clause, silence], return_when=asyncio.FIRST_COMPLETED)
            if not clause.done():
                self.marks.waiting()
            return await clause
        finally:
            clause.cancel()
            silence.cancel()
            await asyncio.gather(clause, silence, return_exceptions=True)

    async def _clause(self, number: int, clause: Clause, begin: int, take: int) -> bool:
        failure: list[EngineError] = []
        if begin:
            clause = replace(clause, text=self.playout.rest(number, begin))
        sound = self._sound(number, begin, failure)
        marks = self.marks
        slices = self.stage.perform(clause, sound, marks.sound, marks.failed, begin=begin, on_recall=marks.recalled)
        async with aclosing(slices):
            async for piece in slices:
                self.marks.frame()
                torn = bool(failure) and piece.clause_end
                if not await self.playout.put(replace(piece, torn=torn), take):
                    return False
                self.tape.heard(self.playout.position())
        if failure:
            log.warning("no voice for a clause: %s", failure[0].message)
            self.marks.failed(failure[0])
            self.marks.unsaid()
        return self.playout.current(take)

    async def _sound(self, number: int, begin: int, failure: list[EngineError]) -> AsyncIterator[AudioChunk]:
        """The sound of one clause up to its end or the voice's failure, which is left in `failure`."""
        try:
            async for chunk in self.tape.sound(number, begin):
                yield chunk
        except EngineError as error:
            failure.append(error)
