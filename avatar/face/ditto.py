"""The neural face behind the `Face` seam: ditto's pictures, numbered and paced as a session asks.

When the device is lost, every session goes on with the puppet of the same portrait from the next clause on, and the
server says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import AtCapacity, AvatarError, EngineError, Invalid, NotReady
from ..seams import Performance, Rig
from ..tunables import MANNERS, PRESET_MAKES, Tunables
from ..types import Accent, Choice, Frame, Pcm, Phone
from .avatars import AvatarStore
from .pattern import draws
from .puppet import PuppetPerformance
from .rigs import Rigs

if TYPE_CHECKING:
    from ditto.chunking import Pace
    from ditto.controls import Manner
    from ditto.engine import Engine
    from ditto.performance import Performance as DittoActing
    from ditto.performance import Picture
    from ditto.performance import Rig as DittoInnerRig

log = logging.getLogger(__name__)

KEPT_RIGS = 8
"""Rigs that stay on the device; a photograph's constants are some 30 MB there."""


@dataclass(frozen=True, slots=True)
class DittoRig:
    """An avatar's rig, and what the puppet would need of it."""

    avatar: str
    source: Path | str
    width: int
    height: int
    inner: DittoInnerRig | None
    """None: made after the device was lost."""


def pace_of(tunables: Tunables) -> Pace:
    """Raises `Invalid` naming the field."""
    from ditto.chunking import Pace

    try:
        return Pace.of(tunables.chunk_config)
    except ValueError as error:
        raise Invalid(str(error), code="invalid_tunable", field="chunk_config") from None


def manner_of(tunables: Tunables) -> Manner:
    """The preset, with what was set by its own name in the place of the preset's."""
    from ditto.controls import manner

    defaults = Tunables()
    values = {name: getattr(tunables, name) for name in PRESET_MAKES}
    told = {k: v for k, v in values.items() if k in tunables.told or v != getattr(defaults, k)}
    return manner(tunables.preset, **told)


class DittoPerformance:
    """One session's neural face."""

    def __init__(self, face: DittoFace, rig: DittoRig, tunables: Tunables, seed: int) -> None:
        self._face, self._rig, self._seed = face, rig, seed
        self._tunables = tunables
        self._serial = 0
        """Of the next frame, whoever draws it."""
        self._offset = 0
        self._puppet: PuppetPerformance | None = None
        self._acting: DittoActing | None = None
        if rig.inner is None or face.lost:
            self._change_over()
            return
        with _named():
            self._acting = face.engine.perform(
                rig.inner,
                seed,
                pace=pace_of(tunables),
                steps=tunables.sampling_timesteps,
                manner=manner_of(tunables),
                scale=tunables.frame_scale,
            )
        self._acting.wants = self._wanted

    def _wanted(self, serial: int) -> bool:
        return draws(serial, self._tunables.fps)

    def _change_over(self) -> None:
        """The puppet goes on in its place."""
        import puppet

        self._puppet = PuppetPerformance(puppet.load_rig(self._rig.source), self._tunables, self._seed)
        self._offset = self._serial

    def _drawn(
        self, work: Callable[[DittoActing], Sequence[Picture]], stand_in: Callable[[PuppetPerformance], Any]
    ) -> Any:
        if self._puppet is None and self._face.lost:
            self._change_over()
        if self._puppet is not None:
            frames = [replace(frame, serial=frame.serial + self._offset) for frame in stand_in(self._puppet)]
        else:
            assert self._acting is not None
            try:
                with _named():
                    frames = [Frame(picture.serial, picture.i420) for picture in work(self._acting)]
            except _lost_errors() as error:
                self._face.lose(error)
                raise EngineError(
                    "The neural face has lost its device; the puppet goes on in its place.", code="device_lost"
                ) from error
        if frames:
            self._serial = frames[-1].serial + 1
        return frames

    def feed(self, pcm: Pcm, phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()) -> list[Frame]:
        def given(p: PuppetPerformance) -> list[Frame]:
            return p.feed(pcm, phones, accents)

        frames: list[Frame] = self._drawn(lambda p: p.feed(_sound(pcm)), given)
        return frames

    def finish(self) -> list[Frame]:
        frames: list[Frame] = self._drawn(lambda p: p.finish(), lambda p: p.finish())
        return frames

    def idle(self, user_level: float = 0.0) -> Frame:
        frames: list[Frame] = self._drawn(lambda p: [p.idle()], lambda p: [p.idle(user_level)])
        return frames[0]

    def cut(self, shown: int) -> None:
        if self._puppet is not None:
            self._puppet.cut(shown - self._offset)
        elif self._acting is not None:
            self._acting.cut(shown)

    def tune(self, tunables: Tunables) -> None:
        before, self._tunables = self._tunables, tunables
        if self._puppet is not None:
            self._puppet.tune(tunables)
        elif self._acting is not None:
            self._acting.resize(tunables.frame_scale)
            pace = pace_of(tunables) if tunables.chunk_config != before.chunk_config else None
            self._acting.tell(manner=manner_of(tunables), pace=pace, steps=tunables.sampling_timesteps)

    def close(self) -> None:
        if self._acting is not None:
            self._acting.close()


class DittoFace:
    """The published networks, on whatever device there is."""

    rate = 16_000
    ignores: frozenset[str] = frozenset()

    def __init__(self, avatars: AvatarStore, why: str, load: Callable[[], Engine]) -> None:
        """`load` reads the networks; it runs in a thread, at `warm`."""
        self._avatars, self._load = avatars, load
        self._engine: Engine | None = None
        self._rigs: Rigs[DittoRig] = Rigs(KEPT_RIGS)
        self.choice = Choice("face", "ditto", why)
        self.lost = False

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            raise NotReady("The neural face is still loading.", retry_after_s=5)
        return self._engine

    async def warm(self) -> None:
        cv2.setNumThreads(1)
        try:
            with _named():
                self._engine = await asyncio.to_thread(self._load)
                await asyncio.to_thread(self._engine.warm)
                rig = await self._rig("default")
                assert rig.inner is not None
                cost = await asyncio.to_thread(self._engine.measure, rig.inner)
        except ValueError as error:
            raise NotReady(f"The neural face cannot start: {error}", field="face") from error
        self.choice = replace(self.choice, note=self._engine.networks.remarks)
        log.info("a window is heard in %.1f ms, a clip made in %.1f ms, a frame drawn in %.1f ms", *_values(cost))

    async def rig(self, avatar: str) -> Rig:
        return await self._rig(avatar)

    def sessions(self) -> int | None:
        """How many sessions the device can hold, by what work was measured to cost; None where nothing was."""
        cost = self.engine.cost
        if cost is None or self.lost:
            return None
        return max(1, int(1000 * 0.85 / cost.per_second(pace_of(Tunables()))))

    def check(self, tunables: Tunables) -> None:
        """Raises `Invalid` for tunables that this face cannot do."""
        pace_of(tunables)
        manner_of(tunables)

    def lose(self, error: Exception) -> None:
        """The device is lost: from now on the puppet."""
        if not self.lost:
            self.lost = True
            log.error("The neural face has lost its device (%s): the puppet goes on in its place.", error)
            why = f"the neural face lost its device ({error}); restart the server to have it back"
            self.choice = Choice("face", "puppet", why)
            self.ignores = frozenset({"sampling_timesteps", *MANNERS})

    async def _rig(self, avatar: str) -> DittoRig:
        source = self._avatars.source(avatar)
        return await self._rigs.get(
            avatar, lambda: self._make(avatar, source), lambda rig: (rig.inner is None) == self.lost
        )

    def _make(self, avatar: str, source: Path | str) -> DittoRig:
        if self.lost:
            return DittoRig(avatar, source, 1024, 1024, None)
        with _named():
            inner = self.engine.rig([_portrait(source)])
        for note in inner.notes:
            log.info("avatar %s: %s", avatar, note)
        return DittoRig(avatar, source, inner.width, inner.height, inner)

    def perform(self, rig: Rig, tunables: Tunables, seed: int) -> Performance:
        if not isinstance(rig, DittoRig):
            raise EngineError("This rig was made by another face.")
        self.check(tunables)
        return DittoPerformance(self, rig, tunables, seed)

    async def close(self) -> None:
        self._rigs.clear()
        if self._engine is not None:
            await asyncio.to_thread(self._engine.close)


class _named:  # noqa: N801 - reads as a word
    """Ditto's errors as the service names them."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from ditto.batcher import Left
        from ditto.errors import DeviceLost, DittoError, OutOfMemory

        if error is None or isinstance(error, AvatarError | DeviceLost):
            return
        if isinstance(error, OutOfMemory):
            raise AtCapacity(str(error), retry_after_s=10) from error
        if isinstance(error, Left):
            raise EngineError("The session has ended.") from error
        if isinstance(error, DittoError):
            raise NotReady(str(error), field="face") from error


def _lost_errors() -> type[Exception]:
    from ditto.errors import DeviceLost

    return DeviceLost


def _sound(pcm: Pcm) -> npt.NDArray[np.float32]:
    return np.asarray(pcm.astype(np.float32) / np.float32(32768), np.float32)


def _values(cost: Any) -> tuple[float, float, float]:
    return cost.hear, cost.move, cost.draw


def _portrait(source: Path | str) -> npt.NDArray[np.uint8]:
    """RGB of a registered portrait, or of a built-in character at rest. Raises `OSError`, `ValueError`."""
    if isinstance(source, Path):
        from puppet.picture import decode

        return decode(source.read_bytes())
    import puppet
    from puppet.coefficients import NEUTRAL

    return np.asarray(cv2.cvtColor(puppet.load_rig(source).open().draw(NEUTRAL, 1.0), cv2.COLOR_YUV2RGB_I420), np.uint8)
