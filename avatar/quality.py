"""How well a session is seen and heard: figures of both ends every two seconds, and alarms when a bar is broken. Pure.

The server's figures come from its senders, the client's from the digest of `getStats` that it posts. Both ends count
from the start; a sample holds what happened since the one before. `docs/monitoring.md` says what each figure means.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Invalid

EVERY_S = 2.0
RING = 90
"""Samples that are kept: three minutes."""
RAISE_AFTER = 2
"""Samples beyond the bar that raise an alarm: one may be a hiccup."""
CLEAR_AFTER = 3
"""Samples within it that end the alarm."""
STALE = 4
"""Samples after which a client that tells nothing more is not believed any longer."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that people notice beyond `limit`, whichever sign it has."""

    figure: str
    limit: float
    why: str


BARS = (
    Bar("rtt_ms", 400, "answers feel slow (ITU-T G.114)"),
    Bar("loss", 0.05, "repairs take a visible share of the rate"),
    Bar("jitter_ms", 60, "receivers buffer that much more"),
    Bar("frozen", 0.1, "a tenth of the time stood still"),
    Bar("concealed", 0.05, "guessed sound is heard as gaps"),
    Bar("offset_ms", 80, "lips and voice come apart (ITU-R BT.1359 finds 45 early, 125 late noticed)"),
    Bar("encode_ms", 25, "of the 40 that a picture has"),
    Bar("dropped", 0.2, "a fifth of the pictures were left out"),
)

_CLIENT = {
    "rtt_ms": (0.0, 60_000.0),
    "offset_ms": (-60_000.0, 60_000.0),
    "fps": (0.0, 1000.0),
    "kbps": (0.0, 1e6),
    "jitter_ms": (0.0, 60_000.0),
    "buffer_ms": (0.0, 60_000.0),
    "loss": (0.0, 1.0),
}
_NAMES = {"jitter_ms": "buffer_ms", "variation_ms": "jitter_ms"}
"""The page's word for what it buffers, and for what makes it buffer."""
_WORSE = ("loss", "jitter_ms", "buffer_ms")
"""Of sound and picture the worse one counts."""
_COUNTS = ("freezes", "frozen_s", "frames", "dropped", "nack", "pli", "concealed", "played")


@dataclass(frozen=True, slots=True)
class Alarm:
    figure: str
    value: float
    limit: float
    raised: bool
    """False: the alarm is over."""
    why: str = ""

    @property
    def sentence(self) -> str:
        """For the log."""
        place = "beyond" if self.raised else "within"
        return f"{self.figure} is {self.value:g}, {place} {self.limit:g}" + (
            f": {self.why}" if self.raised else " again"
        )


def client_digest(raw: Any) -> dict[str, float]:
    """What a client posts, flat and checked: `{rtt_ms, offset_ms, video: {…}, audio: {…}}` with numbers or null. Names
    that are not known are ignored. Raises `Invalid` for another shape, or what is no number."""
    if not isinstance(raw, Mapping):
        raise Invalid("stats needs an object of figures.", field="d")
    flat: dict[str, float] = {}
    for part in (raw, raw.get("audio") or {}, raw.get("video") or {}):
        if not isinstance(part, Mapping):
            raise Invalid("video and audio must be objects of figures.", field="d")
        for told, value in part.items():
            name = _NAMES.get(told, told)
            if (name not in _CLIENT and name not in _COUNTS) or value is None:
                continue
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole and not (isinstance(value, float) and math.isfinite(value)):
                raise Invalid(f"{told} must be a number.", field=told)
            low, high = _CLIENT.get(name, (0.0, 1e15))
            bounded = float(min(high, max(low, value)))  # bounded first: a whole number may be too large for a float
            flat[name] = max(flat[name], bounded) if name in flat and name in _WORSE else bounded
    return flat


class Monitor:
    """One session's samples and alarms."""

    def __init__(self) -> None:
        self.ring: deque[dict[str, Any]] = deque(maxlen=RING)
        self._server: Mapping[str, Any] = {}
        """Totals at the sample before."""
        self._client: dict[str, float] | None = None
        self._client_before: dict[str, float] = {}
        self._silent = 0
        self._fresh = False
        """Totals of the time before the next sample say nothing: the connection was gone."""
        self._beyond: dict[str, int] = {}
        self._within: dict[str, int] = {}
        self.alarms: dict[str, Alarm] = {}
        """Those that are raised, by figure."""

    def report(self, digest: dict[str, float]) -> None:
        """Takes what the client measures, as `client_digest` gives it."""
        self._client = digest
        self._silent = 0

    def rest(self) -> None:
        """There is no connection to measure just now."""
        self._fresh = bool(self.ring)

    def sample(self, at_s: float, server: Mapping[str, Any], elapsed_s: float = EVERY_S) -> list[Alarm]:
        """Takes a peer's statistics (`Peer.stats`) at a session's age in seconds; returns alarms raised or ended."""
        if self._fresh:  # what follows is counted from here
            self._fresh, self._server = False, dict(server)
            self._client, self._client_before = None, {}
            return []
        sample: dict[str, Any] = {"at_s": round(at_s, 1)}
        sample |= self._of_server(server)
        self._silent += 1
        if self._silent > STALE:
            self._client = None
        if self._client is not None:
            sample["client"] = self._of_client(self._client, elapsed_s * self._silent)
        self.ring.append(sample)
        return self._judge(sample)

    def _of_server(self, server: Mapping[str, Any]) -> dict[str, Any]:
        before, self._server = self._server, dict(server)

        def since(name: str, part: str = "") -> float:
            now, then = ((whole.get(part) or {} if part else whole).get(name) or 0 for whole in (server, before))
            return float(now - then if now >= then else now)

        audio = server.get("audio") or {}
        encoded, offered = since("frames_encoded"), since("frames_offered")
        return {
            "kbps": server.get("kbps"),
            "target_kbps": server.get("target_kbps"),
            "estimate_kbps": server.get("path_kbps") or server.get("estimate_kbps"),
            "rtt_ms": server.get("rtt_ms"),
            "loss": max(server.get("loss") or 0.0, audio.get("loss") or 0.0),
            "jitter_ms": _worst(server.get("jitter_ms"), audio.get("jitter_ms")),
            "nack": int(since("nack")),
            "pli": int(since("pli") + since("fir")),
            "retransmitted": int(since("retransmitted")),
            "encode_ms": round(since("encode_total_ms") / encoded, 2) if encoded else None,
            "dropped": round(since("frames_dropped") / offered, 3) if offered else 0.0,
            "offset_ms": server.get("sent_offset_ms"),
            "mic_lost": int(since("packets_lost", "microphone")),
            "mic_recovered": int(since("recovered", "microphone")),
            "mic_concealed_ms": round(since("concealed_ms", "microphone"), 1),
        }

    def _of_client(self, client: dict[str, float], elapsed_s: float) -> dict[str, Any]:
        before = self._client_before

        def since(name: str) -> float:
            return max(0.0, client.get(name, 0.0) - before.get(name, 0.0)) if before else 0.0

        told = {name: round(client[name], 3) for name in _CLIENT if name in client}
        told["frozen"] = round(min(1.0, since("frozen_s") / elapsed_s), 3)
        told["concealed"] = round(min(1.0, since("concealed") / since("played")), 3) if since("played") else 0.0
        told |= {name: int(since(name)) for name in ("freezes", "frames", "dropped", "nack", "pli")}
        if self._silent == 1:
            self._client_before = client
        return told

    def _judge(self, sample: dict[str, Any]) -> list[Alarm]:
        changed = []
        client = sample.get("client", {})
        for bar in BARS:
            # Dropped pictures are a share at the server and a count at the client.
            ends = (sample,) if bar.figure == "dropped" else (sample, client)
            values = [end[bar.figure] for end in ends if isinstance(end.get(bar.figure), int | float)]
            value = max(values, key=abs, default=0.0)
            if abs(value) > bar.limit:
                self._within[bar.figure] = 0
                self._beyond[bar.figure] = self._beyond.get(bar.figure, 0) + 1
                if bar.figure not in self.alarms and self._beyond[bar.figure] >= RAISE_AFTER:
                    self.alarms[bar.figure] = Alarm(bar.figure, value, bar.limit, True, bar.why)
                    changed.append(self.alarms[bar.figure])
                continue
            self._beyond[bar.figure] = 0
            self._within[bar.figure] = self._within.get(bar.figure, 0) + 1
            if bar.figure in self.alarms and self._within[bar.figure] >= CLEAR_AFTER:
                del self.alarms[bar.figure]
                changed.append(Alarm(bar.figure, value, bar.limit, False, bar.why))
        return changed

    def now(self) -> dict[str, Any]:
        """The newest sample and the alarms that are raised, as JSON."""
        alarms = [{"figure": a.figure, "value": a.value, "limit": a.limit} for a in self.alarms.values()]
        return {"now": self.ring[-1] if self.ring else None, "alarms": alarms}

    def as_json(self) -> dict[str, Any]:
        """`now`, and the ring, oldest first."""
        return self.now() | {"ring": list(self.ring)}


def _worst(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)
