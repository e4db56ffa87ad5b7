"""The CPU face behind the `Face` seam: a puppet's poses, drawn, numbered and paced as a session asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import cv2

import puppet
from puppet.actor import Actor, Chunk
from puppet.coefficients import NEUTRAL, Coefficients
from puppet.mouth import Lips
from puppet.mouth import Phone as PuppetPhone
from puppet.renderer import Renderer
from puppet.renderer import Rig as PuppetRig
from puppet.score import Accent as PuppetAccent
from puppet.sound import RATE

from ..errors import EngineError
from ..seams import Motion, Rig
from ..tunables import MANNERS, Tunables
from ..types import Accent, Choice, Frame, Pcm, Phone
from .avatars import AvatarStore
from .pattern import draws
from .rigs import Rigs

KEPT_RIGS = 16
"""Rigs that stay in memory; one of a 1024 × 1024 photograph is about 20 MB."""


class PuppetPerformance:
    """One session's puppet."""

    def __init__(self, rig: PuppetRig, tunables: Tunables, seed: int) -> None:
        self._renderer: Renderer = rig.open()
        self._actor = Actor(seed, Chunk(*tunables.chunk_config))
        self._actor.feel(tunables.emotion)
        self._tunables = tunables
        self._fresh = True
        """The next frame must be drawn: there is none before it, or it was not shown."""
        self._halted = False
        """Frames are not drawn until the next `cut`."""

    def _frame(self, pose: Coefficients, serial: int) -> Frame:
        if self._halted or not (self._fresh or draws(serial, self._tunables.fps)):
            return Frame(serial, None)
        self._fresh = False
        return Frame(serial, self._renderer.draw(pose, self._tunables.frame_scale))

    def feed(self, pcm: Pcm, phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()) -> list[Frame]:
        first = self._actor.made
        poses = self._actor.feed(
            pcm,
            [PuppetPhone(p.ipa, p.start, p.end) for p in phones],
            [PuppetAccent(a.kind, a.at, a.weight) for a in accents],
        )
        return [self._frame(pose, first + i) for i, pose in enumerate(poses)]

    def finish(self) -> list[Frame]:
        first = self._actor.made
        return [self._frame(pose, first + i) for i, pose in enumerate(self._actor.finish())]

    def recite(self, motion: Motion) -> None:
        lips = [shape for shape in motion if isinstance(shape, Lips)]
        if lips:
            self._actor.recite(lips)

    def motion(self) -> Motion:
        return self._actor.spoken

    def idle(self, user_level: float = 0.0) -> Frame:
        serial = self._actor.made
        return self._frame(self._actor.idle(user_level), serial)

    def halt(self) -> None:
        self._halted = True

    def cut(self, shown: int) -> None:
        self._halted = False
        self._actor.cut(shown)
        self._fresh = True

    def tune(self, tunables: Tunables) -> None:
        self._fresh |= tunables.frame_scale != self._tunables.frame_scale
        self._actor.chunk = Chunk(*tunables.chunk_config)
        self._actor.feel(tunables.emotion)
        self._tunables = tunables

    def close(self) -> None:
        pass


class PuppetFace:
    """Draws built-in characters and any portrait on one CPU core."""

    rate = RATE
    ignores = frozenset({"sampling_timesteps", *MANNERS})

    def __init__(self, avatars: AvatarStore, why: str) -> None:
        self._avatars = avatars
        self._rigs: Rigs[PuppetRig] = Rigs(KEPT_RIGS)
        self.choice = Choice("face", "puppet", why)

    async def warm(self) -> None:
        # Sessions are parallel already: OpenCV's own threads would only fight them for the cores.
        cv2.setNumThreads(1)
        rig = await self._load("default")
        scale = Tunables().frame_scale
        await asyncio.to_thread(rig.open().draw, NEUTRAL, scale)

    async def rig(self, avatar: str) -> Rig:
        return await self._load(avatar)

    async def _load(self, avatar: str) -> PuppetRig:
        source: Path | str = self._avatars.source(avatar)
        return await self._rigs.get(avatar, lambda: puppet.load_rig(source))

    def perform(self, rig: Rig, tunables: Tunables, seed: int) -> PuppetPerformance:
        if not isinstance(rig, PuppetRig):
            raise EngineError("This rig was made by another face.")
        return PuppetPerformance(rig, tunables, seed)

    async def close(self) -> None:
        self._rigs.clear()
