"""Words that an overloaded recogniser tells late, when the avatar has gone on or the user has said more: they are
answered once, in the order in which they were said, and never after what came later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avatar.events import UserText
from avatar.hear.ears import SpeechEnded, SpeechStarted
from avatar.listening import Listener
from avatar.recognition import Recognition
from avatar.turns import Request
from avatar.types import AudioChunk, Transcript, Utterance

SECOND = 16_000


class Late:
    """A recogniser whose finals come when the test lets them."""

    def __init__(self) -> None:
        self.finals: list[asyncio.Future[str]] = []
        self.closed: list[int] = []

    def open(self, language: str) -> Any:
        late, number = self, len(self.finals)
        self.finals.append(asyncio.get_running_loop().create_future())

        class Stream:
            async def feed(self, chunk: AudioChunk) -> str | None:
                return None

            async def guess(self) -> Transcript | None:
                return None

            async def finish(self) -> Transcript:
                return Transcript(await asyncio.shield(late.finals[number]))

            async def close(self) -> None:
                late.closed.append(number)

        return Stream()


@dataclass
class Floor:
    """A session whose turn is on as long as the test says."""

    tunables: Any = field(default_factory=lambda: SimpleNamespace(interruptible=True, language="en"))
    turn_id: str | None = "counting"
    told: list[Any] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    user_speaking: bool = False

    def hold(self) -> str | None:
        return self.turn_id

    def release(self) -> None:
        self.done.append("released")

    def interrupt(self, onset: float, *, by_voice: bool = False) -> None:
        self.done.append("interrupted")
        self.turn_id = None

    def supersede(self, onset: float) -> Recognition | None:
        return None

    def ask(self, request: Request, *, interrupt: bool) -> str:
        self.asked.append(request)
        return request.turn_id

    def outbox(self, event: Any) -> None:
        self.told.append(event)

    def user_spoke(self, speaking: bool) -> None: ...
    def think_again(self) -> None: ...


class Scene:
    """One listener, and what the user does."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.late, self.floor, self._group, self._now = Late(), Floor(), group, 0
        engines = SimpleNamespace(stt=self.late, turn_model=None)
        self.listener = Listener(self.floor, engines)  # type: ignore[arg-type]
        self.listener._origin = 0.0

    async def says(self, seconds: float = 0.5) -> None:
        """An utterance of which no word is known yet."""
        begin, end = self._now, self._now + round(seconds * SECOND)
        chunk = AudioChunk(np.zeros(end - begin, np.int16), SECOND, begin)
        await self.listener._on(SpeechStarted(begin, chunk), None, self._group)  # type: ignore[arg-type]
        doubt = self.listener._doubt
        if doubt is not None:
            doubt.judge.voice(end / SECOND, seconds)
        ended = SpeechEnded(Utterance(chunk, end), end + SECOND // 2)
        await self.listener._on(ended, None, self._group)  # type: ignore[arg-type]
        self._now = end + 3 * SECOND
        await self.tick()

    async def tick(self) -> None:
        for doubt in list(self.listener._doubts):
            doubt.judge.tick(self._now / SECOND)
            self.listener._settle(doubt)
        for _ in range(10):
            await asyncio.sleep(0)

    async def knows(self, number: int, text: str) -> None:
        self.late.finals[number].set_result(text)
        await self.tick()


async def test_words_that_come_after_the_avatar_went_on_interrupt_it_still() -> None:
    async with asyncio.TaskGroup() as group:
        scene = Scene(group)
        await scene.says()
        assert scene.floor.done == ["released"], "two seconds without words"
        await scene.knows(0, "what time is it")
        assert scene.floor.done == ["released", "interrupted"]
        (request,) = scene.floor.asked
        assert request.heard is not None and await request.heard.text() == "what time is it"
        await request.drop()


async def test_words_that_come_after_that_turn_ended_are_answered() -> None:
    async with asyncio.TaskGroup() as group:
        scene = Scene(group)
        await scene.says()
        scene.floor.turn_id = None
        await scene.knows(0, "what time is it")
        assert len(scene.floor.asked) == 1 and "interrupted" not in scene.floor.done
        await scene.floor.asked[0].drop()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("speaking", [True, False])
async def test_what_was_said_since_is_answered_with_it_in_order(order: tuple[int, int], speaking: bool) -> None:
    texts = "what time is it", "in Tokyo please"
    async with asyncio.TaskGroup() as group:
        scene = Scene(group)
        await scene.says()
        if not speaking:
            scene.floor.turn_id = None
        await scene.says()
        for number in order:
            await scene.knows(number, texts[number])
        (request,) = scene.floor.asked
        assert request.heard is not None and await request.heard.text() == "what time is it in Tokyo please"
        await request.drop()
        assert sorted(set(scene.late.closed)) == [0, 1], "nothing is left open"


@pytest.mark.parametrize("first", ["uh-huh", ""])
async def test_a_late_sound_of_listening_begins_no_line(first: str) -> None:
    async with asyncio.TaskGroup() as group:
        scene = Scene(group)
        await scene.says()
        scene.floor.turn_id = None
        await scene.says()
        assert len(scene.floor.asked) == 1, "nobody speaks: the second line is a turn at once"
        reading = asyncio.create_task(scene.floor.asked[0].heard.text())  # type: ignore[union-attr]
        await scene.knows(1, "what time is it")
        await scene.knows(0, first)
        assert await reading == "what time is it"
        assert len(scene.floor.asked) == 1
        assert not [event for event in scene.floor.told if isinstance(event, UserText)]
        await scene.floor.asked[0].drop()
