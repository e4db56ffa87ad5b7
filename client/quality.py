"""What this side measures of the connection, for the server's quality monitor. Pure: counts from the start, and rates
over the time since the digest before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .media import Media

EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Totals of a connection at one moment, monotonic seconds."""

    at: float
    video: Mapping[str, Any]
    """As `ClientPeer.stats` has them."""
    audio: Mapping[str, Any]


def digest(now: Reading, before: Reading | None, media: Media) -> dict[str, Any]:
    """By the names of the page's digest; `docs/monitoring.md` says what each figure means."""
    elapsed = now.at - before.at if before is not None else 0.0

    def since(part: str, name: str) -> float:
        then = getattr(before, part).get(name, 0) if before is not None else 0
        return max(0.0, float(getattr(now, part).get(name, 0) - then))

    def stream(part: str) -> dict[str, Any]:
        lost, came = since(part, "packets_lost"), since(part, "packets_received")
        return {
            "kbps": since(part, "bytes_received") * 8 / 1000 / elapsed if elapsed > 0 else None,
            "loss": lost / (lost + came) if lost + came else 0.0,
            "variation_ms": getattr(now, part).get("jitter_ms", 0.0),
        }

    pictures, sound = media.pictures, media.sound
    return {
        "video": stream("video")
        | {
            "fps": since("video", "frames") / elapsed if elapsed > 0 else None,
            "frames": pictures.frames,
            "freezes": pictures.freezes,
            "frozen_s": pictures.frozen_s,
            "nack": now.video.get("nack", 0),
            "pli": now.video.get("pli", 0),
        },
        "audio": stream("audio") | {"concealed": sound.concealed, "played": sound.played},
    }
