"""What the run tells a person on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

EVERY_S = 5.0
"""Between two lines about the same stage where there is no terminal: enough to see life in a log."""


class Progress:
    """One line of state that is always current, and lasting lines between."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._bar: Any = None
        self._stage = ""
        self._total: float | None = None
        self._began = self._told = time.monotonic()
        self._terminal = self._stream.isatty()

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def stage(self, text: str, total_s: float | None = None) -> None:
        """A new stage; `total_s` when it is known how long it lasts."""
        if (text, total_s) == (self._stage, self._total):
            return
        self._close()
        self._stage, self._total = text, total_s
        self._began = self._told = time.monotonic()
        if self._terminal:
            self._bar = _bar(self._stream, text, total_s)
        else:
            self.note(text if total_s is None else f"{text} ({total_s:.1f} s)")

    def advance(self, seconds: float | None = None) -> None:
        """How much of the stage is done, by default the time since it began."""
        now = time.monotonic()
        done = now - self._began if seconds is None else seconds
        if self._bar is not None:
            self._bar.n = done if self._total is None else min(done, self._total)
            self._bar.refresh()
        elif self._stage and now - self._told >= EVERY_S:
            self._told = now
            self.note(f"{self._stage}: {done:.0f}" + (" s" if self._total is None else f" of {self._total:.0f} s"))

    def close(self) -> None:
        self._close()
        self._stage = ""

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _bar(stream: TextIO, text: str, total_s: float | None) -> Any:
    from tqdm import tqdm

    layout = "{desc} {n:.1f} s" if total_s is None else "{desc} |{bar}| {n:.1f}/{total:.1f} s"
    return tqdm(desc=text, total=total_s, file=stream, leave=False, bar_format=layout, dynamic_ncols=True)
