"""The mind that is there without any language model: a few fixed rules that say what they are.

It answers about itself, the time, sums and simple things, in English and Japanese, and tells how to connect a real
model. It never pretends to understand: whatever no rule knows, it says so.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ..types import Choice, Message
from . import responder_en, responder_ja

MAX_ECHO = 300
"""Characters repeated after the user: nobody wants a page read back."""


def _now() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True)
class Heard:
    """What the rules may look at."""

    text: str
    """The user's words as they came."""
    earlier: tuple[Message, ...]
    """The conversation before them."""
    now: datetime
    """Local time of the server."""

    @cached_property
    def plain(self) -> str:
        """Lower case, one kind of width, quote and space, without punctuation at the ends."""
        text = unicodedata.normalize("NFKC", self.text).casefold().replace("’", "'")
        return " ".join(text.split()).strip(" .!?,。、・…")

    @property
    def answers(self) -> list[str]:
        """What was answered before."""
        return [m.text for m in self.earlier if m.role == "assistant"]

    @property
    def said(self) -> list[str]:
        """What the user said before."""
        return [m.text for m in self.earlier if m.role == "user"]

    def echoed(self, text: str) -> str:
        """The user's words for saying them back."""
        return text.strip()[:MAX_ECHO]

    def fresh(self, *variants: str) -> str:
        """The variants in turn, so that two answers in a row are not the same."""
        before = self.answers[-1] if self.answers else ""
        first = len(self.answers) % len(variants)
        chosen = variants[first]
        return variants[(first + 1) % len(variants)] if chosen == before else chosen


def is_japanese(text: str) -> bool:
    """Whether the text is written in Japanese: any kana, or ideographs without Latin words."""
    if re.search(r"[\u3040-\u30ff\uff66-\uff9f]", text):
        return True
    return bool(re.search(r"[\u4e00-\u9fff]", text)) and not re.search(r"[A-Za-z]{2}", text)


class Responder:
    """An `LLM` without a language model. `now` gives the local time, for tests."""

    def __init__(self, choice: Choice | None = None, *, now: Callable[[], datetime] = _now) -> None:
        self.choice = choice or Choice("llm", "responder", "no language model is connected")
        self._now = now

    async def warm(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        """Word by word, as a model's answer comes; at most `max_tokens` of them."""
        for piece in pieces(self.answer(messages))[:max_tokens]:
            await asyncio.sleep(0)  # lets an interruption in, as the network's waits do
            yield piece

    def answer(self, messages: Sequence[Message]) -> str:
        """The whole reply to the last user's message."""
        at = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
        if at < 0:
            return responder_en.NOTHING
        lines = [line for line in messages[at].text.splitlines() if line.strip()]
        text = lines[-1] if lines else ""  # earlier lines were never answered: the newest counts
        heard = Heard(text, tuple(messages[:at]), self._now())
        return responder_ja.answer(heard) if is_japanese(text) else responder_en.answer(heard)


def pieces(text: str) -> list[str]:
    """The text in the size that models stream: words with the space after them, Japanese in a few characters.
    Joined they are the text again."""
    return re.findall(r"[\u3000-\u9fff\uff00-\uffef]{1,3}|[^\s\u3000-\u9fff\uff00-\uffef]+\s*|\s+", text)
