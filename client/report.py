"""The report of a run: what arrived, how well, and how each turn went (`docs/client.md` explains every figure)."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conversation import Conversation
from .exits import Usage
from .media import Media
from .offset import Spread

CONNECT = ("offer", "ice", "dtls", "first_audio", "first_frame")
"""The offer was answered, ICE and DTLS were through, the first sound and the first picture were decoded."""


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def _spread(found: Spread | None) -> dict[str, float | None]:
    """Null where it cannot be known."""
    return {
        "p50": None if found is None else round(found.p50, 1),
        "p95": None if found is None else round(found.p95, 1),
    }


def _kbps(size: int, seconds: float) -> float:
    return round(size * 8 / 1000 / seconds, 1) if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the connection itself knows."""

    session_id: str
    codec: str
    """Of the video, as negotiated."""
    connect_s: dict[str, float]
    """Seconds from the start of connecting, by the names of the report's marks; what was not reached is not there."""
    video_bytes: int
    """RTP payload received."""
    audio_bytes: int
    nack: int
    """Requests for lost packets that were sent."""
    pli: int
    """Requests for a key frame that were sent."""


def build(facts: Facts, effective: dict[str, Any], media: Media, talk: Conversation) -> dict[str, Any]:
    """The report as JSON values. Times in milliseconds, rates in kbit/s."""
    pictures, sound = media.pictures, media.sound
    begins = [t for t in (pictures.first, sound.first) if t is not None]
    ends = [t for t in (pictures.last, sound.last) if t is not None]
    duration = max(ends) - min(begins) if begins else 0.0
    return {
        "session_id": facts.session_id,
        "codec": facts.codec,
        "width": pictures.width,
        "height": pictures.height,
        "duration_s": round(duration, 3),
        "connect_ms": {mark: _ms(facts.connect_s.get(mark)) for mark in CONNECT},
        "video": {
            "frames": pictures.frames,
            "fps": round(pictures.fps, 2),
            "kbps": _kbps(facts.video_bytes, duration),
            "freezes": pictures.freezes,
            "max_gap_ms": _ms(pictures.max_gap_s),
            "nack": facts.nack,
            "pli": facts.pli,
        },
        "audio": {
            "kbps": _kbps(facts.audio_bytes, duration),
            "gaps": sound.gaps,
            "max_gap_ms": _ms(sound.max_gap_s),
        },
        "av_offset_ms": _spread(media.offset()),
        "arrival_skew_ms": _spread(media.skew()),
        "turns": [_turn(turn_id, turn, media, talk) for turn_id, turn in talk.turns.items()],
        "session": effective | talk.session,
    }


def _turn(turn_id: str, turn: dict[str, Any], media: Media, talk: Conversation) -> dict[str, Any]:
    """The server's waterfall, continued to this end: `first_sent` plus the time from the server's word that the turn
    begins to sound to its first audible sound here. Both were under way at once, so that the path's own delay is in
    neither."""
    sent, told = turn.get("first_sent"), talk.told.get(turn_id)
    late = None if told is None else media.heard.get(told)
    received = None if late is None or not isinstance(sent, int | float) else round(sent + 1000 * max(0.0, late), 1)
    return turn | {"first_audio_received_ms": received}


def write(report: dict[str, Any], where: str) -> None:
    """To a file, or to standard output for "-". Raises `Usage` when the file cannot be written."""
    text = json.dumps(report, ensure_ascii=False, indent=2)
    if where == "-":
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        return
    try:
        Path(where).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise Usage(f"--report: {where} cannot be written: {error.strerror}.") from None
