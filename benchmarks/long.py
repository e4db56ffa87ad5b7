"""Two hundred turns in one session: does the answer come as soon at the end as in the beginning?

Typed lines, English and Japanese by turns, so that a language changes with every answer; each answer is heard for half
a second and interrupted. What is said, heard and remembered grows all the time; the history's rule of trimming, the
caches' bounds and every queue are met many times over.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from . import at_least, at_most
from ._duplex import Person, calling
from ._server import QUICK, Served, serving
from .alarms import hush

TURNS = 40 if QUICK else 200
WARM = 5
"""Turns before which nothing is counted."""
COMPARED = 10 if QUICK else 40
HEARD_S = 0.5
LINES = (
    "What time is it?",
    "今何時ですか。",
    "Tell me a joke.",
    "冗談を言ってください。",
    "What is {} plus seven?",
    "{}足す七はいくつですか。",
    "My name is Robert number {}.",
    "私の名前は太郎です。",
    "What can you do?",
    "こんにちは。",
)
BARS = {
    "answered": at_least(TURNS),
    "last_over_first": at_most(1.25),
    "memory_grown_mb": at_most(30),
}


async def _turn(url: str, person: Person, number: int) -> float | None:
    """First sound of the answer in milliseconds after the line was sent, by the turn's record."""
    line = LINES[number % len(LINES)].format(number)
    turn_id = (await person.api.say(person.session_id, line, "user"))["turn_id"]

    def told(t: str) -> list[dict[str, Any]]:
        return [data for data in person.ours(t) if data["turn_id"] == turn_id]

    try:
        await person.until(lambda: told("caption"))
        await asyncio.sleep(HEARD_S)
        await hush(url, person)
        (record,) = await person.until(lambda: told("turn"))
    except TimeoutError:
        return None
    first: float | None = record["first_sent"]
    return first


async def _measure(server: Served) -> dict[str, Any]:
    times: list[float | None] = []
    early = 0
    async with calling(server.url) as person:
        for number in range(WARM + TURNS):
            times.append(await _turn(server.url, person, number))
            person.told.clear()
            if number == WARM + COMPARED:
                early = server.process.memory_info().rss
        late = server.process.memory_info().rss
    counted = [t for t in times[WARM:] if t is not None]
    first, last = statistics.median(counted[:COMPARED]), statistics.median(counted[-COMPARED:])
    return {
        "answered": len(counted),
        "first_p50_ms": first,
        "last_p50_ms": last,
        "last_over_first": last / first,
        "memory_grown_mb": (late - early) / 1e6,
    }


def run() -> dict[str, Any]:
    with serving() as server:
        return asyncio.run(_measure(server))
