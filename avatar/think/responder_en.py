"""The responder's English. A rule is a pattern on the plain text and what it answers; the first that fits counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from . import sums

if TYPE_CHECKING:
    from .responder import Heard

NOTHING = "I did not hear anything."

WHAT_I_AM = (
    "I am the built-in responder of this avatar: a few fixed rules that can hear you and answer aloud. "
    "No language model is connected, so I do not really understand what you say."
)
HELP = (
    "Without a language model I can do little: ask me for the time or the date, give me a sum, "
    "say repeat after me and something, tell me your name, or ask for a joke. "
    "Say connect to hear how to give me a real mind."
)
CONNECT = (
    "Install Ollama on this computer, fetch a model with it, and restart the server: it is found by itself. "
    "Or start the server with its L L M option set to a model file for llama C P P, "
    "or to the address of any service that speaks the OpenAI protocol."
)
JOKES = (
    "Why did the developer go broke? Because he used up all his cache.",
    "There are ten kinds of people: those who understand binary, and those who do not.",
    "I would tell you a joke about U D P, but you might not get it.",
)

Rule = tuple[re.Pattern[str], Callable[["Heard", re.Match[str]], str]]


def answer(heard: Heard) -> str:
    """The reply to `heard`, one to three short sentences."""
    if not heard.plain:
        return NOTHING
    try:
        value = sums.solve(heard.plain)
    except sums.DividedByZero:
        return "Nothing can be divided by zero."
    if value is not None:
        return f"That makes {sums.spoken(value, about='about ')}."
    for pattern, reply in _RULES:
        if match := pattern.search(heard.plain):
            return reply(heard, match)
    return _unknown(heard)


def _unknown(heard: Heard) -> str:
    words = heard.text.split()
    quoted = heard.text.strip().rstrip(".!?,")
    lead = f"I heard “{quoted}”, but " if len(words) <= 12 and len(quoted) <= 120 else "I heard you, but "
    return heard.fresh(
        f"{lead}no language model is connected, so I cannot answer that. Say help to hear what I can do.",
        f"{lead}I only follow a few fixed rules and none of them fits. Say connect to hear how to give me a real mind.",
        f"{lead}that takes a language model, and none is connected. "
        "I can still tell you the time, do a sum, or repeat after you.",
    )


def clock(now: datetime) -> str:
    """The time as it is said: 3:05 in the afternoon."""
    if (now.hour, now.minute) in ((0, 0), (12, 0)):
        return "midnight" if now.hour == 0 else "noon"
    bounds = (
        (4, "at night"),
        (12, "in the morning"),
        (18, "in the afternoon"),
        (22, "in the evening"),
        (24, "at night"),
    )
    part = next(name for end, name in bounds if now.hour < end)
    hour = now.hour % 12 or 12
    return f"{hour}:{now.minute:02} {part}" if now.minute else f"{hour} o'clock {part}"


def _date(heard: Heard, _: re.Match[str]) -> str:
    return f"Today is {heard.now:%A, %B} {heard.now.day}, {heard.now.year}."


def _echo(heard: Heard, match: re.Match[str]) -> str:
    said = re.search(rf"(?i){_ECHO}", heard.text)  # as it came, capitals and all
    return heard.echoed((said or match)[1])


def _met(heard: Heard, match: re.Match[str]) -> str:
    return f"Nice to meet you, {_name(match)}."


def _name(match: re.Match[str]) -> str:
    return match[1].strip().title()


def _recall(heard: Heard, _: re.Match[str]) -> str:
    for text in reversed(heard.said):
        if match := re.search(_INTRODUCTION, " ".join(text.casefold().split()).replace("’", "'")):
            return f"You told me that your name is {_name(match)}."
    return "You have not told me your name yet."


def _greet(heard: Heard, _: re.Match[str]) -> str:
    hour = heard.now.hour
    part = "Good morning" if 4 <= hour < 12 else "Good afternoon" if 12 <= hour < 18 else "Good evening"
    return heard.fresh(f"{part}! What can I do for you?", "Hello again!", "Hi! Say help to hear what I can do.")


def _count(heard: Heard, match: re.Match[str]) -> str:
    number = sums.solve(f"{match[1]} + 0")
    if number is None or not 1 <= number <= 20:
        return "I count up to twenty at most."
    return ", ".join(str(i) for i in range(1, int(number) + 1)) + "."


def _say(text: str) -> Callable[[Heard, re.Match[str]], str]:
    return lambda _heard, _match: text


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_ECHO = r"\b(?:repeat after me|say after me|please repeat|repeat|echo|say)\b[:,]?\s+(?!after me|help$|connect$)(\S.*)$"
_INTRODUCTION = r"\b(?:my name is|my name's|call me|i am called|i'm called)\s+([a-z][a-z'-]*(?: [a-z][a-z'-]*)?)$"
_WHAT_IS = r"\bwhat(?:'s| is)? (?:the |today's |your )?(?:current )?"

_RULES: tuple[Rule, ...] = (
    (_any(rf"^(?:please |can you |could you |now )*{_ECHO}"), _echo),
    (_any(r"\b(?:what is|what's|do you (?:know|remember)|remember|tell me) my name\b", r"^who am i$"), _recall),
    (_any(_INTRODUCTION), _met),
    (_any(r"\bcount (?:up )?(?:from one )?to ([a-z0-9 -]+)$"), _count),
    (
        _any(
            rf"{_WHAT_IS}time$",
            r"\bwhat time (?:is it|do you have)\b",
            r"\b(?:have|tell me) the time\b",
            r"^(?:the )?time(?: please)?$",
        ),
        lambda heard, _: f"It is {clock(heard.now)}.",
    ),
    (
        _any(
            rf"{_WHAT_IS}date(?: today)?$",
            r"\b(?:what|which) (?:day|year|month) (?:is|of)\b",
            r"\btoday's date\b",
            r"\btell me the date\b",
            r"^(?:the )?date(?: please)?$",
        ),
        _date,
    ),
    (
        _any(
            r"\bconnect\b",
            r"\b(?:ollama|llama|openai|llm)\b",
            r"\blanguage model\b",
            r"\b(?:get|be|become) smarter\b",
            r"\breal mind\b",
        ),
        _say(CONNECT),
    ),
    (
        _any(
            r"\bhelp\b",
            r"\bwhat (?:can (?:you|i) (?:do|say|ask)|do you (?:do|know))\b",
            r"\bhow (?:do|does) (?:you|this|it) work$",
        ),
        _say(HELP),
    ),
    (
        _any(
            r"\bwho are you$",
            r"\bwhat are you\b",
            rf"{_WHAT_IS}name$",
            r"\b(?:introduce|about) yourself\b",
            r"\bare you (?:(?:a|an|the) )?(?:real|human|person|alive|robot|bot|machine|computer|ai|chatgpt|program)\b",
        ),
        _say(WHAT_I_AM),
    ),
    (
        _any(r"\bdo you understand\b", r"\bcan you think\b", r"\bare you (?:smart|intelligent)\b"),
        _say("No. I compare what you say with a few fixed patterns; understanding takes a language model."),
    ),
    (
        _any(r"\b(?:can|do) you hear me\b", r"^(?:hello )?(?:test|testing)\b", r"\bare you (?:there|listening)$"),
        _say("Yes, I hear you."),
    ),
    (_any(r"\b(?:can|do) you see\b"), _say("No, I cannot see: I only get your words.")),
    (
        _any(r"\b(?:speak|talk)(?: in)? (?:japanese|english)\b", r"\bwhat languages?\b"),
        _say("I answer in English and in Japanese."),
    ),
    (
        _any(
            r"\bhow are you(?: doing)?(?: today)?$", r"\bhow do you do$", r"\bhow(?: is|'s) it going$", r"\bwhat's up$"
        ),
        _say("All my parts are running, thank you. And you?"),
    ),
    (_any(r"\bjoke\b", r"\bmake me laugh\b"), lambda heard, _: heard.fresh(*JOKES)),
    (
        _any(r"^(?:\w+ ){0,2}thank(?:s| you)(?: \w+){0,4}$"),
        lambda heard, _: heard.fresh("You are welcome.", "My pleasure."),
    ),
    (
        _any(
            r"^(?:ok(?:ay)? |well |so )*(?:good ?bye|bye|bye bye|see you(?: later| soon)?|good night|farewell)"
            r"(?: (?:for now|then|everyone|avatar))*$"
        ),
        _say("Goodbye! It was nice to hear you."),
    ),
    (
        _any(
            r"^(?:hello|hi|hey|good (?:morning|afternoon|evening|day)|greetings|howdy)"
            r"(?:[ ,]+(?:hello|hi|there|again|avatar|everyone|you))*$"
        ),
        _greet,
    ),
    (
        _any(r"^(?:i am|i'm|i am doing|i'm doing) (?:fine|good|well|ok|okay|great)\b"),
        _say("I am glad to hear that."),
    ),
    (_any(r"^(?:sorry|excuse me|never ?mind)$"), _say("No harm done.")),
    (_any(r"^(?:stop|wait|quiet|be quiet|shut up)$"), _say("All right.")),
    (_any(r"^(?:yes|no|yeah|nope|ok|okay|right|sure|good|nice|great|i see)$"), _say("All right. What next?")),
)
