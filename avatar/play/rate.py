"""How many bits per second the video may take: a pure rule fed with the receiver's estimates (REMB) and its loss.

A receiver's estimate is tied to what it gets. On a clean network it starts at the rate that is being sent and climbs
to about 1.5 times that, so it often lies below what the video *may* take without anything being wrong. After a hiccup
of the receiver's machine it lies far below what is sent, and climbs by 8 % a second. Followed blindly it starves the
encoder in both cases. What tells is its direction: receivers raise it as long as their delay does not grow. So an
estimate is a limit only while it does *not* rise and lies close above or below what is really sent.
"""

from __future__ import annotations

from typing import Literal

START = 750_000
"""bit/s: 512 × 512 at 25 fps looks clean with it."""
FLOOR = 120_000
"""bit/s: below this VP9 at 512 × 512 falls apart, and the sound needs what is left."""
CEILING = 1_500_000
"""bit/s: more is not seen on a face of at most 1024 pixels."""
_BOTTOM = 30_000
"""bit/s: what the path's own estimate may lower the target to; pictures have become fewer and smaller by then."""
_SLACK = 1.3
"""A falling estimate of less than this times the sent rate is a limit of the network, not of what we send."""
_BELOW = 0.85
"""A resting estimate is a limit below this share of the sent rate: receivers answer a growing queue with 0.85 of what
they get (draft-ietf-rmcat-gcc-02 §5.5). Just after the start a clean network shows 0.9."""
_RISES, _FALLS = 1.002, 0.97
"""Against the estimate before. The slowest rise of a receiver is 4 kbit/s a second."""
_SHARE = 0.9
"""Of the estimate, the rest is for retransmissions and headers."""
_DEEPEST_CUT = 0.7
"""Of the target, at one report: a true limit is reached after a few reports, some 200 ms apart, and a false one costs
little."""
_LOSSY = 0.1
"""Above this share of lost packets the network is overloaded, whatever the delay says (same draft, §6)."""
_LOSS_PAUSE_S = 1.0
"""Between two cuts for loss: the reports of a second tell of the same queue."""
_GROWTH_PER_S = 0.08
_GROWTH_FIXED = 10_000
"""bit/s a second: lets a rate near the floor climb as well."""


class RateControl:
    """The target of one video stream."""

    def __init__(self, kbps: int | Literal["auto"] = "auto") -> None:
        self.estimate: int | None = None
        """The receiver's last estimate in bit/s."""
        self._now: float | None = None
        self._cut = float("-inf")
        self.following = False
        """The target comes from the path's estimate."""
        self.set_limit(kbps)

    def set_limit(self, kbps: int | Literal["auto"]) -> None:
        """Starts again from a rate in kbit/s that is also the ceiling, or from the automatic one."""
        if kbps == "auto":
            self.target, self.floor, self.ceiling = START, FLOOR, CEILING
        else:
            self.target = self.ceiling = kbps * 1000
            self.floor = min(FLOOR, self.ceiling)

    def follow(self, available: int) -> int:
        """The path's own estimate is there (`congestion`): `available` bit/s of it are the video's. From now on the
        receiver's estimates are not asked. Returns the target."""
        self.following = True
        self.target = max(min(_BOTTOM, self.ceiling), min(available, self.ceiling))
        return self.target

    def on_estimate(self, estimate: int, *, sent: int, reserved: int, now: float) -> int:
        """Takes the receiver's estimate of the path and returns the new target, all in bit/s.

        `sent` is what went out in the last second, everything together; `reserved` the part that is not video; `now`
        monotonic seconds.
        """
        elapsed = 0.0 if self._now is None else min(1.0, now - self._now)
        before = self.estimate or estimate
        self._now, self.estimate = now, estimate
        if self.following:
            return self.target
        available = int(estimate * _SHARE) - reserved
        grown = int(self.target + elapsed * (self.target * _GROWTH_PER_S + _GROWTH_FIXED))
        if available >= self.target:
            self.target = min(available, self.ceiling, grown)
        elif estimate > _RISES * before:
            if estimate < sent:  # it is behind: more than it says gets through
                self.target = min(self.ceiling, grown)
        elif estimate < _BELOW * sent or (estimate < _FALLS * before and estimate < _SLACK * sent):
            self.target = max(self.floor, available, int(self.target * _DEEPEST_CUT))
        return self.target

    def on_loss(self, share: float, *, now: float) -> int:
        """Takes the share of packets that the receiver reports as lost and returns the new target in bit/s."""
        if self.following:
            return self.target
        if share > _LOSSY and now - self._cut >= _LOSS_PAUSE_S:
            self._cut = now
            self.target = max(self.floor, int(self.target * (1 - 0.5 * share)))
        return self.target
