"""What the ears cost, how well they date a voice, and how long a text takes after the turn's end."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from avatar.hear.ears import Ears, SpeechContinued, SpeechEnded, SpeechStarted
from avatar.hear.engines import choose_stt
from avatar.hear.vad import FRAME, Vad
from avatar.seams import STT
from avatar.types import AudioChunk, Pcm
from tests.hear.sounds import TEXTS, clip, mixed, noise, silence, voice_span

from . import at_most

BARS = {
    "vad_frame_p50_ms": at_most(0.5),
    "ears_percent_of_a_core": at_most(3),
    # The detector judges 32 ms at a time; lips and barge-in are dated by these.
    "onset_error_p50_ms": at_most(50),
    "end_error_p50_ms": at_most(50),
    # Before anything is learnt of the speaker: 550 ms of silence and the frame that completes it.
    "end_noticed_p50_ms": at_most(650),
    "pocketsphinx_word_error_rate": at_most(0.3),
    # The pause has decided it already.
    "pocketsphinx_final_p50_ms": at_most(60),
    "whisper_plumbing_final_p50_ms": at_most(60),
}
ROUNDS = 2
WHISPER = Path(__file__).parents[1] / "tests" / "fixtures" / "whisper"


def vad_frame_ms() -> float:
    vad = Vad.load()()
    sound = clip("hello")
    times = []
    for at in range(0, len(sound) - FRAME, FRAME):
        began = time.perf_counter()
        vad.probability(sound[at : at + FRAME])
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def dating() -> dict[str, float]:
    """Errors of the dated edges against the loudness of the recording over a quiet room, and the ears' cost."""
    onset, end, noticed, busy, heard = [], [], [], 0.0, 0.0
    for name in TEXTS:
        recording = clip(name, 48_000)
        lead = silence(1.0)
        sound = mixed(np.concatenate([lead, recording, silence(1.2)]), noise(30, -65))
        first, last = (len(lead) + edge for edge in voice_span(recording, 48_000))
        ears = Ears(Vad.load()())
        began = time.process_time()
        events = [
            e for at in range(0, len(sound), 960) for e in ears.hear(AudioChunk(sound[at : at + 960], 48_000, at))
        ]
        busy += time.process_time() - began
        heard += len(sound) / 48_000
        for event in events:
            if isinstance(event, SpeechStarted):
                onset.append(abs(event.at / 16 - first / 48))
            elif isinstance(event, SpeechEnded):
                end.append(abs(event.utterance.speech_end / 16 - last / 48))
                noticed.append(event.at / 16 - last / 48)
    return {
        "ears_percent_of_a_core": 100 * busy / heard,
        "onset_error_p50_ms": statistics.median(onset),
        "onset_error_max_ms": max(onset),
        "end_error_p50_ms": statistics.median(end),
        "end_error_max_ms": max(end),
        "end_noticed_p50_ms": statistics.median(noticed),
    }


async def final_ms(engine: STT, sound: Pcm) -> tuple[float, str]:
    """One utterance in real time through the ears; milliseconds from its noticed end to its text, and the text."""
    ears = Ears(Vad.load()())
    stream = engine.open("en")
    began = time.monotonic()
    for at in range(0, len(sound), 960):
        await asyncio.sleep(max(0.0, began + at / 48_000 - time.monotonic()))
        for event in ears.hear(AudioChunk(sound[at : at + 960], 48_000, at)):
            if isinstance(event, SpeechStarted | SpeechContinued):
                await stream.feed(event.chunk)
            else:
                noticed = time.monotonic()
                transcript = await stream.finish()
                return (time.monotonic() - noticed) * 1000, transcript.text
    await stream.close()
    return float("nan"), ""


def word_errors(said: str, text: str) -> int:
    """Words to change, add or leave out (Levenshtein)."""
    wanted, got = said.split(), text.split()
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


async def measure(spec: str, name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        engine = await choose_stt(spec, Path(scratch))
        await engine.warm()
        warm_ms = (time.monotonic() - began) * 1000
        times, errors, words = [], 0, 0
        try:
            for text_name in list(TEXTS) * ROUNDS:
                sound = np.concatenate([silence(0.5), clip(text_name, 48_000), silence(1.2)])
                took, text = await final_ms(engine, sound)
                times.append(took)
                errors += word_errors(TEXTS[text_name], text)
                words += len(TEXTS[text_name].split())
        finally:
            await engine.close()
    return {
        f"{name}_warm_ms": warm_ms,
        f"{name}_final_p50_ms": statistics.median(times),
        f"{name}_final_max_ms": max(times),
        f"{name}_word_error_rate": errors / words,
    }


async def run() -> dict[str, Any]:
    figures: dict[str, Any] = {"vad_frame_p50_ms": vad_frame_ms(), **dating()}
    figures |= await measure("pocketsphinx", "pocketsphinx")
    plumbing = await measure(f"whisper:{WHISPER}", "whisper_plumbing")
    del plumbing["whisper_plumbing_word_error_rate"]  # the tiny model does not listen
    return figures | plumbing
