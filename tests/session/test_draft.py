"""Speculation over random schedules: nothing of a draft is told, kept or spoken unless it answers what was said."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.clock import MediaClock
from avatar.conversation import Conversation
from avatar.draft import DRAFT_TOKENS, WASTE_ALLOWANCE, WASTE_SHARE, Draft, Ledger, Reply
from avatar.errors import EngineError
from avatar.events import Event, ReplyText, UserText
from avatar.face.stage import Stage
from avatar.play import playout as playout_module
from avatar.play.playout import Playout
from avatar.recognition import Recognition
from avatar.speak.clauses import ClauseSplitter
from avatar.tunables import Tunables
from avatar.turns import Request, new_id
from avatar.types import I420, AudioChunk, Choice, Clause, Message, Pcm, Slice, Transcript
from tests.session.test_interruptions import Inline
from tests.session.test_stage import ScriptedFace


class Words:
    """A recogniser of one utterance that knows what has been said so far."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.said: list[str] = []

    async def feed(self, chunk: AudioChunk) -> str | None:
        return None

    async def guess(self) -> Transcript | None:
        await steps(self.rng.randrange(6))
        return Transcript(" ".join(self.said)) if self.rng.random() < 0.9 else None

    async def finish(self) -> Transcript:
        await steps(self.rng.randrange(6))
        return Transcript(" ".join(self.said).upper() + ".")  # the final text wavers in case and punctuation

    async def close(self) -> None: ...


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Mind:
    """Answers with what it was asked, so that every spoken clause says which question it is the answer to."""

    choice = Choice("llm", "mind", "")

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.open, self.given = rng, 0, 0
        self.fails = False

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        asked = key(messages[-1].text.rsplit("\n", 1)[-1])
        self.open += 1
        try:
            await steps(self.rng.randrange(4))
            if self.fails:
                raise EngineError("it failed")
            for word in f"About {asked} I say one. About {asked} I say two. About {asked} I say three.".split():
                await steps(self.rng.randrange(3))
                self.given += 1
                yield word + " "
        finally:
            self.open -= 1


def key(text: str) -> str:
    return "-".join(text.lower().replace(".", "").split())


class Voice:
    choice = Choice("tts", "voice", "")

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.open = rng, 0

    def holds(self, clause: Clause, voice: str | None) -> bool:
        return False

    async def speak(self, clause: Clause, voice: str | None) -> AsyncIterator[AudioChunk]:
        self.open += 1
        try:
            for i in range(self.rng.randint(1, 3)):
                await steps(self.rng.randrange(3))
                yield AudioChunk(np.full(1920, 3000, np.int16), 48_000, 1920 * i)
        finally:
            self.open -= 1


class House:
    """The floor of a conversation, in a time that jumps to whatever is slept for."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.id, self.now, self.peer, self.user_speaking = "house", 1000.0, None, False
        self.tunables = Tunables()
        self.events: list[Event] = []
        self.records: list[dict[str, Any]] = []
        self.spoken: list[tuple[str, str]] = []
        """Turn and text of each clause that began to sound."""
        self.inbox: asyncio.Queue[Request] = asyncio.Queue(8)
        face = ScriptedFace(16_000, self.rng.randrange(3))
        self.mind, self.voice = Mind(self.rng), Voice(self.rng)
        self.stage = Stage(face, object(), self.tunables, 1, Inline())  # type: ignore[arg-type]
        self.playout = Playout(MediaClock(), self, self.stage.idle, self._on_slice)
        engines: Any = SimpleNamespace(
            drafts=Ledger(),
            face=face,
            llm=self.mind,
            tts=self.voice,
            stt=SimpleNamespace(choice=Choice("stt", "words", "")),
        )
        self.conversation = Conversation(self, engines)  # type: ignore[arg-type]

    def _on_slice(self, piece: Slice, slot: int) -> None:
        assert piece.turn_id is not None
        self.conversation.first_sent(piece.turn_id)
        if piece.clause_start:
            self.spoken.append((piece.turn_id, piece.text))

    def send_picture(self, slot: int, i420: I420 | None) -> None: ...

    def send_sound(self, tick: int, pcm: Pcm) -> None: ...

    async def sleep_until(self, due: float) -> None:
        self.now = max(self.now, due)
        await steps(12)

    def outbox(self, event: Event) -> None:
        self.events.append(event)

    def enter(self, state: str) -> None: ...

    def user_spoke(self, speaking: bool) -> None: ...

    async def change_avatar(self) -> None: ...

    def turn_ended(self, turn: object, record: dict[str, Any]) -> None:
        self.records.append(record)

    def silent(self) -> tuple[int, object, int, int]:
        """What a draft may not change."""
        return len(self.events), self.conversation._history.messages(), self.playout.queued, len(self.spoken)


async def talk(house: House) -> dict[str, str]:
    """A random conversation. Returns what was asked in each turn that was certain."""
    rng, conversation, asked = house.rng, house.conversation, dict[str, str]()
    number = 0
    for _ in range(rng.randint(2, 7)):
        words, turn_id = Words(rng), new_id()
        heard = Recognition(words)
        for pause in range(rng.randint(1, 4)):
            words.said += [f"word{number}", f"word{number + 1}"][: rng.randint(1, 2)]
            number += 2
            idle = not conversation.busy and house.inbox.empty()
            before = house.silent()
            conversation.anticipate(heard, turn_id)
            for _ in range(rng.randrange(40)):
                await steps(1)
                assert not idle or house.silent() == before, "a draft was told, kept or spoken"
            if rng.random() < 0.1:
                conversation.tuned()
            if pause or rng.random() < 0.7:
                conversation.think_again()  # the user goes on
        if rng.random() < 0.5:
            conversation.anticipate(heard, turn_id)
            await steps(rng.randrange(40))
            if rng.random() < 0.2:
                words.said.append("late")  # recognised only at the end
        asked[turn_id] = key(" ".join(words.said))
        house.inbox.put_nowait(Request("user", house.now, heard=heard, turn_id=turn_id))
        await steps(rng.randrange(200))
        if rng.random() < 0.3:
            conversation.interrupt(house.now)
        while conversation.busy or not house.inbox.empty():
            await steps(20)
        await steps(60)
    return asked


async def check(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        house = House(seed)
        patch.setattr(playout_module.time, "monotonic", lambda: house.now)
        patch.setattr(playout_module, "_sleep_until", house.sleep_until)
        running = [asyncio.create_task(house.playout.run()), asyncio.create_task(house.conversation.run())]
        asked = await asyncio.wait_for(talk(house), 60)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await house.conversation.close()
        await steps(20)
    for turn_id, text in house.spoken:
        assert text.split()[1] == asked[turn_id], "a discarded reply was spoken"
    for event in house.events:
        if isinstance(event, ReplyText):
            assert all(word == asked[event.turn_id] for word in event.text.split() if "word" in word)
        if isinstance(event, UserText):
            assert event.final and key(event.text) in asked.values()
    assert house.mind.open == house.voice.open == 0, "an engine still works"
    ledger = house.conversation._ledger
    assert ledger.used + ledger.wasted <= house.mind.given
    assert ledger.wasted <= WASTE_SHARE * ledger.used + WASTE_ALLOWANCE + DRAFT_TOKENS


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_a_discarded_reply_is_never_spoken(seed: int) -> None:
    asyncio.run(check(seed))


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def guess(text: str) -> str:
    return text


def draft(rng: random.Random, mind: Mind, ledger: Ledger, text: str) -> Draft:
    def think(said: str) -> Reply:
        return Reply(mind.reply([Message("user", said)], max_tokens=9), ClauseSplitter("t"))

    return Draft(lambda: guess(text), think, lambda clause: Voice(rng).speak(clause, None), ledger)


async def test_a_draft_stops_at_its_first_clause() -> None:
    rng = random.Random(1)
    mind = Mind(rng)
    made = draft(rng, mind, ledger := Ledger(), "word0")
    await steps(500)
    assert made.answers("Word0!") and not made.answers("word0 word1")
    assert mind.given <= 6
    await made.close()
    assert mind.open == 0 and ledger.wasted == mind.given
    await made.close()
    assert ledger.wasted == mind.given


async def test_a_claimed_draft_goes_on_where_it_stood() -> None:
    rng = random.Random(2)
    for wait in (0, 3, 7, 20, 500):
        mind = Mind(rng)
        made = draft(rng, mind, Ledger(), "word0")
        while not made.answers("word0"):
            await steps(1)
        await steps(wait)
        told: list[str] = []
        made.claim(told.append)
        clauses = [clause async for clause in made.clauses()]
        assert [c.text for c in clauses] == [f"About word0 I say {n}." for n in ("one", "two", "three")]
        assert "".join(told).split() == " ".join(c.text for c in clauses).split()
        assert [chunk async for chunk in made.sound(clauses[0])]
        await made.close()
        assert mind.open == 0


async def test_a_draft_that_fails_answers_nothing() -> None:
    rng = random.Random(3)
    mind = Mind(rng)
    mind.fails = True
    made = draft(rng, mind, Ledger(), "word0")
    await steps(100)
    assert not made.answers("word0")
    await made.close()


async def test_a_session_that_wastes_too_much_stops_drafting() -> None:
    rng, ledger = random.Random(4), Ledger()
    mind = Mind(rng)
    for _ in range(40):
        made = draft(rng, mind, ledger, "word0")
        await steps(300)
        await made.close()
    assert WASTE_ALLOWANCE < ledger.wasted <= WASTE_ALLOWANCE + DRAFT_TOKENS
    ledger.used = 1000
    assert ledger.allows


@pytest.mark.parametrize("count", range(4))
async def test_a_turn_can_be_interrupted_before_it_has_taken_a_step(count: int) -> None:
    house = House(1)
    running = asyncio.create_task(house.conversation.run())
    await steps(3)
    house.inbox.put_nowait(Request("say", house.now, text="Never mind this."))
    await steps(count)
    if house.inbox.empty():
        assert house.conversation.interrupt(house.now) is not None
        await steps(50)
        assert not house.spoken and not house.conversation.busy
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_history_has_what_was_heard_and_nothing_of_a_line_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(5)
    conversation, history = house.conversation, house.conversation._history
    monkeypatch.setattr(playout_module.time, "monotonic", lambda: house.now)
    monkeypatch.setattr(playout_module, "_sleep_until", house.sleep_until)

    async def say(text: str) -> None:
        words = Words(house.rng)
        words.said.append(text)
        house.inbox.put_nowait(Request("user", house.now, heard=Recognition(words)))

    running = [asyncio.create_task(house.playout.run()), asyncio.create_task(conversation.run())]
    await say("first")
    while not house.playout.heard().seconds:
        await steps(1)
    cuts: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(house.stage, "cut", cuts.append)
        conversation.hold()
    assert cuts == [house.playout.shown], "the mouth closes from the picture that was seen last"
    house.stage.cut(cuts[0])
    event = conversation.interrupt(house.now)
    assert event is not None and event.heard_text
    assert history.messages()[-1] == Message("assistant", event.heard_text)
    before = history.messages()
    await say("second")
    while history.messages() == before:
        await steps(1)
    assert not house.playout.heard().seconds, "it is not heard yet"
    said = conversation.supersede(house.now)
    assert said is not None and (await said.text()).startswith("SECOND")
    assert history.messages() == before, "what was not the whole line is no line"
    await said.close()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await conversation.close()


async def test_a_turn_that_was_worked_out_ahead_says_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(7)
    words = Words(random.Random(1))
    words.said.append("hello")
    heard = Recognition(words)
    house.conversation.anticipate(heard, "t")
    await steps(300)
    monkeypatch.setattr(playout_module.time, "monotonic", lambda: house.now)
    monkeypatch.setattr(playout_module, "_sleep_until", house.sleep_until)
    running = [asyncio.create_task(house.playout.run()), asyncio.create_task(house.conversation.run())]
    house.now = time.perf_counter() + 1e6  # whatever clock the draft was dated by, the turn begins after it
    house.inbox.put_nowait(Request("user", house.now, endpoint=house.now + 0.4, heard=heard, turn_id="t"))
    while not house.records:
        await steps(20)
    (record,) = house.records
    assert list(record["ahead_ms"]) == ["stt_final", "llm_first_token", "first_clause", "tts_first_audio"]
    assert all(ahead > 0 for ahead in record["ahead_ms"].values())
    assert record["endpoint"] == 400.0
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await house.conversation.close()
