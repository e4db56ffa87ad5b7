"""Sound for the tests of the ears: recorded speech, noise, clicks, silence, put together on one stream."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from avatar.hear.ears import Ears, HearEvent, SpeechContinued, SpeechEnded, SpeechPaused, SpeechResumed, SpeechStarted
from avatar.seams import STT
from avatar.types import AudioChunk, Pcm, Transcript

CLIPS = Path(__file__).with_name("speech")
TEXTS = {
    "hello": "hello i am your avatar how can i help you today",
    "thanks": "no thank you",
    "time": "what time is it",
    "weather": "please tell me if you can about the weather in tokyo",
    "yes": "yes",
}


@functools.cache
def clip(name: str, rate: int = 16_000) -> Pcm:
    """A recording, mono int16 at `rate`."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    with av.open(str(CLIPS / f"{name}.flac")) as file:
        parts = [out.to_ndarray()[0] for frame in file.decode(audio=0) for out in resampler.resample(frame)]
    parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts)


def voice_span(pcm: Pcm, rate: int) -> tuple[int, int]:
    """First and one past the last sample that is audible: 10 ms windows above −48 dBFS."""
    step = rate // 100
    windows = pcm[: len(pcm) // step * step].reshape(-1, step).astype(np.float64)
    loud = np.flatnonzero(np.sqrt((windows**2).mean(axis=1)) > 32768 * 10 ** (-48 / 20))
    return int(loud[0]) * step, int(loud[-1] + 1) * step


def silence(seconds: float, rate: int = 48_000) -> Pcm:
    return np.zeros(round(seconds * rate), np.int16)


def noise(seconds: float, dbfs: float, seed: int = 0, rate: int = 48_000) -> Pcm:
    sound = np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 32768 * 10 ** (dbfs / 20)
    return np.clip(sound, -32768, 32767).astype(np.int16)


def clicks(seconds: float, every_s: float, seed: int = 0, rate: int = 48_000) -> Pcm:
    """Keyboard-like knocks: 8 ms of decaying noise, loud."""
    sound = silence(seconds, rate)
    rng = np.random.default_rng(seed)
    length = rate * 8 // 1000
    decay: npt.NDArray[np.float64] = np.exp(-np.arange(length) / (length / 5))
    for at in range(0, len(sound) - length, round(every_s * rate)):
        sound[at : at + length] = (rng.uniform(-1, 1, length) * decay * 20_000).astype(np.int16)
    return sound


def mixed(a: Pcm, b: Pcm) -> Pcm:
    """Both at once, as long as the first."""
    total = a.astype(np.int32)
    total[: len(b)] += b[: len(a)]
    return np.clip(total, -32768, 32767).astype(np.int16)


def hear_all(ears: Ears, pcm: Pcm, cuts: Iterable[int] | int = 960, start: int = 0) -> list[HearEvent]:
    """Feeds the sound in pieces: of one length, or cut at the given places."""
    places = range(0, len(pcm), cuts) if isinstance(cuts, int) else sorted({0, *cuts})
    edges = [*(p for p in places if p < len(pcm)), len(pcm)]
    events: list[HearEvent] = []
    for begin, end in pairwise(edges):
        events += ears.hear(AudioChunk(pcm[begin:end], 48_000, start + begin))
    return events


def same(a: list[HearEvent], b: list[HearEvent]) -> bool:
    """Whether two runs heard the same, to the sample."""
    return [_facts(e) for e in a] == [_facts(e) for e in b]


def _facts(event: HearEvent) -> tuple[object, ...]:
    match event:
        case SpeechStarted(at, chunk):
            return "started", at, chunk.start, chunk.pcm.tobytes()
        case SpeechContinued(chunk):
            return "continued", chunk.start, chunk.pcm.tobytes()
        case SpeechPaused(utterance, at, _):
            return "paused", at, utterance.speech_end, utterance.revision, utterance.audio.pcm.tobytes()
        case SpeechResumed(revision):
            return "resumed", revision
        case SpeechEnded(utterance, at):
            facts = utterance.speech_end, utterance.revision, utterance.audio.start, utterance.audio.pcm.tobytes()
            return "ended", at, *facts


WHISPER_SAYS = "hello avatar, what can you do?"
"""Whatever the tiny model in tests/fixtures/whisper is given."""


async def recognise(engine: STT, pcm: Pcm, language: str = "auto", piece: int = 512) -> tuple[Transcript, list[str]]:
    """Plays the sound (16 kHz) into a stream as the ears would; returns the text and the partials before it."""
    stream = engine.open(language)
    partials: list[str] = []
    for at in range(0, len(pcm), piece):
        partial = await stream.feed(AudioChunk(pcm[at : at + piece], 16_000, at))
        if partial is not None:
            partials.append(partial)
        await asyncio.sleep(0)
    return await stream.finish(), partials


def music(seconds: float, dbfs: float = -26.0, rate: int = 48_000) -> Pcm:
    """Four chords to the beat, plucked, with a bass and a hi-hat."""
    rng = np.random.default_rng(11)
    sound = np.zeros(round(seconds * rate))
    beat = rate // 2
    chords = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (164.8, 207.7, 246.9))
    for i, at in enumerate(range(0, len(sound), beat)):
        t = np.arange(min(beat * 2, len(sound) - at)) / rate
        pluck = np.exp(-t * 3) * np.minimum(1, t / 0.004)
        for hz in (*chords[i // 2 % 4], chords[i // 2 % 4][0] / 2):
            partials = sum(np.sin(2 * np.pi * hz * k * t) / k**1.5 for k in range(1, 8))
            sound[at : at + len(t)] += pluck * partials
        hat = np.arange(min(rate // 20, len(sound) - at))
        sound[at : at + len(hat)] += 0.3 * rng.standard_normal(len(hat)) * np.exp(-hat / (rate / 100))
    sound *= 10 ** (dbfs / 20) / np.sqrt((sound**2).mean())
    return np.clip(sound * 32768, -32768, 32767).astype(np.int16)


def whispered(pcm: Pcm, rate: int = 48_000) -> Pcm:
    """The same words without a voice: each 20 ms keeps its spectral envelope, and noise replaces the pitch."""
    size, hop = rate // 50, rate // 100
    window = np.hanning(size)
    rng = np.random.default_rng(3)
    out = np.zeros(len(pcm) + size)
    for at in range(0, len(pcm) - size, hop):
        spectrum = np.abs(np.fft.rfft(pcm[at : at + size] * window))
        # A cepstrum of a few coefficients is the vocal tract without the pitch.
        cepstrum = np.fft.irfft(np.log(spectrum + 1))
        cepstrum[30:-30] = 0
        envelope = np.exp(np.fft.rfft(cepstrum).real)
        # A whisper has little below the first formant.
        envelope *= 1 / (1 + (400 / np.maximum(1, np.fft.rfftfreq(size, 1 / rate))) ** 4)
        out[at : at + size] += np.fft.irfft(envelope * np.exp(2j * np.pi * rng.random(len(envelope)))) * window
    whisper = out[: len(pcm)]
    whisper *= 0.35 * np.sqrt((pcm.astype(np.float64) ** 2).mean()) / np.sqrt((whisper**2).mean())
    return np.clip(whisper, -32768, 32767).astype(np.int16)
