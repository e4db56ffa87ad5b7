"""The tape of a turn: a clause that goes on after it was held has the rest of its sound, and of its marks."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avatar.tape import Tape
from avatar.types import Accent, AudioChunk, Clause, Phone, Word

RATE = 16_000
CHUNK = 640


@given(
    count=st.integers(1, 40),
    marks=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 40 * CHUNK)), max_size=12),
    read=st.integers(0, 40),
    begin=st.integers(0, 40 * CHUNK * 3),
)
def test_what_goes_on_has_each_coming_mark_once(
    count: int, marks: list[tuple[int, int]], read: int, begin: int
) -> None:
    """`marks`: which chunk tells of it, and where it lies; `read`: chunks performed before the clause was held."""
    length = count * CHUNK
    told = [(min(index, count - 1), at % length) for index, at in marks]
    chunks = [
        AudioChunk(
            np.full(CHUNK, index, np.int16),
            RATE,
            index * CHUNK,
            tuple(Word(str(at), at, at + 5) for where, at in told if where == index),
            tuple(Phone("a", at, at + 5) for where, at in told if where == index),
            tuple(Accent("stress", at, 0.5) for where, at in told if where == index),
        )
        for index in range(count)
    ]

    async def run() -> None:
        spoken: asyncio.Queue = asyncio.Queue()
        sound: asyncio.Queue = asyncio.Queue()
        spoken.put_nowait((Clause("x", 0, "t"), sound))
        spoken.put_nowait(None)
        for chunk in [*chunks, None]:
            sound.put_nowait(chunk)
        tape = Tape(spoken)
        assert await tape.clause(0) is not None
        whole = tape.sound(0)
        for _ in range(min(read, count)):
            await anext(whole)
        again = [chunk async for chunk in tape.sound(0, begin)]
        cut = round(begin / 3)
        rest = [at for _, at in told if at >= cut and cut < length]
        assert sum(len(chunk.pcm) for chunk in again) == max(0, length - cut)
        assert sorted(a.at + cut for chunk in again for a in chunk.accents) == sorted(rest)
        assert sorted(w.start + cut for chunk in again for w in chunk.words) == sorted(rest)

    asyncio.run(run())
