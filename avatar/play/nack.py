"""Asks for lost sound packets once more, and says how long each is worth waiting for. Pure code: time is handed in.

Generic negative acknowledgements (RFC 4585 §6.2.1). libwebrtc keeps its sound packets and sends them again when it is
asked, though its offers do not say so; who never answers is asked all the same, but no longer waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 10
"""Packets missing at once, 200 ms: more is an outage, whose sound comes too late to be of use."""
MAX_RTT_S = 0.2
"""On a longer path no answer comes in time."""
MIN_WAIT_S, MAX_WAIT_S = 0.12, 0.25
"""From the first asking on, by the round trip. A listener notices a later pause less than a word that it misreads."""
_SLACK_S = 0.01
"""What an answer may take beyond a round trip, by jitter."""
_FORGET_S = 2.0
_DOUBT, _TRUST, _HOPE = 0.8, 0.3, 0.3
"""What is left of the hope after each packet that did not come, what each that came adds, and how much is needed: six
in a row that did not."""


@dataclass(slots=True)
class _Asked:
    first: float
    last: float
    until: float
    rtt: float


def split(sequences: Sequence[int]) -> list[list[int]]:
    """The numbers for one request or two, 16 bits each: aiortc writes none across the wrap of the counter."""
    parts: list[list[int]] = []
    for sequence in sorted(sequences):
        short = sequence & 0xFFFF
        if not parts or short < parts[-1][-1]:
            parts.append([])
        parts[-1].append(short)
    return parts


class Nacks:
    def __init__(self) -> None:
        self._asked: dict[int, _Asked] = {}
        self._hope = 1.0
        self.answered = 0
        """Packets that came because they were asked for."""

    def ask(self, missing: Sequence[int], now: float, rtt: float) -> list[int]:
        """Which of the `missing` sequence numbers, unwrapped, are to be asked for now: each again when a round trip of
        `rtt` seconds has brought nothing."""
        for sequence, asked in list(self._asked.items()):
            if now > asked.first + _FORGET_S:
                del self._asked[sequence]
                self._hope *= _DOUBT
        if len(missing) > MOST or rtt > MAX_RTT_S:
            return []
        due = []
        for sequence in missing:
            known = self._asked.get(sequence)
            if known is None:
                wait = max(MIN_WAIT_S, min(MAX_WAIT_S, 2.5 * rtt + 4 * _SLACK_S))  # for two tries
                self._asked[sequence] = _Asked(now, now, now + (wait if self._hope > _HOPE else 0.0), rtt)
            elif now - known.last < 1.25 * rtt + _SLACK_S or now + rtt > known.first + MAX_WAIT_S + _SLACK_S:
                continue
            else:
                known.last = now
            due.append(sequence)
        return due

    def until(self, sequence: int) -> float | None:
        """How long a packet is worth waiting for, monotonic seconds; None: it has not been asked for."""
        asked = self._asked.get(sequence)
        return None if asked is None else asked.until

    def arrived(self, sequence: int, now: float) -> bool:
        """A packet has come; whether it had been asked for. One that was merely overtaken is no answer."""
        asked = self._asked.pop(sequence, None)
        if asked is not None and now - asked.first > asked.rtt / 2:
            self.answered += 1
            self._hope = min(1.0, self._hope + _TRUST)
        return asked is not None
