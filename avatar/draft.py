"""A reply, and a draft of one: worked out before it is certain that the user has finished.

A draft asks the language model and has the first clause spoken, and stops there. Until it is claimed nobody hears of
it: it tells no events, touches no history, puts nothing into playout. Closing it closes the engines' iterators, which
stops their work.
"""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from .errors import EngineError
from .speak.clauses import ClauseSplitter
from .types import AudioChunk, Clause

T = TypeVar("T")

WASTE_SHARE = 0.3
"""Tokens that may be drafted in vain, as a share of those that were used: below the 0.4 that is promised, for a server
makes some that are never read."""
WASTE_ALLOWANCE = 40
"""Tokens that a fresh session may waste: two or three first clauses."""
DRAFT_TOKENS = 48
"""No draft asks for more, whatever the model writes: a first clause has 5 to 25."""
CHUNKS_AHEAD = 64
"""Chunks of the first clause's sound that are kept until the draft is claimed; the voice waits beyond."""

Voice = Callable[[Clause], AsyncIterator[AudioChunk]]


class Ledger:
    """What drafting has cost a session and what it was worth, in the pieces that language models stream: tokens."""

    def __init__(self, total: Ledger | None = None) -> None:
        """`total` is told as well: the account of all sessions."""
        self._total = total
        self.used = 0
        """Tokens of replies that were wanted."""
        self.wasted = 0
        """Tokens of drafts that were not."""

    def enter(self, *, used: int = 0, wasted: int = 0) -> None:
        """More tokens of either kind."""
        self.used += used
        self.wasted += wasted
        if self._total is not None:
            self._total.enter(used=used, wasted=wasted)

    @property
    def allows(self) -> bool:
        """Whether another draft may be wasted."""
        return self.wasted <= WASTE_SHARE * self.used + WASTE_ALLOWANCE


class Reply:
    """The language model's answer to one line, cut into clauses as it is written."""

    def __init__(self, pieces: AsyncIterator[str], splitter: ClauseSplitter) -> None:
        self._pieces = pieces
        self._splitter = splitter
        self._ready: list[Clause] = []
        self._told: Callable[[str], None] | None = None
        self._ended = False
        self.text = ""
        """What has been written so far."""
        self.tokens = 0
        self.first_token: float | None = None
        """Monotonic seconds at which the first piece came."""
        self.first_clause: float | None = None

    def tell(self, told: Callable[[str], None]) -> None:
        """The reply is wanted: `told` hears of what is written already and of every further piece."""
        self._told = told
        if self.text:
            told(self.text)

    async def first(self, most: int) -> Clause | None:
        """The first clause, as soon as it is whole; it stays the first of `clauses`. None where there is none within
        `most` tokens."""
        while not self._ready and self.tokens < most and await self._more():
            pass
        if not self._ready:
            return None
        self.first_clause = time.monotonic()
        return self._ready[0]

    async def clauses(self) -> AsyncGenerator[Clause]:
        """All clauses from the first on. Raises `EngineError` where the model fails; what was written before that has
        been given, but for a rest that is no whole clause (`rest`)."""
        while True:
            while self._ready:
                yield self._ready.pop(0)
            if not await self._more():
                break
        for clause in self._ready:
            yield clause
        self._ready.clear()

    def rest(self, text: str = "") -> list[Clause]:
        """The model failed: what it had begun, and `text` after it, as clauses."""
        return [*self._splitter.push(text), *self._splitter.finish()]

    async def _more(self) -> bool:
        """Takes another piece; False at the end."""
        if self._ended:
            return False
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._ended = True
            self._ready += self._splitter.finish()
            return False
        if self.first_token is None:
            self.first_token = time.monotonic()
        self.tokens += 1
        self.text += piece
        if self._told is not None:
            self._told(piece)
        self._ready += self._splitter.push(piece)
        return True

    async def close(self) -> None:
        """Stops the model's work."""
        self._ended = True
        if (close := getattr(self._pieces, "aclose", None)) is not None:
            await close()


class Ahead(Generic[T]):
    """Reads an iterator ahead of who will read it, at most `room` items."""

    def __init__(self, items: AsyncIterator[T], room: int) -> None:
        self._items = items
        self._queue: asyncio.Queue[tuple[T] | EngineError | None] = asyncio.Queue(room)
        self.first: float | None = None
        """Monotonic seconds at which the first item came."""
        self._task = asyncio.create_task(self._read(), name="ahead")

    async def _read(self) -> None:
        try:
            async for item in self._items:
                if self.first is None:
                    self.first = time.monotonic()
                await self._queue.put((item,))
            await self._queue.put(None)
        except EngineError as error:
            await self._queue.put(error)
        finally:
            if (close := getattr(self._items, "aclose", None)) is not None:
                await close()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        match await self._queue.get():
            case None:
                raise StopAsyncIteration
            case EngineError() as error:
                raise error
            case (item,):
                return item

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Draft:
    """One speculative reply, worked out in a task of its own up to the sound of its first clause.

    It is closed in the end, wanted or not: that is what stops the engines.
    """

    def __init__(
        self, guess: Callable[[], Awaitable[str | None]], think: Callable[[str], Reply], voice: Voice, ledger: Ledger
    ) -> None:
        """`guess` gives what the user has said so far, `think` asks the language model without anybody's knowing."""
        self._guess = guess
        self._think = think
        self._voice = voice
        self._ledger = ledger
        self._reply: Reply | None = None
        self._sound: Ahead[AudioChunk] | None = None
        self._heard: float | None = None
        self._error: EngineError | None = None
        self.from_memory = False
        """The first clause's sound was in memory."""
        self._claimed = False
        self._counted = 0
        self._text = ""
        self._task = asyncio.create_task(self._work(), name="draft")

    async def _work(self) -> None:
        try:
            text = await self._guess()
        except EngineError:  # said when the turn is certain
            return
        if not text or not self._ledger.allows:
            return
        self._heard = time.monotonic()
        self._reply = self._think(text)
        self._text = text
        try:
            clause = await self._reply.first(DRAFT_TOKENS)
        except EngineError as error:
            self._error = error
            return
        if clause is not None:
            self._sound = Ahead(self._voice(clause), CHUNKS_AHEAD)

    def answers(self, text: str) -> bool:
        """Whether this is a reply to `text`: case, spaces and punctuation waver between two recognitions."""
        return self._reply is not None and self._error is None and _key(self._text) == _key(text)

    def claim(self, told: Callable[[str], None]) -> dict[str, float]:
        """The turn is certain and `answers` says that this is its reply: `told` hears of its text. Returns when
        (monotonic seconds) the stages were reached that are done."""
        assert self._reply is not None and self._heard is not None
        self._claimed = True
        self._reply.tell(told)
        times = {
            "stt_final": self._heard,
            "llm_first_token": self._reply.first_token,
            "first_clause": self._reply.first_clause,
            "tts_first_audio": None if self._sound is None else self._sound.first,
        }
        return {stage: at for stage, at in times.items() if at is not None}

    async def clauses(self) -> AsyncGenerator[Clause]:
        """After `claim`: what the reply says. Raises `EngineError` where the model fails."""
        assert self._reply is not None
        await asyncio.wait([self._task])  # it may be writing the first clause still
        if self._error is not None:
            raise self._error
        async for clause in self._reply.clauses():
            yield clause

    def rest(self, text: str = "") -> list[Clause]:
        """The model failed: see `Reply.rest`."""
        assert self._reply is not None
        return self._reply.rest(text)

    def sound(self, clause: Clause) -> AsyncIterator[AudioChunk]:
        """The sound of a clause: of the first one what is there already."""
        if clause.index == 0 and self._sound is not None:
            return self._sound
        return self._voice(clause)

    @property
    def tokens(self) -> int:
        """Pieces that the language model has given."""
        return 0 if self._reply is None else self._reply.tokens

    async def close(self) -> None:
        """Stops everything. Harmless when repeated."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._sound is not None:
            await self._sound.aclose()
        if self._reply is not None:
            await self._reply.close()
            if not self._claimed:
                self._ledger.enter(wasted=self._reply.tokens - self._counted)
                self._counted = self._reply.tokens


def _key(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
