"""The engines of the process: chosen once, loaded and warmed once, shared by all sessions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .draft import Ledger
from .errors import AvatarError, Invalid, NotReady
from .face.avatars import AvatarStore
from .face.engines import choose_face
from .face.motions import Motions
from .greeting import GREETINGS
from .hear.engines import choose_stt
from .hear.turn_model import TurnModel
from .hear.vad import Vad
from .phrases import ALL as PHRASES
from .seams import LLM, STT, TTS, Face
from .settings import Settings
from .speak.cache import CachingTTS
from .speak.clauses import ClauseSplitter
from .speak.engines import choose_tts
from .think.engines import choose_llm
from .threads import full_pool
from .tunables import Tunables
from .types import Choice

log = logging.getLogger(__name__)

T = TypeVar("T")
E = TypeVar("E", Face, STT, LLM, TTS)

RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses before a role that could not be loaded is tried again; the last one repeats."""


class Engines:
    """Loads in the background; a session waits for what it needs, an offer's answer waits for nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.avatars = AvatarStore(settings.data_dir / "avatars", settings.data_dir / "face")
        self.pool = full_pool(max(2, os.cpu_count() or 1), "face")
        """Where faces draw."""
        self.motions = Motions()
        self._rehearsal: asyncio.Task[None] | None = None
        self.face_ready = asyncio.Event()
        self.tts_ready = asyncio.Event()
        self.ready = asyncio.Event()
        self.refused = asyncio.Event()
        """A flag names an engine that there is none of: nothing will ever make this server ready."""
        self.missing: dict[str, str] = dict.fromkeys(("face", "stt", "llm", "tts"), "loading")
        """Role → why it is not ready yet."""
        self.load_s: dict[str, float] = {}
        self._face: Face | None = None
        self._stt: STT | None = None
        self._llm: LLM | None = None
        self._tts: CachingTTS | None = None
        self._new_vad: Callable[[], Vad] | None = None
        self.drafts = Ledger()
        """What working ahead has cost all sessions."""
        self.turn_model: TurnModel | None = None
        """What understands pauses; None where it has not been fetched."""
        self._made: list[Face | STT | LLM | TTS] = []

    @property
    def face(self) -> Face:
        return _there("face", self._face)

    @property
    def stt(self) -> STT:
        return _there("speech recognition", self._stt)

    @property
    def llm(self) -> LLM:
        return _there("language model", self._llm)

    @property
    def tts(self) -> CachingTTS:
        return _there("voice", self._tts)

    def vad(self) -> Vad:
        """A voice activity detector with a state of its own."""
        assert self._new_vad is not None, "asked for before `ready`"
        return self._new_vad()

    def choices(self) -> list[Choice]:
        """What each role got, as far as chosen."""
        chosen = [engine.choice for engine in (self._face, self._stt, self._llm, self._tts) if engine is not None]
        if self.turn_model is not None:
            ends = "Smart Turn v3.2 and the speaker's own pauses decide when a turn ends."
        else:
            ends = (
                "The speaker's own pauses decide when a turn ends; python -m checkpoints.fetch turn brings a model "
                "that understands them better."
            )
        return [*chosen, Choice("vad", "silero", "the detector inside faster-whisper's package", ends)]

    def check(self, tunables: Tunables) -> None:
        """Whether what the tunables name is there. Raises `NotFound` for an unknown portrait, `Invalid` for a voice
        that no engine here has; engines that know no list of voices, such as endpoints, decide for themselves."""
        self.avatars.get(tunables.avatar)
        can = getattr(self._face, "check", None)
        if can is not None:
            can(tunables)
        known = getattr(self._tts, "voices", ())
        if tunables.voice is None or not known:
            return
        if not any(voice.answers_to(tunables.voice) for voice in known):
            raise Invalid(
                f"There is no voice named {tunables.voice!r}; GET /config lists them.",
                code="unknown_voice",
                field="voice",
            )

    async def load(self) -> None:
        """Chooses, loads and warms every engine. A role that fails stays missing, and `/ready` says why."""
        self._new_vad = await asyncio.to_thread(Vad.load)
        await self._load_turn_model()
        await asyncio.gather(
            self._role("face", self._load_face),
            self._role("stt", self._load_stt),
            self._role("llm", self._load_llm),
            self._role("tts", self._load_tts),
        )
        if not self.missing:
            self.ready.set()

    async def _role(self, role: str, load: Callable[[], Awaitable[Choice]]) -> None:
        """Loads one role, again and again until it is there: an endpoint may start after this server."""
        began = time.monotonic()
        for pause in itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1])):
            try:
                choice = await load()
            except AvatarError as error:
                self._miss(role, error.message)
                if isinstance(error, Invalid):
                    self.refused.set()
                    return
            except Exception as error:
                log.exception("%s could not be loaded", role)
                self._miss(role, f"{type(error).__name__}; the server's log says why.")
                return
            else:
                self.load_s[role] = round(time.monotonic() - began, 2)
                del self.missing[role]
                log.info("%s: %s – %s%s", role, choice.name, choice.why, f" ({choice.note})" if choice.note else "")
                return
            await asyncio.sleep(pause)

    def _miss(self, role: str, why: str) -> None:
        if self.missing[role] != why:
            log.error("%s: %s", role, why)
        self.missing[role] = why

    async def _load_turn_model(self) -> None:
        try:
            self.turn_model = await asyncio.to_thread(TurnModel.load, self._settings.data_dir)
        except NotReady as error:  # it is a help, no need
            log.warning("%s", error.message)

    async def _load_face(self) -> Choice:
        self._face = face = await self._warmed(await choose_face(self._settings.face, self._settings, self.avatars))
        self.face_ready.set()
        return face.choice

    async def _load_stt(self) -> Choice:
        self._stt = stt = await self._warmed(await choose_stt(self._settings.stt, self._settings.data_dir))
        return stt.choice

    async def _load_llm(self) -> Choice:
        self._llm = llm = await self._warmed(await choose_llm(self._settings.llm))
        return llm.choice

    async def _load_tts(self) -> Choice:
        tts = await self._warmed(await choose_tts(self._settings.tts, self._settings.data_dir))
        self._tts = CachingTTS(tts)
        self.tts_ready.set()
        self._rehearsal = asyncio.create_task(self._rehearse(self._tts), name="rehearsal")
        return tts.choice

    async def _rehearse(self, tts: CachingTTS) -> None:
        """Has the greeting and what the avatar says of itself spoken once, so that they are there when they are needed:
        an apology must not wait for an engine that may be in trouble itself."""
        greetings = [self._settings.greeting] if self._settings.greeting else list(GREETINGS.values())
        for text in [*greetings, *(text for phrases in PHRASES for text in phrases.values())]:
            splitter = ClauseSplitter("", "auto")
            for clause in [*splitter.push(text), *splitter.finish()]:
                with contextlib.suppress(AvatarError):  # no voice of that language, or none just now
                    async for _ in tts.speak(clause, None):
                        pass

    async def _warmed(self, engine: E) -> E:
        try:
            await engine.warm()
        except BaseException:
            await engine.close()
            raise
        self._made.append(engine)
        return engine

    async def close(self) -> None:
        if self._rehearsal is not None:
            self._rehearsal.cancel()
            await asyncio.gather(self._rehearsal, return_exceptions=True)
        for engine in self._made:
            await engine.close()
        if self.turn_model is not None:
            self.turn_model.close()
        self.avatars.close()
        self.pool.shutdown(wait=False, cancel_futures=True)


def _there(what: str, engine: T | None) -> T:
    if engine is None:
        raise NotReady(f"The {what} is still loading; GET /ready says when it is there.", retry_after_s=2)
    return engine
