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
_MOST_KEPT = 256
"""Packets asked for and not come, whatever the other side numbers them."""
_DOUBT, _TRUST, _HOPE = 0.8, 0.3, 0.3
"""What is left of the hope after each packet that did not come, what each that came adds, and how much is needed: six
in a row that did not."""


@dataclass(slots=True)
class _Asked:
    first: float
    last: float
    until: float
    rtt: float
    useful: float
    """Until when it would be waited for if there were hope, monotonic seconds."""


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
        while self._asked and now > self._asked[oldest := next(iter(self._asked))].first + _FORGET_S:
            self._forget(oldest)
        if len(missing) > MOST or rtt > MAX_RTT_S:
            return []
        due = []
        for sequence in missing:
            known = self._asked.get(sequence)
            if known is None:
                wait = max(MIN_WAIT_S, min(MAX_WAIT_S, 2.5 * rtt + 4 * _SLACK_S))  # for two tries
                if len(self._asked) == _MOST_KEPT:
                    self._forget(next(iter(self._asked)))
                until = now + (wait if self._hope > _HOPE else 0.0)
                self._asked[sequence] = _Asked(now, now, until, rtt, now + wait)
            elif now - known.last < 1.25 * rtt + _SLACK_S or now + rtt > known.first + MAX_WAIT_S + _SLACK_S:
                continue
            else:
                known.last = now
            due.append(sequence)
        return due

    def _forget(self, sequence: int) -> None:
        """It did not come, or not in time."""
        del self._asked[sequence]
        self._hope *= _DOUBT

    def until(self, sequence: int) -> float | None:
        """How long a packet is worth waiting for, monotonic seconds; None: it has not been asked for."""
        asked = self._asked.get(sequence)
        return None if asked is None else asked.until

    def arrived(self, sequence: int, now: float) -> bool:
        """A packet has come; whether it had been asked for. One that was merely overtaken is no answer; one that comes
        when nobody waits any more is no reason to wait for others."""
        asked = self._asked.get(sequence)
        if asked is None:
            return False
        if now > asked.useful:
            self._forget(sequence)
            return True
        del self._asked[sequence]
        if now - asked.first > asked.rtt / 2:
            self.answered += 1
            self._hope = min(1.0, self._hope + _TRUST)
        return True
