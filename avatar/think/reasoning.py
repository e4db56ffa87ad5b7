"""Keeps a model's thinking out of its speech: `<think>…</think>` is cut from a stream of text pieces."""

from __future__ import annotations

import re

_OPEN = re.compile(r"<(think|thinking|thought|reasoning)>", re.IGNORECASE)
_TAGS = ("<think>", "<thinking>", "<thought>", "<reasoning>")


def _held(text: str, tags: tuple[str, ...]) -> int:
    """Length of the end of `text` that may be the beginning of one of `tags`."""
    lower = text[-max(map(len, tags)) :].lower()
    for size in range(len(lower), 0, -1):
        if any(tag.startswith(lower[-size:]) for tag in tags):
            return size
    return 0


class ReasoningFilter:
    """Feed it the pieces of one reply; it returns what may be spoken. A tag may be cut anywhere between pieces."""

    def __init__(self) -> None:
        self._rest = ""
        self._close = ""
        """The end tag that is awaited, empty outside of thinking."""
        self._strip = True
        """White space is dropped at the reply's beginning and after thinking."""
        self.thought = False
        """Whether any thinking was cut."""

    def feed(self, piece: str) -> str:
        self._rest += piece
        out: list[str] = []
        while self._rest:
            if self._close:
                at = self._rest.lower().find(self._close)
                if at < 0:
                    self._rest = self._rest[len(self._rest) - _held(self._rest, (self._close,)) :]
                    break
                self._rest, self._close, self._strip = self._rest[at + len(self._close) :], "", True
            elif match := _OPEN.search(self._rest):
                out.append(self._say(self._rest[: match.start()]))
                self._rest, self._close, self.thought = self._rest[match.end() :], f"</{match[1].lower()}>", True
            else:
                cut = len(self._rest) - _held(self._rest, _TAGS)
                out.append(self._say(self._rest[:cut]))
                self._rest = self._rest[cut:]
                break
        return "".join(out)

    def finish(self) -> str:
        """The reply is over: what was held back as the possible beginning of a tag."""
        rest, self._rest = self._rest, ""
        return "" if self._close else self._say(rest)

    def _say(self, text: str) -> str:
        if self._strip:
            text = text.lstrip()
            self._strip = not text
        return text
