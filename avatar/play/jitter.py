"""Puts sound packets in order and dates what is missing. Pure code: time is handed in.

For ears, not for loudspeakers: a packet that is next in order is handed on the moment it comes, so an undisturbed
network adds no delay. Only a gap is waited at, 20 to 60 ms as packets turn out to overtake each other, then bridged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..clock import AUDIO_RATE
from .opus import PACKET_SAMPLES, duration

MIN_WAIT_S = 0.02
MAX_WAIT_S = 0.06
"""A word recogniser notices 60 ms of delay less than a lost syllable; waiting longer would be felt in the answer."""
_WAIT_STEP_S = 0.01
_CALM_PACKETS = 500
"""Ten seconds without a late packet shorten the wait by a step."""
MAX_BRIDGE = 2 * AUDIO_RATE
"""Samples. A longer hole in the timestamps is a new start of the sender, not lost sound."""
_MAX_JUMP = 200
"""Sequence numbers, four seconds: beyond, the sender has started anew."""
_MAX_HELD = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the stream, next in order."""

    kind: Literal["packet", "lost", "silence"]
    """`silence`: the sender sent nothing, on purpose (DTX)."""
    timestamp: int
    """RTP, unwrapped, of its first sample."""
    samples: int
    data: bytes = b""
    """The packet; for `lost`, the packet that follows, if that is there."""
    arrival: float = 0.0
    """Monotonic seconds; for `packet` only."""


@dataclass(slots=True)
class _Held:
    timestamp: int
    data: bytes
    arrival: float


class SoundBuffer:
    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._next_sequence: int | None = None
        self._next_timestamp = 0
        self._wait = MIN_WAIT_S
        self._calm = 0
        self.late = self.duplicates = self.lost = 0
        """Packets. `late` ones came after their gap had been bridged."""

    @property
    def wait_s(self) -> float:
        return self._wait

    def add(self, sequence: int, timestamp: int, data: bytes, now: float) -> None:
        """A packet, `sequence` and `timestamp` unwrapped. Broken ones are ignored, and so count as lost."""
        if not duration(data):
            return
        if self._next_sequence is None or abs(sequence - self._next_sequence) > _MAX_JUMP:
            self._held.clear()
            self._next_sequence, self._next_timestamp = sequence, timestamp
        if sequence in self._held:
            self.duplicates += 1
            return
        if sequence < self._next_sequence:
            self.late += 1
            self._wait = min(MAX_WAIT_S, self._wait + _WAIT_STEP_S)
            self._calm = 0
            return
        if len(self._held) < _MAX_HELD:
            self._held[sequence] = _Held(timestamp, data, now)

    def pop(self, now: float) -> list[Piece]:
        """What can be handed on now."""
        pieces: list[Piece] = []
        while self._held and self._next_sequence is not None:
            held = self._held.pop(self._next_sequence, None)
            if held is None:
                following = min(self._held)
                if now < self._held[following].arrival + self._wait - 1e-6:
                    break
                self._bridge(following, pieces)
                continue
            self._catch_up(held.timestamp, pieces)
            samples = duration(held.data)
            pieces.append(Piece("packet", held.timestamp, samples, held.data, held.arrival))
            self._next_sequence += 1
            self._next_timestamp = held.timestamp + samples
            self._calm += 1
            if self._calm >= _CALM_PACKETS:
                self._calm = 0
                self._wait = max(MIN_WAIT_S, self._wait - _WAIT_STEP_S)
        return pieces

    @property
    def deadline(self) -> float | None:
        """When `pop` has something to say even if nothing comes, monotonic seconds."""
        return self._held[min(self._held)].arrival + self._wait if self._held else None

    def skip(self, samples: int) -> None:
        """Silence was put in while the sender was still: what it sends next goes on behind it."""
        self._next_timestamp += samples

    def _bridge(self, following: int, pieces: list[Piece]) -> None:
        held = self._held[following]
        assert self._next_sequence is not None
        self.lost += following - self._next_sequence
        samples = held.timestamp - self._next_timestamp
        if 0 < samples <= MAX_BRIDGE:
            # Concealment is believable for a packet or two; before that, silence.
            guessed = min(samples, 2 * PACKET_SAMPLES)
            if samples > guessed:
                pieces.append(Piece("silence", self._next_timestamp, samples - guessed))
            pieces.append(Piece("lost", held.timestamp - guessed, guessed, held.data))
        self._next_sequence, self._next_timestamp = following, held.timestamp

    def _catch_up(self, timestamp: int, pieces: list[Piece]) -> None:
        samples = timestamp - self._next_timestamp
        if 0 < samples <= MAX_BRIDGE:
            pieces.append(Piece("silence", self._next_timestamp, samples))
