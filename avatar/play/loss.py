"""What losses say about the rate. Pure code: time is handed in.

Above a tenth of packets lost the rate falls, below a fiftieth it climbs (draft-ietf-rmcat-gcc-02 §6). The draft takes a
radio's random losses for a full queue, so one rule is ours: loss while nothing waits on the path is only tried to be
lowered once, and when that does not help, so much loss is the path's own from then on.
"""

from __future__ import annotations

from collections import deque

_CLIMB_PER_S = 0.08
_FEW, _MANY = 0.02, 0.10
"""Shares of lost packets below which the rate may climb and above which it falls (draft §6)."""
_LOSS_SPAN_S = 0.6
_LOSS_PACKETS = 25
_TRIAL_S = 3.5
_TRIAL_CUT = 0.7
_TRIAL_PROOF = 0.35
"""Loss above this share of the way from what a policer would still drop to what was lost before is the path's own."""
_POLICED_S = 8.0
"""After a trial has found that the path drops what exceeds a rate: so long every such loss is answered."""
_OWN_MAX = 0.35


class LossRate:
    """The loss-based estimate."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.own = 0.0
        """The share that the path loses whatever is sent."""
        self._lost = self._seen = 0
        self._since: float | None = None
        self._calm = True
        self._recent: deque[float] = deque(maxlen=3)
        self._trial: tuple[float, int, float] | None = None
        """Since when, the rate before, the loss before."""
        self._tried: list[float] = []
        self._policed = float("-inf")

    def add(self, lost: int, seen: int, calm: bool, now: float) -> None:
        """Packets that a report speaks of, those of them that are missing, and whether the path's queue is empty."""
        self._since = now if self._since is None else self._since
        self._lost += lost
        self._seen += seen
        self._calm = self._calm and calm
        elapsed = now - self._since
        if elapsed < _LOSS_SPAN_S or self._seen < _LOSS_PACKETS:
            return
        self._recent.append(self._lost / self._seen)
        self._judge(self._lost / self._seen, min(elapsed, 2.0), now)
        self._since, self._lost, self._seen, self._calm = now, 0, 0, True

    def _judge(self, loss: float, elapsed: float, now: float) -> None:
        mean = sum(self._recent) / len(self._recent)
        calm = self._calm and now - self._policed > _POLICED_S
        if self._trial is not None:
            self._try(loss, now)
            return
        if loss < self.own:
            self.own += 0.3 * (loss - self.own)
        extra = max(0.0, mean - self.own) / (1 - self.own)
        if extra > _MANY and not calm:
            self.rate = int(self.rate * (1 - 0.5 * min(extra, 0.6)))
        elif extra > _MANY:
            self._trial, self._tried = (now, self.rate, mean), []
            self.rate = int(self.rate * _TRIAL_CUT)
        elif extra < _FEW:
            self.rate = int(self.rate * (1 + _CLIMB_PER_S) ** elapsed + 1_000)
        elif calm:
            self.own = min(_OWN_MAX, self.own + 0.3 * (mean - self.own))

    def _try(self, loss: float, now: float) -> None:
        """Loss without a queue: a radio's, or a policer's. Only the latter's falls with the rate."""
        assert self._trial is not None
        since, rate, before = self._trial
        self._tried.append(loss)
        if now - since < _TRIAL_S:
            return
        after = sum(self._tried[1:]) / max(1, len(self._tried) - 1)
        self._trial = None
        policed = max(0.0, 1 - (1 - before) / _TRIAL_CUT)  # what would be lost still, were it for the rate alone
        if after > policed + _TRIAL_PROOF * (before - policed) and self._calm:
            self.own = min(_OWN_MAX, (before + after) / 2)
            self.rate = rate
        else:
            self._policed = now
