"""The advice on one pause: by the voice, where the turn model is there, and by the words; each as soon as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .hear.completeness import UNKNOWN, completeness
from .hear.ears import SpeechPaused
from .hear.turn_model import WINDOW, TurnModel
from .recognition import Recognition

log = logging.getLogger(__name__)


class PauseJudge:
    """Judges one pause of the user's; closed when the pause is over."""

    def __init__(
        self,
        pause: SpeechPaused,
        model: TurnModel | None,
        heard: Recognition | None,
        advise: Callable[[float | None, float], None],
    ) -> None:
        """`advise` is told the probabilities, 0 to 1, that the turn is complete, by the voice and by the words: up to
        twice, the second time better."""
        self._advise = advise
        self._voice: float | None = None
        self._words = UNKNOWN
        self._tasks: list[asyncio.Task[None]] = []
        if model is not None:
            self._tasks.append(asyncio.create_task(self._by_voice(pause, model), name="turn end by voice"))
        if heard is not None:
            self._tasks.append(asyncio.create_task(self._by_words(heard), name="turn end by words"))

    async def _by_voice(self, pause: SpeechPaused, model: TurnModel) -> None:
        try:
            self._voice = await model.complete(pause.utterance.audio.pcm[-WINDOW:])
        except Exception:  # the silence decides without it
            log.exception("the turn model failed")
        else:
            self._advise(self._voice, self._words)

    async def _by_words(self, heard: Recognition) -> None:
        text = await heard.guess()
        if text:
            self._words = completeness(text)
            if self._words != UNKNOWN:
                self._advise(self._voice, self._words)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
