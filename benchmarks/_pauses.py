"""Turns with pauses inside them: synthesised by the local voices with pauses at syntactic places, and recorded.

The test set and the set on which the constants of the ears were chosen share no sentence, no pause and, where more than
one is there, no voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from avatar.face.stage import Resampler
from avatar.hear.endpoint import KEEP_THRESHOLD, START_THRESHOLD
from avatar.hear.vad import FRAME, Vad
from avatar.seams import TTS
from avatar.types import Clause, Pcm

RATE = 16_000
MEDIAN_S, BETWEEN, WITHIN = 0.4, 0.3, 0.45
"""Pauses inside a speaker's sentences, taken to be log-normal: the median over speakers, and the spreads of the
logarithm between speakers and within one. An assumption of this benchmark, not a measured corpus."""
SHORTEST_S, LONGEST_S = 0.2, 1.5
TURNS = 6
"""Of one speaker, one after the other: what is learnt of the first helps with the last."""
AFTER_S = 2.5
"""Silence after each turn."""
ENGLISH = (
    ("We have been living in this town", "for almost eleven years."),
    ("What I wanted to ask is", "whether the shop is open", "on Sunday."),
    ("After the meeting", "we could have dinner somewhere", "if you have time."),
    ("My brother", "who works at the airport", "says that all flights are late."),
    ("Do you think that", "it will snow tomorrow?"),
    ("Turn off the lights in the kitchen", "and close the window", "please."),
    ("It costs", "about twenty dollars", "I believe."),
    ("The last train to the city", "leaves at half past ten."),
    ("Tell me", "something about the history of", "this old bridge."),
    ("He said he would call me", "but he never did."),
    ("How long does it take", "to get from here to the beach?"),
    ("I need a doctor because", "my daughter has a high fever."),
)
JAPANESE = (
    ("この近くに", "おいしいラーメン屋は", "ありますか。"),
    ("息子の誕生日に", "自転車を買おうと思っています。"),
    ("先週から", "ずっと頭が痛くて", "よく眠れません。"),
    ("電車が遅れたので", "会議に間に合いませんでした。"),
    ("三時の予約を", "五時に変えてください。"),
    ("えっと", "名前は何と", "言いましたか。"),
    ("日本に来てから", "もう十年になります。"),
    ("大阪まで", "新幹線で", "どのくらいかかりますか。"),
)
RECORDED = ("two_cities", "beckett")
"""Dickens and Beckett read aloud, 44 and 10 s."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One turn of a speaker."""

    pcm: Pcm
    """16 kHz, silence after it."""
    pauses: tuple[tuple[int, int], ...]
    """The silences inside it, in samples."""
    end: int
    """One past the last sample of voice; the length of `pcm` where the turn's real end is not in it."""
    texts: tuple[str, ...]
    """What has been said by the end of each part; empty where nobody wrote it down."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Turns in their order."""

    name: str
    turns: tuple[Spoken, ...]


def voiced(pcm: Pcm) -> list[tuple[int, int]]:
    """Stretches of voice as the detector hears them."""
    vad, found, begin = Vad.load()(), [], None
    for at in range(0, len(pcm) - FRAME, FRAME):
        on = vad.probability(pcm[at : at + FRAME]) >= (START_THRESHOLD if begin is None else KEEP_THRESHOLD)
        if on and begin is None:
            begin = at
        elif not on and begin is not None:
            found.append((begin, at))
            begin = None
    return found + ([(begin, len(pcm))] if begin is not None else [])


async def part(tts: TTS, voice: str, language: str, text: str) -> Pcm:
    """A part of a sentence at 16 kHz, without the silence around it."""
    chunks = [chunk async for chunk in tts.speak(Clause(text, 0, "", language), voice)]
    resampler = Resampler(chunks[0].rate, RATE)
    pcm = np.concatenate([*(resampler.feed(chunk.pcm) for chunk in chunks), resampler.flush()])
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 200)
    return pcm[loud[0] : loud[-1] + 1]


async def speaker(tts: TTS, voice: str, language: str, sentences: Sequence[Sequence[str]], seed: int) -> Speaker:
    """One speaker with pauses of their own, over a quiet room."""
    rng = np.random.default_rng(seed)
    median = MEDIAN_S * np.exp(BETWEEN * rng.standard_normal())
    chosen = [sentences[i] for i in rng.permutation(len(sentences))[:TURNS]]
    spoken = []
    for words in chosen:
        parts = [np.zeros(RATE // 2, np.int16)]
        pauses, texts = [], []
        joint = "" if language == "ja" else " "
        comma = "、" if language == "ja" else ","
        for i, text in enumerate(words):
            last = i == len(words) - 1
            # A comma gives the voice the rising end of what goes on.
            parts.append(await part(tts, voice, language, text if last else text + comma))
            texts.append(joint.join(words[: i + 1]))
            if not last:
                seconds = median * np.exp(WITHIN * rng.standard_normal())
                silence = round(RATE * float(np.clip(seconds, SHORTEST_S, LONGEST_S)))
                begin = sum(map(len, parts))
                pauses.append((begin, begin + silence))
                parts.append(np.zeros(silence, np.int16))
        end = sum(map(len, parts))
        parts.append(np.zeros(round(RATE * AFTER_S), np.int16))
        pcm = np.concatenate(parts)
        room = rng.standard_normal(len(pcm)) * 32768 * 10 ** (-65 / 20)
        pcm = np.clip(pcm + room, -32768, 32767).astype(np.int16)
        spoken.append(Spoken(pcm, tuple(pauses), end, tuple(texts)))
    return Speaker(f"{voice}-{seed}", tuple(spoken))


def recorded(path: Path, longest_s: float = 18.0) -> Speaker:
    """A recording, cut in the middle of voice so that no piece is longer than an utterance may be; the end of what is
    read aloud is the only end of a turn in it."""
    resampler = Resampler(48_000, RATE)
    with av.open(str(path)) as file:
        to_48k = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        blocks = [b.to_ndarray()[0] for f in file.decode(audio=0) for b in to_48k.resample(f)]
    pcm = np.concatenate([resampler.feed(np.concatenate(blocks)), resampler.flush()])
    stretches = voiced(pcm)
    turns: list[Spoken] = []
    first = 0
    for i, (begin, end) in enumerate(stretches):
        final = i == len(stretches) - 1
        if not final and stretches[i + 1][1] - stretches[first][0] <= longest_s * RATE:
            continue
        inside = stretches[first : i + 1]
        start = max(0, inside[0][0] - RATE // 2)
        gaps = [(a[1] - start, b[0] - start) for a, b in pairwise(inside) if b[0] - a[1] >= SHORTEST_S * RATE]
        sound = np.concatenate([pcm[start:end], np.zeros(round(RATE * AFTER_S), np.int16)])
        turns.append(Spoken(sound, tuple(gaps), end - start if final else len(sound), ()))
        first = i + 1
        del begin
    return Speaker(path.stem, tuple(turns))
