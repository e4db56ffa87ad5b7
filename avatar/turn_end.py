"""The advice on one pause: by the tone of the voice, by the turn model where it is there, and by the words; each as
soon as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from .errors import EngineError
from .hear.completeness import UNKNOWN, completeness
from .hear.ears import SpeechPaused
from .hear.tone import fall
from .hear.turn_model import WINDOW, TurnModel
from .hear.verdict import Advice
from .recognition import Recognition

log = logging.getLogger(__name__)

_Judge = Callable[[], Awaitable[Advice | None]]
"""Gives the advice with what it found out, or None."""


class PauseJudge:
    """Judges one pause of the user's; closed when the pause is over."""

    def __init__(
        self,
        pause: SpeechPaused,
        model: TurnModel | None,
        heard: Recognition | None,
        advise: Callable[[Advice], None],
    ) -> None:
        """`advise` is told all that is known, each time that more is: up to three times."""
        self._advise = advise
        self._advice = Advice()
        self._tasks = [self._begin("tone", lambda: self._by_tone(pause))]
        if model is not None:
            self._tasks.append(self._begin("voice", lambda: self._by_voice(pause, model)))
        if heard is not None:
            self._tasks.append(self._begin("words", lambda: self._by_words(heard)))

    def _begin(self, name: str, judge: _Judge) -> asyncio.Task[None]:
        return asyncio.create_task(self._tell(name, judge), name=f"turn end by {name}")

    async def _tell(self, name: str, judge: _Judge) -> None:
        try:
            found = await judge()
        except EngineError:  # whoever asks for the final text is told
            return
        except Exception:  # the others and the silence decide without it
            log.exception("the end of a turn could not be judged by its %s", name)
            return
        if found is not None:
            self._advice = found
            self._advise(found)

    async def _by_tone(self, pause: SpeechPaused) -> Advice | None:
        audio = pause.utterance.audio
        tone = await asyncio.to_thread(fall, audio.pcm, pause.utterance.speech_end - audio.start)
        return None if tone is None else replace(self._advice, tone=tone)

    async def _by_voice(self, pause: SpeechPaused, model: TurnModel) -> Advice:
        voice = await model.complete(pause.utterance.audio.pcm[-WINDOW:])
        return replace(self._advice, voice=voice)

    async def _by_words(self, heard: Recognition) -> Advice | None:
        text = await heard.guess()
        words = completeness(text) if text else UNKNOWN
        return None if words == UNKNOWN else replace(self._advice, words=words)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
