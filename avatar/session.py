"""One conversation: the peer, the tasks, the state, the history.

    hear ──▶ inbox (bounded) ──▶ converse: one turn at a time ──▶ playout ──▶ peer

Everything a session starts lives in the one task group of `run`, and ends in its one `finally`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from . import effect
from .audience import Audience
from .camera import Camera
from .captions import captions
from .conversation import Conversation
from .engines import Engines
from .errors import AtCapacity, AvatarError, Invalid
from .events import (
    AvatarSpeech,
    Event,
    Interrupted,
    Notice,
    QualityAlarm,
    SessionChanged,
    State,
    StateChanged,
)
from .face.stage import Stage
from .listening import Listener
from .play.ladder import RUNGS
from .play.peer import Peer
from .play.playout import Playout
from .play.source import Broadcast
from .presence import Ended, Presence
from .quality import EVERY_S, Alarm, Monitor
from .recognition import Recognition
from .seams import Rig
from .tunables import Tunables, update
from .turns import Request, new_id
from .types import I420, Frame, Pcm, Slice, Turn

log = logging.getLogger(__name__)

WAITING_TURNS = 8
"""Requests that may queue behind the running turn; one more is refused."""
TURNS_KEPT = 20
"""Waterfalls shown by `GET /sessions/{id}`."""


class Session:
    """Owns the client's peer connection, whichever it is at the time, and everything that outlives it."""

    def __init__(
        self,
        engines: Engines,
        tunables: Tunables,
        broadcast: Broadcast,
        *,
        greeting: str,
        on_turn: Callable[[dict[str, Any]], None],
        on_alarm: Callable[[Alarm], None] = lambda alarm: None,
    ) -> None:
        self.id = new_id()
        self._seed = int(self.id, 16) & 0x7FFFFFFF
        self.created = time.monotonic()
        self.broadcast = broadcast
        self.clock = broadcast.clock
        self.audience = Audience()
        self.tunables = tunables
        self.state: State = "idle"
        self.turns: deque[dict[str, Any]] = deque(maxlen=TURNS_KEPT)
        self.why_ended = ""
        self.peer: Peer | None = None
        self.on_event: Callable[[Event], None] = lambda event: None
        """Where the session's events go."""
        self.on_text: Callable[[str], None] = lambda text: None
        """What the peer says on its data channel."""
        self.on_return: Callable[[float], None] = lambda since: None
        """Another connection takes the place of one that was last heard at that moment, monotonic seconds."""
        self.rig: Rig | None = None
        self.stage: Stage | None = None
        self.playout = Playout(self.clock, self, self._idle, self._on_slice)
        self.playout.on_encore = self._on_encore
        self.inbox: asyncio.Queue[Request] = asyncio.Queue(WAITING_TURNS)
        self.last_activity = time.monotonic()
        self._engines = engines
        self._greeting = greeting
        self._on_turn = on_turn
        self._on_alarm = on_alarm
        self.quality = Monitor()
        self.camera = Camera(broadcast)
        self._conversation = Conversation(self, engines)
        self._listener = Listener(self, engines)
        self._limits = effect.Limits()
        self.ending = asyncio.Event()
        self.joining = asyncio.Lock()
        """Held by who answers an offer for this session: two at once would both take the place of one peer."""
        self.presence = Presence(self)
        self._shown_turn: str | None = None
        self.user_speaking = False

    # -- what the routes and the data channel ask for --------------------------------------------------------------

    def attach(self, peer: Peer) -> None:
        """Takes a peer: the first one, or one that replaces it on the same session. What is being said waits until
        the new one is connected, and goes on with what the old one may not have got."""
        before, self.peer = self.peer, peer
        peer.on_doubt = self.playout.pause
        peer.on_sure = self.playout.resume
        peer.on_rung = lambda rung: self._limit("network", rung=rung)
        self._limit("network", rung=RUNGS[0])
        if before is not None:
            before.on_rung = lambda rung: None  # the old path says nothing about the new one
            before.on_doubt = lambda heard: None
            before.on_sure = lambda: None
            self.playout.pause(before.heard)
            self.on_return(before.heard)
        self.presence.attached()

    def _limit(self, reason: Literal["network", "load"], **changes: Any) -> None:
        """The client's network, or the machine, asks for less or allows more."""
        before = self.effective()
        self._limits = replace(self._limits, **changes)
        if self.stage is not None:
            self.stage.tune(self._shown)
        if (now := self.effective()) != before:
            self.outbox(SessionChanged(now, reason))

    @property
    def _shown(self) -> Tunables:
        return effect.within(self.tunables, self._limits)

    def end(self, why: str) -> None:
        """Ends the session soon; harmless when repeated."""
        if not self.ending.is_set():
            self.why_ended = why
            self.ending.set()

    def update(self, changes: Mapping[str, Any]) -> Tunables:
        """Takes live changes, all or none. Raises `Invalid`, or `NotFound` for an avatar that is not there."""
        tunables = update(self.tunables, changes, live=True)
        recast = tunables.avatar != self.tunables.avatar
        if recast or any(name in changes for name in ("voice", "chunk_config")):
            self._engines.check(tunables)
        self.tunables = tunables
        if self.stage is not None:
            self.stage.tune(self._shown)
        if self.peer is not None:
            self.peer.set_bitrate(tunables.bitrate_kbps)
        self._conversation.tuned()
        if recast and not self._conversation.busy:
            with contextlib.suppress(asyncio.QueueFull):  # a turn that waits brings it on the stage as well
                self.inbox.put_nowait(Request("recast", time.monotonic()))
        self.outbox(SessionChanged(self.effective()))
        return tunables

    def ask(self, request: Request, *, interrupt: bool) -> str:
        """Queues a turn; with `interrupt` it replaces what runs and what waits. Returns the turn's id."""
        if self.tunables.mode == "speak" and request.kind == "user":
            raise Invalid(
                "This session only speaks what it is given: open one with mode converse to talk to it.", field="as"
            )
        self.last_activity = time.monotonic()
        if interrupt:
            self.interrupt(request.began)
        try:
            self.inbox.put_nowait(request)
        except asyncio.QueueFull:
            raise AtCapacity(
                f"{WAITING_TURNS} turns wait already; let some be spoken first.", code="turns_waiting", retry_after_s=5
            ) from None
        return request.turn_id

    def interrupt(self, onset: float, *, by_voice: bool = False) -> Interrupted | None:
        """Stops the running turn now, silence first, then the engines; what waits to be said is not said either. What
        the user has said is answered still when it is the user's own voice that interrupts. `onset` is the moment
        (monotonic seconds) that asked for it. None when no turn runs."""
        self._drop_waiting(by_voice)
        self.playout.end_encore()
        return self._conversation.interrupt(onset)

    def _drop_waiting(self, by_voice: bool) -> None:
        waiting = [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]
        for request in waiting:
            if request.kind == "recast" or (by_voice and request.kind == "user"):
                self.inbox.put_nowait(request)
            else:
                self._conversation.dropped(request)

    def anticipate(self, heard: Recognition, turn_id: str) -> None:
        self._conversation.anticipate(heard, turn_id)

    def think_again(self) -> None:
        self._conversation.think_again()

    def supersede(self, onset: float) -> Recognition | None:
        said = self._conversation.supersede(onset)
        if said is not None:
            self._drop_waiting(by_voice=True)
        return said

    def hold(self) -> str | None:
        """Silence, until it is known whether somebody wants the floor. Returns the turn that is held by it, if any."""
        turn_id = self._conversation.hold()
        if turn_id is not None:
            self._shown_turn = None
            self.enter("listening")
        return turn_id

    @property
    def turn_id(self) -> str | None:
        """The turn that is being thought about, spoken or held."""
        return self._conversation.turn_id

    def release(self) -> None:
        """Nobody wanted the floor: the turn that is held goes on."""
        self._conversation.release()

    def snapshot(self) -> dict[str, Any]:
        """State, effective tunables, transport statistics and the last turns, as JSON."""
        return {
            "session_id": self.id,
            "state": self.state,
            "connection": self.presence.state,
            "viewers": len(self.audience),
            "age_s": round(time.monotonic() - self.created, 1),
            "session": self.effective(),
            "ignored": sorted(self._engines.face.ignores) if self._engines.face_ready.is_set() else [],
            "transport": self.peer.stats() if self.peer is not None else {},
            "playout": self.playout.stats(),
            "recording": self.camera.seconds,
            "quality": self.quality.as_json(),
            "turns": list(self.turns),
        }

    def effective(self) -> dict[str, Any]:
        """The tunables as they hold, with what was negotiated and what the face has no use for."""
        return effect.effective(self.tunables, self._limits, self.peer, self._engines)

    # -- what the turn and the listener tell -----------------------------------------------------------------------

    def enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.outbox(StateChanged(state))

    def outbox(self, event: Event) -> None:
        """Tells the client."""
        self.on_event(event)
        self.camera.tell(event)

    def user_spoke(self, speaking: bool) -> None:
        """The user's voice began or ended."""
        self.user_speaking = speaking
        self.last_activity = time.monotonic()
        if speaking and self.tunables.interruptible:
            self.playout.end_encore()
        if not self._conversation.busy:
            self.enter("listening" if speaking else "idle")

    def turn_ended(self, turn: Turn, record: dict[str, Any]) -> None:
        self.last_activity = time.monotonic()
        self.turns.append(record)
        self._on_turn(record)
        log.info("session %s turn: %s", self.id, json.dumps(record, ensure_ascii=False))

    # -- the output of playout -------------------------------------------------------------------------------------

    def send_picture(self, slot: int, i420: I420 | None) -> None:
        self.broadcast.send_picture(slot, i420)

    def send_sound(self, tick: int, pcm: Pcm) -> None:
        if self.tunables.mode == "converse":
            self._listener.played(pcm)
        self.broadcast.send_sound(tick, pcm)

    async def _idle(self, shown: int) -> Frame | None:
        assert self.stage is not None
        self.stage.level = self._listener.level
        return await self.stage.idle(shown)

    def _on_slice(self, piece: Slice, slot: int) -> None:
        assert piece.turn_id is not None
        if self._shown_turn != piece.turn_id:
            self._shown_turn = piece.turn_id
            self._conversation.first_sent(piece.turn_id)
            self.outbox(AvatarSpeech(piece.turn_id, speaking=True))
        self.enter("speaking")
        for event in captions(piece, slot, self.playout):
            self.outbox(event)

    def _on_encore(self, begins: bool) -> None:
        """The last words of a turn that is over are said again, because they had not arrived."""
        if self._shown_turn is not None:
            self.outbox(AvatarSpeech(self._shown_turn, speaking=begins))
        if not begins and not self._conversation.busy:
            self.enter("listening" if self.user_speaking else "idle")

    # -- life ------------------------------------------------------------------------------------------------------

    async def peer_replaced(self, old: Peer) -> None:
        """Returns when another peer than `old` is attached."""
        await self.presence.replaced(old)

    async def run(self) -> None:
        """Lives until the peer is gone, `end` is called, nobody connects, or nothing happens for long. Cancellable."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.presence.watch(), name=f"session {self.id} watch")
                group.create_task(self._texts(), name=f"session {self.id} texts")
                group.create_task(self._measure(), name=f"session {self.id} quality")
                await self._perform(group)
        except* Ended:
            pass
        except* Exception:
            self.end("it failed")
            raise
        finally:
            await self._close()

    async def _measure(self) -> None:
        """Takes samples of the connection's quality."""
        while True:
            await asyncio.sleep(EVERY_S)
            if (failure := await self.camera.look()) is not None:
                self.outbox(Notice(failure.message))
            if self.presence.state != "connected" or self.peer is None:
                self.quality.rest()
                continue
            for alarm in self.quality.sample(time.monotonic() - self.created, self.peer.stats()):
                log.log(logging.WARNING if alarm.raised else logging.INFO, "session %s: %s", self.id, alarm.sentence)
                self._on_alarm(alarm)
                self.outbox(QualityAlarm(alarm.figure, alarm.value, alarm.limit, alarm.raised))

    async def _perform(self, group: asyncio.TaskGroup) -> None:
        """Starts what needs the peer and the engines, in the order in which they become there."""
        await self._engines.face_ready.wait()
        face = self._engines.face
        try:
            self.rig = await face.rig(self.tunables.avatar)
        except AvatarError as error:  # removed since the offer, or a picture that cannot be moved
            self.outbox(Notice(error.message))
            self.tunables = replace(self.tunables, avatar=Tunables().avatar)
            self.rig = await face.rig(self.tunables.avatar)
        self.stage = Stage(face, self.rig, self._shown, self._seed, self._engines.pool, motions=self._engines.motions)
        self.stage.on_strain = lambda fps: self._limit("load", fps=fps)
        await self.presence.connected()
        group.create_task(self.playout.run(), name=f"session {self.id} playout")
        await (self._engines.ready if self.tunables.mode == "converse" else self._engines.tts_ready).wait()
        if self.tunables.mode == "converse":
            group.create_task(self._listener.run(), name=f"session {self.id} listen")
        if self.tunables.greet and self.tunables.mode == "converse":
            with contextlib.suppress(AtCapacity):  # so much waits to be said already that nobody needs a greeting
                self.ask(Request("greeting", time.monotonic(), text=self._greeting), interrupt=False)
        group.create_task(self._conversation.run(), name=f"session {self.id} converse")

    async def change_avatar(self) -> None:
        """Brings the portrait that the tunables name on the stage; called between turns."""
        assert self.stage is not None
        rig = await self._engines.face.rig(self.tunables.avatar)
        if rig is not self.rig:
            self.rig = rig
            await self.stage.recast(rig, self._shown, self._seed)

    async def _texts(self) -> None:
        while True:
            peer = self.peer
            assert peer is not None
            async for text in peer.texts():
                self.on_text(text)
            await self.peer_replaced(peer)

    async def _close(self) -> None:
        self.end("the server stopped")
        await self._conversation.close()
        if self.stage is not None:
            await self.stage.close()
        await self.audience.close()
        await self.camera.close()
        if self.peer is not None:
            await self.peer.close()
        log.info("session %s ended: %s", self.id, self.why_ended)
