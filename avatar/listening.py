"""The listening side of one session: microphone → ears → recognition → a request for a turn."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from .bargein import BargeIn, Verdict
from .engines import Engines
from .errors import AvatarError, EngineError
from .events import Notice, UserSpeech, UserText
from .floor import Floor
from .hear.ears import Ears, HearEvent, SpeechContinued, SpeechEnded, SpeechStarted
from .seams import STTStream
from .turns import Request
from .types import AudioChunk, Transcript

log = logging.getLogger(__name__)

EAR_RATE = 16_000


@dataclass(slots=True)
class _Doubt:
    """A voice over a turn of the avatar's."""

    turn_id: str
    onset: float
    """Monotonic seconds."""
    judge: BargeIn


class Listener:
    """Hears one session's microphone."""

    def __init__(self, session: Floor, engines: Engines) -> None:
        self._session = session
        self._engines = engines
        self._stream: STTStream | None = None
        self._onset = 0.0
        self._doubt: _Doubt | None = None
        """The running utterance began while a turn was running."""
        self._doubts: list[_Doubt] = []
        """Of all utterances whose verdict is open."""
        self._partials = False
        """The recogniser has told words before an utterance ended."""
        self._heard_until = 0.0
        """Monotonic seconds at which the newest microphone sample arrived."""
        self._heard_end = 0
        """Its index at 16 kHz."""
        self.level = 0.0

    async def run(self) -> None:
        """Listens until cancelled, across a peer that is replaced."""
        async with asyncio.TaskGroup() as group:
            await self._listen(group)

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        session = self._session
        ears = Ears(self._engines.vad())
        while True:
            peer = session.peer
            assert peer is not None
            async for chunk in peer.microphone():
                self._heard_until = time.monotonic()
                self._heard_end = chunk.end * EAR_RATE // chunk.rate
                events = ears.hear(chunk)
                self.level = ears.level
                for event in events:
                    await self._on(event, group)
                now = self._heard_end / EAR_RATE
                if self._doubt is not None:
                    self._doubt.judge.voice(now, ears.voiced_s)
                for doubt in list(self._doubts):
                    doubt.judge.tick(now)
                    self._settle(doubt)
            await self._drop()
            ears.reset()
            await session.peer_replaced(peer)

    async def _on(self, event: HearEvent, group: asyncio.TaskGroup) -> None:
        session = self._session
        match event:
            case SpeechStarted(at, chunk):
                self._onset = self._moment(at)
                turn_id = session.hold() if session.tunables.interruptible else None
                if turn_id is not None:
                    self._doubt = _Doubt(turn_id, self._onset, BargeIn(at / EAR_RATE, partials=self._partials))
                    self._doubts.append(self._doubt)
                session.user_spoke(True)
                session.outbox(UserSpeech(True))
                try:
                    self._stream = self._engines.stt.open(session.tunables.language)
                except AvatarError as error:  # the next utterance may fare better
                    session.outbox(Notice(error.message))
                await self._feed(chunk)
            case SpeechContinued(chunk):
                await self._feed(chunk)
            case SpeechEnded(utterance, at):
                session.user_spoke(False)
                session.outbox(UserSpeech(False))
                stream, self._stream = self._stream, None
                doubt, self._doubt = self._doubt, None
                if stream is None:
                    if doubt is not None:
                        self._settle(doubt, "")
                    return
                ended, noticed = self._moment(utterance.speech_end), self._moment(at)
                if doubt is None or doubt.judge.verdict is Verdict.REAL:
                    await self._request(stream, ended, noticed)
                else:
                    group.create_task(self._decide(doubt, stream, ended, noticed), name="barge-in")

    async def _decide(self, doubt: _Doubt, stream: STTStream, ended: float, noticed: float) -> None:
        """Whether a voice over the avatar's was an interruption, by all of its words."""
        session = self._session
        transcript = Transcript("")
        try:
            transcript = await stream.finish()
        except EngineError as error:
            session.outbox(Notice(error.message))
        finally:
            await stream.close()
        if self._settle(doubt, transcript.text):
            await self._request(_Understood(transcript), ended, noticed)
        else:
            session.outbox(UserText(transcript.text.strip(), final=True))

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
                session.interrupt(doubt.onset, by_voice=True)
            return True
        if not self._doubts:
            session.release()
        return False

    async def _request(self, stream: STTStream, ended: float, noticed: float) -> None:
        request = Request("user", began=ended, endpoint=noticed, stream=stream)
        try:
            self._session.ask(request, interrupt=False)
        except AvatarError as error:
            await request.drop()
            self._session.outbox(Notice(error.message))

    async def _feed(self, chunk: AudioChunk) -> None:
        if self._stream is None:
            return
        try:
            partial = await self._stream.feed(chunk)
        except EngineError as error:
            log.warning("recognition failed: %s", error.message)
            self._session.outbox(Notice(error.message))
            await self._drop()
            return
        if partial:
            self._partials = True
            self._session.outbox(UserText(partial, final=False))
            if self._doubt is not None:
                self._doubt.judge.words(partial)
                self._settle(self._doubt)

    async def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            self._settle(doubt, "")
        if self._session.user_speaking:
            self._session.user_spoke(False)
            self._session.outbox(UserSpeech(False))

    def _moment(self, sample: int) -> float:
        """Monotonic seconds at which a 16 kHz sample of the microphone arrived."""
        return self._heard_until - (self._heard_end - sample) / EAR_RATE


class _Understood:
    """The recognition of an utterance that has been finished already."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript

    async def feed(self, chunk: AudioChunk) -> str | None:
        return None

    async def finish(self) -> Transcript:
        return self._transcript

    async def close(self) -> None:
        pass
