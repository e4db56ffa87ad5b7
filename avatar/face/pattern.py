"""The calibration face: a picture that is as bright as its own 40 ms of sound are loud.

The mean brightness of a picture (0 black to 255 white, luma 16 to 235 on the wire) is 255 when the loudest sample of
its own 40 ms is above −20 dBFS, 0 when it is below −40 dBFS, and linear in decibels between. The serial is drawn in
a strip (`avatar.face.strip`) that is half black and half white; the rest of the picture makes up for it, so that the
mean is exact but at the two ends, where it is off by half of the strip's share: 1.2 levels at 512 × 512, 2.4 at
102 × 102. Whoever measures flash against beep, in a browser or on a recording, measures the offset of the tracks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clock import AUDIO_RATE, AUDIO_SAMPLES, SLOTS_PER_S
from ..seams import Rig
from ..tunables import MANNERS, Tunables
from ..types import I420, Accent, Choice, Frame, Pcm, Phone
from .avatars import AvatarStore
from .strip import draw_strip, share

LOUD_DBFS = -20.0
QUIET_DBFS = -40.0
SIDE = 1024
"""Working size: that of a portrait, so that a scale means the same size as with the other faces."""


class PatternRig:
    """No portrait: the pattern looks the same for all."""

    width = SIDE
    height = SIDE


def brightness(pcm: Pcm) -> float:
    """Mean brightness, 0 to 255, that the picture of these samples has."""
    peak = int(np.abs(pcm.astype(np.int32)).max(initial=0))
    if peak == 0:
        return 0.0
    dbfs = 20 * np.log10(peak / 32768)
    return 255.0 * float(np.clip((dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS), 0.0, 1.0))


def draws(serial: int, fps: int) -> bool:
    """Whether slot `serial` gets a new picture when `fps` pictures are asked for in 25 slots a second."""
    return fps >= SLOTS_PER_S or serial * fps // SLOTS_PER_S != (serial - 1) * fps // SLOTS_PER_S


def draw(level: float, serial: int, side: int) -> I420:
    """A square picture of mean brightness `level`, numbered."""
    part = share(side, side)
    rest = np.clip((level - part * 127.5) / (1 - part), 0, 255)
    picture = np.full((side * 3 // 2, side), 128, np.uint8)
    picture[:side] = round(16 + rest * 219 / 255)
    draw_strip(picture[:side], serial, black=16, white=235)
    return picture


class PatternPerformance:
    """One session's pattern. Looks ahead by nothing: a complete slice of sound has its frame at once."""

    def __init__(self, tunables: Tunables) -> None:
        self._tunables = tunables
        self._serial = 0
        self._owed = np.empty(0, np.int16)
        self._fresh = True
        """The next frame must be drawn: there is none before it, or it was not shown."""

    def _frame(self, level: float) -> Frame:
        serial = self._serial
        self._serial += 1
        if not (self._fresh or draws(serial, self._tunables.fps)):
            return Frame(serial, None)
        self._fresh = False
        side = 2 * round(SIDE * self._tunables.frame_scale / 2)
        return Frame(serial, draw(level, serial, side))

    def feed(self, pcm: Pcm, phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()) -> list[Frame]:
        self._owed = np.concatenate([self._owed, pcm]) if len(self._owed) else pcm
        whole = len(self._owed) // AUDIO_SAMPLES
        slices = self._owed[: whole * AUDIO_SAMPLES].reshape(whole, AUDIO_SAMPLES)
        self._owed = self._owed[whole * AUDIO_SAMPLES :].copy()
        return [self._frame(brightness(s)) for s in slices]

    def finish(self) -> list[Frame]:
        rest, self._owed = self._owed, np.empty(0, np.int16)
        return [self._frame(brightness(rest))] if len(rest) else []

    def idle(self, user_level: float = 0.0) -> Frame:
        return self._frame(0.0)

    def cut(self, shown: int) -> None:
        self._owed = np.empty(0, np.int16)
        self._fresh = True

    def tune(self, tunables: Tunables) -> None:
        self._fresh |= tunables.frame_scale != self._tunables.frame_scale
        self._tunables = tunables

    def close(self) -> None:
        self._owed = np.empty(0, np.int16)


class PatternFace:
    """Measures the path of sound and picture, on anyone's network."""

    rate = AUDIO_RATE
    ignores = frozenset({"sampling_timesteps", "chunk_config", "emotion", *MANNERS})

    def __init__(self, avatars: AvatarStore) -> None:
        self._avatars = avatars
        self.choice = Choice(
            "face", "pattern", "asked for", note="Calibration: brightness follows the sound; there is no face."
        )

    async def warm(self) -> None:
        draw(0.0, 0, SIDE)

    async def rig(self, avatar: str) -> Rig:
        self._avatars.get(avatar)  # an id that is not there is an error here as with any face
        return PatternRig()

    def perform(self, rig: Rig, tunables: Tunables, seed: int) -> PatternPerformance:
        return PatternPerformance(tunables)

    async def close(self) -> None:
        pass
