"""What the avatar says of itself when an engine leaves it without words: short, once, in the user's language.

The reasons go to the screen and to the turn's record, not to the ear.
"""

from __future__ import annotations

from .speak.language import language_of

APOLOGY = {
    "en": "Sorry, I cannot think just now. Please try again in a moment.",
    "ja": "すみません、今はうまく考えられません。少ししてからもう一度お願いします。",
}
"""The language model fails before its first word."""
BROKEN_OFF = {
    "en": "Sorry, I lost my thread there.",
    "ja": "すみません、話が途切れてしまいました。",
}
"""It fails in the middle of its answer."""
ENOUGH = {
    "en": "I will stop here. Ask me to go on if you like.",
    "ja": "長くなるので、ここまでにします。続きが必要なら言ってください。",
}
"""Its answer was cut where it became too long."""
ON_SCREEN = {
    "en": "I have nothing to read aloud there. My answer is on the screen.",
    "ja": "読み上げるところがないので、答えは画面でご覧ください。",
}
"""Nothing of its answer can be said: a block of code, an emoji, dots."""
ONE_MOMENT = {
    "en": "One moment, please.",
    "ja": "少々お待ちください。",
}
"""It has written no clause after `SLOW_S`."""
NOT_UNDERSTOOD = {
    "en": "Sorry, I did not catch that.",
    "ja": "すみません、聞き取れませんでした。",
}
"""The recogniser fails, or finds no words in what was surely speech."""

SLOW_S = 5.0
"""Silence of a language model after which a person wonders whether they were heard."""
SURELY_SPEECH_S = 0.7
"""Speech that is longer than this had words in it."""

ALL = (APOLOGY, BROKEN_OFF, ENOUGH, ON_SCREEN, ONE_MOMENT, NOT_UNDERSTOOD)


def phrase(phrases: dict[str, str], language: str, beside: str = "") -> str:
    """The one in `language` (BCP 47); with "auto" in the language of the text that it stands beside."""
    tongue = language_of(beside) if language == "auto" and beside else language.split("-", maxsplit=1)[0]
    return phrases.get(tongue, phrases["en"])
