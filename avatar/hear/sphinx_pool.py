"""A few pocketsphinx decoders in processes of their own, lent to stretches of speech.

A decoder takes about 100 MB, so nobody owns one: a stretch of speech borrows it from its first sound to its text. While
all are lent out the sound waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Coroutine
from pathlib import Path

from ..errors import EngineError
from .sphinx_worker import HEADER

log = logging.getLogger(__name__)

_MAX_WORKERS = min(4, 2 * (os.cpu_count() or 1))
"""Users who are decoded at once: each takes a third of a core meanwhile. Others wait."""
_KEPT_FREE = 2
"""Workers kept while nobody speaks, for the start of an utterance must not wait; more go, for their memory's sake."""
_START_TIMEOUT_S = 30.0
"""A worker is ready in 0.5 s on an idle machine; a crowded one gets its time."""
_STOPPED = "The speech recogniser pocketsphinx stopped unexpectedly; it starts again by itself."
_SHUT_DOWN = "The speech recogniser has been shut down."


class Stretch:
    """Speech without a pause in it, on its way to text."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._pending: list[bytes] = []
        self._ended = False
        self.partial = ""
        """The newest text while it is decoded."""
        self.text: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Its final text, after `end`. Fails with `EngineError`."""
        self.text.add_done_callback(self._done)
        self.worker: Worker | None = None

    def feed(self, pcm: bytes) -> None:
        """Takes int16 mono sound at 16 kHz, in order."""
        if self.worker is None:
            self._pending.append(pcm)
        else:
            self.worker.tell(b"A", pcm)

    def end(self) -> None:
        """All of it has been fed."""
        self._ended = True
        if self.worker is not None:
            self.worker.tell(b"F")

    def drop(self) -> None:
        """Nobody wants its text any more."""
        self.text.cancel()

    def grant(self, worker: Worker) -> None:
        self.worker = worker
        worker.begin(self)
        for pcm in self._pending:
            worker.tell(b"A", pcm)
        self._pending.clear()
        if self._ended:
            worker.tell(b"F")

    def fail(self, message: str) -> None:
        if not self.text.done():
            self.text.set_exception(EngineError(message))

    def _done(self, text: asyncio.Future[str]) -> None:
        if text.cancelled():
            if self.worker is not None:
                self.worker.tell(b"X")
        else:
            text.exception()  # perhaps nobody is waiting: that is no error of its own
        self._pending.clear()
        self._pool.give_back(self)


class Worker:
    """One decoder process. It serves one stretch at a time."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stretch: Stretch | None = None
        self._number = 0
        self.alive = True

    async def start(self) -> None:
        """Raises `EngineError`."""
        script = Path(__file__).with_name("sphinx_worker.py")
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", str(script), stdin=PIPE, stdout=PIPE, start_new_session=True
            )
            self._reader = asyncio.create_task(self._read(self._process), name="pocketsphinx reader")
            async with asyncio.timeout(_START_TIMEOUT_S):
                await asyncio.shield(self._ready)
        except (OSError, TimeoutError) as error:
            await self.stop()
            raise EngineError(f"The speech recogniser pocketsphinx did not start: {error or 'timeout'}.") from error
        except BaseException:
            await self.stop()
            raise

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        try:
            while True:
                kind, number, length = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
                text = (await process.stdout.readexactly(length)).decode()
                if kind == b"R":
                    self._ready.set_result(None)
                elif number != self._number or self._stretch is None:
                    continue
                elif kind == b"P":
                    self._stretch.partial = text
                elif kind == b"T" and not self._stretch.text.done():
                    self._stretch.text.set_result(text)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.alive = False
            if not self._ready.done():
                self._ready.set_exception(EngineError(_STOPPED))
                self._ready.exception()
            if self._stretch is not None:
                self._stretch.fail(_STOPPED)

    def begin(self, stretch: Stretch) -> None:
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._stretch = stretch
        self.tell(b"S")
        if not self.alive:
            stretch.fail(_STOPPED)

    def tell(self, kind: bytes, payload: bytes = b"") -> None:
        """One message to the process; `sphinx_worker.py` lists them."""
        assert self._process is not None and self._process.stdin is not None
        if self.alive:
            self._process.stdin.write(HEADER.pack(kind, self._number, len(payload)) + payload)

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        """Ends the process and waits until it is gone."""
        self.alive = False
        self.kill()
        if self._process is not None:
            await self._process.wait()
        if self._reader is not None:
            await self._reader


class Pool:
    """The decoders and who waits for one."""

    def __init__(self) -> None:
        self._free: list[Worker] = []
        self._busy: set[Worker] = set()
        self._waiting: deque[Stretch] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        """Workers on their way for `_waiting`."""
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False

    def borrow(self) -> Stretch:
        """A new stretch, which gets a decoder now or as soon as one is free. Raises `EngineError` after `close`."""
        if self._closed:
            raise EngineError(_SHUT_DOWN)
        stretch = Stretch(self)
        self._waiting.append(stretch)
        self._assign()
        return stretch

    def give_back(self, stretch: Stretch) -> None:
        """The stretch is over."""
        if stretch.worker is not None:
            self._busy.discard(stretch.worker)
            self._free.append(stretch.worker)
            stretch.worker = None
        elif stretch in self._waiting:
            self._waiting.remove(stretch)
        self._assign()

    def _assign(self) -> None:
        """Gives free workers to waiting stretches, starts what is missing and stops what is not needed."""
        if self._closed:
            return
        usable: list[Worker] = []
        for worker in self._free:
            if worker.alive and len(usable) < max(_KEPT_FREE, len(self._waiting)):
                usable.append(worker)
            else:
                self._run(worker.stop(), self._stopping)
        self._free = usable
        while self._waiting and self._free:
            worker = self._free.pop()
            self._busy.add(worker)
            self._waiting.popleft().grant(worker)
        starting = len(self._starting)
        if len(self._waiting) > starting and len(self._busy) + starting < _MAX_WORKERS:
            self._run(self._start_for_waiting(), self._starting)

    def _run(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work, name="pocketsphinx worker")
        tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            self._assign()

        task.add_done_callback(done)

    async def start_worker(self) -> None:
        """One more free decoder. Raises `EngineError`."""
        worker = Worker()
        await worker.start()
        self._free.append(worker)

    async def _start_for_waiting(self) -> None:
        try:
            await self.start_worker()
        except EngineError as error:
            log.error("%s", error.message)
            while self._waiting:
                self._waiting[0].fail(error.message)
                self._waiting.popleft()

    async def close(self) -> None:
        self._closed = True
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, *self._stopping, return_exceptions=True)
        for stretch in self._waiting:
            stretch.fail(_SHUT_DOWN)
        self._waiting.clear()
        await asyncio.gather(*(worker.stop() for worker in (*self._free, *self._busy)))
        self._free.clear()
        self._busy.clear()
