"""Playout: which slice is sent in which slot, and what was really heard.

Picture and sound leave as the pairs they were made in. Where no speech is queued, the face's idle life and silence fill
the slot, so the picture never stops. The loop knows slots and ticks only; the clock, the wire and the face
are handed in.

Algorithmic latency: a slice waits for the next slot, 20 ms on average.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from ..clock import AUDIO_RATE, AUDIO_SAMPLES, SLOT_S, MediaClock
from ..types import I420, Frame, Pcm, Slice, Word
from .heard import Heard, HeardTracker, Position
from .rewind import Rewind

log = logging.getLogger(__name__)

TICK_SAMPLES = AUDIO_SAMPLES // 2
"""An Opus packet of 20 ms: two of them make a slot."""
TICK_S = SLOT_S / 2
FADE_SAMPLES = AUDIO_RATE // 100
"""Cut speech fades over 10 ms: long enough not to click, short enough to feel instant."""
IDLE_LEAD_S = 0.012
"""An idle picture is asked for this long before its slot: about twice what the puppet takes to draw one."""
QUEUE_SLICES = 16
"""Speech drawn ahead, 640 ms: rides out a slow clause, yet little drawing is thrown away when the user interrupts."""
MAX_BEHIND_SLOTS = 3
"""Oversleeping more than this moves both tracks forward together; less is caught up by sending at once."""

SILENCE: Pcm = np.zeros(TICK_SAMPLES, np.int16)


class Output(Protocol):
    """Where slices go: the wire."""

    def send_picture(self, slot: int, i420: I420 | None) -> None: ...

    def send_sound(self, tick: int, pcm: Pcm) -> None: ...


class Playout:
    """The queue of slices of one session and the loop that sends them when they are due."""

    def __init__(
        self,
        clock: MediaClock,
        output: Output,
        idle: Callable[[int], Awaitable[Frame | None]],
        on_slice: Callable[[Slice, int], None],
    ) -> None:
        """`idle` draws the next frame of listening life, given the serial of the last frame shown, or answers None
        while frames made earlier still wait to be shown; `on_slice` hears of each speech slice as it is sent, with its
        slot."""
        self._clock = clock
        self._output = output
        self._idle = idle
        self._on_slice = on_slice
        self._queue: deque[Slice] = deque()
        self._room = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._turn: str | None = None
        self._ended = True
        self._take_no = 0
        """Grows whenever what is queued loses its right to be sent."""
        self._heard = HeardTracker()
        self._idle_task: asyncio.Task[Frame | None] | None = None
        self._half: Pcm = SILENCE
        """The second packet of the slot that is being sent."""
        self._fading: Pcm | None = None
        """The end of cut speech, for the first packet of the next slot."""
        self._rewind = Rewind()
        self._paused = False
        self._encore = False
        """What is queued are the last words of a turn that is over: nobody had heard them."""
        self._encore_told = False
        self.on_encore: Callable[[bool], None] = lambda begins: None
        """Such words begin to sound, or have ended."""
        self._voiced = False
        """The last packet that was sent held speech."""
        self.shown = -1
        """Serial of the last frame that was sent."""
        self.jumps = 0
        """How often the loop overslept and moved both tracks forward."""
        self.held = 0
        """Slots that repeated the last picture because the face was not ready."""
        self.starved = 0
        """Slots of silence between two slices of one turn's speech."""

    @property
    def speaking(self) -> bool:
        """A turn has slices that are queued or being sent."""
        return not self._drained.is_set()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def stats(self) -> dict[str, float]:
        """JSON-able."""
        names = {"queued": self.queued, "jumps": self.jumps, "held": self.held, "starved": self.starved}
        return {"media_s": round(self._clock.media_s(), 2) if self._clock.running else 0.0, **names}

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self, since: float) -> None:
        """Nobody hears it any more since monotonic time `since`: the picture and the speech stand still until
        `resume`, and speech goes back to that place. Harmless twice."""
        if self._paused or not self._clock.running:
            return
        self._paused = True
        back = self._rewind.since(self._clock.slot_at(since), self._turn)
        self._encore = self._encore or bool(back and self._ended and self._drained.is_set())
        for piece in back:
            self._heard.unplayed(piece)
        if back:
            first = back[0]
            back[0] = replace(first, clause_start=True, text=self._heard.rest(first.clause, first.start))
        self._queue.extendleft(reversed(back))
        if back:
            self._drained.clear()
        log.debug("paused; %d slices will be said again", len(back))

    def resume(self) -> None:
        """Goes on after `pause`; harmless without one."""
        self._paused = False

    def begin(self, turn_id: str) -> None:
        """From now on slices of this turn alone are accepted."""
        self.end_encore()
        self._rewind.clear()
        self._turn = turn_id
        self._ended = False
        self._take_no += 1
        self._heard = HeardTracker()

    def go_on(self, turn_id: str, clause: int = 0, sample: int = 0) -> int | None:
        """The turn speaks from this sample of 48 kHz of this clause on: what was held after it counts as unheard.
        Returns the take that its slices are put with; None when the turn has been cut."""
        if turn_id != self._turn:
            return None
        self._ended = False
        self._take_no += 1
        self._heard.rewind(clause, sample)
        return self._take_no

    def current(self, take: int) -> bool:
        """Whether slices of this take may still be sent: neither held nor cut since."""
        return take == self._take_no

    def end_encore(self) -> None:
        """Something newer is to be said or heard than the last words of a turn that is over. Harmless without."""
        if self._encore:
            self.flush()

    async def put(self, piece: Slice, take: int | None = None) -> bool:
        """Queues a slice, waiting for room. False: its turn has been cut or has never begun, or its take was held, and
        it is refused."""

        def refused() -> bool:
            return piece.turn_id is None or piece.turn_id != self._turn or take not in (None, self._take_no)

        while not refused() and len(self._queue) >= QUEUE_SLICES:
            self._room.clear()
            await self._room.wait()
        if refused():
            return False
        self._drained.clear()
        self._heard.queued(piece)
        self._queue.append(piece)
        return True

    async def silent(self) -> None:
        """Returns when nothing is queued."""
        await self._drained.wait()

    async def finish(self) -> None:
        """The turn's last slice has been put: returns when it has been sent."""
        self._ended = True
        await self._drained.wait()

    def flush(self) -> Heard:
        """Cuts the running turn's speech now: the next 20 ms packet fades out, what waits is refused, and the return
        value says what was heard. Synchronous, so that silence never waits for anything."""
        self._turn = None
        return self.hold()

    def hold(self) -> Heard:
        """As `flush`, but the turn may `go_on`."""
        if self._voiced:
            if self._half is not SILENCE:
                self._half = _faded(self._half)
            elif self._queue:
                self._fading = _faded(self._queue[0].pcm[:TICK_SAMPLES])
        self._voiced = False
        self._ended = True
        self._take_no += 1
        self._queue.clear()
        self._rewind.clear()
        self._room.set()
        self._dry()
        return self._heard.result()

    def heard(self) -> Heard:
        """What of the current turn has been sent so far."""
        return self._heard.result()

    def position(self) -> Position:
        """Where the current turn's voice is: what was sent up to there."""
        return self._heard.position()

    def spoken(self, piece: Slice) -> tuple[Word, ...]:
        """The words that begin with a slice that was sent just now."""
        return self._heard.spoken(piece)

    def rest(self, clause: int, sample: int) -> str:
        """The text of a clause of the current turn from this sample on."""
        return self._heard.rest(clause, sample)

    def length_s(self, clause: int) -> float:
        """How long a clause of the current turn lasts in seconds, as far as can be known now."""
        return self._heard.length_s(clause)

    async def run(self) -> None:
        """Sends slot after slot until cancelled. Starts the clock."""
        self._clock.start(time.monotonic() + IDLE_LEAD_S)
        slot = 0
        try:
            while True:
                slot = self._catch_up(slot)
                await _sleep_until(self._clock.due(slot) - IDLE_LEAD_S)
                if not self._queue and self._idle_task is None and not self._paused:
                    self._idle_task = asyncio.ensure_future(self._idle(self.shown))
                await _sleep_until(self._clock.due(slot))
                self._send(slot)
                await _sleep_until(self._clock.due(slot) + TICK_S)
                self._output.send_sound(2 * slot + 1, self._half)
                self._half = SILENCE
                if not self._queue:
                    self._dry()
                slot += 1
        finally:
            if self._idle_task is not None:
                self._idle_task.cancel()

    def _dry(self) -> None:
        """Nothing is queued."""
        self._drained.set()
        told, self._encore, self._encore_told = self._encore_told, False, False
        if told:
            self.on_encore(False)

    def _catch_up(self, slot: int) -> int:
        """The slot to send next: `slot`, or a later one when the loop has overslept."""
        present = self._clock.slot_at(time.monotonic())
        if present - slot <= MAX_BEHIND_SLOTS:
            return slot
        self.jumps += 1
        log.debug("overslept: slots %d to %d are skipped", slot, present - 1)
        return present

    def _send(self, slot: int) -> None:
        piece = self._take()
        first, self._half = piece.pcm[:TICK_SAMPLES], piece.pcm[TICK_SAMPLES:]
        if self._fading is not None:
            # Under whatever comes next, be it silence or the next turn's first words.
            mixed = first.astype(np.int32) + self._fading
            first, self._fading = np.clip(mixed, -32768, 32767).astype(np.int16), None
        if piece.turn_id is None:
            self._half = SILENCE
            if self._turn is not None and not self._ended and self._heard.begun and not self._paused:
                self.starved += 1
        self._voiced = piece.turn_id is not None
        if piece.frame.serial >= 0:
            self.shown = piece.frame.serial
        self._output.send_picture(slot, piece.frame.i420)
        self._output.send_sound(2 * slot, first)
        if piece.turn_id is not None:
            if self._encore and not self._encore_told:
                self._encore_told = True
                self.on_encore(True)
            self._heard.played(piece)
            self._rewind.sent(slot, piece)
            self._on_slice(piece, slot)

    def _take(self) -> Slice:
        """The slice for this slot. Speech does not wait for idle life: of a picture that was drawn before it the motion
        is skipped, a step as small as one lost on the way; one that still waits for the face comes to nothing."""
        if self._queue and not self._paused:
            if self._idle_task is not None:
                self._idle_task.cancel()
                self._idle_task = None
            self._room.set()
            return self._queue.popleft()
        task = self._idle_task
        if task is not None and task.done():
            frame = task.result()
            self._idle_task = None
            if frame is not None:
                return Slice(frame, _SLOT_SILENCE)
        if not self._paused:
            self.held += 1
        return Slice(_AS_BEFORE, _SLOT_SILENCE)


_SLOT_SILENCE: Pcm = np.zeros(AUDIO_SAMPLES, np.int16)
_AS_BEFORE = Frame(serial=-1, i420=None)


def _faded(pcm: Pcm) -> Pcm:
    """The packet with its first 10 ms fading to nothing and silence after them."""
    faded = np.zeros(len(pcm), np.int16)
    ramp = np.linspace(1.0, 0.0, FADE_SAMPLES, dtype=np.float32)
    faded[:FADE_SAMPLES] = pcm[:FADE_SAMPLES] * ramp
    return faded


async def _sleep_until(due: float) -> None:
    await asyncio.sleep(max(0.0, due - time.monotonic()))
