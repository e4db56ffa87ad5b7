"""The sound of a turn, kept for as long as it may have to be said again.

A turn that is held by a doubtful noise goes on at the beginning of the word that was cut, so what the voice has given
stays here until it has surely been heard. The voice fills one clause after the other; the stage reads them, and may
read again from an earlier place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .clock import AUDIO_RATE
from .errors import EngineError
from .play.heard import Position
from .types import Accent, AudioChunk, Clause, Pcm, Phone, Word

CHUNKS_AHEAD = 64
"""Chunks of one clause's sound that may wait for the face: some seconds, whatever size an engine cuts them to."""
KEPT_S = 3.0
"""Sound kept from before what is heard now: longer than the longest word."""
_FADE_S = 0.005
"""Over which a sentence that goes on swells, so that it does not click."""
_HEARD_S = 0.03
"""A word of which less than this was cut counts as heard."""
_BREATH_S = 0.05
"""Before a word that is said again."""
_LOOK_BACK_S = 0.6
"""How far back a voice without word times is searched for a place between two words: about two of them."""
_FRAME_S = 0.01

Sound = asyncio.Queue[AudioChunk | EngineError | None]
"""One clause's sound as the voice gives it, then None or why there is no more."""


@dataclass(slots=True)
class _Track:
    """One clause."""

    clause: Clause
    source: Sound
    chunks: deque[AudioChunk] = field(default_factory=deque)
    words: list[Word] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    accents: list[Accent] = field(default_factory=list)
    ended: bool = False
    failure: EngineError | None = None

    async def more(self) -> AudioChunk | None:
        """The next sound of the voice; None at its end. Raises `EngineError` where the voice failed, again and
        again: a clause that is performed anew breaks off anew."""
        while not self.ended:
            match await self.source.get():
                case None:
                    self.ended = True
                case EngineError() as error:
                    self.ended, self.failure = True, error
                case AudioChunk() as chunk:
                    if len(chunk.pcm):
                        self.chunks.append(chunk)
                        self.words.extend(chunk.words)
                        self.phones.extend(chunk.phones)
                        self.accents.extend(chunk.accents)
                        return chunk
        if self.failure is not None:
            raise self.failure
        return None

    def forget(self, sample: int) -> None:
        """Drops sound that ended well before this sample of 48 kHz."""
        while self.chunks and self.chunks[0].end / self.chunks[0].rate < sample / AUDIO_RATE - KEPT_S:
            dropped = self.chunks.popleft()
            self.words = [word for word in self.words if word.start >= dropped.start]
            self.phones = [phone for phone in self.phones if phone.start >= dropped.start]
            self.accents = [accent for accent in self.accents if accent.at >= dropped.start]


class Tape:
    """What the voice has said in a turn. Written by one task, read by one task."""

    def __init__(self, source: asyncio.Queue[tuple[Clause, Sound] | None]) -> None:
        self._source = source
        self._tracks: dict[int, _Track] = {}
        self._next = 0
        self._ended = False

    async def clause(self, number: int) -> Clause | None:
        """The clause of that number, as soon as its voice begins; None after the last one."""
        while number >= self._next and not self._ended:
            item = await self._source.get()
            if item is None:
                self._ended = True
            else:
                self._tracks[self._next] = _Track(*item)
                self._next += 1
        track = self._tracks.get(number)
        return None if track is None else track.clause

    async def sound(self, number: int, sample: int = 0) -> AsyncIterator[AudioChunk]:
        """The sound of a clause from a sample of 48 kHz on, counted from there; first what is kept, then what comes.
        Raises `EngineError` when the voice fails on it."""
        track = self._tracks[number]
        cut = 0
        told = False
        for chunk in list(track.chunks):
            cut = round(sample * chunk.rate / AUDIO_RATE)
            if chunk.end <= cut:
                continue
            yield _from(chunk, cut, _Marks.of(track) if not told else _Marks())
            told = True
        while (more := await track.more()) is not None:
            cut = round(sample * more.rate / AUDIO_RATE)
            if more.end > cut:
                yield _from(more, cut, _Marks.of(more if told else track))
                told = True

    def heard(self, position: Position) -> None:
        """Everything before this place has been sent: what is too old to be said again is dropped."""
        for number in [number for number in self._tracks if number < position.clause]:
            del self._tracks[number]
        if position.clause in self._tracks:
            self._tracks[position.clause].forget(position.sample)

    def resume(self, position: Position) -> int:
        """The sample of 48 kHz from which the clause at `position`, held there, goes on: where the first word begins
        that was not heard whole. Never in the middle of a word."""
        if position.sample == 0:
            return 0
        if position.words:
            return _before_word(position)
        track = self._tracks.get(position.clause)
        return position.sample if track is None else _valley(list(track.chunks), position.sample)


@dataclass(frozen=True, slots=True)
class _Marks:
    """What is known of a stretch of sound."""

    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] = ()
    accents: tuple[Accent, ...] = ()

    @classmethod
    def of(cls, source: _Track | AudioChunk) -> _Marks:
        return cls(tuple(source.words), tuple(source.phones), tuple(source.accents))


def _from(chunk: AudioChunk, cut: int, marks: _Marks) -> AudioChunk:
    """The chunk as part of a sound that begins at sample `cut`, swelling where that lies in it."""
    pcm = chunk.pcm[cut - chunk.start :] if cut > chunk.start else chunk.pcm
    if cut and chunk.start <= cut:
        ramp = np.minimum(1.0, np.arange(len(pcm)) / (_FADE_S * chunk.rate))
        pcm = (pcm * ramp).astype(np.int16)
    return AudioChunk(
        pcm,
        chunk.rate,
        max(0, chunk.start - cut),
        tuple(Word(w.text, w.start - cut, w.end - cut) for w in marks.words if w.start >= cut),
        tuple(Phone(p.ipa, max(0, p.start - cut), p.end - cut) for p in marks.phones if p.end > cut),
        tuple(Accent(a.kind, a.at - cut, a.weight) for a in marks.accents if a.at >= cut),
    )


def _before_word(position: Position) -> int:
    sample = position.sample
    for previous, word in zip((None, *position.words), position.words, strict=False):
        if word.end - sample > _HEARD_S * AUDIO_RATE:
            begin = max(previous.end if previous else 0, word.start - round(_BREATH_S * AUDIO_RATE))
            return min(begin, word.start)
    return sample


def _valley(chunks: Sequence[AudioChunk], sample: int) -> int:
    """The quietest place shortly before `sample`: words are parted there more likely than elsewhere."""
    if not chunks:
        return sample
    rate = chunks[0].rate
    sound: Pcm = np.concatenate([chunk.pcm for chunk in chunks])
    origin = chunks[0].start
    at = min(round(sample * rate / AUDIO_RATE), origin + len(sound))
    step = round(_FRAME_S * rate)
    begin = max(0, at - origin - round(_LOOK_BACK_S * rate))
    count = (at - origin - begin) // step
    if count < 3:
        return sample
    frames = sound[begin : begin + count * step].reshape(-1, step).astype(np.float32)
    power = np.convolve((frames**2).mean(axis=1), np.full(3, 1 / 3), mode="same")
    # The later of two places that are as quiet.
    quietest = count - 1 - int(np.argmin(power[::-1]))
    return round((origin + begin + quietest * step) * AUDIO_RATE / rate)
