"""The stage: where a voice's sound and a face's frames become slices.

One `Stage` holds one session's `Performance`. It alone calls it, one call at a time, in a worker thread, so that the
frames are made in the order in which playout shows them. Sound of any rate is brought to 48 kHz for the wire and to the
face's own rate; both are padded to whole slots, so every clause yields as many frames as slots of sound.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import av
import numpy as np

from ..clock import AUDIO_RATE, AUDIO_SAMPLES, SLOTS_PER_S
from ..errors import EngineError
from ..seams import Face, Haltable, Performance, Reciter, Rig
from ..tunables import Tunables
from ..types import Accent, AudioChunk, Clause, Frame, Pcm, Phone, Slice, Word
from .motions import Motions
from .strain import Strain

log = logging.getLogger(__name__)

T = TypeVar("T")

FEED_SLOTS = 4
"""Slots of sound fed to the face at a time: back-pressure can stop drawing after 160 ms instead of a whole clause."""


class Resampler:
    """Mono s16 from one rate to another, exact in length once flushed: n samples give round(n · to / from)."""

    def __init__(self, source: int, target: int) -> None:
        self._same = source == target
        self._source, self._target = source, target
        self._taken = self._given = 0
        self._graph = av.AudioResampler(format="s16", layout="mono", rate=target)

    def feed(self, pcm: Pcm) -> Pcm:
        if self._same or not len(pcm):
            return pcm
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None, :], format="s16", layout="mono")
        frame.sample_rate = self._source
        self._taken += len(pcm)
        return self._collect(self._graph.resample(frame))

    def flush(self) -> Pcm:
        """The rest, cut or padded to the exact length."""
        if self._same or not self._taken:
            return np.zeros(0, np.int16)
        before = self._given
        rest = self._collect(self._graph.resample(None))
        owed = max(0, round(self._taken * self._target / self._source) - before)
        return np.pad(rest[:owed], (0, max(0, owed - len(rest))))

    def _collect(self, frames: Sequence[av.AudioFrame]) -> Pcm:
        if not frames:
            return np.zeros(0, np.int16)
        pcm: Pcm = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
        self._given += len(pcm)
        return pcm


class Stage:
    """One session's performance and the pairing of its frames with their sound."""

    def __init__(
        self,
        face: Face,
        rig: Rig,
        tunables: Tunables,
        seed: int,
        pool: Executor,
        *,
        motions: Motions | None = None,
    ) -> None:
        """`motions`: where the motion of clauses is kept that may be spoken again."""
        self._face = face
        self._pool = pool
        self._motions = motions
        self._strain = Strain()
        self.on_strain: Callable[[int], None] = lambda fps: None
        """Hears how many pictures a second the machine can draw, when it falls behind and when it is quicker again; who
        hears it tunes."""
        self._lock = asyncio.Lock()
        self._performance: Performance = face.perform(rig, tunables, seed)
        self._made = -1
        self._before_next: list[Callable[[Performance], None]] = []
        self._cuts = 0
        self.level = 0.0
        """Loudness of the user's voice, 0 to 1; the session keeps it fresh for listening nods."""
        self.failed = 0
        """Frames that the face failed to draw."""

    async def idle(self, shown: int) -> Frame | None:
        """The next frame of listening life, or None while frames after serial `shown` still wait to be shown."""
        try:
            async with self._lock:
                if self._made != shown and not self._before_next:
                    return None
                frame = await self._call(lambda p: p.idle(self.level))
                self._made = frame.serial
                return frame
        except EngineError:
            return None

    def cut(self, shown: int) -> None:
        """The speech was interrupted after serial `shown`; holds from the next frame on."""

        def apply(performance: Performance) -> None:
            performance.cut(shown)

        self._made = shown
        self._cuts += 1
        if isinstance(self._performance, Haltable):
            self._performance.halt()
        self._before_next.append(apply)

    def tune(self, tunables: Tunables) -> None:
        """Takes new tunables from the next frame on."""
        self._before_next.append(lambda performance: performance.tune(tunables))

    async def recast(self, rig: Rig, tunables: Tunables, seed: int) -> None:
        """Another portrait takes the stage, between two speeches."""
        async with self._lock:
            performance = self._face.perform(rig, tunables, seed)
            old, self._performance = self._performance, performance
            self._before_next.clear()
            await asyncio.get_running_loop().run_in_executor(self._pool, old.close)

    async def perform(
        self,
        clause: Clause,
        chunks: AsyncIterator[AudioChunk],
        on_sound: Callable[[], None] = lambda: None,
        on_trouble: Callable[[EngineError], None] = lambda error: None,
        *,
        begin: int = 0,
        on_recall: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Slice, None]:
        """Pairs the sound of one clause with its frames: exactly ⌈samples ÷ 1920⌉ slices at 48 kHz.

        `on_sound` hears of the first chunk. A face that fails costs the pictures of the rest of the clause, never its
        sound: `on_trouble` hears of it, and the last picture stays. `begin`: the sample of 48 kHz at which the sound
        begins, of a clause that goes on after it was held. Ends early when the stage is `cut`. `on_recall` hears when
        the mouth moves as it did before.
        """
        cuts = self._cuts
        pairing = _Pairing(clause, self._face.rate, begin)
        heard = False
        first: Pcm | None = None
        try:
            async for chunk in chunks:
                if not heard:
                    heard = True
                    on_sound()
                    if begin == 0 and await self._recall(chunk.pcm, cuts):
                        on_recall()
                    elif begin == 0:
                        first = chunk.pcm
                pairing.sound(chunk)
                while pairing.ready > FEED_SLOTS:  # one slot stays back, so that the last slice is known as such
                    for piece in pairing.pair(await self._feed(pairing, FEED_SLOTS, cuts)):
                        yield piece
            pairing.close()
            while pairing.ready:
                for piece in pairing.pair(await self._feed(pairing, min(FEED_SLOTS, pairing.ready), cuts)):
                    yield piece
            for piece in pairing.pair(await self._frames(lambda p: p.finish(), cuts)):
                yield piece
            pairing.check()
            if first is not None:
                self._keep(first)
        except _Cut:
            return
        except EngineError as error:
            on_trouble(error)
            self.cut(self._made)
            if not pairing.closed:
                async for chunk in chunks:
                    pairing.sound(chunk)
                    for piece in pairing.hold(self._made):
                        yield piece
                pairing.close()
            for piece in pairing.hold(self._made):
                yield piece

    async def close(self) -> None:
        """Ends the performance; a call that is running in its thread is waited for."""
        async with self._lock:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._performance.close)

    async def _recall(self, sound: Pcm, cuts: int) -> bool:
        """Whether the clause that begins with this sound moves as it did before."""
        performance = self._performance
        if self._motions is None or not isinstance(performance, Reciter):
            return False
        motion = self._motions.recall(self._face.choice.name, sound)
        if motion is None:
            return False

        def recite(performance: Performance) -> list[Frame]:
            assert isinstance(performance, Reciter)
            performance.recite(motion)
            return []

        await self._frames(recite, cuts)
        return True

    def _keep(self, sound: Pcm) -> None:
        if self._motions is not None and isinstance(self._performance, Reciter):
            self._motions.keep(self._face.choice.name, sound, self._performance.motion())

    async def _feed(self, pairing: _Pairing, slots: int, cuts: int) -> list[Frame]:
        pcm, phones, accents = pairing.take(slots)

        took = 0.0

        def feed(performance: Performance) -> list[Frame]:
            nonlocal took
            began = time.monotonic()
            frames = performance.feed(pcm, phones, accents)
            took = time.monotonic() - began
            return frames

        frames = await self._frames(feed, cuts)
        if self._strain.spent(slots, took):
            self.on_strain(self._strain.fps)
        return frames

    async def _frames(self, work: Callable[[Performance], list[Frame]], cuts: int) -> list[Frame]:
        """What `work` makes. Raises `_Cut` when the speech was cut before or meanwhile: the next frame is another's."""
        async with self._lock:
            if cuts != self._cuts:
                raise _Cut
            frames = await self._call(work)
            if cuts != self._cuts:
                raise _Cut
            if frames:
                self._made = frames[-1].serial
            return frames

    async def _call(self, work: Callable[[Performance], T]) -> T:
        """Runs `work` in the pool after what was ordered before it. Shielded: a cancelled turn waits for its frame, so
        that the performance is never entered twice."""
        orders, self._before_next = self._before_next, []

        def run() -> T:
            for order in orders:
                order(self._performance)
            return work(self._performance)

        future = asyncio.get_running_loop().run_in_executor(self._pool, run)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise
        except Exception as error:
            self.failed += 1
            log.exception("the face %s failed", self._face.choice.name)
            name = self._face.choice.name
            raise EngineError(f"The face {name} failed; the server's log says why.") from error


class _Cut(Exception):
    """The speech that is being performed was cut."""


class _Pairing:
    """Sound and frames of one clause, waiting for each other."""

    def __init__(self, clause: Clause, face_rate: int, begin: int = 0) -> None:
        self._clause = clause
        self._begin = begin
        self._face_rate = face_rate
        self._face_slot = face_rate // SLOTS_PER_S
        self._to_wire: Resampler | None = None
        self._to_face = Resampler(AUDIO_RATE, face_rate)
        self._wire: Pcm = np.zeros(0, np.int16)
        self._ear: Pcm = np.zeros(0, np.int16)
        self._words: list[Word] = []
        self._phones: list[Phone] = []
        self._accents: list[Accent] = []
        self._frames: list[Frame] = []
        self._slot = 0
        self.closed = False
        """No more sound will come."""

    @property
    def ready(self) -> int:
        """Whole slots of the face's sound that wait to be fed."""
        return len(self._ear) // self._face_slot

    def sound(self, chunk: AudioChunk) -> None:
        if self._to_wire is None:
            self._to_wire = Resampler(chunk.rate, AUDIO_RATE)
        self._add(self._to_wire.feed(chunk.pcm))
        scale = AUDIO_RATE / chunk.rate
        self._words += [Word(w.text, round(w.start * scale), round(w.end * scale)) for w in chunk.words]
        scale = self._face_rate / chunk.rate
        self._phones += [Phone(p.ipa, round(p.start * scale), round(p.end * scale)) for p in chunk.phones]
        self._accents += [Accent(a.kind, round(a.at * scale), a.weight) for a in chunk.accents]

    def close(self) -> None:
        """No more sound: what is left is padded with silence to a whole slot."""
        if self._to_wire is not None:
            self._add(self._to_wire.flush())
        total = self._slot * AUDIO_SAMPLES + len(self._wire)
        self._add(np.zeros(-total % AUDIO_SAMPLES, np.int16))
        self._ear = np.concatenate([self._ear, self._to_face.flush()])
        self.closed = True

    def take(self, slots: int) -> tuple[Pcm, tuple[Phone, ...], tuple[Accent, ...]]:
        """The next `slots` of the face's sound, and the phonemes and accents that became known since the last call."""
        count = slots * self._face_slot
        pcm, self._ear = self._ear[:count], self._ear[count:]
        phones, self._phones = tuple(self._phones), []
        accents, self._accents = tuple(self._accents), []
        return pcm, phones, accents

    def pair(self, frames: Sequence[Frame]) -> list[Slice]:
        """The slices that the new frames complete."""
        self._frames.extend(frames)
        slices = []
        while self._frames and len(self._wire) >= AUDIO_SAMPLES:
            pcm, self._wire = self._wire[:AUDIO_SAMPLES], self._wire[AUDIO_SAMPLES:]
            slices.append(self._slice(self._frames.pop(0), pcm))
        return slices

    def hold(self, serial: int) -> list[Slice]:
        """The slices of the sound that is there, with the picture left as it is. Until the end is known one slot of
        sound stays back."""
        kept = 0 if self.closed else 1
        count = len(self._wire) // AUDIO_SAMPLES - len(self._frames) - kept
        return self.pair([Frame(serial, None)] * max(0, count))

    def check(self) -> None:
        """Raises `EngineError` when the face has made another number of frames than there are slots of sound."""
        slots = self._slot + len(self._wire) // AUDIO_SAMPLES
        if slots != self._slot + len(self._frames):
            raise EngineError(f"The face made {self._slot + len(self._frames)} frames for {slots} slots of sound.")

    def _add(self, pcm: Pcm) -> None:
        self._wire = np.concatenate([self._wire, pcm])
        self._ear = np.concatenate([self._ear, self._to_face.feed(pcm)])

    def _slice(self, frame: Frame, pcm: Pcm) -> Slice:
        begin, end = self._slot * AUDIO_SAMPLES, (self._slot + 1) * AUDIO_SAMPLES
        words = tuple(
            Word(w.text, w.start + self._begin, w.end + self._begin) for w in self._words if begin <= w.start < end
        )
        first = self._slot == 0
        self._slot += 1
        return Slice(
            frame=frame,
            pcm=pcm,
            turn_id=self._clause.turn_id,
            clause=self._clause.index,
            start=self._begin + begin,
            words=words,
            clause_start=first,
            text=self._clause.text if first else "",
            clause_end=self.closed and not len(self._wire),
        )
