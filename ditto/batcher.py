"""One device, many sessions: their work is gathered into batches, what is due first goes first.

A session hands in a few pieces of work and waits for them, so nobody can fill the queue: with every session's share
bounded, back-pressure is the wait itself. Of equal deadlines the session that was served least goes first. Work of a
session that has left is dropped before it runs, and what is running for it is thrown away; its neighbours in the batch
do not notice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .errors import DeviceLost, DittoError, OutOfMemory

log = logging.getLogger(__name__)

SHARE = 64
"""Pieces of work of one session that may wait: two blocks of the longest chunk."""
RESULT_S = 120.0
"""A device that has not answered for so long will not."""


class Left(DittoError):
    """The session has left; its work was dropped."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of work."""

    run: Callable[[Sequence[Any]], Sequence[Any]]
    """Does a batch; as many results as items, in order."""
    most: int
    """Items of a batch."""


@dataclass(slots=True)
class _Task:
    session: int
    kind: str
    key: Hashable
    item: Any
    deadline: float
    order: int
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Runs batches in one thread of its own. `submit` may be called from any."""

    def __init__(self, kinds: Mapping[str, Kind], clock: Callable[[], float] = time.monotonic) -> None:
        self._kinds = dict(kinds)
        self._most = {name: kind.most for name, kind in kinds.items()}
        self._clock = clock
        self._wake = threading.Condition()
        self._tasks: list[_Task] = []
        self._order = 0
        self._closed = False
        self._lost: DittoError | None = None
        self.served: dict[int, int] = {}
        """Session → pieces of work done for it."""
        self.batches: dict[str, int] = dict.fromkeys(kinds, 0)
        self.items: dict[str, int] = dict.fromkeys(kinds, 0)
        self.late = 0
        """Pieces that were done after they were due."""
        self._thread = threading.Thread(target=self._work, name="ditto", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> DittoError | None:
        """Why the device does nothing any more; None while it works."""
        return self._lost

    def join(self, session: int) -> None:
        """A session comes. It starts level with the one that was served least, so that it does not starve others."""
        with self._wake:
            self.served[session] = min(self.served.values(), default=0)

    def leave(self, session: int) -> None:
        """A session has gone: what waits for it is dropped."""
        with self._wake:
            self.served.pop(session, None)
            gone = [task for task in self._tasks if task.session == session]
            self._tasks = [task for task in self._tasks if task.session != session]
            self._wake.notify_all()
        for task in gone:
            _fail(task, Left("The session has left."))

    def submit(self, session: int, kind: str, items: Sequence[Any], key: Hashable, due: Sequence[float]) -> list[Any]:
        """Does `items` with others' of the same `kind` and `key`, and returns the results; blocks.

        `due`: when each is wanted, on the batcher's clock. Raises what the work raised, `Left`, `DeviceLost`.
        """
        tasks = []
        with self._wake:
            self._refuse(session)
            while sum(task.session == session for task in self._tasks) + len(items) > max(SHARE, len(items)):
                self._wake.wait(1.0)
                self._refuse(session)
            for item, deadline in zip(items, due, strict=True):
                self._order += 1
                tasks.append(_Task(session, kind, key, item, deadline, self._order))
            self._tasks += tasks
            self._wake.notify_all()
        return [task.future.result(RESULT_S) for task in tasks]

    def _refuse(self, session: int) -> None:
        if self._lost is not None:
            raise self._lost
        if self._closed or session not in self.served:
            raise Left("The session has left.")

    def close(self) -> None:
        """Drops what waits and ends the thread after the batch that is running."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(RESULT_S)
        with self._wake:
            gone, self._tasks = self._tasks, []
        for task in gone:
            _fail(task, Left("The face has been closed."))

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _choose(self) -> list[_Task]:
        """The next batch: what is due first, and what goes with it."""
        first = min(self._tasks, key=self._rank)
        alike = [task for task in self._tasks if task.kind == first.kind and task.key == first.key]
        chosen = sorted(alike, key=self._rank)[: self._most[first.kind]]
        taken = {id(task) for task in chosen}
        self._tasks = [task for task in self._tasks if id(task) not in taken]
        return chosen

    def _rank(self, task: _Task) -> tuple[float, int, int]:
        # Deadlines within one slot are one deadline: there the session that had least goes first.
        return (task.deadline // 0.04, self.served.get(task.session, 0), task.order)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._tasks and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                chosen = self._choose()
            self._run(chosen)
            with self._wake:
                self._wake.notify_all()

    def _run(self, tasks: list[_Task]) -> None:
        name = tasks[0].kind
        try:
            results = self._kinds[name].run([task.item for task in tasks])
            if len(results) != len(tasks):
                raise DittoError(f"{len(tasks)} pieces of {name} gave {len(results)} results.")
        except OutOfMemory as error:
            self._less(tasks, error)
        except DeviceLost as error:
            self._lose(tasks, error)
        except Exception as error:
            log.exception("a batch of %d × %s failed", len(tasks), name)
            self._alone(tasks, error)
        else:
            self._done(tasks, results)

    def _done(self, tasks: list[_Task], results: Sequence[Any]) -> None:
        now = self._clock()
        with self._wake:
            self.batches[tasks[0].kind] += 1
            self.items[tasks[0].kind] += len(tasks)
            for task in tasks:
                if task.session in self.served:
                    self.served[task.session] += 1
                self.late += now > task.deadline
        for task, result in zip(tasks, results, strict=True):
            if not task.future.done():
                task.future.set_result(result)

    def _less(self, tasks: list[_Task], error: OutOfMemory) -> None:
        """No room for so many at once: from now on fewer; alone there is no room for it at all."""
        if len(tasks) == 1:
            _fail(tasks[0], error)
            return
        half = len(tasks) // 2
        self._most[tasks[0].kind] = half
        log.warning("no memory for %d × %s at once: %d from now on", len(tasks), tasks[0].kind, half)
        for at in range(0, len(tasks), half):
            self._run(tasks[at : at + half])

    def _alone(self, tasks: list[_Task], error: Exception) -> None:
        """A fault may lie with one of them: the others live on."""
        if len(tasks) == 1:
            _fail(tasks[0], error)
            return
        for task in tasks:
            self._run([task])

    def _lose(self, tasks: list[_Task], error: DeviceLost) -> None:
        log.error("the device is lost: %s", error)
        with self._wake:
            self._lost = error
            gone, self._tasks = self._tasks, []
            self._wake.notify_all()
        for task in (*tasks, *gone):
            _fail(task, error)


def _fail(task: _Task, error: Exception) -> None:
    if not task.future.done():
        task.future.set_exception(error)
