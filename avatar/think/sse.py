"""Server-sent events as a pure parser: bytes in, events out (WHATWG HTML §9.2.6, "interpreting an event stream").

It knows nothing of HTTP or JSON. Chunks may be cut anywhere, also inside a line end or a UTF-8 character.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

MAX_EVENT_CHARS = 1_000_000
"""A token's event is a few hundred characters; a line without end must not fill the memory."""


class Overlong(ValueError):
    """An event grew beyond `MAX_EVENT_CHARS`."""


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    """The `event` field, empty when there was none."""
    data: str
    """The `data` fields, joined by line feeds."""


class EventParser:
    """Feed it a response body; it returns the events that each piece completes."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._line = ""
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by `data`. Raises `Overlong`."""
        return self._take(self._decode.decode(data))

    def finish(self) -> list[Event]:
        """The body has ended. The standard drops an event that no blank line closed; servers that forget the last
        blank line exist, so it is given out."""
        events = self._take(self._decode.decode(b"", final=True))
        if self._line:
            self._field(self._line)
            self._line = ""
        return events + self._dispatch()

    def _take(self, text: str) -> list[Event]:
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        self._after_cr = self._after_cr or text.endswith("\r")
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        events: list[Event] = []
        for line in lines:
            whole, self._line = self._line + line, ""
            if whole:
                self._field(whole)
            else:
                events += self._dispatch()
        self._line += rest
        if len(self._line) + self._size > MAX_EVENT_CHARS:
            raise Overlong(f"an event is longer than {MAX_EVENT_CHARS} characters")
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")  # a comment has an empty name
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
        elif name == "event":
            self._name = value

    def _dispatch(self) -> list[Event]:
        events = [Event(self._name, "\n".join(self._data))] if self._data else []
        self._name, self._data, self._size = "", [], 0
        return events
