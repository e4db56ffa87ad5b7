"""A text that remembers where each of its characters came from, through any number of rewrites."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Part = str | int
"""Of a replacement: a string is new text that stands for the whole match; a number is that group, kept as it was."""


class Traced:
    """`text`, and for each of its characters the span of the source that it stands for."""

    __slots__ = ("_spans", "text")

    def __init__(self, source: str) -> None:
        self.text = source
        self._spans = [(i, i + 1) for i in range(len(source))]

    def sub(self, pattern: re.Pattern[str], parts: Sequence[Part] | Callable[[re.Match[str]], Sequence[Part]]) -> None:
        """Replaces every match of `pattern` in place."""
        text: list[str] = []
        spans: list[tuple[int, int]] = []
        last = 0
        for match in pattern.finditer(self.text):
            begin, end = match.span()
            text.append(self.text[last:begin])
            spans.extend(self._spans[last:begin])
            whole = self._cover(begin, end)
            for part in parts(match) if callable(parts) else parts:
                if isinstance(part, int):
                    a, b = match.span(part)
                    if a >= 0:
                        text.append(self.text[a:b])
                        spans.extend(self._spans[a:b])
                else:
                    text.append(part)
                    spans.extend([whole] * len(part))
            last = end
        if not last and not text:
            return
        text.append(self.text[last:])
        spans.extend(self._spans[last:])
        self.text = "".join(text)
        self._spans = spans

    def keep(self, count: int) -> None:
        """Drops everything after the first `count` characters."""
        self.text = self.text[:count]
        del self._spans[count:]

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """The span of the source that characters `begin` to `end` stand for."""
        begin, end = max(begin, 0), min(end, len(self._spans))
        if begin >= end:
            at = self._spans[-1][1] if self._spans and begin >= len(self._spans) else 0
            return at, at
        return self._cover(begin, end)

    def _cover(self, begin: int, end: int) -> tuple[int, int]:
        covered = self._spans[begin:end]
        if not covered:
            at = self._spans[begin][0] if begin < len(self._spans) else (self._spans[-1][1] if self._spans else 0)
            return at, at
        return min(a for a, _ in covered), max(b for _, b in covered)
