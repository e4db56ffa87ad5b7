"""How long pictures have to wait at the receiver for their sound. Pure code: time is handed in.

A receiver holds sound back for as long as its packets have lately been late at their worst, and goes on doing so for
ten seconds and more after a queue on the path has gone; pictures it shows as they come. By sender reports it does bring
the two together, but slowly: libwebrtc by an eighth of the difference each second. Meanwhile lips move up to 0.3 s
before their words. A sender can foresee it: feedback tells when each packet arrived, and the rule by which libwebrtc
holds sound back is public. It is followed here, and pictures are told to wait as long, by the header extension that is
there for it.

What sound is held back: libwebrtc, modules/audio_coding/neteq (`delay_manager`, `underrun_optimizer`, `histogram`,
`packet_arrival_history`); when pictures are due: modules/video_coding/timing (`timestamp_extrapolator`). The extension:
docs/native-code/rtp-hdrext/playout-delay, there as well.
"""

from __future__ import annotations

from collections import deque

URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
UNIT_S = 0.01
"""Of both of the extension's delays, 12 bits each."""
_LONGEST_UNITS = 1000
"""The most that a receiver may let pictures wait, as it is without the extension: 10 s."""

_BUCKET_S = 0.02
_BUCKETS = 100
_INTERVAL_S = 0.5
"""The worst delay in each is what counts."""
_FORGET = 0.983
"""Weight of what is known, from one interval to the next; in the first minute less."""
_START_WEIGHT = 2
_SHARE = 0.95
"""Of the intervals, those whose worst delay is covered."""
_LEAST_S = 0.02
"""A packet's length."""
_HISTORY_S = 2.0
"""Delays are counted from the fastest packet in this time."""
_SLACK_S = 0.02
"""A buffer that holds so much more than it aims at is let be, and as much again as packets have lately been late."""
_STRETCH = 0.08
"""Seconds a second, by which what is beyond becomes less and what is wanting more: a pitch period, some 5 ms, every
60 ms."""
_FULL = 4
"""A buffer that holds so many times what it may is emptied at once."""


class SoundDelay:
    """How much later sound is played than it could be."""

    def __init__(self) -> None:
        self.fastest = 0.0
        """Lag of the fastest packet lately, seconds between two clocks."""
        self.lately = 0.0
        """By how much the newest packet was later than that."""
        self._lags: deque[tuple[float, float]] = deque()
        """Arrival and lag, of packets than which no later one was faster."""
        self._slowest: deque[tuple[float, float]] = deque()
        """The same of those than which no later one was slower."""
        self._weights = [0.0] * _BUCKETS
        self._forget = 0.0
        self._intervals = 0
        self._worst = 0.0
        self._since: float | None = None
        self._target = _LEAST_S
        self.seconds = _LEAST_S
        """Behind the fastest packet: what the buffer aims at, what it is forced to, or what it still holds."""
        self._arrived = float("-inf")

    def add(self, lag: float, arrived: float) -> None:
        """A packet that came `lag` seconds after its stamp (by two clocks), at `arrived` by the receiver's."""
        while self._lags and self._lags[-1][1] >= lag:
            self._lags.pop()
        self._lags.append((arrived, lag))
        while self._slowest and self._slowest[-1][1] <= lag:
            self._slowest.pop()
        self._slowest.append((arrived, lag))
        for lags in (self._lags, self._slowest):
            while arrived - lags[0][0] > _HISTORY_S:
                lags.popleft()
        self.fastest = self._lags[0][1]
        self.lately = lag - self.fastest
        if self._since is None:
            self._since = arrived
        if arrived - self._since > _INTERVAL_S:
            self._learn(self._worst)
            self._since, self._worst = arrived, 0.0
        self._worst = max(self._worst, self.lately)
        most = self._target + self._slowest[0][1] - self.fastest + _SLACK_S
        step = _STRETCH * min(1.0, max(0.0, arrived - self._arrived))
        if self.seconds > most:
            self.seconds = min(_FULL * most, max(most, self.seconds - step))
        elif self.seconds < self._target:
            self.seconds = min(self._target, self.seconds + step)
        self.seconds = max(self.seconds, self.lately)
        self._arrived = max(self._arrived, arrived)

    def _learn(self, worst: float) -> None:
        bucket = int(worst / _BUCKET_S)
        if bucket < _BUCKETS:
            self._weights = [weight * self._forget for weight in self._weights]
            self._weights[bucket] += 1 - self._forget
            self._intervals += 1
            self._forget = max(0.0, min(_FORGET, 1 - _START_WEIGHT / (self._intervals + 1)))
        beyond = sum(self._weights)
        for covered, weight in enumerate(self._weights, 1):
            beyond -= weight
            if beyond <= 1 - _SHARE:
                self._target = covered * _BUCKET_S
                return


_MS, _TICKS_PER_MS = 1000.0, 90.0
_SLOPE_DOUBT, _OFFSET_DOUBT = 1.0, 1e10
_DRIFT, _MOST, _ALARM = 6_600.0, 7_000.0, 60_000.0
"""Ticks: what a residual may be, what of one counts, and the sum at which the line is taken to have moved."""
_ANEW_S = 10.0
"""Without a picture for so long it begins anew."""


class PictureLine:
    """The straight line that a receiver draws through the arrivals of pictures, least squares over all of them: a
    picture is due where it says, and the wait comes on top. It goes on for long after a queue that bent it."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def _begin(self, stamp: float, arrived: float) -> None:
        self._first = stamp, arrived
        self._slope, self._offset = _TICKS_PER_MS, 0.0
        self._p = [[_SLOPE_DOUBT, 0.0], [0.0, _OFFSET_DOUBT]]
        self._above = self._below = 0.0

    def add(self, stamp: float, arrived: float) -> None:
        """The media time of a picture and its arrival, seconds by two clocks."""
        if self._first is None or arrived - self._last[1] > _ANEW_S:
            self._begin(stamp, arrived)
        elif stamp <= self._last[0]:
            return
        self._last = stamp, arrived
        assert self._first is not None
        t = (arrived - self._first[1]) * _MS
        residual = (stamp - self._first[0]) * _MS * _TICKS_PER_MS - t * self._slope - self._offset
        (a, b), (c, d) = self._p
        if self._moved(residual):
            d = _OFFSET_DOUBT
        k0, k1 = a * t + b, c * t + d
        norm = 1 + t * k0 + k1
        k0, k1 = k0 / norm, k1 / norm
        self._slope += k0 * residual
        self._offset += k1 * residual
        self._p = [
            [a - k0 * (t * a + c), b - k0 * (t * b + d)],
            [c - k1 * (t * a + c), d - k1 * (t * b + d)],
        ]

    def _moved(self, residual: float) -> bool:
        residual = min(_MOST, max(-_MOST, residual))
        self._above = max(0.0, self._above + residual - _DRIFT)
        self._below = min(0.0, self._below + residual + _DRIFT)
        if self._above <= _ALARM and self._below >= -_ALARM:
            return False
        self._above = self._below = 0.0
        return True

    @property
    def lag(self) -> float | None:
        """How long after its stamp the newest picture was to arrive, by the line; None before any has."""
        if self._first is None or self._slope < 1e-3:
            return None
        ticks = (self._last[0] - self._first[0]) * _MS * _TICKS_PER_MS
        return self._first[1] + (ticks - self._offset) / self._slope / _MS - self._last[0]


SOUND_S = 0.01
"""Sound waits for so long on its way out of the buffer, in steps of 10 ms."""
LEAST_S = 0.04
"""What receivers keep of pictures anyway, about; less than this need not be asked for."""
MOST_S = 0.5
LONGER_S, SHORTER_S = 0.025, 0.005
"""By which a picture's wait may differ from that of the picture before: receivers follow at once, and a step would be a
freeze or a jump. Sound catches up by playing faster, which takes it a second for 0.15."""


class Lips:
    """Of one connection: how long its pictures are to wait."""

    def __init__(self) -> None:
        self.sound = SoundDelay()
        self.pictures = PictureLine()
        self._heard = self._asked = False
        self._wait = 0.0

    def heard(self, stamp: float, arrived: float | None) -> None:
        """A packet of sound: its media time and its arrival, seconds by two clocks; None: it was lost."""
        if arrived is not None:
            self._heard = True
            self.sound.add(arrived - stamp, arrived)

    def seen(self, stamp: float, arrived: float | None) -> None:
        """The last packet of a picture."""
        if arrived is not None:
            self.pictures.add(stamp, arrived)

    @property
    def wanted(self) -> float:
        """Seconds that pictures have to wait after they are complete to be shown with their sound."""
        picture = self.pictures.lag
        if not self._heard or picture is None:
            return 0.0
        wait = self.sound.fastest + self.sound.seconds + SOUND_S - picture
        return min(MOST_S, wait) if wait > LEAST_S else 0.0

    def next(self) -> bytes | None:
        """For the next picture: the extension's value, or None while none was ever needed."""
        wanted = self.wanted
        if wanted > self._wait:
            self._wait = min(wanted, max(self._wait, LEAST_S) + LONGER_S)
        else:
            self._wait = max(wanted, self._wait - SHORTER_S)
            self._wait *= self._wait >= LEAST_S
        if not self._wait and not self._asked:
            return None
        self._asked = True
        return (round(self._wait / UNIT_S) << 12 | _LONGEST_UNITS).to_bytes(3, "big")

    @property
    def wait_s(self) -> float:
        """What was asked for last."""
        return self._wait
