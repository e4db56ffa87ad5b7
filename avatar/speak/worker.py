"""The server's end of a voice worker: one process, shared by all sessions, restarted when it dies.

Jobs are short (a clause, or a piece of a long one) and are done in the order in which they came, so sessions take
turns clause by clause.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from ..errors import EngineError, NotReady
from . import wire

log = logging.getLogger(__name__)

MAX_JOBS = 64
"""Jobs waiting in one worker. Each is a clause of a conversation that is about to fall silent: more are a jam."""
START_S = 60.0
"""A worker that has not said hello by then hangs. Loading a neural voice from a slow disk takes up to 20 s."""
STALL_S = 60.0
"""A worker that has work and sends nothing for so long hangs. A long sentence of a neural voice takes up to 10 s on two
busy cores."""
_KILL_S = 2.0
"""Time to leave after its stdin was closed."""

_ROOT = str(Path(__file__).resolve().parents[2])
"""Where the worker finds this package, whatever the server's working directory is."""

Frame = tuple[int, bytes]


class _Died(Exception):
    """The worker is gone; what it was doing may be done again."""


class _Process:
    """One life of a worker."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.jobs: dict[int, asyncio.Queue[Frame | None]] = {}
        self.hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.last_words: deque[str] = deque(maxlen=5)
        self.dead = False
        self.heard = asyncio.get_running_loop().time()
        """Loop time of the last frame."""
        self._tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._complaints())]

    def send(self, frame: bytes) -> None:
        assert self.process.stdin is not None
        if not self.dead:
            self.process.stdin.write(frame)

    async def drain(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    async def stop(self) -> None:
        """Closes its stdin, which ends it; kills it where that is not enough."""
        self._leave()
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(_KILL_S):
                await self.process.wait()
        except TimeoutError:
            self._end()
            await self.process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def last_complaints(self) -> None:
        """Waits a little for what it says on its way out."""
        await asyncio.wait(self._tasks, timeout=1.0)

    def kill(self) -> None:
        """It hangs: end this life at once."""
        self._leave()
        self._end()

    def _end(self) -> None:
        # Not `process.kill()`: it polls, and so reaps the process behind the back of the loop's own watcher.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    def _leave(self) -> None:
        self.dead = True
        for job in self.jobs.values():
            job.put_nowait(None)
        self.jobs.clear()
        if not self.hello.done():
            self.hello.set_exception(_Died())
            self.hello.exception()  # read here, so that nobody is told that it was not

    async def _read(self) -> None:
        source = self.process.stdout
        assert source is not None
        try:
            while True:
                kind, job, length = wire.HEADER.unpack(await source.readexactly(wire.HEADER.size))
                if length > wire.MAX_FRAME:
                    log.error("The %s worker sent garbage.", self.name)
                    break
                payload = await source.readexactly(length)
                self.heard = asyncio.get_running_loop().time()
                if kind == wire.HELLO:
                    self.hello.set_result(json.loads(payload))
                elif kind == wire.FAIL and job == 0:
                    self.last_words.append(payload.decode("utf-8", "replace"))
                elif waiting := self.jobs.get(job):
                    waiting.put_nowait((kind, payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.kill()

    async def _complaints(self) -> None:
        source = self.process.stderr
        assert source is not None
        while line := await source.read(4096):
            text = line.decode("utf-8", "replace").strip()
            if text:
                self.last_words.append(text[-300:])
                log.debug("%s worker: %s", self.name, text)


class Worker:
    """Starts the program `module` when it is first needed, gives it jobs, and starts it again once it has died."""

    def __init__(self, name: str, module: str, args: Sequence[str] = ()) -> None:
        self.name = name
        self._module = module
        self._args = tuple(args)
        self._process: _Process | None = None
        self._starting = asyncio.Lock()
        self._serial = 0
        self._waiting = 0
        self.starts = 0
        """How many lives it has had."""

    @property
    def pid(self) -> int | None:
        """The process in which the engine lives now, if there is one."""
        return self._process.process.pid if self._process and not self._process.dead else None

    async def hello(self) -> dict[str, Any]:
        """What the engine says of itself. Raises `NotReady` when it cannot be started."""
        return (await self._alive()).hello.result()

    async def run(self, request: wire.Request) -> AsyncGenerator[Frame]:
        """The frames of one job, `MARKS` and `AUDIO`; closing the iterator drops the job.

        A worker that dies over it is started again once, as long as nothing was handed out yet.
        Raises `EngineError`.
        """
        if self._waiting >= MAX_JOBS:
            raise EngineError(
                f"The voice {self.name} is overloaded: {self._waiting} clauses wait for it.", code="voice_busy"
            )
        self._waiting += 1
        try:
            for attempt in (1, 2):
                handed_out = False
                try:
                    async with contextlib.aclosing(self._once(request)) as frames:
                        async for frame in frames:
                            handed_out = True
                            yield frame
                    return
                except _Died:
                    log.warning("The %s worker died while it spoke%s.", self.name, self._reason())
                    if handed_out:
                        raise EngineError(
                            f"The voice {self.name} stopped in the middle of a clause; it starts again for the next."
                        ) from None
                    if attempt == 2:
                        raise EngineError(f"The voice {self.name} stopped twice over a clause.") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        async with self._starting:
            process, self._process = self._process, None
        if process is not None:
            await process.stop()

    async def _once(self, request: wire.Request) -> AsyncGenerator[Frame]:
        process = await self._alive()
        loop = asyncio.get_running_loop()
        self._serial += 1
        job = self._serial
        frames: asyncio.Queue[Frame | None] = asyncio.Queue()  # bounded by the length of a request's text
        process.jobs[job] = frames
        asked = loop.time()
        done = False
        try:
            process.send(wire.pack_json(wire.SPEAK, job, request))
            await process.drain()
            while True:
                try:
                    async with asyncio.timeout_at(max(asked, process.heard) + STALL_S):
                        frame = await frames.get()
                except TimeoutError:
                    if loop.time() - max(asked, process.heard) < STALL_S:
                        continue  # it was busy with another's job
                    log.error("The %s worker hangs; it is ended.", self.name)
                    process.kill()
                    raise _Died from None
                if frame is None:
                    raise _Died
                kind, payload = frame
                if kind == wire.END:
                    done = True
                    return
                if kind == wire.FAIL:
                    done = True
                    raise EngineError(
                        f"The voice {self.name} cannot speak this clause: {payload.decode('utf-8', 'replace')}."
                    )
                yield kind, payload
        finally:
            process.jobs.pop(job, None)
            if not done:
                process.send(wire.pack(wire.CANCEL, job))

    def _reason(self) -> str:
        words = self._process.last_words if self._process else ()
        return f" ({words[-1]})" if words else ""

    async def _alive(self) -> _Process:
        async with self._starting:
            process = self._process
            if process is not None and not process.dead:
                return process
            if process is not None:
                await process.stop()
            process = self._process = await self._start()
            try:
                async with asyncio.timeout(START_S):
                    await asyncio.shield(process.hello)
            except (_Died, TimeoutError):
                await process.last_complaints()
                await process.stop()
                self._process = None
                reason = process.last_words[-1] if process.last_words else "it says nothing"
                raise NotReady(f"The voice {self.name} cannot be started: {reason.rstrip('.')}.") from None
            except asyncio.CancelledError:
                process.kill()
                await process.stop()  # nobody else knows of it yet
                raise
            return process

    async def _start(self) -> _Process:
        paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *self._args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            # Ctrl-C in the server's terminal is the server's business; the worker leaves with its stdin.
            start_new_session=True,
        )
        self.starts += 1
        return _Process(self.name, process)
