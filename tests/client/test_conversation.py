import asyncio
import json
from typing import Any

import pytest

from client.conversation import MAX_TURNS, Conversation


def frame(kind: str, data: dict[str, Any]) -> str:
    return json.dumps({"label": "rtvi-ai", "type": kind, "id": "1", "data": data})


def ours(t: str, **fields: Any) -> str:
    return frame("server-message", {"t": t, **fields})


def test_the_newest_state_is_kept() -> None:
    talk = Conversation()
    talk.receive(frame("bot-ready", {"version": "2.1.0"}), 1.0)
    talk.receive(ours("state", state="thinking"), 2.0)
    assert talk.bot_ready
    assert (talk.state, talk.active) == ("thinking", 2.0)


def test_a_turns_sound_is_dated_by_the_servers_word() -> None:
    talk = Conversation()
    for at, text in enumerate(
        [
            frame("bot-started-speaking", {}),
            frame("bot-stopped-speaking", {}),
            frame("bot-started-speaking", {}),  # it was held for a noise
            frame("bot-stopped-speaking", {}),
            ours("turn", turn_id="a", reply_text="one"),
            ours("turn", turn_id="b", reply_text="", error="the voice failed"),
            frame("bot-started-speaking", {}),
            ours("turn", turn_id="c", reply_text="three"),
        ]
    ):
        talk.receive(text, float(at))
    assert list(talk.turns) == ["a", "b", "c"]
    assert talk.told == {"a": 0.0, "c": 6.0}
    assert "t" not in talk.turns["a"]


@pytest.mark.parametrize("data", [{"session": {"fps": 20}, "fps": 20, "reason": "load"}, {"fps": 20, "reason": "load"}])
def test_the_effective_session_is_read_nested_or_flat(data: dict[str, Any]) -> None:
    talk = Conversation()
    talk.receive(ours("session", **data), 0.0)
    assert talk.session == {"fps": 20}


@pytest.mark.parametrize(
    "text", ["", "ping", "{", "[]", "null", '{"type":"signalling"}', frame("who-knows", {}), '{"label":"rtvi-ai"}']
)
def test_whatever_else_comes_changes_nothing(text: str) -> None:
    talk = Conversation()
    talk.receive(text, 0.0)
    assert talk.state == ""
    assert not talk.turns


def test_errors_are_kept_in_words_and_told() -> None:
    told: list[str] = []
    talk = Conversation(lambda kind, data, now: told.append(kind))
    talk.receive(frame("error", {"message": "the language model is away"}), 0.0)
    assert talk.errors == ["the language model is away"]
    assert told == ["error"]


def test_turns_are_bounded() -> None:
    talk = Conversation()
    for n in range(MAX_TURNS + 5):
        talk.receive(frame("bot-started-speaking", {}), float(n))
        talk.receive(ours("turn", turn_id=str(n)), float(n))
    assert len(talk.turns) == len(talk.told) == MAX_TURNS
    assert "0" not in talk.turns


async def test_waiting_ends_with_the_message_that_brings_it() -> None:
    talk = Conversation()
    waiting = asyncio.create_task(talk.until(lambda: talk.state == "idle", every=3600))
    await asyncio.sleep(0)
    talk.receive(ours("state", state="speaking"), 0.0)
    await asyncio.sleep(0)
    assert not waiting.done()
    talk.receive(ours("state", state="idle"), 0.0)
    await asyncio.wait_for(waiting, 5)
