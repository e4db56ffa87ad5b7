"""The values that flow down the line: microphone → ears → mind → voice → face → playout.

Every value that crosses a room's border is one of these. They are frozen, and each field says its unit. Sample
indices count from the start of the stream they lie on; slots count the 40 ms steps of the media clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
"""Mono samples, shape (n,)."""

I420 = npt.NDArray[np.uint8]
"""One picture, planar 4:2:0, BT.601 limited range, shape (height * 3 // 2, width); both sides even."""

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word and when it sounds."""

    text: str
    """As it is written, with the punctuation and space that follow it: the words of a clause together are its text."""
    start: int
    """First sample, at the rate and on the stream of the audio that carries it."""
    end: int
    """One past the last sample."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A spoken phoneme in IPA and when it sounds, in the same units as `Word`. Silence is the empty string."""

    ipa: str
    start: int
    end: int


AccentKind = Literal["stress", "phrase", "sentence", "question"]


@dataclass(frozen=True, slots=True)
class Accent:
    """A place in speech where people move: a word that stands out, or the end of a phrase, a sentence or a question."""

    kind: AccentKind
    at: int
    """Sample, counted as a `Word`'s are: the middle of the stressed vowel, or one past the last word."""
    weight: float = 0.5
    """0 to 1: how much the word stands out, or how much people nod at such an end."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A stretch of one sound stream."""

    pcm: Pcm
    rate: int
    """Hz."""
    start: int
    """Index of `pcm[0]` on its stream."""
    words: tuple[Word, ...] = ()
    """Words whose times became known with this chunk; they may lie ahead of it."""
    phones: tuple[Phone, ...] = ()
    """Phonemes whose times became known with this chunk; they may lie ahead of it."""
    accents: tuple[Accent, ...] = ()
    """Accents that became known with this chunk, in order; they lie ahead of it as far as the voice knows."""

    @property
    def end(self) -> int:
        """One past the index of the last sample on the stream."""
        return self.start + len(self.pcm)

    @property
    def seconds(self) -> float:
        return len(self.pcm) / self.rate


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the user said between two pauses, at 16 kHz."""

    audio: AudioChunk
    speech_end: int
    """Index, on the 16 kHz microphone stream, one past the last sample that the VAD dates as speech."""
    revision: int = 0
    """Grows when the user goes on after a pause; a higher revision replaces a lower one."""
    final: bool = True


@dataclass(frozen=True, slots=True)
class Transcript:
    """What an engine recognised."""

    text: str
    language: str = ""
    """BCP 47 primary tag, empty when the engine does not say."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history that a language model is given."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Clause:
    """The piece of a reply that is spoken in one breath."""

    text: str
    index: int
    """Counts from 0 in its turn."""
    turn_id: str
    language: str = ""
    """BCP 47 primary tag of the text, empty when unknown."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a performance."""

    serial: int
    """Counts the frames that the performance has made; `Performance.cut` refers to it."""
    i420: I420 | None
    """None: as before (the rate asked for is below 25 fps, so this slot repeats the last picture)."""


@dataclass(frozen=True, slots=True)
class Slice:
    """40 ms of performance: a picture and its own sound, paired before they are queued."""

    frame: Frame
    pcm: Pcm
    """1,920 samples of 48 kHz sound."""
    turn_id: str | None = None
    """The turn that speaks in it; None: nobody does."""
    clause: int = -1
    """Index of the clause in its turn."""
    start: int = 0
    """Index of `pcm[0]` in the clause's sound."""
    words: tuple[Word, ...] = ()
    """Words that start in it, counted in 48 kHz samples from the start of the clause's sound."""
    clause_start: bool = False
    """The first slice of its clause, or of the rest of a clause that was held."""
    text: str = ""
    """On such a slice: what the clause says from there on."""
    clause_end: bool = False
    """The last slice of its clause."""
    torn: bool = False
    """On such a slice: the voice failed here, before it had said the whole clause."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which engine a role got and why, for the log, `/config` and the page."""

    role: str
    name: str
    why: str
    note: str = ""
    """What a person should know of its limits; empty when there is nothing to say."""


@dataclass(slots=True)
class Turn:
    """One exchange: what was heard, said and really played, and when its stages were reached.

    Owned by the session that made it; only the session changes it.
    """

    id: str
    began: float
    """Server monotonic time in seconds: the end of the user's speech as the VAD dates it, or the request."""
    kind: str = "user"
    """user, say, speech or greeting."""
    user_text: str = ""
    reply_text: str = ""
    heard_text: str = ""
    interrupted: bool = False
    false_alarms: int = 0
    """How often it was held for a noise that was none."""
    error: str = ""
    """What went wrong in words, empty when nothing did."""
    notes: tuple[str, ...] = ()
    """What else was out of the ordinary: slow, no_reply, unsayable, broken_off, too_long,
    not_understood."""
    aside: bool = False
    """It says nothing that the language model has to know of."""
    unsaid: bool = False
    """The voice left something of it out."""
    cached: tuple[str, ...] = ()
    engines: dict[str, str] = field(default_factory=dict)
    revision: int = 0
    """How often the user went on before an answer was heard."""
    marks: dict[str, float] = field(default_factory=dict)
    """Stage → milliseconds after `began`."""
    ahead: dict[str, float] = field(default_factory=dict)
    """Stages that were worked out on suspicion → milliseconds by which each was done before the turn was certain."""
