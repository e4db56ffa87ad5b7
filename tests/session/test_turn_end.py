"""The advice on one pause."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import numpy as np

from avatar.errors import EngineError
from avatar.hear.completeness import WHOLE
from avatar.hear.ears import SpeechPaused
from avatar.hear.turn_model import TurnModel
from avatar.hear.verdict import Advice
from avatar.recognition import Recognition
from avatar.turn_end import PauseJudge
from avatar.types import AudioChunk, Utterance


def paused() -> SpeechPaused:
    t = np.arange(32_000) / 16_000
    hertz = np.where(t < 1.6, 200.0, 130.0)
    wave = sum(np.sin(k * 2 * np.pi * np.cumsum(hertz) / 16_000) / k for k in range(1, 8))
    sound = np.concatenate([4000 * wave, np.zeros(3200)]).astype(np.int16)
    utterance = Utterance(AudioChunk(sound, 16_000, 7000), 7000 + 32_000, final=False)
    return SpeechPaused(utterance, at=7000 + len(sound), offset=7000 + 32_000)


class Model:
    def __init__(self, answer: float | Exception) -> None:
        self._answer = answer

    async def complete(self, pcm: Any) -> float:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Heard:
    def __init__(self, answer: str | Exception | None) -> None:
        self._answer = answer

    async def guess(self) -> str | None:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def advice(model: Model | None, heard: Heard | None) -> list[Advice]:
    """All that was told, until nobody had more to say."""
    told: list[Advice] = []
    judge = PauseJudge(paused(), cast(TurnModel | None, model), cast(Recognition | None, heard), told.append)
    await asyncio.gather(*judge._tasks)
    await judge.close()
    return told


async def test_all_that_is_known_is_told_together_in_the_end() -> None:
    told = await advice(Model(0.8), Heard("what time is it in Tokyo now"))
    assert len(told) == 3
    last = told[-1]
    assert last.voice == 0.8 and last.words == WHOLE
    assert last.tone is not None and 6 < last.tone < 9


async def test_without_model_and_words_the_tone_speaks_alone() -> None:
    (only,) = await advice(None, None)
    assert only.tone is not None and only == Advice(tone=only.tone)


async def test_who_fails_or_knows_nothing_is_silent() -> None:
    for heard in (Heard(EngineError("no")), Heard(RuntimeError("no")), Heard(None), Heard("")):
        told = await advice(Model(RuntimeError("no")), heard)
        assert [(row.voice, row.words) for row in told] == [(None, Advice().words)]


async def test_a_pause_that_is_over_is_not_judged() -> None:
    told: list[Advice] = []
    judge = PauseJudge(paused(), cast(TurnModel, Model(0.8)), cast(Recognition, Heard("go on please now")), told.append)
    await judge.close()
    await asyncio.sleep(0.05)
    assert told == []
