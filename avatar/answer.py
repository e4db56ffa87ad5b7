"""What a turn says, clause by clause: the model's reply and what stands in for it, or a text that was given."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

from .draft import Draft, Reply
from .errors import AvatarError, EngineError
from .events import Event, ReplyEnded, ReplyText
from .phrases import APOLOGY, BROKEN_OFF, ENOUGH, ON_SCREEN, ONE_MOMENT, SLOW_S, phrase
from .speak.clauses import ClauseSplitter, speakable
from .think.wire import TOO_LONG
from .types import Clause, Turn

SENTENCE_ENDS = ".!?…。！？"


async def answer(
    turn: Turn,
    reply: Reply | Draft,
    language: str,
    tell: Callable[[Event], None],
    trouble: Callable[[AvatarError], None],
) -> AsyncIterator[Clause]:
    """The language model's reply. Where it is slow to begin, fails, or writes nothing that can be said, the avatar
    says so. `trouble` hears of a failure, `tell` of what is said because of it."""
    count = itertools.count()

    def numbered(clause: Clause) -> Clause:
        return replace(clause, index=next(count))

    try:
        async with aclosing(reply.clauses()) as clauses:
            first = asyncio.ensure_future(anext(clauses, None))
            try:
                if not (await asyncio.wait([first], timeout=SLOW_S))[0]:
                    turn.notes += ("slow",)
                    yield numbered(Clause(phrase(ONE_MOMENT, language, turn.user_text), 0, turn.id))
                clause = await first
            finally:
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
            sayable = False
            while clause is not None:
                sayable = sayable or bool(speakable(clause.text, clause.language))
                yield numbered(clause)
                clause = await anext(clauses, None)
        if not sayable:
            note, words = ("unsayable", ON_SCREEN) if turn.reply_text.strip() else ("no_reply", APOLOGY)
            turn.notes += (note,)
            text = phrase(words, language, turn.user_text)
            rest = f"\n{text}" if note == "unsayable" else text
            turn.reply_text += rest
            tell(ReplyText(turn.id, rest))
            yield numbered(Clause(text, 0, turn.id))
    except EngineError as error:
        begun = bool(turn.reply_text.strip())
        if error.code == TOO_LONG:
            note, words = "too_long", ENOUGH
        else:
            trouble(error)
            note, words = ("broken_off", BROKEN_OFF) if begun else ("no_reply", APOLOGY)
        turn.notes += (note,)
        rest = _after(turn.reply_text) + phrase(words, language, turn.user_text)
        turn.reply_text += rest
        tell(ReplyText(turn.id, rest))
        for clause in reply.rest(rest):
            yield numbered(clause)
    tell(ReplyEnded(turn.id))


def _after(text: str) -> str:
    """What stands between an answer that ended too soon and the next sentence."""
    end = text.rstrip()[-1:]
    if not end or end in SENTENCE_ENDS:
        return "" if not end or text[-1].isspace() or not end.isascii() else " "
    return "… "


async def read(turn: Turn, text: str, language: str) -> AsyncIterator[Clause]:
    """A text as it is."""
    turn.reply_text = text
    splitter = ClauseSplitter(turn.id, language)
    for clause in [*splitter.push(text), *splitter.finish()]:
        yield clause


async def one(clause: Clause) -> AsyncIterator[Clause]:
    yield clause
