"""The limits that `/config` shows: judged before anything is decoded."""

from __future__ import annotations

LIMITS: dict[str, int] = {
    "json_bytes": 1_000_000,
    "text_characters": 10_000,
    "speech_bytes": 100_000_000,
    "speech_s": 1_800,
    "portrait_bytes": 20_000_000,
    "portrait_pixels": 50_000_000,
}
