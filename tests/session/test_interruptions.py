"""Interruptions and false alarms at random moments: what is on the wire then, and what is said to have been heard.

The real line from clauses to the wire, in a time that jumps to whatever is slept for. Each word is a level of its own,
so the wire shows which words were sent, and how much of each.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest

from avatar.clock import MediaClock
from avatar.errors import EngineError
from avatar.face.stage import Stage
from avatar.play import playout as playout_module
from avatar.play.heard import Heard
from avatar.play.playout import Playout
from avatar.talk import Marks, speak
from avatar.tunables import Tunables
from avatar.types import I420, AudioChunk, Clause, Frame, Pcm, Word
from tests.session.test_stage import ScriptedFace

RATE = 48_000
ROUNDS = 200
FADED = 480
"""Samples of a word that a fade may take from it."""


class Inline(Executor):
    """Works at once: the test's time does not pass meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@dataclass
class Script:
    """What a turn says: words of given lengths, each with a level of its own."""

    clauses: list[list[tuple[str, int, int]]]
    """Text, level, samples."""

    @property
    def words(self) -> list[tuple[str, int, int]]:
        return [word for clause in self.clauses for word in clause]

    @property
    def text(self) -> str:
        return " ".join(word for word, _, _ in self.words)


def script(rng: random.Random) -> Script:
    clauses, number = [], 0
    for _ in range(rng.randint(1, 4)):
        clause = []
        for _ in range(rng.randint(1, 6)):
            clause.append((f"word{number}", 2000 + 200 * number, rng.randrange(4000, 18_000)))
            number += 1
        clauses.append(clause)
    return Script(clauses)


class Line:
    """One turn on its way to the wire."""

    def __init__(self, rng: random.Random, plan: Script, *, times: bool) -> None:
        self.rng, self.plan, self.times = rng, plan, times
        self.now = 1000.0
        self.ticks: list[tuple[int, Pcm]] = []
        self.floor = asyncio.Event()
        self.floor.set()
        self.shown: list[int] = []
        self.face = ScriptedFace(16_000, rng.randrange(4))
        self.stage = Stage(self.face, object(), Tunables(), 1, Inline())  # type: ignore[arg-type]
        self.playout = Playout(MediaClock(), self, self.stage.idle, lambda piece, slot: self.shown.append(slot))

    def send_picture(self, slot: int, i420: I420 | None) -> None: ...

    def send_sound(self, tick: int, pcm: Pcm) -> None:
        self.ticks.append((tick, pcm.copy()))

    async def sleep_until(self, due: float) -> None:
        self.now = max(self.now, due)
        for _ in range(12):
            await asyncio.sleep(0)

    async def thinking(self) -> AsyncIterator[Clause]:
        for index, clause in enumerate(self.plan.clauses):
            await self.slots(self.rng.randrange(8))
            yield Clause(" ".join(word for word, _, _ in clause), index, "t")

    async def voice(self, clause: Clause) -> AsyncIterator[AudioChunk]:
        words = self.plan.clauses[clause.index]
        pcm = np.concatenate([np.full(length, level, np.int16) for _, level, length in words])
        ends = np.cumsum([length for _, _, length in words]).tolist()
        marks = tuple(Word(w, end - length, end) for (w, _, length), end in zip(words, ends, strict=True))
        at = 0
        while at < len(pcm):
            step = self.rng.randrange(500, 9000)
            known = tuple(m for m in marks if at <= m.start < at + step) if self.times else ()
            yield AudioChunk(pcm[at : at + step], RATE, at, known)
            at += step

    async def slots(self, count: int) -> None:
        end = len(self.ticks) + 2 * count
        while len(self.ticks) < end:
            await asyncio.sleep(0)

    def wire(self) -> list[tuple[int, int]]:
        """Runs of one level on the wire: level, samples. Where a word fades or swells it has no level."""
        sound = np.concatenate([pcm for _, pcm in self.ticks])
        edges = np.flatnonzero(np.diff(sound, prepend=-1, append=-1))
        return [(int(sound[a]), b - a) for a, b in pairwise(edges.tolist()) if b - a > 16]

    def hold(self) -> Heard:
        self.floor.clear()
        heard = self.playout.hold()
        self.stage.cut(self.playout.shown)
        return heard

    def cut(self, task: asyncio.Task[None]) -> Heard:
        heard = self.playout.flush()
        self.stage.cut(self.playout.shown)
        task.cancel()
        return heard


async def _idle(*_: object) -> Frame | None:
    return None


def marks() -> Marks:
    return Marks(lambda clause: None, lambda: None, lambda: None, lambda error: None)


def spoken(plan: Script, wire: list[tuple[int, int]]) -> int:
    """How many words were sent, of the last one more than half."""
    lengths = {level: length for _, level, length in plan.words}
    sent: dict[int, int] = {}
    for level, samples in wire:
        if level in lengths:
            sent[level] = max(samples, sent.get(level, 0))
    return sum(1 for level, samples in sent.items() if samples > lengths[level] / 2)


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[Line], None]:
    def use(line: Line) -> None:
        monkeypatch.setattr(playout_module.time, "monotonic", lambda: line.now)
        monkeypatch.setattr(playout_module, "_sleep_until", line.sleep_until)

    return use


async def test_random_interruptions_and_false_alarms(jump: Callable[[Line], None]) -> None:
    wrong = 0
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        plan = script(rng)
        line = Line(rng, plan, times=seed % 4 != 0)
        jump(line)
        running = asyncio.create_task(line.playout.run())
        line.playout.begin("t")
        talk = asyncio.create_task(
            speak(line.thinking(), line.voice, line.stage, line.playout, marks(), turn_id="t", floor=line.floor)
        )
        alarms, cut = rng.randrange(3), rng.random() < 0.6
        for _ in range(alarms):
            await line.slots(rng.randrange(40))
            line.hold()
            before = len(line.ticks)
            await line.slots(rng.randrange(1, 12))
            assert not any(pcm.any() for _, pcm in line.ticks[before + 2 :]), f"{seed}: held, and it speaks"
            if not (cut and rng.random() < 0.3):
                line.floor.set()
        if cut:
            await line.slots(rng.randrange(50))
            heard = line.cut(talk)
            before = len(line.ticks)
            await line.slots(12)
            assert not any(pcm.any() for _, pcm in line.ticks[before + 2 :]), f"{seed}: cut, and it speaks"
            assert plan.text.startswith(heard.text)
            wrong += abs(len(heard.text.split()) - spoken(plan, line.wire())) > (1 if line.times else 2)
            frame = await line.stage.idle(line.playout.shown)
            assert frame is not None, f"{seed}: the face does not go on"
        else:
            line.floor.set()
            await asyncio.wait_for(talk, 30)
            assert line.playout.heard().text == plan.text and line.playout.heard().complete
            whole(plan, line, seed)
        running.cancel()
        talk.cancel()
        await asyncio.gather(running, talk, return_exceptions=True)
    assert wrong <= ROUNDS // 20, f"heard_text was wrong {wrong} times"


def whole(plan: Script, line: Line, seed: int) -> None:
    """Every word was heard once without a cut, in order, and what was cut was said again from its beginning."""
    lengths = {level: length for _, level, length in plan.words}
    runs = [(level, samples) for level, samples in line.wire() if level in lengths]
    if not line.times:  # a level has no quiet place between two words: some word is said again somewhere before the cut
        assert {level for level, _ in runs} == set(lengths)
        return
    swell = FADED + 4  # the first milliseconds of what is said again swell
    complete = [level for level, samples in runs if samples >= lengths[level] - swell]
    assert sorted(set(complete)) == sorted(lengths), f"{seed}: a word was never heard whole"
    order = [level for level, _ in groupby(runs, key=lambda run: run[0])]
    assert order == sorted(order), f"{seed}: words out of order"


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("held", [False, True])
async def test_a_clause_whose_voice_breaks_off_was_not_heard_whole(
    jump: Callable[[Line], None], times: bool, held: bool
) -> None:
    """Also where it is performed again after a false alarm."""
    text = [(f"word{i}", 2000 + 200 * i, 18_000) for i in range(8)]
    line = Line(random.Random(3), Script([text, [("end", 9000, 9000)]]), times=times)
    jump(line)
    whole_voice, troubles = line.voice, list[str]()

    async def torn(clause: Clause) -> AsyncIterator[AudioChunk]:
        async for chunk in whole_voice(clause):
            if clause.index == 0 and chunk.end > 72_000:
                raise EngineError("The voice choked.")
            yield chunk

    running = asyncio.create_task(line.playout.run())
    line.playout.begin("t")
    told = Marks(lambda clause: None, lambda: None, lambda: None, lambda error: troubles.append(error.message))
    talk = asyncio.create_task(
        speak(line.thinking(), torn, line.stage, line.playout, told, turn_id="t", floor=line.floor)
    )
    if held:
        while line.playout.position().sample < 60_000:
            await line.slots(1)
        line.hold()
        await line.slots(5)
        line.floor.set()
    await asyncio.wait_for(talk, 30)
    heard = line.playout.heard()
    words = heard.text.split()
    assert words[-1] == "end" and 2 <= len(words) <= 5 and words[:-1] == [word for word, _, _ in text][: len(words) - 1]
    assert not heard.complete and set(troubles) == {"The voice choked."}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
