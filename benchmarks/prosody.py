"""Where the puppet nods and blinks while it speaks: on the words that stand out and where phrases end, or anywhere.

The server's own voices speak eight replies and the puppet performs them. A nod counts as near when the head is lowest
within 120 ms of the stressed vowel of a word that stands out (in Japanese also of the end of a phrase), a blink when it
begins from 80 ms before to 400 ms after the end of a phrase. `chance` is the share of all pictures that are as near;
`unmarked` is the same speech with no accent told, nodded at by its loudness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar.errors import NotReady
from avatar.seams import TTS
from avatar.speak.engines import choose_tts
from avatar.types import AudioChunk, Clause
from puppet.actor import Actor
from puppet.coefficients import Coefficients
from puppet.film import resampled
from puppet.mouth import Phone
from puppet.score import Accent
from puppet.sound import FRAME, RATE

from . import Value, at_least, at_most, between

SEEDS = 6
PAUSE = 12
"""Pictures between two replies."""
NEAR_NOD, NEAR_BLINK = (-3, 3), (-2, 10)
"""Pictures from the accent."""
TEXTS = {
    "en": (
        "I really think that this is the best idea we have had all year, and I would like to tell you why.",
        "First of all, nobody has to wait any longer. Second, it costs *nothing* at all, as far as I know!",
        "Would you like to hear more about it, or shall we talk about something else?",
        "Last summer my sister drove across the whole country in an old red van, and she never once complained.",
        "That is a good question. The answer depends on how much time you have, and on what you want to learn.",
        "Have you ever been to Lisbon? The light there is wonderful, especially in the early morning.",
        "We could start with the easy part, then take a short break, and finish before the sun goes down.",
        "No, I did not say that. I said it was VERY unlikely, which is not the same thing.",
    ),
    "ja": (
        "今日はとてもいい天気なので、午後から近くの公園まで散歩に行きましょう。",
        "もう少し詳しく知りたいですか？それとも、別の話をしましょうか。",
        "去年の夏、妹は古い赤い車で国中を旅しましたが、一度も文句を言いませんでした。",
        "それはいい質問ですね。答えは、どのくらい時間があるかによります。",
    ),
}
VOICES = (("flite", "en"), ("espeak", "en"), ("openjtalk", "ja"))

Speech = tuple[npt.NDArray[np.int16], list[Phone], list[Accent]]


def speech(chunks: Sequence[AudioChunk]) -> Speech:
    """A clause as the puppet is given it, at 16 kHz."""
    scale = RATE / chunks[0].rate
    return (
        resampled(np.concatenate([chunk.pcm for chunk in chunks]), chunks[0].rate, RATE),
        [Phone(p.ipa, round(p.start * scale), round(p.end * scale)) for chunk in chunks for p in chunk.phones],
        [Accent(a.kind, round(a.at * scale), a.weight) for chunk in chunks for a in chunk.accents],
    )


def perform(
    speeches: Sequence[Speech], seed: int, *, told: bool = True
) -> tuple[list[Coefficients], list[tuple[str, int]]]:
    """The poses of all speeches, one after the other, and (kind, picture) of every accent in them."""
    actor, poses, accents = Actor(seed), list[Coefficients](), list[tuple[str, int]]()
    for sound, phones, marks in speeches:
        accents += [(mark.kind, len(poses) + mark.at // FRAME) for mark in marks]
        poses += actor.feed(sound, phones, marks if told else ())
        poses += actor.finish()
        poses += [actor.idle() for _ in range(PAUSE)]
    return poses, accents


def nods(poses: Sequence[Coefficients]) -> list[int]:
    """Pictures in which the head is at the lowest point of a nod: by 0.8° within 0.3 s before and after."""
    pitch = np.array([pose.pitch for pose in poses])
    return [
        i
        for i in range(8, len(pitch) - 8)
        if pitch[i] == pitch[i - 8 : i + 9].max()
        and pitch[i] - max(pitch[i - 8 : i].min(), pitch[i + 1 : i + 9].min()) > 0.8
    ]


def blinks(poses: Sequence[Coefficients]) -> list[int]:
    """Pictures in which the lids close."""
    shut = np.array([pose.blink_left for pose in poses]) > 0.9
    return [int(i) for i in np.flatnonzero(np.diff(shut.astype(int)) == 1)]


def near(events: Sequence[int], marks: Sequence[int], span: tuple[int, int]) -> float:
    """The share of events within `span` of a mark."""
    away = np.asarray(events)[:, None] - np.asarray(marks)[None]
    return float(((away >= span[0]) & (away <= span[1])).any(axis=1).mean()) if len(events) else 0.0


def figures(speeches: Sequence[Speech], language: str) -> dict[str, Value]:
    """What the benchmark prints of one voice."""
    found: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        for told in (True, False):
            poses, accents = perform(speeches, seed, told=told)
            ends = [at for kind, at in accents if kind != "stress"]
            stressed = [at for kind, at in accents if kind == "stress"] + (ends if language == "ja" else [])
            minutes = len(poses) / 1500
            name = "" if told else "unmarked_"
            shown, lids, every = nods(poses), blinks(poses), range(len(poses))
            for key, value in (
                ("nods_near", near(shown, stressed, NEAR_NOD)),
                ("blinks_near", near(lids, ends, NEAR_BLINK)),
                ("nods_per_min", len(shown) / minutes),
                ("blinks_per_min", len(lids) / minutes),
            ):
                found.setdefault(name + key, []).append(value)
            if told:
                found.setdefault("nods_chance", []).append(near(every, stressed, NEAR_NOD))
                found.setdefault("blinks_chance", []).append(near(every, ends, NEAR_BLINK))
    means = {key: float(np.mean(values)) for key, values in found.items()}
    means["nods_over_chance"] = means["nods_near"] / means["nods_chance"]
    means["blinks_over_chance"] = means["blinks_near"] / means["blinks_chance"]
    return {key: round(value, 2) for key, value in means.items()}


async def spoken(tts: TTS, text: str, language: str) -> list[AudioChunk]:
    async with aclosing(tts.speak(Clause(text, 0, "benchmark", language), None)) as chunks:  # type: ignore[type-var]
        return [chunk async for chunk in chunks]


async def _measure() -> dict[str, Value]:
    results: dict[str, Value] = {}
    for engine, language in VOICES:
        try:
            tts = await choose_tts(engine, Path())
            await tts.warm()
        except NotReady:
            continue
        try:
            speeches = [speech(await spoken(tts, text, language)) for text in TEXTS[language]]
        finally:
            await tts.close()
        results |= {f"{engine}_{key}": value for key, value in figures(speeches, language).items()}
    return results


def run() -> dict[str, Value]:
    return asyncio.run(_measure())


BARS: dict[str, Any] = {
    f"{engine}_{key}": bar
    for engine, language in VOICES
    for key, bar in {
        "nods_over_chance": at_least(1.7 if language == "en" else 1.3),
        "blinks_over_chance": at_least(2.0),
        "nods_per_min": at_most(45),
        "blinks_per_min": between(15, 35),
    }.items()
}
