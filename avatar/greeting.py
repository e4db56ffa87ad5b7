"""The first words of a session, where the server's operator has not chosen others."""

from __future__ import annotations

GREETINGS = {
    "en": "Hello! I am listening. What shall we talk about?",
    # Kana alone: the last resort among the voices reads no kanji.
    "ja": "こんにちは。なんでも はなしかけてくださいね。",
}


def greeting(own: str, language: str, accepted: str) -> str:
    """`own` where there is one; else the greeting in the session's `language`, or, where that is "auto", in the first
    language of the client's Accept-Language header (RFC 9110 §12.5.4) that there is one for."""
    if own:
        return own
    wanted = [language] if language != "auto" else [part.partition(";")[0] for part in accepted.split(",")]
    tags = [tag.strip().partition("-")[0].lower() for tag in wanted]
    return GREETINGS[next((tag for tag in tags if tag in GREETINGS), "en")]
