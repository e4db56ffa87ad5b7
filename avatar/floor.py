"""What the turns and the listener of a session may see of it: its floor. The session fulfils it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from .events import Event, Interrupted, State
from .face.stage import Stage
from .play.peer import Peer
from .play.playout import Playout
from .recognition import Recognition
from .tunables import Tunables
from .turns import Request
from .types import Turn


class Floor(Protocol):
    """One session, as its parts see it."""

    @property
    def id(self) -> str: ...

    @property
    def tunables(self) -> Tunables: ...

    @property
    def playout(self) -> Playout: ...

    @property
    def stage(self) -> Stage | None:
        """None until the face is loaded."""
        ...

    @property
    def peer(self) -> Peer | None: ...

    @property
    def inbox(self) -> asyncio.Queue[Request]: ...

    @property
    def user_speaking(self) -> bool:
        """The user's voice is heard now."""
        ...

    def outbox(self, event: Event) -> None:
        """Tells the client."""
        ...

    def enter(self, state: State) -> None:
        """The session's state is another one from now on."""
        ...

    def user_spoke(self, speaking: bool) -> None:
        """The user's voice began or ended."""
        ...

    def ask(self, request: Request, *, interrupt: bool) -> str:
        """Queues a turn and returns its id. Raises `AtCapacity` when too many wait."""
        ...

    def interrupt(self, onset: float, *, by_voice: bool = False) -> Interrupted | None:
        """Stops what is said and what waits to be said; `onset` is the moment, in monotonic seconds, that asked."""
        ...

    def hold(self) -> str | None:
        """Silence, until it is known whether somebody wants the floor. Returns the turn that is held by it, if any."""
        ...

    @property
    def turn_id(self) -> str | None:
        """The turn that is being thought about, spoken or held."""
        ...

    def release(self) -> None:
        """Nobody wanted the floor: the turn that is held goes on."""
        ...

    def anticipate(self, heard: Recognition, turn_id: str) -> None:
        """The user may have finished: what a turn needs is worked out ahead, and nobody is told."""
        ...

    def think_again(self) -> None:
        """The user has not finished: what was worked out ahead is dropped."""
        ...

    def supersede(self, onset: float) -> Recognition | None:
        """The user goes on before anything of the answer was heard: the turn ends, and what it answered is given back
        as the beginning of what is being said. None where no such turn runs."""
        ...

    async def change_avatar(self) -> None:
        """Brings the portrait that the tunables name on the stage."""
        ...

    async def peer_replaced(self, old: Peer) -> None:
        """Returns when another peer than `old` is attached."""
        ...

    def turn_ended(self, turn: Turn, record: dict[str, Any]) -> None:
        """Keeps a turn's waterfall."""
        ...
