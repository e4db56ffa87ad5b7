"""The seams between the loop and its engines: four small protocols, no plugin framework.

A new engine is one module that fulfils one of these, and one line in the table of its room that builds engines.
Everything asynchronous here is cancellable: `CancelledError` leaves the engine reusable. Engines start their own
threads or processes; nobody else starts one for them. They raise `EngineError` with a sentence for a person.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from .tunables import Tunables
from .types import Accent, AudioChunk, Choice, Clause, Frame, Message, Pcm, Phone, Transcript


class STTStream(Protocol):
    """The recognition of one utterance."""

    async def feed(self, chunk: AudioChunk) -> str | None:
        """Takes 16 kHz sound in order; returns the newest partial text where it changed, else None. Returns soon:
        slow decoding goes on beside it."""
        ...

    async def guess(self) -> Transcript | None:
        """The user pauses: the text as it is if nothing more is said, None where the engine cannot tell yet. What it
        costs is not paid again by `finish` unless more voice is fed. Cancelling it cancels no recognition."""
        ...

    async def finish(self) -> Transcript:
        """Everything has been fed: the final text (empty when nothing was understood)."""
        ...

    async def close(self) -> None:
        """Drops the utterance; harmless after `finish` and when called twice."""
        ...


class STT(Protocol):
    """Speech recognition."""

    choice: Choice

    async def warm(self) -> None:
        """Loads what is needed and decodes once, so that the first turn pays for nothing."""
        ...

    def open(self, language: str) -> STTStream:
        """`language` is a BCP 47 primary tag, or "auto"."""
        ...

    async def close(self) -> None: ...


class LLM(Protocol):
    """The mind."""

    choice: Choice

    async def warm(self) -> None: ...

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        """Streams the reply's text in pieces as they are made. Closing the iterator (`aclose`) stops the work."""
        ...

    async def close(self) -> None: ...


class TTS(Protocol):
    """A voice."""

    choice: Choice

    async def warm(self) -> None: ...

    def speak(self, clause: Clause, voice: str | None) -> AsyncIterator[AudioChunk]:
        """Streams the clause's sound, `start` counting from 0, leading silence trimmed, with word and phoneme times
        and accents where the engine knows them. `voice` None is the engine's own choice. Closing the iterator stops
        the work."""
        ...

    async def close(self) -> None: ...


class Rig(Protocol):
    """A portrait made ready to move: shared between sessions, never changed."""

    @property
    def width(self) -> int:
        """Working size in pixels, before `frame_scale`; the long side is at most 1024."""
        ...

    @property
    def height(self) -> int: ...


class Performance(Protocol):
    """One session's moving face. Plain blocking calls, one at a time, from any thread.

    Frames are made in the order in which they will be shown: what `feed`, `finish` and `idle` return is one
    continuous motion.
    """

    def feed(self, pcm: Pcm, phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()) -> list[Frame]:
        """Takes speech at the face's `rate` and returns the frames that are ready: a face that looks ahead returns
        them later. `phones` and `accents` are counted at the same rate from the start of the speech, and may lie ahead
        of its sound. Over a whole speech `feed` and `finish` return exactly ⌈samples ÷ (rate/25)⌉ frames."""
        ...

    def finish(self) -> list[Frame]:
        """The speech is over: the frames still owed."""
        ...

    def idle(self, user_level: float = 0.0) -> Frame:
        """The next frame of listening life. `user_level` is the loudness of the user's voice, 0 to 1."""
        ...

    def cut(self, shown: int) -> None:
        """Speech was interrupted: frames after serial `shown` will never be seen. The next frame, idle or speech,
        goes on from that one without a jump, and nothing of the cut speech is left."""
        ...

    def tune(self, tunables: Tunables) -> None:
        """Takes new tunables from the next frame (those that are live) or the next speech."""
        ...

    def close(self) -> None: ...


Motion = Sequence[object]
"""How a mouth moved in one speech: something for each 40 ms, that only the face which made it can read."""


@runtime_checkable
class Reciter(Protocol):
    """A performance that can move as it did before, for the same sound, without listening to it. Optional."""

    def recite(self, motion: Motion) -> None:
        """The next speech has this motion."""
        ...

    def motion(self) -> Motion:
        """Of the speech that `finish` has ended."""
        ...


@runtime_checkable
class Haltable(Protocol):
    """A performance that can be told, while a call of it runs in its thread, that nobody will see what it makes.
    Optional."""

    def halt(self) -> None:
        """What is being made need not be drawn; a `cut` follows before the next call. Returns at once."""
        ...


class Face(Protocol):
    """A generator of faces."""

    choice: Choice
    rate: int
    """Hz of the sound that its performances are fed with; a multiple of 25."""
    ignores: frozenset[str]
    """Tunables that it has no use for; `session` says so to the user."""

    async def warm(self) -> None: ...

    async def rig(self, avatar: str) -> Rig:
        """The rig of a registered avatar, cached. Raises `NotFound` for an id that is not there."""
        ...

    def perform(self, rig: Rig, tunables: Tunables, seed: int) -> Performance: ...

    async def close(self) -> None: ...
