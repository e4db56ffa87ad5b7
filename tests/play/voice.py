"""A voice on a lossy path and the buffer that takes it, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from avatar.play.jitter import Piece, SoundBuffer
from avatar.play.nack import Nacks
from avatar.play.opus import PACKET_SAMPLES

TICK_S = 0.02
CALM_PACKETS = 50
"""The first second loses nothing."""


@dataclass
class Taken:
    pieces: list[Piece] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    """Of each piece: how much later than said it was there."""
    asked: int = 0
    answered: int = 0

    @property
    def concealed_ms(self) -> float:
        return sum(piece.samples for piece in self.pieces if piece.kind == "lost") / 48


def carry(
    packets: Sequence[bytes], loss: float, seed: int, *, copies: int, answers: bool = True, trip_s: float = 0.06
) -> Taken:
    """Packets of 20 ms, each with `copies` of those before it, over a path on which packets of both ways get lost at
    random and take half of `trip_s`, a little more or less. `answers`: what is asked for is sent again."""
    chance, buffer, nacks, taken = random.Random(seed), SoundBuffer(), Nacks(), Taken()
    events: list[tuple[float, bool, int]] = []
    """When something arrives, whether it is a request, and which packet it is or asks for."""

    def send(now: float, number: int, *, request: bool = False) -> None:
        if number < CALM_PACKETS or chance.random() >= loss:
            heapq.heappush(events, (now + trip_s / 2 + chance.random() * 0.005, request, number))

    def hand_on(now: float) -> None:
        pieces = buffer.pop(now)
        taken.pieces += pieces
        taken.late_s += [now - piece.timestamp / 48_000 for piece in pieces]

    for number in range(len(packets)):
        send(number * TICK_S, number)
    while events:
        while (deadline := buffer.deadline) is not None and deadline <= events[0][0]:
            hand_on(deadline)
        now, request, number = heapq.heappop(events)
        if request:
            if answers:
                send(now, number)
            continue
        nacks.arrived(number, now)
        stamp = number * PACKET_SAMPLES
        for back in range(1, min(copies, number) + 1):
            buffer.mend(number, stamp, back * PACKET_SAMPLES, packets[number - back], now)
        buffer.add(number, stamp, packets[number], now)
        hand_on(now)
        for missing in nacks.ask(buffer.missing(), now, trip_s):
            until = nacks.until(missing)
            assert until is not None
            buffer.expect(missing, until)
            taken.asked += 1
            send(now, missing, request=True)
    if (deadline := buffer.deadline) is not None:
        hand_on(deadline)
    taken.answered = nacks.answered
    return taken
