"""The ears of one session: microphone sound in, the events of speech out.

Everything is counted in samples and nothing here knows the time, so any split of the same sound into chunks gives the
same events. What the ears add to the delay: 1 ms of resampling, up to one 32 ms frame until the detector has judged,
`EarsConfig.min_speech_s` until a beginning is believed, `EarsConfig.pause_s` until a pause is told, the endpointer's
silence until an end is believed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ..types import AudioChunk, Pcm, Utterance
from .echo import EchoJudge, Hears
from .endpoint import START_THRESHOLD, EarsConfig, Edge, Endpointer, samples
from .resample import RATE, RATIO, SOURCE_RATE, Downsampler
from .vad import FRAME, Vad
from .verdict import Advice

__all__ = [
    "Ears",
    "EarsConfig",
    "HearEvent",
    "SpeechContinued",
    "SpeechEnded",
    "SpeechPaused",
    "SpeechResumed",
    "SpeechStarted",
]

_LEVEL_FLOOR_DB = -55.0
"""dBFS shown as 0: a quiet room behind a laptop's microphone lies below it."""
_LEVEL_TOP_DB = -15.0
"""dBFS shown as 1: a loud voice close to the microphone."""
_AUDIBLE = 0.03
"""Share of a voice's loud windows (5 ms) above which one is still part of it."""
_END_WINDOWS = 30
"""Windows before the detector's end in which the true one is looked for: 150 ms."""
_MAX_HOLE_S = 2.0
"""A hole in the stream is heard as silence up to this long, which ends any utterance; the rest is skipped, so that a
microphone that comes back after an hour costs nothing."""
_UNSURE_FRAMES = 5
"""Voice that may be the avatar's own is believed after 160 ms: an echo is known by then."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak."""

    at: int
    """Sample at 16 kHz where the detector dates the onset."""
    chunk: AudioChunk
    """Sound at 16 kHz from a little before the onset up to now."""


@dataclass(frozen=True, slots=True)
class SpeechContinued:
    """More of the running utterance."""

    chunk: AudioChunk
    """The next 32 ms at 16 kHz; the silence that may become its end is in it too."""


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The voice is silent: the user may have finished."""

    utterance: Utterance
    """What has been said so far, not final; its sound ends now."""
    at: int
    """Sample at 16 kHz at which it was noticed."""
    offset: int
    """Where the detector lost the voice; the sound tells the end better, and a little before."""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The user had not finished: the voice goes on after a `SpeechPaused`."""

    revision: int
    """Of the utterance from now on."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The user has finished."""

    utterance: Utterance
    """From the pre-roll to a little after the last voice."""
    at: int
    """Sample at 16 kHz at which it was noticed; `utterance.speech_end` is where the voice ended."""


HearEvent = SpeechStarted | SpeechContinued | SpeechPaused | SpeechResumed | SpeechEnded


class Ears:
    """Turns one microphone's 48 kHz stream into utterances.

    An utterance is one `SpeechStarted`, any number of `SpeechContinued` whose chunks follow each other without a gap,
    and one `SpeechEnded`. Between them a pause that may be the end is one `SpeechPaused`, and one `SpeechResumed` when
    it was not. Sample i at 16 kHz is the moment of sample 3·i of the microphone's stream.
    """

    def __init__(
        self,
        vad: Vad,
        config: EarsConfig = EarsConfig(),  # noqa: B008 (a frozen value)
        echo: EchoJudge | None = None,
    ) -> None:
        """`echo` is told what is played beside the microphone; what it takes for that is no voice."""
        self._vad = vad
        self._echo = echo
        self._unsure = 0
        """Frames of voice in a row that may be the avatar's own."""
        self.config = config
        self._endpointer = Endpointer(config)
        self._pre_roll = samples(config.pre_roll_s)
        self._tail = samples(config.tail_s)
        longest = max(config.end_silence_s, config.max_end_silence_s, config.incomplete_silence_s)
        self._max_hole = round(max(_MAX_HOLE_S, 2 * longest) * SOURCE_RATE)
        self.level = 0.0
        """Loudness of the last chunk, 0 to 1."""
        self.reset()

    def reset(self) -> None:
        """Forgets the running utterance and everything heard; the next chunk may lie anywhere on the stream. How the
        speaker pauses is remembered."""
        self._next: int | None = None
        """Index on the microphone's stream of the sample that follows the last one heard."""
        self._forget(0)
        self.level = 0.0

    @property
    def voiced_s(self) -> float:
        """Seconds of voice in the running utterance so far; 0 when there is none."""
        return self._endpointer.voiced / RATE if self._endpointer.speaking else 0.0

    def judge(self, pause: SpeechPaused, advice: Advice) -> float | None:
        """Tells what is known of a pause: it lengthens or shortens the silence that ends the turn. Returns the
        probability, 0 to 1, that the turn is complete; None when the pause is over, and nothing changes."""
        return self._endpointer.judge(pause.offset, advice)

    def hear(self, chunk: AudioChunk) -> list[HearEvent]:
        """Takes the next 48 kHz mono sound, of any length, and returns what it brought, in order.

        A hole in the stream (`chunk.start` beyond the end of the last chunk) counts as silence; sound that was heard
        already is dropped, so a stream that starts anew needs `reset`. Raises `ValueError` for another rate.
        """
        if chunk.rate != SOURCE_RATE:
            raise ValueError(f"the ears take {SOURCE_RATE} Hz, not {chunk.rate}")
        events: list[HearEvent] = []
        if not len(chunk.pcm):
            return events
        self.level = _level(chunk.pcm)
        pcm, start = chunk.pcm, chunk.start
        if self._next is None:
            self._next = self._begin(start)
        if start > self._next:
            hole = start - self._next
            self._take(np.zeros(min(hole, self._max_hole), np.int16), events)
            if hole > self._max_hole:
                self._next = self._begin(start)
        self._take(pcm[max(0, self._next - start) :], events)
        return events

    def _begin(self, start: int) -> int:
        """Starts afresh at the first sample from `start` on that falls on a sample at 16 kHz."""
        origin = -(-start // RATIO)
        self._forget(origin)
        return origin * RATIO

    def _forget(self, origin: int) -> None:
        self._downsampler = Downsampler()
        self._vad.reset()
        self._endpointer.reset()
        self._waiting: list[Pcm] = []
        self._waiting_len = 0
        self._kept: deque[Pcm] = deque()
        """Judged sound that may still be needed; it ends at `_heard`."""
        self._kept_len = 0
        self._heard = origin
        """One past the last judged sample at 16 kHz."""
        self._used = origin
        """One past the last sample that belongs to an earlier utterance."""

    def _take(self, pcm: Pcm, events: list[HearEvent]) -> None:
        assert self._next is not None
        self._next += len(pcm)
        ready = self._downsampler.feed(pcm)
        self._waiting.append(ready)
        self._waiting_len += len(ready)
        if self._waiting_len < FRAME:
            return
        sound = np.concatenate(self._waiting)
        whole = len(sound) - len(sound) % FRAME
        for at in range(0, whole, FRAME):
            self._judge(sound[at : at + FRAME], events)
        self._waiting, self._waiting_len = [sound[whole:]], len(sound) - whole

    def _judge(self, frame: Pcm, events: list[HearEvent]) -> None:
        judge = self._endpointer
        self._heard += FRAME
        self._keep(frame)
        was_speaking = judge.speaking
        edge = judge.step(self._voice(frame), self._heard)
        if was_speaking:
            events.append(SpeechContinued(AudioChunk(frame, RATE, self._heard - FRAME)))
        if edge is Edge.STARTED:
            assert judge.onset is not None
            sound = self._kept_from(max(self._used, judge.onset - self._pre_roll))
            self._kept = deque((sound.pcm,))
            self._kept_len = len(sound.pcm)
            events.append(SpeechStarted(judge.onset, sound))
        elif edge is Edge.PAUSED:
            sound = self._kept_from(0)
            ended = voice_end(sound.pcm, judge.offset - sound.start) + sound.start
            utterance = Utterance(sound, ended, revision=judge.resumed, final=False)
            events.append(SpeechPaused(utterance, at=self._heard, offset=judge.offset))
        elif edge is Edge.RESUMED:
            events.append(SpeechResumed(judge.resumed))
        elif edge is Edge.ENDED:
            self._used = min(judge.offset + self._tail, self._heard)
            sound = self._kept_from(0)
            audio = AudioChunk(sound.pcm[: self._used - sound.start], RATE, sound.start)
            ended = voice_end(sound.pcm, judge.offset - sound.start) + sound.start
            events.append(SpeechEnded(Utterance(audio, ended, revision=judge.resumed), at=self._heard))
        if not judge.speaking:
            self._drop_before((self._heard if judge.onset is None else judge.onset) - self._pre_roll)

    def _voice(self, frame: Pcm) -> float:
        """The probability that somebody else than the avatar speaks."""
        probability = self._vad.probability(frame)
        hears = Hears.OTHERS if self._echo is None else self._echo.hear(frame)
        if hears is Hears.ITSELF:
            return 0.0
        if hears is Hears.OTHERS:
            self._unsure = 0
        elif probability >= START_THRESHOLD:
            self._unsure += 1
        return 0.0 if 0 < self._unsure <= _UNSURE_FRAMES else probability

    def _keep(self, frame: Pcm) -> None:
        self._kept.append(frame)
        self._kept_len += len(frame)

    def _kept_from(self, begin: int) -> AudioChunk:
        """The kept sound from sample `begin` on, or all of it where it begins later."""
        first = self._heard - self._kept_len
        begin = max(begin, first)
        return AudioChunk(np.concatenate(self._kept)[begin - first :], RATE, begin)

    def _drop_before(self, begin: int) -> None:
        while self._kept and self._heard - self._kept_len + len(self._kept[0]) <= begin:
            self._kept_len -= len(self._kept.popleft())


def voice_end(pcm: Pcm, offset: int) -> int:
    """One past the last audible sample of a voice that the detector lost at `offset`: it judges by frames of 32 ms with
    an aftertaste, so it is late by 20 to 70 ms. Where noise drowns the end, what the detector says."""
    step = RATE // 200
    windows = pcm[: offset // step * step].reshape(-1, step).astype(np.float32)
    if not len(windows):
        return offset
    loud = np.sqrt((windows**2).mean(axis=1))
    silence = np.sqrt((pcm[offset:].astype(np.float32) ** 2).mean()) if len(pcm) > offset else 0.0
    audible = max(_AUDIBLE * float(np.percentile(loud, 95)), 4 * float(silence), 1.0)
    newest = np.flatnonzero(loud[-_END_WINDOWS:] > audible)
    if not len(newest):
        return offset
    return int((len(loud) - min(_END_WINDOWS, len(loud)) + newest[-1] + 1) * step)


def _level(pcm: Pcm) -> float:
    """Root mean square in dBFS, from `_LEVEL_FLOOR_DB` to `_LEVEL_TOP_DB` on a straight line from 0 to 1."""
    wave = pcm.astype(np.float32)
    power = float(np.dot(wave, wave)) / len(pcm) / 32768.0**2
    decibels = 10 * np.log10(power + 1e-12)
    return float(np.clip((decibels - _LEVEL_FLOOR_DB) / (_LEVEL_TOP_DB - _LEVEL_FLOOR_DB), 0.0, 1.0))
