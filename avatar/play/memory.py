"""Gives native memory back to the system after connections have been closed.

Codecs free their buffers, but glibc keeps them: some 4 to 12 MB for each session that was. `malloc_trim` gives them
back. It takes a few milliseconds, so it runs in a thread and at most once in `PAUSE_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import sys
import time

PAUSE_S = 10.0


class _Trimmer:
    last = float("-inf")


def released() -> None:
    """A connection has been closed. Call on the event loop."""
    now = time.monotonic()
    if sys.platform == "linux" and now - _Trimmer.last >= PAUSE_S:
        _Trimmer.last = now
        asyncio.get_running_loop().run_in_executor(None, _trim)


def _trim() -> None:
    with contextlib.suppress(OSError, AttributeError):  # another C library, such as musl, gives back by itself
        ctypes.CDLL("libc.so.6").malloc_trim(0)
