"""The turns of one session: at most one runs, each is recorded, each can be interrupted at any moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from .answer import answer, one, read
from .clock import AUDIO_RATE
from .draft import Draft, Ledger, Reply
from .engines import Engines
from .errors import AvatarError, EngineError
from .events import AvatarSpeech, Held, Interrupted, Notice, ReplyText, TurnEnded, UserText
from .floor import Floor
from .phrases import NOT_UNDERSTOOD, SURELY_SPEECH_S, phrase
from .play.playout import FADE_SAMPLES
from .recognition import Recognition
from .speak.clauses import ClauseSplitter
from .talk import Marks, Voice, speak
from .think.history import REPLY_TOKENS, History
from .turns import Request, mark, mark_ahead, record
from .types import AudioChunk, Clause, Turn

log = logging.getLogger(__name__)


class Conversation:
    """Takes requests from the session's inbox, one after the other."""

    def __init__(self, session: Floor, engines: Engines) -> None:
        self._session = session
        self._engines = engines
        self._history = History(session.tunables.instructions, language=session.tunables.language)
        self._task: asyncio.Task[None] | None = None
        self._turn: Turn | None = None
        self._floor = asyncio.Event()
        """The running turn may speak: not set while it is held."""
        self._floor.set()
        self._held_at: float | None = None
        """Monotonic seconds at which the running turn was held."""
        self._request: Request | None = None
        """What the running turn was asked with."""
        self._draft: tuple[Recognition, Draft] | None = None
        """What is worked out ahead, and for which utterance."""
        self._ledger = Ledger(engines.drafts)
        self._puzzled = False
        """It has said that it did not understand, and has understood nothing since."""
        self._cleaning: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """A turn is being thought about or spoken."""
        return self._turn is not None

    async def run(self) -> None:
        """Takes turns until cancelled."""
        session = self._session
        while True:
            request = await session.inbox.get()
            if request.kind == "recast":
                await self._recast()
                continue
            turn = self._begin(request)  # at once: whoever interrupts before the task has run means this turn
            self._task = asyncio.create_task(self._take(request, turn), name=f"turn {turn.id}")
            try:
                await asyncio.wait([self._task])
            finally:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
                await request.drop()
            if not self._task.cancelled() and (error := self._task.exception()) is not None:
                self._failed(error)
            self._task = self._turn = self._request = None
            if session.inbox.empty():
                session.enter("listening" if session.user_speaking else "idle")

    @property
    def turn_id(self) -> str | None:
        """The turn that is being thought about, spoken or held."""
        return self._turn.id if self._turn is not None else None

    def hold(self) -> str | None:
        """Silence now, and nothing lost: the running turn waits for `release` or `interrupt`. Returns its id."""
        turn, session = self._turn, self._session
        if turn is None or self._held_at is not None:
            return self.turn_id
        self._held_at = time.monotonic()
        self._floor.clear()
        heard = session.playout.hold()
        if session.stage is not None:
            session.stage.cut(session.playout.shown)
        if heard.seconds:
            session.outbox(AvatarSpeech(turn.id, speaking=False))
            session.outbox(Held(turn.id, heard.text))
        return turn.id

    def release(self) -> None:
        """What held the turn was nothing: it goes on with the word that was cut."""
        if self._held_at is None:
            return
        self._held_at = None
        self._floor.set()
        if self._turn is not None:
            self._turn.false_alarms += 1
            self._session.enter("thinking")

    def interrupt(self, onset: float) -> Interrupted | None:
        """Silence now, then the end of the engines' work. The history keeps what was heard."""
        turn, task, session = self._turn, self._task, self._session
        if turn is None or task is None:
            return None
        held_at, self._held_at = self._held_at, None
        heard = session.playout.flush()
        if held_at is None and session.stage is not None:
            session.stage.cut(session.playout.shown)
        task.cancel()
        self._turn = None
        self._floor.set()
        turn.interrupted = True
        turn.heard_text = heard.text
        self._remember(turn, heard.text)
        fade_ms = 1000 * FADE_SAMPLES / AUDIO_RATE if heard.seconds else 0.0
        stopped = time.monotonic() if held_at is None else held_at
        stop_ms = max(0.0, 1000 * (stopped - onset) + fade_ms)
        event = Interrupted(turn.id, heard.text, round(heard.seconds, 3), round(stop_ms, 1))
        if heard.seconds and held_at is None:
            session.outbox(AvatarSpeech(turn.id, speaking=False))
        session.outbox(event)
        self._finish(turn)
        return event

    def supersede(self, onset: float) -> Recognition | None:
        """The user goes on before anything of the answer was heard: what they said so far, to be continued."""
        turn, request = self._turn, self._request
        if turn is None or request is None or request.heard is None or self._session.playout.heard().seconds:
            return None
        said, request.heard = request.heard, None
        self.interrupt(onset)
        if turn.user_text:
            self._history.take_back_user()
        return said

    def anticipate(self, heard: Recognition, turn_id: str) -> None:
        """The user may have finished: a draft of the answer is begun, unless another turn runs."""
        self.think_again()
        if self.busy or not self._session.inbox.empty():
            return
        language = self._session.tunables.language

        def think(text: str) -> Reply:
            messages = self._history.supposing(text)
            return Reply(self._engines.llm.reply(messages, max_tokens=REPLY_TOKENS), ClauseSplitter(turn_id, language))

        tts, voice = self._engines.tts, self._session.tunables.voice

        def say(clause: Clause) -> AsyncIterator[AudioChunk]:
            draft.from_memory |= clause.index == 0 and tts.holds(clause, voice)
            return tts.speak(clause, voice)

        draft = Draft(heard.guess, think, say, self._ledger)
        self._draft = heard, draft

    def think_again(self) -> None:
        """What was worked out ahead is not wanted."""
        if self._draft is not None:
            (_, draft), self._draft = self._draft, None
            self._clean(draft.close())

    def first_sent(self, turn_id: str) -> None:
        """The first slice of a turn has been sent."""
        if self._turn is not None and self._turn.id == turn_id:
            mark(self._turn, "first_sent", time.monotonic())

    def tuned(self) -> None:
        """The session's tunables have changed."""
        tunables = self._session.tunables
        self._history.instruct(tunables.instructions, tunables.language)
        self.think_again()

    def dropped(self, request: Request) -> None:
        """A request that will not be taken: frees what it holds."""
        self._clean(request.drop())

    def _clean(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    async def close(self) -> None:
        session = self._session
        while not session.inbox.empty():
            await session.inbox.get_nowait().drop()
        self.think_again()
        await asyncio.gather(*self._cleaning, return_exceptions=True)

    # -- one turn --------------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> Turn:
        turn = Turn(id=request.turn_id, began=request.began, kind=request.kind)
        turn.engines = {"face": self._engines.face.choice.name}
        self._request, self._turn = request, turn
        self._session.playout.begin(turn.id)
        self._session.enter("thinking")
        return turn

    async def _take(self, request: Request, turn: Turn) -> None:
        session = self._session
        if session.stage is None:
            return
        await self._recast()
        if request.endpoint is not None:
            mark(turn, "endpoint", request.endpoint)
        text = await self._text(request, turn)
        reply: Reply | Draft | None = None
        try:
            if request.kind == "user" and text:
                self._puzzled = False
                reply = self._reply(request, turn, text)
            elif request.kind == "user" and not self._asks_again(request, turn):
                self._turn = None
                if turn.error:
                    self._finish(turn)
                return
            clauses, voice = self._clauses(request, turn, reply), self._voice(request, turn, reply)
            marks = self._marks(turn)
            await speak(clauses, voice, session.stage, session.playout, marks, turn_id=turn.id, floor=self._floor)
        finally:
            if reply is not None:
                await reply.close()
                self._ledger.enter(used=reply.tokens)
        heard = session.playout.heard()
        turn.heard_text = heard.text
        self._remember(turn, turn.reply_text if heard.complete and not turn.unsaid else heard.text)
        if heard.seconds:
            session.outbox(AvatarSpeech(turn.id, speaking=False))
        self._turn = None
        self._finish(turn)

    async def _recast(self) -> None:
        try:
            await self._session.change_avatar()
        except AvatarError as error:  # the portrait was removed meanwhile, or cannot be moved: the old one goes on
            self._session.outbox(Notice(error.message))

    async def _text(self, request: Request, turn: Turn) -> str:
        """What the user said, or what is to be read."""
        if request.heard is None:
            self.think_again()
            return request.text
        turn.engines["stt"] = self._engines.stt.choice.name
        turn.revision = request.heard.revision
        text = ""
        try:
            text = await request.heard.text()
        except EngineError as error:
            self._trouble(turn, error)
        mark(turn, "stt_final", time.monotonic())
        if self._draft is not None and (self._draft[0] is not request.heard or not self._draft[1].answers(text)):
            self.think_again()
        return text

    def _asks_again(self, request: Request, turn: Turn) -> bool:
        """Nothing was understood: whether the avatar says so. Once, until it understands something again; and not for
        what may have been a noise."""
        if request.spoken_s < SURELY_SPEECH_S and not turn.error:
            return False
        turn.notes += ("not_understood",)
        if self._puzzled:
            turn.error = turn.error or "Nothing was understood."
            return False
        self._puzzled = turn.aside = True
        request.text = phrase(NOT_UNDERSTOOD, self._session.tunables.language, self._history.last_text())
        return True

    def _remember(self, turn: Turn, said: str) -> None:
        """What the language model shall know that the avatar has said."""
        if turn.kind != "speech" and not turn.aside:
            self._history.add_assistant(said)

    def _reply(self, request: Request, turn: Turn, text: str) -> Reply | Draft:
        """The answer to what the user said: the draft where one was made, else a new one. From here on the turn is
        certain: it is told, and the history has it."""
        turn.user_text = text
        self._session.outbox(UserText(text, final=True, revision=turn.revision))
        self._history.add_user(text)
        llm = self._engines.llm
        turn.engines["llm"] = llm.choice.name
        if self._draft is not None:
            (_, draft), self._draft = self._draft, None
            now = time.monotonic()
            mark_ahead(turn, draft.claim(lambda piece: self._wrote(turn, piece)), now)
            return draft
        pieces = llm.reply(self._history.messages(), max_tokens=REPLY_TOKENS)
        reply = Reply(pieces, ClauseSplitter(turn.id, self._session.tunables.language))
        reply.tell(lambda piece: self._wrote(turn, piece))
        return reply

    def _clauses(self, request: Request, turn: Turn, reply: Reply | Draft | None) -> AsyncIterator[Clause]:
        """What the turn will say, clause by clause."""
        language = self._session.tunables.language
        if reply is not None:
            return answer(turn, reply, language, self._session.outbox, lambda error: self._trouble(turn, error))
        return one(Clause("", 0, turn.id)) if request.kind == "speech" else read(turn, request.text, language)

    def _wrote(self, turn: Turn, piece: str) -> None:
        """The language model has written another piece."""
        mark(turn, "llm_first_token", time.monotonic())
        turn.reply_text += piece
        self._session.outbox(ReplyText(turn.id, piece))

    def _voice(self, request: Request, turn: Turn, reply: Reply | Draft | None) -> Voice:
        recording = request.recording
        if recording is not None:
            return lambda clause: recording.chunks()
        tts, voice = self._engines.tts, self._session.tunables.voice
        turn.engines["tts"] = tts.choice.name

        def speak_clause(clause: Clause) -> AsyncIterator[AudioChunk]:
            if isinstance(reply, Draft) and clause.index == 0:
                sound = reply.sound(clause)
                if reply.from_memory:
                    self._cached(turn, "tts")
                return sound
            if tts.holds(clause, voice):
                self._cached(turn, "tts")
            return tts.speak(clause, voice)

        return speak_clause

    def _marks(self, turn: Turn) -> Marks:
        def at(stage: str) -> None:
            mark(turn, stage, time.monotonic())

        def unsaid() -> None:
            turn.unsaid = True

        def waiting() -> None:
            if self._turn is turn and self._held_at is None:
                self._session.enter("thinking")

        return Marks(
            clause=lambda clause: at("first_clause"),
            sound=lambda: at("tts_first_audio"),
            frame=lambda: at("face_first_frame"),
            failed=lambda error: self._trouble(turn, error),
            unsaid=unsaid,
            recalled=lambda: self._cached(turn, "face"),
            waiting=waiting,
        )

    @staticmethod
    def _cached(turn: Turn, stage: str) -> None:
        """A stage had its work in memory."""
        if stage not in turn.cached:
            turn.cached += (stage,)

    def _trouble(self, turn: Turn, error: AvatarError) -> None:
        """An engine failed in a turn that goes on: the user reads why, once a turn."""
        if not turn.error:
            self._session.outbox(Notice(error.message))
        turn.error = turn.error or error.message

    def _failed(self, error: BaseException) -> None:
        """A turn broke off: said on the screen, recorded, and the session goes on."""
        turn = self._turn
        if not isinstance(error, AvatarError):
            log.error("a turn of session %s failed", self._session.id, exc_info=error)
            error = EngineError("Something went wrong in this turn; the server's log says what.")
        self._held_at = None
        self._floor.set()
        heard = self._session.playout.flush()
        if self._session.stage is not None and heard.seconds and not heard.complete:
            self._session.stage.cut(self._session.playout.shown)
        if turn is not None:
            turn.heard_text = heard.text
            self._remember(turn, heard.text)
            if heard.seconds:
                self._session.outbox(AvatarSpeech(turn.id, speaking=False))
            self._trouble(turn, error)
            self._finish(turn)
        else:
            self._session.outbox(Notice(error.message))

    def _finish(self, turn: Turn) -> None:
        waterfall = record(turn)
        self._session.outbox(TurnEnded(waterfall))
        self._session.turn_ended(turn, waterfall)
