"""The listening side of one session: microphone → ears → recognition → a request for a turn."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass

from .bargein import BargeIn, Verdict
from .clock import AUDIO_RATE
from .engines import Engines
from .errors import AvatarError, EngineError
from .events import Notice, UserSpeech, UserText
from .floor import Floor
from .hear.ears import Ears, HearEvent, SpeechContinued, SpeechEnded, SpeechPaused, SpeechResumed, SpeechStarted
from .hear.echo import EchoJudge
from .hear.verdict import Advice
from .play.opus import LOOKAHEAD_SAMPLES
from .recognition import Recognition
from .turn_end import PauseJudge
from .turns import Request, new_id
from .types import AudioChunk, Pcm

log = logging.getLogger(__name__)

CODEC_S = LOOKAHEAD_SAMPLES / AUDIO_RATE
"""Decoded sound lies this much after the moment at which it was captured."""

EAR_RATE = 16_000
DRIFT = 2e-4
"""Seconds a second by which the microphone's clock may run slow: sound cards differ by up to 200 ppm."""


@dataclass(slots=True)
class _Doubt:
    """A voice over a turn of the avatar's."""

    turn_id: str
    """Empty where it may not be interrupted: then only what is said is in doubt."""
    onset: float
    """Monotonic seconds."""
    judge: BargeIn
    heard: Recognition | None
    """What is said over it."""


class Listener:
    """Hears one session's microphone."""

    def __init__(self, session: Floor, engines: Engines) -> None:
        self._session = session
        self._engines = engines
        self._heard: Recognition | None = None
        """The recognition of the running utterance."""
        self._turn_id = ""
        """Of the turn that it will ask for."""
        self._judge: PauseJudge | None = None
        """Of the pause that the user is making."""
        self._onset = 0.0
        self._doubt: _Doubt | None = None
        """The running utterance began while a turn was running."""
        self._doubts: list[_Doubt] = []
        """Of all utterances whose verdict is open."""
        self._undecided: list[Recognition] = []
        """Utterances over the avatar's voice that have ended and whose words are not known yet, oldest first."""
        self._partials = False
        """The recogniser has told words before an utterance ended."""
        self._origin = math.inf
        """Monotonic seconds of the microphone's first sample, by the packet that came soonest."""
        self._heard_end = 0
        """Index at 16 kHz of the newest microphone sample."""
        self._echo = EchoJudge()
        self.level = 0.0

    def played(self, pcm: Pcm) -> None:
        """The next sound that the avatar sends, silence too: the microphone may hear it."""
        self._echo.play(pcm)

    async def run(self) -> None:
        """Listens until cancelled, across a peer that is replaced."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._listen(group)
        finally:
            await self._pause_over()

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        session = self._session
        ears = Ears(self._engines.vad(), echo=self._echo)
        while True:
            peer = session.peer
            assert peer is not None
            async for chunk in peer.microphone():
                self._heard_end = chunk.end * EAR_RATE // chunk.rate
                began = time.monotonic() - self._heard_end / EAR_RATE
                self._origin = min(began, self._origin + DRIFT * chunk.seconds)
                events = ears.hear(chunk)
                self.level = ears.level
                for event in events:
                    await self._on(event, ears, group)
                now = self._heard_end / EAR_RATE
                if self._doubt is not None:
                    self._doubt.judge.voice(now, ears.voiced_s)
                for doubt in list(self._doubts):
                    doubt.judge.tick(now)
                    self._settle(doubt)
            await self._drop()
            ears.reset()
            self._origin = math.inf
            await session.peer_replaced(peer)

    async def _on(self, event: HearEvent, ears: Ears, group: asyncio.TaskGroup) -> None:
        session = self._session
        match event:
            case SpeechStarted(at, chunk):
                self._onset = self._moment(at)
                over = session.turn_id
                if over is not None:  # a turn that may not be interrupted is not the one in question
                    over = session.hold() if session.tunables.interruptible else ""
                session.user_spoke(True)
                session.outbox(UserSpeech(True))
                self._turn_id = new_id()
                try:
                    self._heard = Recognition(self._engines.stt.open(session.tunables.language))
                except AvatarError as error:  # the next utterance may fare better
                    session.outbox(Notice(error.message))
                if over is not None:
                    rough = getattr(self._engines.stt, "rough", False)
                    judge = BargeIn(at / EAR_RATE, partials=self._partials, rough=rough)
                    self._doubt = _Doubt(over, self._onset, judge, self._heard)
                    self._doubts.append(self._doubt)
                await self._feed(chunk)
            case SpeechContinued(chunk):
                await self._feed(chunk)
            case SpeechPaused() as pause:
                await self._pause_over()
                if self._heard is not None:
                    session.anticipate(self._heard, self._turn_id)
                model = self._engines.turn_model
                self._judge = PauseJudge(pause, model, self._heard, lambda advice: self._advise(ears, pause, advice))
            case SpeechResumed():
                await self._pause_over()
                session.think_again()
            case SpeechEnded(utterance, at):
                await self._pause_over()
                session.user_spoke(False)
                session.outbox(UserSpeech(False))
                heard, self._heard = self._heard, None
                doubt, self._doubt = self._doubt, None
                if heard is None:
                    if doubt is not None:
                        self._settle(doubt, "")
                    return
                if self._undecided:  # the recogniser is late: both are answered as one, in their order
                    heard.follow(self._undecided.pop())
                ended, noticed = self._moment(utterance.speech_end), self._moment(at)
                spoken_s = max(0.0, ended - self._onset)
                request = Request(
                    "user", began=ended, endpoint=noticed, heard=heard, spoken_s=spoken_s, turn_id=self._turn_id
                )
                if doubt is None or doubt.judge.verdict is Verdict.REAL:
                    await self._ask(request)
                else:
                    self._undecided.append(heard)
                    group.create_task(self._decide(doubt, heard, request), name="barge-in")

    def _advise(self, ears: Ears, pause: SpeechPaused, advice: Advice) -> None:
        complete = ears.judge(pause, advice)
        if complete is not None and complete < ears.config.incomplete:
            self._session.think_again()

    async def _pause_over(self) -> None:
        judge, self._judge = self._judge, None
        if judge is not None:
            await judge.close()

    async def _decide(self, doubt: _Doubt, heard: Recognition, request: Request) -> None:
        """Whether a voice over the avatar's was an interruption, by all of its words. They may come late: when the
        user has said more since, that goes on from here, and is what asks for a turn."""
        session, text = self._session, ""
        try:
            text = await heard.text()
        except EngineError as error:
            session.outbox(Notice(error.message))
        except BaseException:
            if heard in self._undecided:
                await heard.close()
            raise
        real, alone = self._settle(doubt, text), heard in self._undecided
        if alone:
            self._undecided.remove(heard)
        if not real:
            heard.disregard()
        if not alone:
            return
        if real:
            await self._ask(request)
        else:
            await heard.close()
            session.outbox(UserText(text, final=True))

    def _settle(self, doubt: _Doubt, final: str | None = None) -> bool:
        """Acts on the verdict once there is one: the turn is interrupted or goes on. Returns whether it is REAL."""
        session = self._session
        if final is not None:
            doubt.judge.final(final)
        if doubt.judge.verdict is Verdict.OPEN:
            return False
        if doubt in self._doubts:
            self._doubts.remove(doubt)
        if doubt.judge.verdict is Verdict.REAL:
            if session.turn_id == doubt.turn_id:
                said = session.supersede(doubt.onset) if doubt.heard is not None else None
                if said is None:
                    session.interrupt(doubt.onset, by_voice=True)
                elif doubt.heard is not None:
                    doubt.heard.follow(said)
            return True
        if not self._doubts:
            session.release()
        return False

    async def _ask(self, request: Request) -> None:
        try:
            self._session.ask(request, interrupt=False)
        except AvatarError as error:
            await request.drop()
            self._session.think_again()
            self._session.outbox(Notice(error.message))

    async def _feed(self, chunk: AudioChunk) -> None:
        heard = self._heard
        if heard is None:
            return
        try:
            partial = await heard.feed(chunk)
        except EngineError as error:
            log.warning("recognition failed: %s", error.message)
            self._session.outbox(Notice(error.message))
            await self._drop()
            return
        if partial:
            self._partials = True
            self._session.outbox(UserText(partial, final=False, revision=heard.revision))
            if self._doubt is not None:
                self._doubt.judge.words(partial)
                self._settle(self._doubt)

    async def _drop(self) -> None:
        await self._pause_over()
        self._session.think_again()
        heard, self._heard = self._heard, None
        if heard is not None:
            await heard.close()
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            self._settle(doubt, "")
        if self._session.user_speaking:
            self._session.user_spoke(False)
            self._session.outbox(UserSpeech(False))

    def _moment(self, sample: int) -> float:
        """Monotonic seconds at which a 16 kHz sample of the microphone was spoken, but for the network's way: by the
        packet that came soonest, so that what a busy machine adds counts as its delay and not as the user's speech."""
        return self._origin + sample / EAR_RATE - CODEC_S
