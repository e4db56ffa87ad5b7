"""How often the ears take a pause for the end, and how long they wait for a true one.

The turns have pauses inside their sentences: a person's (sixty sentences read aloud, Debian's festvox-ru, and whatever
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import AvatarError
from avatar.face.stage import Resampler
from avatar.hear.completeness import UNKNOWN, completeness
from avatar.hear.ears import Ears, SpeechContinued, SpeechEnded, SpeechPaused, SpeechStarted
from avatar.hear.engines import choose_stt
from avatar.hear.turn_model import WINDOW, TurnModel
from avatar.hear.vad import Vad
from avatar.recognition import Recognition
from avatar.seams import STT
from avatar.speak.engines import choose_tts
from avatar.speak.engines import voices as all_voices
from avatar.types import AudioChunk

from . import Bar, Skipped, at_most
from ._pauses import HELD_OUT, RATE, TUNING, Material, Speaker, Spoken, reader, recordings, speaker
from ._server import QUICK, ROOT

BARS: dict[str, Bar] = {
    "cut_percent_without_model": at_most(20),
    "cut_percent_with_model": at_most(10),
    "delay_p50_ms_without_model": at_most(600),
    "delay_p50_ms_with_model": at_most(600),
}
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
        if self._recognition is not None:
            return await self._recognition.guess() or ""
        done = sum(1 for begin, _ in self._turn.pauses if begin <= sample)
        return self._turn.texts[done - (sample < self._turn.end)] if self._turn.texts else ""

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
    due: list[tuple[int, SpeechPaused, float | None, float]] = []
    """When to tell the ears what of which pause."""
    found: list[int] = []
    for at in range(0, len(wire), 960):
        for event in ears.hear(AudioChunk(wire[at : at + 960], 48_000, 3 * origin + at)):
            match event:
                case SpeechStarted(_, chunk) | SpeechContinued(chunk):
                    if said is not None:
                        await said.feed(chunk)
                case SpeechPaused(utterance, noticed, _):
                    voice = None if model is None else model.judge(utterance.audio.pcm[-WINDOW:])
                    if voice is not None:
                        due.append((noticed + VOICE_DELAY, event, voice, UNKNOWN))
                    if said is not None:
                        words = completeness(await said.by(utterance.speech_end - origin))
                        due.append((noticed + WORDS_DELAY, event, voice, words))
                case SpeechEnded(_, noticed):
                    found.append(noticed - origin)
        for row in [row for row in due if row[0] <= origin + at // 3]:
            due.remove(row)
            if row[2] is not None or row[3] != UNKNOWN:
                ears.judge(row[1], row[2], row[3])
    return found


async def people(material: Material, data_dir: Path) -> dict[str, list[Speaker]]:
    """A set by kind: en, ja, read (sentences, each a turn), recorded (longer pieces)."""
    found: dict[str, list[Speaker]] = {"en": [], "ja": [], "read": reader(material.half), "recorded": []}
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
    figures: dict[str, Any] = {}
    try:
        found = await people(TUNING if os.environ.get("BENCH_TUNING") else HELD_OUT, data_dir)
        figures |= {f"{kind}_turns": sum(len(p.turns) for p in some) for kind, some in found.items()}
        for name, judge in (("without_model", None), ("with_model", model)):
            if name == "with_model" and model is None:
                continue
            total = Score()
            for kind, some in found.items():
                score = Score()
                for person in some:
                    score.add(await hear(person, judge, stt if kind == "en" else None, words=kind in ("en", "ja")))
                if score.pauses:
                    figures[f"{kind}_cut_percent_{name}"] = score.percent
                total.add(score)
            figures[f"cut_percent_{name}"] = total.percent
            figures[f"turns_cut_percent_{name}"] = 100 * total.turns_cut / max(1, total.turns)
            figures[f"delay_p50_ms_{name}"] = statistics.median(total.delays)
            figures[f"pauses_{name}"] = total.pauses
    finally:
        await stt.close()
        if model is not None:
            model.close()
    return figures
