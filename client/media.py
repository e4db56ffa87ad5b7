"""Where received media go: into the meters and into the recording, on one line of time.

The line is the sender's: RTP timestamps mapped by its sender reports. The microphone lives on our own clock; it is
brought over by the delay with which sound arrives here, so that on a recording the reply stands where a user would
have heard it.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from avatar.types import I420, Pcm

from .meters import PictureMeter, SoundMeter, audible, onset
from .offset import OffsetMeter, Spread, spread
from .recorder import Recorder

DELAY_PACKETS = 100
"""Packets from which the delay is taken: two seconds see the usual jitter."""
DELAY_SHARE = 95
"""Percentile of the arrivals that the delay covers: a receiver that waited less would often be too early."""
LAG_PACKETS = 50
"""Sound packets (1 s) with whose usual lag a picture's is compared: clocks drift apart over hours, not within it."""
SKEWS_KEPT = 100_000
"""An hour of pictures."""
OVERTAKING_S = 0.06
HELD_PACKETS = 500
"""Microphone packets (10 s) that wait for the delay; without sound from the server the oldest are given up."""


class Media:
    """The hub of one run."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.pictures = PictureMeter()
        self.sound = SoundMeter()
        self.content = OffsetMeter()
        self._recorder = recorder
        self._delays: list[float] = []
        self._delay: float | None = None
        self._microphone: deque[tuple[Pcm, float]] = deque(maxlen=HELD_PACKETS)
        self._sound_lags: deque[float] = deque(maxlen=LAG_PACKETS)
        self._skews: deque[float] = deque(maxlen=SKEWS_KEPT)
        self._recent: deque[float] = deque(maxlen=3)
        """Arrivals of the last audible packets."""
        self._listening: float | None = None
        self.heard: dict[float, float] = {}
        """Seconds from the server's word that a turn begins to sound to its first audible sound, by the time of that
        word."""

    def picture(self, i420: I420, at: float, arrival: float) -> None:
        """A decoded picture, its time on the sender's line, and when it was complete here (monotonic seconds)."""
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        self.pictures.picture(arrival, width, height)
        if self._sound_lags:
            self._skews.append(1000 * (float(np.median(self._sound_lags)) - (arrival - at)))
        self.content.picture(i420[:height], at)
        if self._recorder is not None:
            self._recorder.picture(i420, at)

    def voice(self, pcm: Pcm, at: float, arrival: float, *, missing: bool = False) -> None:
        """Decoded sound of the avatar, 48 kHz mono, in order. `missing`: it did not come, and is a guess."""
        self.sound.sound(pcm, at, arrival, missing=missing)
        self.content.sound(pcm, at)
        if self._recorder is not None:
            self._recorder.voice(pcm, at)
        if missing:
            return
        if audible(pcm):
            self._audible(arrival + onset(pcm))
        self._sound_lags.append(arrival - at)
        if self._delay is None:
            self._delays.append(arrival - at)
            if len(self._delays) == DELAY_PACKETS:
                self._delay = float(np.percentile(self._delays, DELAY_SHARE))
                self._release()

    def microphone(self, pcm: Pcm, captured: float) -> None:
        """Sound of the user, 48 kHz mono, and when its first sample was captured (monotonic seconds)."""
        if self._recorder is None:
            return
        self._microphone.append((pcm, captured))
        self._release()

    def listen(self, now: float) -> None:
        """The server says that a turn begins to sound: notes when its first audible sound arrives."""
        # Message and sound leave together and may overtake each other by a packet or two.
        early = [arrival for arrival in self._recent if arrival > now - OVERTAKING_S]
        self._listening = None if early else now
        if early:
            self.heard[now] = early[0] - now

    def finish(self) -> None:
        """No more media will come."""
        if self._delay is None and self._delays:
            self._delay = float(np.percentile(self._delays, DELAY_SHARE))
        self._release()

    def offset(self) -> Spread | None:
        """The offset of sound against picture, measured in their content; None with other than the calibration face,
        or when too little was said."""
        return spread(self.content.offsets())

    def skew(self) -> Spread | None:
        """How much later sound arrived than the picture of the same moment, in milliseconds."""
        return spread(list(self._skews))

    def _audible(self, arrival: float) -> None:
        self._recent.append(arrival)
        if self._listening is not None:
            self.heard[self._listening] = arrival - self._listening
            self._listening = None

    def _release(self) -> None:
        if self._delay is None or self._recorder is None:
            return
        while self._microphone:
            pcm, captured = self._microphone.popleft()
            self._recorder.microphone(pcm, captured - self._delay)
