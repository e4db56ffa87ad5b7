"""Raw sound of an engine → a clause's stream: trimmed, levelled, with a natural pause behind it, in small chunks.

Pure: no clock, no process. All engines pass through here, so that a change of engine in mid-conversation changes the
voice and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..types import Accent, AudioChunk, Pcm, Phone, Word

Samples = npt.NDArray[np.float32]
"""Mono samples in units of full scale, shape (n,)."""

TARGET_DBFS = -20.0
"""Level of active speech (RMS, dB below full scale) that every voice is brought to: loud enough for a laptop, with
the 16 to 18 dB of headroom that the peaks of speech need."""
MAX_GAIN_DB = 20.0
"""More than this lifts an engine's noise instead of its voice."""
KNEE = 0.7
"""Amplitude above which samples are compressed, so that the peaks of a loud clause are never clipped."""
CEILING = 0.98

HOP_S = 0.005
"""Grid of the search for silence: shorter than any consonant."""
SILENCE_DBFS = -50.0
"""A hop is silent below this, after levelling: 30 dB under speech, where the quietest fricatives begin."""
LEAD_S = 0.010
"""Kept before the first sound: an onset is not to be cut."""
FADE_S = 0.003
"""At both ends, so that a cut does not click."""
CHUNK_S = 0.04

SENTENCE_PAUSE_S = 0.25
CLAUSE_PAUSE_S = 0.15
NO_PAUSE_S = 0.06
"""Silence after a clause by how its text ends: a sentence, a comma, or a cut for length."""

_SENTENCE_END = re.compile(r"[.!?。！？｡…][\s\"')\]}*_`~”’»›」』】）〉》]*$")
_CLAUSE_END = re.compile(r"[,;:、，；：､—-][\s\"')\]}*_`~”’»›」』】）〉》]*$")


def pause_after(text: str) -> float:
    """Seconds of silence that belong behind a clause."""
    if _SENTENCE_END.search(text):
        return SENTENCE_PAUSE_S
    return CLAUSE_PAUSE_S if _CLAUSE_END.search(text) else NO_PAUSE_S


def as_samples(pcm: bytes | Pcm) -> Samples:
    """16-bit PCM as units of full scale."""
    integers = np.frombuffer(pcm, dtype="<i2") if isinstance(pcm, bytes) else pcm
    return integers.astype(np.float32) / np.float32(32768)


def active_level(samples: Samples, rate: int) -> float | None:
    """Active speech level in dBFS: the mean power of the hops that are within 20 dB of the loud ones (after the idea
    of ITU-T P.56, which leaves pauses out). None for less than 0.2 s of sound."""
    hop = max(1, round(rate * HOP_S))
    count = len(samples) // hop
    if not count:
        return None
    power = np.square(samples[: count * hop].reshape(count, hop), dtype=np.float64).mean(axis=1)
    loud = float(np.percentile(power, 95))
    if loud < 1e-8:
        return None
    active = power[power > loud / 100]
    return 10 * math.log10(float(active.mean())) if len(active) * HOP_S >= 0.2 else None


def gain_for(samples: Samples, rate: int) -> float | None:
    """The factor that brings a voice, of which `samples` are typical, to the target level."""
    level = active_level(samples, rate)
    if level is None:
        return None
    return float(10 ** (float(np.clip(TARGET_DBFS - level, -MAX_GAIN_DB, MAX_GAIN_DB)) / 20))


def limit(samples: Samples) -> Pcm:
    """16-bit samples, compressed above the knee and never clipped."""
    size = np.abs(samples)
    room = CEILING - KNEE
    bent = KNEE + room * np.tanh((size - KNEE) / room)
    out = np.where(size > KNEE, np.copysign(bent, samples), samples)
    return np.asarray(np.rint(out * 32767), dtype=np.int16)


class Shaper:
    """One clause on its way out. Marks count in raw samples as the engine made them, and precede their sound."""

    def __init__(self, rate: int, gain: float, pause_s: float) -> None:
        """`rate` in Hz; `gain` as a factor; `pause_s` of silence behind the last sound."""
        self._rate = rate
        self._gain = gain
        self._hop = max(1, round(rate * HOP_S))
        self._chunk = round(rate * CHUNK_S)
        self._pause = round(rate * pause_s)
        self._threshold = 10 ** (SILENCE_DBFS / 10)
        self._held: Samples = np.zeros(0, np.float32)  # levelled, not handed out yet
        self._begin = 0  # raw index of the first held sample
        self._judged = 0  # held samples whose loudness is known
        self._lead: int | None = None  # raw index of the stream's first sample
        self._sound_end = 0  # raw index one past the last hop that was not silent
        self._words: list[Word] = []
        self._phones: list[Phone] = []
        self._accents: list[Accent] = []

    def mark(self, words: Iterable[Word] = (), phones: Iterable[Phone] = (), accents: Iterable[Accent] = ()) -> None:
        """Words and phonemes go out with their first sample, accents as soon as may be: a face prepares for them."""
        self._words += words
        self._phones += phones
        self._accents += accents

    @property
    def sound_end(self) -> int:
        """Raw index one past the last sound so far."""
        return self._sound_end

    def push(self, samples: Samples) -> list[AudioChunk]:
        """Takes raw sound, returns the chunks that are certain to be heard."""
        self._held = np.concatenate([self._held, samples * np.float32(self._gain)])
        self._judge()
        if self._lead is None:
            return []
        # A mark goes out with its first sample, so sound waits until it is certain that the stream reaches its end.
        certain = self._sound_end + self._pause
        unsure = [word.start for word in self._words if word.end > certain]
        unsure += [phone.start for phone in self._phones if phone.end > certain and phone.ipa]
        ready = min([self._sound_end, *unsure]) - self._begin
        return self._hand_out(max(0, ready - ready % self._chunk))

    def finish(self) -> list[AudioChunk]:
        """The engine is done: what is left, and the pause. Nothing at all where there was no sound."""
        if len(self._held) > self._judged:
            missing = -len(self._held) % self._hop
            self._held = np.concatenate([self._held, np.zeros(missing, np.float32)])
            self._judge()
        if self._lead is None:
            return []
        length = self._sound_end - self._begin + self._pause
        short = length - len(self._held)
        if short > 0:
            self._held = np.concatenate([self._held, np.zeros(short, np.float32)])
        tail = self._held[:length]
        fade = min(round(self._rate * FADE_S), length)
        # The cut may fall into a breath or the engine's noise floor.
        tail[length - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        return self._hand_out(length, last=True)

    def _judge(self) -> None:
        count = (len(self._held) - self._judged) // self._hop
        hops = self._held[self._judged : self._judged + count * self._hop].reshape(count, self._hop)
        loud = np.flatnonzero(np.square(hops).mean(axis=1) > self._threshold) if count else np.zeros(0, np.intp)
        if len(loud):
            base = self._begin + self._judged
            if self._lead is None:
                onset = base + int(loud[0]) * self._hop
                self._lead = max(self._begin, onset - round(self._rate * LEAD_S))
                self._drop(self._lead - self._begin)
                fade = min(round(self._rate * FADE_S), len(self._held))
                self._held[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
            self._sound_end = base + (int(loud[-1]) + 1) * self._hop
            self._judged = base + count * self._hop - self._begin
        else:
            self._judged += count * self._hop
        if self._lead is None:  # silence: all but a possible lead can go
            self._drop(max(0, self._judged - round(self._rate * LEAD_S)))

    def _drop(self, count: int) -> None:
        self._held = self._held[count:].copy()
        self._begin += count
        self._judged = max(0, self._judged - count)

    def _hand_out(self, length: int, *, last: bool = False) -> list[AudioChunk]:
        assert self._lead is not None
        if not length:
            return []
        words, phones = self._marks(self._begin + length, last=last)
        chunks: list[AudioChunk] = []
        for at in range(0, length, self._chunk):
            pcm = limit(self._held[at : min(at + self._chunk, length)])
            start = self._begin + at - self._lead
            accents = tuple(Accent(a.kind, max(0, a.at - self._lead), a.weight) for a in self._accents)
            self._accents.clear()
            chunks.append(AudioChunk(pcm, self._rate, start, words, phones, accents))
            words, phones = (), ()
        self._drop(length)
        return chunks

    def _marks(self, end: int, *, last: bool) -> tuple[tuple[Word, ...], tuple[Phone, ...]]:
        """The marks that start before raw sample `end`, on the stream's own count; `last`: all, cut to the stream."""
        lead = self._lead
        assert lead is not None

        def place(at: int) -> int:
            return max(0, (min(at, end) if last else at) - lead)

        def due(mark: Word | Phone) -> bool:
            return last or (mark.start < end and not (_is_silence(mark) and mark.end > self._sound_end))

        words = tuple(Word(w.text, place(w.start), place(w.end)) for w in self._words if due(w))
        phones = tuple(Phone(p.ipa, place(p.start), place(p.end)) for p in self._phones if due(p))
        self._words = [w for w in self._words if not due(w)]
        self._phones = [p for p in self._phones if not due(p)]
        return words, tuple(phone for phone in phones if phone.end > phone.start)


def _is_silence(mark: Word | Phone) -> bool:
    return isinstance(mark, Phone) and not mark.ipa
