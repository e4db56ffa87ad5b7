"""One speaking turn: clauses → voice → face → playout, each stage running while the next is busy.

    clauses ──(2)──▶ voice ──(1 clause, bounded sound)──▶ stage ──▶ slices ──▶ playout

The first clause is spoken while later ones are still being written. Cancelling the task cancels every stage; closing
the iterators stops the engines.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from .errors import EngineError
from .face.stage import Stage
from .play.playout import Playout
from .types import AudioChunk, Clause

log = logging.getLogger(__name__)

CLAUSES_AHEAD = 2
"""Written clauses that may wait for the voice: enough to bridge it, few enough to throw away."""
CHUNKS_AHEAD = 64
"""Chunks of one clause's sound that may wait for the face: some seconds, whatever size an engine cuts them to."""

Voice = Callable[[Clause], AsyncIterator[AudioChunk]]


@dataclass(slots=True)
class Marks:
    """What the pipeline tells its turn as it goes; each is called at most once a clause or turn."""

    clause: Callable[[Clause], None]
    """A clause has been written."""
    sound: Callable[[], None]
    """The voice has given its first sound."""
    frame: Callable[[], None]
    """The face has made its first slice."""
    failed: Callable[[EngineError], None]
    """The voice or the face failed on a clause; the turn goes on."""


_Sound = asyncio.Queue[AudioChunk | EngineError | None]


async def speak(clauses: AsyncIterator[Clause], voice: Voice, stage: Stage, playout: Playout, marks: Marks) -> None:
    """Speaks the clauses in order; returns when the last slice has been sent. A voice that fails on one clause
    costs that clause alone, a face that fails costs pictures alone."""
    written: asyncio.Queue[Clause | None] = asyncio.Queue(CLAUSES_AHEAD)
    spoken: asyncio.Queue[tuple[Clause, _Sound] | None] = asyncio.Queue(1)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(clauses, written, marks), name="write")
            group.create_task(_voice(written, spoken, voice), name="voice")
            group.create_task(_show(spoken, stage, playout, marks), name="show")
    except BaseExceptionGroup as group_error:
        raise _only(group_error) from None
    await playout.finish()


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
    written: asyncio.Queue[Clause | None], spoken: asyncio.Queue[tuple[Clause, _Sound] | None], voice: Voice
) -> None:
    while (clause := await written.get()) is not None:
        sound: _Sound = asyncio.Queue(CHUNKS_AHEAD)
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


async def _show(
    spoken: asyncio.Queue[tuple[Clause, _Sound] | None], stage: Stage, playout: Playout, marks: Marks
) -> None:
    while (item := await spoken.get()) is not None:
        clause, sound = item
        failure: list[EngineError] = []
        async with aclosing(stage.perform(clause, _chunks(sound, failure), marks.sound, marks.failed)) as slices:
            async for piece in slices:
                marks.frame()
                if not await playout.put(piece):
                    return
        if failure:
            log.warning("no voice for a clause: %s", failure[0].message)
            marks.failed(failure[0])


async def _chunks(sound: _Sound, failure: list[EngineError]) -> AsyncIterator[AudioChunk]:
    """The sound of one clause up to its end or the voice's failure, which is left in `failure`."""
    while True:
        match await sound.get():
            case None:
                return
            case EngineError() as error:
                failure.append(error)
                return
            case AudioChunk() as chunk:
                if len(chunk.pcm):
                    yield chunk
