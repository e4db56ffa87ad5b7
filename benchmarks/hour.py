"""An hour of one session, accelerated by nothing: do sound and picture drift apart, does memory grow, is anything late?

A real peer is in a session with the calibration face. In each minute a recording is spoken for half a minute, a typed
line is answered, and the rest is silence. One line a minute goes to `benchmarks/out/hour.log`; the log of a whole hour
is kept beside this file. `HOUR_MINUTES` says how many; two are part of the tests.

Offsets are measured in the content (`client.offset`), on the line of the sender's reports. What is late is told by both
ends: by the server, slots that were skipped and pictures that were dropped or dated later; by the peer, packets that
came more than a slot later than is usual in that minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avatar.clock import SLOT_S
from avatar.play.receive import ClientPeer, ReceivedPicture, ReceivedSound
from client.api import Api
from client.media import Media

from . import at_least, at_most
from ._peers import TOPICS
from ._server import QUICK, ROOT, Served, serving
from .avsync import speech_file

MINUTES = int(os.environ.get("HOUR_MINUTES", "2" if QUICK else "60"))
MINUTE_S = 60.0
SPOKEN_S = 30.0
ASKED_S = 36.0
"""Into the minute."""
WARM = 5
"""Minutes that memory is given to fill its bounded caches."""
SPAN = 10
"""Minutes at either end that are compared."""
LOG = ROOT / "benchmarks" / "out" / "hour.log"
BARS = {
    "minutes": at_least(MINUTES),
    "drift_ms": at_most(5),
    "offset_p95_ms": at_most(40),
    "memory_grown_mb": at_most(10),
    "workers_grown_mb": at_most(10),
    "tasks_grown": at_most(0),
    "late_at_the_server": at_most(0),
    "late_packets": at_most(0),
}


@dataclass(frozen=True, slots=True)
class Minute:
    """One line of the log."""

    number: int
    offset_p50_ms: float
    """Of the sound against its picture, positive where it is late; not a number where too little was said."""
    offset_p95_ms: float
    arrival_p50_ms: float
    """How much later sound arrived than the picture of the same moment."""
    fps: float
    freezes: int
    sound_gaps: int
    late_packets: int
    """Sounds and pictures that came more than a slot later than the others of this minute."""
    late_at_the_server: int
    """Slots skipped, pictures dropped for being late, pictures dated later."""
    rss_mb: float
    """Of the server's process."""
    workers_mb: float
    """Of its workers."""
    tasks: int
    threads: int
    files: int
    load: float

    HEADER = (
        "minute  offset p50   p95  arrival p50    fps  freezes  gaps  late: peer  server    rss MB  workers  "
        "tasks  threads  files   load"
    )

    def __str__(self) -> str:
        return (
            f"{self.number:6d}  {self.offset_p50_ms:10.1f}  {self.offset_p95_ms:4.1f}  {self.arrival_p50_ms:11.1f}  "
            f"{self.fps:5.2f}  {self.freezes:7d}  {self.sound_gaps:4d}  {self.late_packets:10d}  "
            f"{self.late_at_the_server:6d}  {self.rss_mb:8.1f}  {self.workers_mb:7.1f}  {self.tasks:5d}  "
            f"{self.threads:7d}  {self.files:5d}  {self.load:5.2f}"
        )


@dataclass
class Ear:
    """The peer, and what has come in this minute."""

    peer: ClientPeer
    session_id: str
    media: Media = field(default_factory=Media)
    lags: dict[type, list[float]] = field(default_factory=dict)
    late_before: int = 0

    async def look(self) -> None:
        async for picture in self.peer.pictures():
            if (at := self._placed(picture)) is not None:
                self.media.picture(picture.i420, at, picture.arrived)

    async def listen(self) -> None:
        async for sound in self.peer.sounds():
            if (at := self._placed(sound)) is not None:
                self.media.voice(sound.pcm, at, sound.arrived, missing=not sound.data)

    async def read(self) -> None:
        async for _ in self.peer.texts():
            pass

    def _placed(self, item: ReceivedPicture | ReceivedSound) -> float | None:
        at = item.seconds()
        if at is not None and (isinstance(item, ReceivedPicture) or item.data):
            self.lags.setdefault(type(item), []).append(item.arrived - at)
        return at

    def late(self) -> int:
        return sum(int(np.count_nonzero(np.array(lags) > np.median(lags) + SLOT_S)) for lags in self.lags.values())

    def turn_over(self) -> None:
        """A new minute."""
        self.media, self.lags = Media(), {}


@asynccontextmanager
async def joined(api: Api) -> AsyncIterator[Ear]:
    """A peer in a session of its own."""
    peer = ClientPeer()
    answer = await api.offer(await peer.offer(), {})
    await peer.accept(answer["sdp"])
    ear = Ear(peer, answer["session_id"])
    tasks = [asyncio.create_task(work) for work in (ear.look(), ear.listen(), ear.read())]
    try:
        async with asyncio.timeout(30):
            await peer.connected.wait()
        yield ear
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await api.end(ear.session_id)
        await peer.close()


async def minute(number: int, server: Served, api: Api, ear: Ear, speech: Path) -> Minute:
    """Talks, asks, is silent, and says what came."""
    end = time.monotonic() + MINUTE_S
    ear.turn_over()
    await api.speech(ear.session_id, speech)
    await asyncio.sleep(end - MINUTE_S + ASKED_S - time.monotonic())
    await api.say(ear.session_id, TOPICS[number % len(TOPICS)], "user")
    await asyncio.sleep(end - time.monotonic())
    session = await api.session(ear.session_id)
    gauges = await asyncio.to_thread(server.gauges)
    late = session["playout"]["jumps"] + sum(session["transport"][k] for k in ("dropped_late", "frames_restamped"))
    before, ear.late_before = ear.late_before, late
    offset, arrival = ear.media.offset(), ear.media.skew()
    workers = [child.memory_info().rss for child in server.process.children(recursive=True)]
    return Minute(
        number=number,
        offset_p50_ms=offset.p50 if offset else float("nan"),
        offset_p95_ms=offset.p95 if offset else float("nan"),
        arrival_p50_ms=arrival.p50 if arrival else float("nan"),
        fps=ear.media.pictures.fps,
        freezes=ear.media.pictures.freezes,
        sound_gaps=ear.media.sound.gaps,
        late_packets=ear.late(),
        late_at_the_server=late - before,
        rss_mb=server.process.memory_info().rss / 1e6,
        workers_mb=sum(workers) / 1e6,
        tasks=round(gauges["avatar_tasks"]),
        threads=round(gauges["avatar_threads"]),
        files=round(gauges["avatar_open_files"]),
        load=os.getloadavg()[0],
    )


async def minutes(server: Served, count: int) -> AsyncIterator[Minute]:
    """So many minutes of one session, each as it ends."""
    with tempfile.TemporaryDirectory() as directory:
        speech = speech_file(Path(directory) / "speech.wav", SPOKEN_S)
        async with Api(server.url, None) as api, joined(api) as ear:
            for number in range(1, count + 1):
                yield await minute(number, server, api, ear, speech)


def known(figures: Iterable[float]) -> list[float]:
    """Those that could be measured."""
    return [figure for figure in figures if not math.isnan(figure)]


def judged(rows: list[Minute]) -> dict[str, Any]:
    """What the benchmark promises, of at least two minutes. What could not be measured is nan, and clears no bar."""
    warm = rows[WARM:] if len(rows) > WARM + 1 else rows
    span = min(SPAN, max(1, len(warm) // 2))
    first, last = warm[:span], warm[-span:]
    offsets = known(row.offset_p50_ms for row in rows)

    def moved(name: str) -> float:
        before, after = (known(getattr(row, name) for row in part) for part in (first, last))
        return float(statistics.median(after) - statistics.median(before)) if before and after else math.nan

    return {
        "minutes": len(rows),
        "drift_ms": abs(moved("offset_p50_ms")),
        "arrival_drift_ms": abs(moved("arrival_p50_ms")),
        "offset_p50_range_ms": max(offsets, default=math.nan) - min(offsets, default=math.nan),
        "offset_p95_ms": max(known(row.offset_p95_ms for row in rows), default=math.nan),
        "memory_grown_mb": moved("rss_mb"),
        "workers_grown_mb": moved("workers_mb"),
        "tasks_grown": moved("tasks"),
        "threads_grown": moved("threads"),
        "late_at_the_server": sum(row.late_at_the_server for row in rows),
        "late_packets": sum(row.late_packets for row in rows),
        "freezes": sum(row.freezes for row in rows),
        "sound_gaps": sum(row.sound_gaps for row in rows),
        "load_p50": statistics.median(row.load for row in rows),
    }


async def run() -> dict[str, Any]:
    rows: list[Minute] = []
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log, serving("--face", "pattern") as server:
        began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        print(f"{MINUTES} minutes from {began}, {os.cpu_count()} cores", Minute.HEADER, sep="\n", file=log, flush=True)
        async for row in minutes(server, MINUTES):
            rows.append(row)
            print(row, file=log, flush=True)
        found = judged(rows)
        for name, value in found.items():
            print(f"{name} {value:g}", file=log)
    return found
