"""What a session's language model is told: a stable head, then what was said and heard.

Pure: no clock, no engine. The head never changes and the rest is append-only until it is trimmed, so that an engine
that keeps the prefix of its last prompt (llama.cpp, vLLM, Ollama) has only the newest turn to read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from ..types import Message

T = TypeVar("T")

MAX_CHARS = 12_000
"""About 3,000 tokens of English or 9,000 of Japanese: twenty minutes of talk, and it fits an 8k context."""

MAX_TURNS = 40
"""Every turn costs a small model attention; nobody refers back further in a spoken conversation."""

REPLY_TOKENS = 320
"""About a minute and a half of speech. A spoken answer that is longer has lost its listener."""

SPEECH_RULES = (
    "You are speaking with someone through a talking face: your words are read aloud by a synthetic voice. "
    "Answer in one to three short sentences, as people talk, unless you are asked for more. "
    "Write plain sentences only: no markdown, no lists, no headings, no code, no emoji, no links. "
    "Write numbers, units and abbreviations the way they are spoken. "
    "What the person says reaches you through speech recognition, so read past its mistakes, "
    "and ask briefly when you did not understand. If you do not know something, say so."
)

DEFAULT_ROLE = "You are a friendly, attentive companion in conversation."

_LANGUAGES = {
    "en": "English",
    "ja": "Japanese",
    "zh": "Chinese",
    "ko": "Korean",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "ru": "Russian",
}


def system_prompt(instructions: str | None, language: str = "auto") -> str:
    """The head of every request: how to speak, in which language, and in which role.

    `language` is a BCP 47 tag, or "auto" for the language that the person speaks.
    """
    name = _LANGUAGES.get(language.partition("-")[0].lower(), language)
    tongue = "Answer in the language that the person speaks." if language == "auto" else f"Answer in {name}."
    return f"{SPEECH_RULES} {tongue}\n\n{instructions or DEFAULT_ROLE}"


class History:
    """One session's conversation, as its language model is given it.

    Trimming: when the texts pass `max_chars` or the turns `max_turns`, whole turns (a user's message and the answer)
    go from the front until half of the limit is left. Half, not just enough: otherwise every further turn would
    trim again and no prefix would ever be the same twice. Of the newest turn only what the avatar said first is
    trimmed, where it has been made to say much after it; likewise of what it said before the first turn.
    """

    def __init__(
        self,
        instructions: str | None = None,
        *,
        language: str = "auto",
        max_chars: int = MAX_CHARS,
        max_turns: int = MAX_TURNS,
    ) -> None:
        self._head = system_prompt(instructions, language)
        self._opening: list[str] = []
        self._turns: list[list[Message]] = []
        self._max_chars = max_chars
        self._max_turns = max_turns

    def instruct(self, instructions: str | None, language: str = "auto") -> None:
        """Takes a new role from the next reply on."""
        self._head = system_prompt(instructions, language)

    def add_user(self, text: str) -> None:
        """The user's turn. White space alone is not one."""
        if text := text.strip():
            self._turns.append([Message("user", text)])
            self._trim()

    def take_back_user(self) -> None:
        """The user went on speaking before an answer came: the newest turn, where it has none, was not the whole."""
        if self._turns and len(self._turns[-1]) == 1:
            self._turns.pop()

    def supposing(self, text: str) -> list[Message]:
        """What `messages` would say if the user's turn were `text`; nothing is changed."""
        other = copy.copy(self)
        other._turns = [list(turn) for turn in self._turns]
        other.add_user(text)
        return other.messages()

    def add_assistant(self, text: str) -> None:
        """What the avatar said. Before the user's first turn it is the greeting, which goes into the head: many chat
        templates refuse a conversation that the assistant opens."""
        if not (text := text.strip()):
            return
        if self._turns:
            self._turns[-1].append(Message("assistant", text))
            self._trim()
        else:
            self._opening.append(text)
            _shorten(self._opening, len, self._max_chars)

    def last_text(self) -> str:
        """What was said last, by whomever; empty at the beginning."""
        return self._turns[-1][-1].text if self._turns else "".join(self._opening[-1:])

    def messages(self) -> list[Message]:
        """The head, then user and assistant in turn. Turns that were never answered are joined with the next, since
        many chat templates insist on alternation."""
        head = self._head
        if self._opening:
            head += f"\n\nYou opened the conversation by saying: {' '.join(self._opening)}"
        out = [Message("system", head)]
        for turn in self._turns:
            for message in turn:
                if out[-1].role == message.role:
                    out[-1] = Message(message.role, f"{out[-1].text}\n{message.text}")
                else:
                    out.append(message)
        return out

    def _trim(self) -> None:
        if len(self._turns) <= self._max_turns and self._chars() <= self._max_chars:
            return
        while len(self._turns) > 1 and (
            len(self._turns) > self._max_turns // 2 or self._chars() > self._max_chars // 2
        ):
            del self._turns[0]
        user, *said = self._turns[0]
        if len(self._turns) == 1:
            _shorten(said, lambda message: len(message.text), self._max_chars)
            self._turns[0] = [user, *said]

    def _chars(self) -> int:
        return sum(len(message.text) for turn in self._turns for message in turn)


def _shorten(said: list[T], length: Callable[[T], int], most: int) -> None:
    """Drops the oldest until half of `most` characters is left, where there are more; never the newest."""
    left = sum(map(length, said))
    if left <= most:
        return
    while len(said) > 1 and left > most // 2:
        left -= length(said.pop(0))
