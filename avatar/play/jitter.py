"""Puts sound packets in order and dates what is missing. Pure code: time is handed in.

For ears, not for loudspeakers: a packet that is next in order is handed on the moment it comes, so an undisturbed
network adds no delay. Only a gap is waited at, 20 to 60 ms as packets turn out to overtake each other, longer where its
packets have been asked for once more, then bridged.
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
_COPIED = 1 << 14
"""Samples: further back no copy lies (RFC 2198 §3)."""


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
    copied: bool = False
    """Only a copy has come so far (RFC 2198)."""


class SoundBuffer:
    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._next_sequence: int | None = None
        self._next_timestamp = 0
        """Of what is handed on next, by what has been, silence put in included."""
        self._end = 0
        """One past the last sample that the sender is known to have sent before that."""
        self._wait = MIN_WAIT_S
        self._calm = 0
        self._expected: dict[int, float] = {}
        """Sequence numbers that have been asked for → until when they are waited for, monotonic seconds."""
        self._handed: dict[int, bool] = {}
        """Sequence numbers handed on lately → only a copy of it was."""
        self.late = self.duplicates = self.lost = self.recovered = 0
        """Packets. `late` ones came after their gap had been bridged, `recovered` ones never, but a copy of them;
        `duplicates` came once more, as what is asked for and was only overtaken does."""

    @property
    def wait_s(self) -> float:
        return self._wait

    def add(self, sequence: int, timestamp: int, data: bytes, now: float) -> None:
        """A packet, `sequence` and `timestamp` unwrapped; without data it is padding, which only takes its place.
        Broken ones are ignored, and so count as lost."""
        if data and not duration(data):
            return
        if self._next_sequence is None or abs(sequence - self._next_sequence) > _MAX_JUMP:
            if not data:
                return
            self._held.clear()
            self._handed.clear()
            self._expected.clear()
            self._next_sequence, self._next_timestamp, self._end = sequence, timestamp, timestamp
        if (held := self._held.get(sequence)) is not None:
            self.duplicates += not held.copied
            held.copied = False
            return
        if (copied := self._handed.get(sequence)) is not None:
            self._handed[sequence] = False
            self.recovered -= copied  # its copy overtook it: neither late nor lost
            self.duplicates += not copied
            return
        asked = self._expected.pop(sequence, None) is not None
        if sequence < self._next_sequence:
            self.late += 1
            if asked:
                return  # it has come twice as far as others: no sign of a restless path
            self._wait = min(MAX_WAIT_S, self._wait + _WAIT_STEP_S)
            self._calm = 0
            return
        if len(self._held) < _MAX_HELD:
            self._held[sequence] = _Held(timestamp, data, now)

    def mend(self, sequence: int, timestamp: int, offset: int, data: bytes, now: float) -> None:
        """A copy of an earlier packet that comes with packet `sequence` and lies `offset` samples before it; to be told
        before that packet, nearest first. Only its time says which one it is: there may be padding between them."""
        begin, samples, limit = timestamp - offset, duration(data), timestamp
        if self._next_sequence is None or not samples or begin < self._end:
            return
        if not 0 < sequence - self._next_sequence <= _MAX_JUMP or len(self._held) >= _MAX_HELD:
            return
        vacant: int | None = None
        for place in range(sequence - 1, self._next_sequence - 1, -1):
            held = self._held.get(place)
            if held is None:
                vacant = place if vacant is None else vacant
            elif held.data and held.timestamp <= begin:
                if held.timestamp + duration(held.data) > begin:
                    return  # it is here itself
                break
            elif held.timestamp < begin:
                break
            else:
                vacant = None
                limit = min(limit, held.timestamp) if held.data else limit
        if vacant is not None and begin + samples <= limit:
            self._held[vacant] = _Held(begin, data, now, copied=True)

    def missing(self) -> list[int]:
        """Sequence numbers, in order, of packets with sound that are known to be lost so far, where what follows is
        here. None once silence has taken their place."""
        if not self._held or self._next_sequence is None or self._next_timestamp > self._end:
            return []
        found: list[int] = []
        vacant: list[int] = []
        place, end = self._next_sequence, self._end
        for sequence in sorted(self._held):
            held = self._held[sequence]
            vacant += range(place, sequence)
            place = sequence + 1
            if held.data:
                found += vacant if held.timestamp > end else ()  # else it was padding
                vacant, end = [], held.timestamp + duration(held.data)
        return found

    def expect(self, sequence: int, until: float) -> None:
        """A missing packet has been asked for; it is waited for until that moment, monotonic seconds."""
        self._expected[sequence] = until
        if len(self._expected) > _MAX_HELD:
            del self._expected[next(iter(self._expected))]

    def pop(self, now: float) -> list[Piece]:
        """What can be handed on now."""
        pieces: list[Piece] = []
        while self._held and self._next_sequence is not None:
            held = self._held.pop(self._next_sequence, None)
            if held is None:
                following = self._following
                if following is None:
                    break
                waited = now >= self._patience(following) - 1e-6
                if self._held[following].timestamp > self._end and not waited:
                    break
                self._bridge(following, pieces)
                continue
            self._handed[self._next_sequence] = False
            if len(self._handed) > _MAX_JUMP:
                del self._handed[next(iter(self._handed))]
            self._next_sequence += 1
            if held.data:
                self._hand_on(held, pieces)
        return pieces

    def _hand_on(self, held: _Held, pieces: list[Piece]) -> None:
        if 0 < self._end - held.timestamp <= _COPIED:
            return  # a copy took the place of padding, and the packet itself has come as well
        if held.copied:
            assert self._next_sequence is not None
            self.recovered += 1
            self._handed[self._next_sequence - 1] = True
        self._catch_up(held.timestamp, pieces)
        samples = duration(held.data)
        pieces.append(Piece("packet", held.timestamp, samples, held.data, held.arrival))
        self._next_timestamp = self._end = held.timestamp + samples
        self._calm += 1
        if self._calm >= _CALM_PACKETS:
            self._calm = 0
            self._wait = max(MIN_WAIT_S, self._wait - _WAIT_STEP_S)

    @property
    def _following(self) -> int | None:
        """The first packet with sound that is there."""
        return min((sequence for sequence, held in self._held.items() if held.data), default=None)

    @property
    def deadline(self) -> float | None:
        """When `pop` has something to say even if nothing comes, monotonic seconds."""
        following = self._following
        return None if following is None else self._patience(following)

    def _patience(self, following: int) -> float:
        """Until when the gap before that packet is waited at, monotonic seconds."""
        assert self._next_sequence is not None
        gap = range(self._next_sequence, following)
        usual = self._held[following].arrival + self._wait
        return max([usual, *(self._expected[sequence] for sequence in gap if sequence in self._expected)])

    def skip(self, samples: int) -> None:
        """Silence was put in while the sender was still: what it sends next goes on behind it."""
        self._next_timestamp += samples

    def _bridge(self, following: int, pieces: list[Piece]) -> None:
        held = self._held[following]
        assert self._next_sequence is not None
        missing = [self._held.pop(sequence, None) for sequence in range(self._next_sequence, following)].count(None)
        if held.timestamp > self._end:  # else it was padding that got lost
            self.lost += missing
        samples = held.timestamp - self._next_timestamp
        if 0 < samples <= MAX_BRIDGE:
            # Concealment is believable for a packet or two; before that, silence.
            guessed = min(samples, 2 * PACKET_SAMPLES)
            if samples > guessed:
                pieces.append(Piece("silence", self._next_timestamp, samples - guessed))
            pieces.append(Piece("lost", held.timestamp - guessed, guessed, held.data))
        self._next_sequence = following
        if not 0 < self._end - held.timestamp <= _COPIED:
            self._next_timestamp = self._end = held.timestamp

    def _catch_up(self, timestamp: int, pieces: list[Piece]) -> None:
        samples = timestamp - self._next_timestamp
        if 0 < samples <= MAX_BRIDGE:
            pieces.append(Piece("silence", self._next_timestamp, samples))
