"""How often the ears take a pause for the end, and how long they wait for a true one.

The turns have pauses inside their sentences: a person's (120 sentences read aloud, Debian's festvox-ru, and whatever
recordings BENCH_SPEECH names), and synthesised English and Japanese with pauses drawn from what is known of human ones.
Nothing of it was used for tuning; BENCH_TUNING=1 runs the set that was (`_pauses.py`).
With and without the turn model (`python -m checkpoints.fetch turn`); the words come from the embedded recogniser for
English, from a script for Japanese, and not at all for recordings.

A false cut-off is a pause in which the turn was ended. Nothing here waits: what the model and the recogniser say
reaches the ears as late as it does in a conversation, counted in samples.
"""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import AvatarError
from avatar.face.stage import Resampler
from avatar.hear.completeness import completeness
from avatar.hear.ears import Ears, SpeechContinued, SpeechEnded, SpeechPaused, SpeechStarted
from avatar.hear.engines import choose_stt
from avatar.hear.tone import fall
from avatar.hear.turn_model import WINDOW, TurnModel
from avatar.hear.vad import Vad
from avatar.hear.verdict import Advice
from avatar.recognition import Recognition
from avatar.seams import STT
from avatar.speak.engines import choose_tts
from avatar.speak.engines import voices as all_voices
from avatar.types import AudioChunk

from . import Bar, Skipped, at_most
from ._pauses import FRESH, HELD_OUT, RATE, TUNING, Material, Speaker, Spoken, reader, recordings, speaker
from ._server import QUICK, ROOT

BARS: dict[str, Bar] = {
    "cut_percent_without_model": at_most(20),
    "cut_percent_with_model": at_most(10),
    "delay_p50_ms_without_model": at_most(600),
    "delay_p50_ms_with_model": at_most(600),
}
TONE_DELAY = round(0.02 * RATE)
"""Samples from the pause until the tone is known: its 5 ms, and those that a chunk of sound may wait."""
VOICE_DELAY = round(0.06 * RATE)
"""Samples from the pause until the turn model has answered: its 50 ms, and the frame."""
WORDS_DELAY = round(0.2 * RATE)
"""The same for the recogniser."""


@dataclass
class Score:
    """What became of some turns."""

    pauses: int = 0
    cut: int = 0
    turns: int = 0
    turns_cut: int = 0
    delays: list[float] = field(default_factory=list)
    """Milliseconds from the last voice of a turn to the decision."""

    def add(self, other: Score) -> None:
        self.pauses += other.pauses
        self.cut += other.cut
        self.turns += other.turns
        self.turns_cut += other.turns_cut
        self.delays += other.delays

    @property
    def percent(self) -> float:
        return 100 * self.cut / max(1, self.pauses)


class Words:
    """What has been said by a pause, from the script or the recogniser."""

    def __init__(self, stt: STT | None, turn: Spoken) -> None:
        self._recognition = None if stt is None else Recognition(stt.open("en"))
        self._turn = turn

    async def feed(self, chunk: AudioChunk) -> None:
        if self._recognition is not None:
            await self._recognition.feed(chunk)

    async def by(self, sample: int) -> str:
        """What is known at this sample, which lies in a pause; where the voice ended is only nearly known."""
        if self._recognition is not None:
            return await self._recognition.guess() or ""
        turn = self._turn
        said = len(turn.texts) if sample >= turn.end else sum(begin <= sample for begin, _ in turn.pauses)
        return turn.texts[said - 1] if said and turn.texts else ""

    async def close(self) -> None:
        if self._recognition is not None:
            await self._recognition.close()


async def hear(person: Speaker, model: TurnModel | None, stt: STT | None, *, words: bool = True) -> Score:
    """One speaker's turns, one after the other, through one session's ears."""
    score, ears, origin = Score(), Ears(Vad.load()()), 0
    for turn in person.turns:
        said = Words(stt, turn) if words else None
        ends = await _ends(turn, ears, origin, model, said)
        if said is not None:
            await said.close()
        cut = [any(begin < at < end for at in ends) for begin, end in turn.pauses]
        score.add(Score(len(cut), sum(cut), 1, any(cut)))
        after = [at for at in ends if at >= turn.end]
        if after:
            score.delays.append((after[0] - turn.end) * 1000 / RATE)
        origin += len(turn.pcm)
    return score


async def _ends(turn: Spoken, ears: Ears, origin: int, model: TurnModel | None, said: Words | None) -> list[int]:
    """Where, in samples of the turn, the ears ended an utterance."""
    to_48k = Resampler(RATE, 48_000)
    wire = np.concatenate([to_48k.feed(turn.pcm), to_48k.flush()])
    due: list[tuple[int, SpeechPaused, Advice]] = []
    """When to tell the ears what of which pause."""
    found: list[int] = []
    for at in range(0, len(wire), 960):
        for event in ears.hear(AudioChunk(wire[at : at + 960], 48_000, 3 * origin + at)):
            match event:
                case SpeechStarted(_, chunk) | SpeechContinued(chunk):
                    if said is not None:
                        await said.feed(chunk)
                case SpeechPaused(utterance, noticed):
                    audio = utterance.audio
                    known = Advice(tone=fall(audio.pcm, utterance.speech_end - audio.start))
                    due.append((noticed + TONE_DELAY, event, known))
                    if model is not None:
                        known = replace(known, voice=model.judge(audio.pcm[-WINDOW:]))
                        due.append((noticed + VOICE_DELAY, event, known))
                    if said is not None:
                        words = completeness(await said.by(noticed - origin))
                        due.append((noticed + WORDS_DELAY, event, replace(known, words=words)))
                case SpeechEnded(_, noticed):
                    found.append(noticed - origin)
        for row in [row for row in due if row[0] <= origin + at // 3]:
            due.remove(row)
            ears.judge(row[1], row[2])
    return found


async def people(material: Material, data_dir: Path) -> dict[str, list[Speaker]]:
    """A set by kind: en, ja, read (sentences, each a turn), recorded (longer pieces)."""
    found: dict[str, list[Speaker]] = {
        "en": [],
        "ja": [],
        "read": reader(material.half, *material.read),
        "recorded": [],
    }
    tts = await choose_tts("auto", data_dir)
    await tts.warm()
    there = {row["name"] for row in all_voices(tts)} | {"flite-kal16"}
    try:
        for language, sentences in material.sentences.items():
            seeds, voices = material.seeds[language], material.voices[language]
            for i, seed in enumerate(seeds[:2] if QUICK else seeds):
                voice, moved = voices[i % len(voices)]
                if voice in there:
                    found[language].append(await speaker(tts, voice, language, sentences, seed, moved))
    except AvatarError as error:
        raise Skipped(f"A voice is missing: {error.message}") from error
    finally:
        await tts.close()
    found["recorded"] = recordings(material, data_dir)
    if QUICK:
        found["read"] = found["read"][:2]
    return found


async def run() -> dict[str, Any]:
    data_dir = ROOT / "checkpoints"
    model = TurnModel.load(data_dir)
    stt = await choose_stt("pocketsphinx", data_dir)
    await stt.warm()
    tuning = bool(os.environ.get("BENCH_TUNING"))
    sets = dict(zip(("tuning", "more"), TUNING, strict=True)) if tuning else {"held_out": HELD_OUT, "fresh": FRESH}
    figures: dict[str, Any] = {}
    try:
        found = {name: await people(material, data_dir) for name, material in sets.items()}
        for judged, judge in (("without_model", None), ("with_model", model)):
            if judged == "with_model" and model is None:
                continue
            scores: dict[str, Score] = {}
            for part, kinds in found.items():
                for kind, some in kinds.items():
                    for person in some:
                        one = await hear(person, judge, stt if kind == "en" else None, words=kind in ("en", "ja"))
                        for name in ("", f"{part}_", f"{kind}_"):
                            scores.setdefault(name, Score()).add(one)
            for name, score in scores.items():
                figures[f"{name}turns"], figures[f"{name}pauses"] = score.turns, score.pauses
                if score.pauses:
                    figures[f"{name}cut_percent_{judged}"] = score.percent
                if score.delays:
                    figures[f"{name}delay_p50_ms_{judged}"] = statistics.median(score.delays)
            figures[f"turns_cut_percent_{judged}"] = 100 * scores[""].turns_cut / max(1, scores[""].turns)
    finally:
        await stt.close()
        if model is not None:
            model.close()
    return figures
