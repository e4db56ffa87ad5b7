"""Slot n ↔ due time ↔ pts: the one clock that picture and sound are stamped from.

A slot is 40 ms. Slot n is due at `epoch + n · 40 ms` on the monotonic clock; its picture has video pts 3600·n at
90 kHz and its sound audio pts 1920·n and 1920·n + 960 at 48 kHz. Wall time appears here alone, because RTCP sender
reports need it (RFC 3550 §6.4.1).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction

SLOT_S = 0.04
SLOTS_PER_S = 25
VIDEO_RATE = 90_000
AUDIO_RATE = 48_000
VIDEO_TICKS = VIDEO_RATE // SLOTS_PER_S
"""Video clock ticks in a slot."""
AUDIO_SAMPLES = AUDIO_RATE // SLOTS_PER_S
"""Samples of 48 kHz sound in a slot."""
VIDEO_TIME_BASE = Fraction(1, VIDEO_RATE)
AUDIO_TIME_BASE = Fraction(1, AUDIO_RATE)
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (Unix)."""


@dataclass(slots=True)
class MediaClock:
    """The clock of one session. `epoch` is set once, when the first slot is about to be sent."""

    epoch: float | None = None
    """Monotonic seconds at which slot 0 is due."""
    _wall: float = field(default=0.0, repr=False)
    """Unix seconds at the epoch: read once, so that later steps of the system clock cannot bend the mapping."""

    def start(self, now: float | None = None) -> None:
        """Makes slot 0 due at `now` (monotonic seconds, the present by default)."""
        moment = time.monotonic()
        self.epoch = moment if now is None else now
        self._wall = time.time() + (self.epoch - moment)

    @property
    def running(self) -> bool:
        return self.epoch is not None

    def due(self, slot: int) -> float:
        """Monotonic seconds at which `slot` is to be sent."""
        assert self.epoch is not None, "the clock has not been started"
        return self.epoch + slot * SLOT_S

    def slot_at(self, now: float) -> int:
        """The slot that is being sent at monotonic time `now`."""
        assert self.epoch is not None, "the clock has not been started"
        return int((now - self.epoch) // SLOT_S)

    def media_s(self, now: float | None = None) -> float:
        """Media seconds since the epoch."""
        assert self.epoch is not None, "the clock has not been started"
        return (time.monotonic() if now is None else now) - self.epoch

    def ntp(self, now: float | None = None) -> int:
        """The 64-bit NTP timestamp of monotonic time `now` (RFC 3550 §4), by the wall clock as it was at the epoch."""
        seconds = self._wall + self.media_s(now) + NTP_EPOCH
        whole = int(seconds)
        return (whole << 32) | int((seconds - whole) * (1 << 32))
