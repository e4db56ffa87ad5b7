"""Those who take what a session shows and says, and what they are given: encoded once, for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .video import Encoded


@dataclass(frozen=True, slots=True)
class Shot:
    """An encoded picture on its way to its takers."""

    slot: int
    pts: int
    """90 kHz ticks from the media clock's epoch."""
    picture: Encoded


@dataclass(frozen=True, slots=True)
class Sound:
    """An encoded piece of 20 ms of sound."""

    tick: int
    data: bytes
    level: int
    """dBov as RFC 6464 has it, 0 loudest to 127."""


class PictureTaker(Protocol):
    """Who takes encoded pictures. Everything is called on the event loop."""

    @property
    def taking(self) -> bool:
        """Pictures have somewhere to go."""
        ...

    @property
    def leads(self) -> bool:
        """The source's rate follows this one's."""
        ...

    @property
    def target(self) -> int | None:
        """bit/s that it can take; None: whatever comes."""
        ...

    def blocked(self, now: float) -> bool:
        """One more picture would only make things worse for it."""
        ...

    def take(self, shot: Shot) -> None: ...


class SoundTaker(Protocol):
    @property
    def taking(self) -> bool: ...

    @property
    def leads(self) -> bool:
        """The source's rate and its spare copies follow this one's path."""
        ...

    @property
    def target(self) -> int:
        """bit/s of Opus that its path has room for."""
        ...

    @property
    def lossy(self) -> float:
        """The share of its packets that get lost."""
        ...

    @property
    def dtx(self) -> bool:
        """It would rather have no packets while nothing is said."""
        ...

    def take(self, sound: Sound) -> None: ...
