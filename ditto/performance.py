"""One session's moving face: an actor, and the pictures of what it acts. Plain blocking calls, one at a time."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .actor import KEPT, Actor, ActorState, Pose
from .audio.features import Sound
from .backends.looks import I420, Prepared
from .batcher import Batcher
from .chunking import Pace
from .controls import Manner
from .motion.vector import Array
from .persona import Persona

_sessions = itertools.count(1)


IDLE_EVERY = 3
"""Of idle pictures that there is no room to keep, one in so many is drawn: eight a second."""


class Loops(Protocol):
    """Pictures of an avatar's idle loops."""

    def get(self, key: Hashable) -> I420 | None: ...

    def put(self, key: Hashable, picture: I420) -> bool:
        """False where there is no room for it."""
        ...


@dataclass(frozen=True)
class Rig:
    """An avatar made ready: shared by sessions, on the renderer's device."""

    persona: Persona
    looks: tuple[Prepared, ...]
    width: int
    height: int
    """Pixels of the working size."""
    notes: tuple[str, ...] = ()
    loops: Loops | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame as it was made."""

    serial: int
    i420: I420 | None
    """None: as before, because no picture was wanted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame to be drawn, as the batcher takes it."""

    prepared: Prepared
    x_s: Array
    x_d: Array
    width: int
    height: int


class BatchedWork:
    """`Work` of one session through the batcher."""

    def __init__(self, batcher: Batcher, session: int, due: Callable[[], float]) -> None:
        self._batcher, self._session, self._due = batcher, session, due

    def hear(self, window: Array) -> Array:
        return np.asarray(self._batcher.submit(self._session, "hear", [window], len(window), [self._due()])[0])

    def move(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        item = (condition, pose, start, noises)
        return np.asarray(self._batcher.submit(self._session, "move", [item], len(noises), [self._due()])[0])


class Performance:
    """One session."""

    def __init__(self, rig: Rig, batcher: Batcher, state: ActorState, scale: float = 1.0) -> None:
        self._rig, self._batcher = rig, batcher
        self._session = next(_sessions)
        batcher.join(self._session)
        self._clock_from: float | None = None
        """When the first frame of this speech is due."""
        self._due_frames = 0
        self._scale = scale
        self._serial = 0
        self._made: deque[tuple[int, int]] = deque(maxlen=KEPT)
        """Serial → the actor's index."""
        self._fresh = True
        self._crowded = False
        """There was no room for the last idle picture."""
        self._unchanged = 0
        """Frames since the last picture."""
        self.wants: Callable[[int], bool] = lambda serial: True
        """Whether a frame is to be drawn; the others are as before."""
        try:
            self._actor = Actor(rig.persona, BatchedWork(batcher, self._session, self._due), state)
        except BaseException:
            batcher.leave(self._session)
            raise

    @property
    def state(self) -> ActorState:
        """All of the session's motion, as a value."""
        return self._actor.state

    @property
    def serial(self) -> int:
        """Of the next frame."""
        return self._serial

    def _due(self) -> float:
        now = time.monotonic()
        return now if self._clock_from is None else max(now, self._clock_from + 0.04 * self._due_frames)

    def feed(self, sound: Sound) -> list[Picture]:
        """Takes speech, 16 kHz mono, and returns the frames that are ready; with `finish` ⌈samples ÷ 640⌉ of them."""
        if self._clock_from is None:
            self._clock_from, self._due_frames = time.monotonic(), 0
        return self._drawn(self._actor.feed(sound))

    def finish(self) -> list[Picture]:
        """The speech is over: the frames still owed."""
        pictures = self._drawn(self._actor.finish())
        self._clock_from = None
        return pictures

    def idle(self) -> Picture:
        """The next frame of listening life."""
        self._clock_from = None
        return self._drawn([self._actor.idle()])[0]

    def cut(self, shown: int) -> None:
        """Frames after serial `shown` will never be seen: the next goes on from that one."""
        # What was shown longer ago than is kept is the oldest that is; before the first frame there is none.
        oldest = self._made[0][1] if self._made and self._made[0][0] > 0 else -1
        self._actor.cut(next((index for serial, index in reversed(self._made) if serial <= shown), oldest))
        self._fresh, self._clock_from = True, None

    def tell(self, *, manner: Manner | None = None, pace: Pace | None = None, steps: int | None = None) -> None:
        """Takes a new manner from the next frame, steps from the next clip, a pace from the next chunk."""
        self._actor.tell(manner=manner, pace=pace, steps=steps)

    def resize(self, scale: float) -> None:
        """Pictures of another size, from the next frame on."""
        self._fresh |= scale != self._scale
        self._scale = scale

    def close(self) -> None:
        """The session is over; harmless when called twice, and from another thread while work is waited for."""
        self._batcher.leave(self._session)

    def _size(self) -> tuple[int, int]:
        width, height = (max(2, 2 * round(side * self._scale / 2)) for side in (self._rig.width, self._rig.height))
        return width, height

    def _drawn(self, poses: Sequence[Pose]) -> list[Picture]:
        size = self._size()
        numbered: list[tuple[int, I420 | None]] = []
        jobs: list[tuple[int, Pose]] = []
        for pose in poses:
            serial, self._serial = self._serial, self._serial + 1
            self._made.append((serial, pose.index))
            draw = self._fresh or self.wants(serial)
            kept = self._kept(pose, size) if draw else None
            # An idle picture that will not be kept costs as much each time it comes.
            spared = self._crowded and pose.loop is not None and not self._fresh and self._unchanged < IDLE_EVERY - 1
            if draw and kept is None and not spared:
                jobs.append((len(numbered), pose))
            changed = draw and (kept is not None or not spared)
            self._fresh &= not changed
            self._unchanged = 0 if changed else self._unchanged + 1
            numbered.append((serial, kept))
        if not jobs:
            return [Picture(serial, picture) for serial, picture in numbered]
        items = [self._wanted(pose, size) for _, pose in jobs]
        due = [self._due() + 0.04 * i for i in range(len(items))]
        self._due_frames += len(poses)
        for (at, pose), picture in zip(
            jobs, self._batcher.submit(self._session, "draw", items, None, due), strict=True
        ):
            numbered[at] = (numbered[at][0], picture)
            if pose.loop is not None and self._rig.loops is not None:
                self._crowded = not self._rig.loops.put((pose.loop, size), picture)
        return [Picture(serial, picture) for serial, picture in numbered]

    def _kept(self, pose: Pose, size: tuple[int, int]) -> Any:
        if pose.loop is None or self._rig.loops is None:
            return None
        return self._rig.loops.get((pose.loop, size))

    def _wanted(self, pose: Pose, size: tuple[int, int]) -> Wanted:
        drawn = pose.drawn
        return Wanted(self._rig.looks[drawn.source_index], drawn.x_s, drawn.x_d, *size)
