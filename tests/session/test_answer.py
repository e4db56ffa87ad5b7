"""What stands in for an answer that cannot be spoken."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from avatar.answer import answer
from avatar.draft import Reply
from avatar.events import Event, ReplyText
from avatar.phrases import APOLOGY, ON_SCREEN
from avatar.speak.clauses import ClauseSplitter, speakable
from avatar.types import Clause, Turn


async def said(turn: Turn, *pieces: str) -> list[Clause]:
    async def written() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    def wrote(text: str) -> None:
        turn.reply_text += text

    told: list[Event] = []
    reply = Reply(written(), ClauseSplitter(turn.id))
    reply.tell(wrote)
    clauses = [clause async for clause in answer(turn, reply, "auto", told.append, lambda error: None)]
    assert "".join(pieces) + "".join(e.text for e in told if isinstance(e, ReplyText)) == turn.reply_text
    assert [clause.index for clause in clauses] == list(range(len(clauses)))
    return clauses


@pytest.mark.parametrize("text", ["\U0001f642", "```\nx = 1\n```", "...", "." * 900, "---\n\n\U0001f44d\U0001f44d"])
@pytest.mark.parametrize(("asked", "language"), [("Show me.", "en"), ("見せてください。", "ja")])
async def test_an_answer_without_anything_to_say_is_said_to_be_on_the_screen(
    text: str, asked: str, language: str
) -> None:
    turn = Turn("t", 0.0, user_text=asked)
    clauses = await said(turn, text)
    aloud = [clause.text for clause in clauses if speakable(clause.text, clause.language or language)]
    assert aloud == [ON_SCREEN[language]]
    assert turn.notes == ("unsayable",) and turn.reply_text == f"{text}\n{ON_SCREEN[language]}"


async def test_an_answer_of_which_something_can_be_said_is_left_alone() -> None:
    turn = Turn("t", 0.0, user_text="Show me.")
    clauses = await said(turn, "Yes. ", "\U0001f642")
    assert clauses[0].text == "Yes." and "".join(clause.text for clause in clauses[1:]) == "\U0001f642"
    assert not turn.notes


async def test_an_answer_of_spaces_is_none() -> None:
    turn = Turn("t", 0.0, user_text="Show me.")
    assert [clause.text for clause in await said(turn, " \n")] == [APOLOGY["en"]]
    assert turn.notes == ("no_reply",)
