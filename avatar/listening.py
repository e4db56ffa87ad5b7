"""The listening side of one session: microphone → ears → recognition → a request for a turn."""

from __future__ import annotations

import logging
import time

from .engines import Engines
from .errors import AvatarError, EngineError
from .events import Notice, UserSpeech, UserText
from .floor import Floor
from .hear.ears import Ears, HearEvent, SpeechContinued, SpeechEnded, SpeechStarted
from .seams import STTStream
from .turns import Request
from .types import AudioChunk

log = logging.getLogger(__name__)

BARGE_IN_S = 0.24
"""Seconds of voice that stop the avatar: longer than a cough or a click, shorter than the patience of who speaks."""
EAR_RATE = 16_000


class Listener:
    """Hears one session's microphone."""

    def __init__(self, session: Floor, engines: Engines) -> None:
        self._session = session
        self._engines = engines
        self._stream: STTStream | None = None
        self._onset = 0.0
        self._barged = False
        """The running utterance has stopped the avatar, or would have."""
        self._heard_until = 0.0
        """Monotonic seconds at which the newest microphone sample arrived."""
        self._heard_end = 0
        """Its index at 16 kHz."""
        self.level = 0.0

    async def run(self) -> None:
        """Listens until cancelled, across a peer that is replaced."""
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
                    await self._on(event)
                if session.user_speaking and not self._barged and ears.voiced_s >= BARGE_IN_S:
                    # Once an utterance: what is asked for while the voice goes on, by text say, is answered.
                    self._barged = True
                    if session.tunables.interruptible:
                        session.interrupt(self._onset, by_voice=True)
            await self._drop()
            ears.reset()
            await session.peer_replaced(peer)

    async def _on(self, event: HearEvent) -> None:
        session = self._session
        match event:
            case SpeechStarted(at, chunk):
                self._onset = self._moment(at)
                self._barged = False
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
                if stream is not None:
                    await self._request(stream, self._moment(utterance.speech_end), self._moment(at))

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
            self._session.outbox(UserText(partial, final=False))

    async def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()
        if self._session.user_speaking:
            self._session.user_spoke(False)
            self._session.outbox(UserSpeech(False))

    def _moment(self, sample: int) -> float:
        """Monotonic seconds at which a 16 kHz sample of the microphone arrived."""
        return self._heard_until - (self._heard_end - sample) / EAR_RATE
