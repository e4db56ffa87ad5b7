"""Sound, phonemes and listening in, poses out: one puppet's performance, without a picture of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .coefficients import MOUTH, Coefficients
from .emotions import EMOTIONS
from .life import Life, LifeState
from .mouth import Lips, MouthDrive, Phone
from .score import Accent, Score
from .sound import FRAME, Floats

KEPT = 128
"""Pictures whose state is kept for a cut: 5 s, more than any queue holds."""
MAX_MOUTH_STEP = np.array([0.45, 0.4, 0.45, 0.7, 0.7, 0.6, 0.5], np.float32)
"""How far each of `MOUTH` may move in a picture: a jaw needs 90 ms to open wide, lips close for m in 60 ms."""
CLOSING = 0.4
"""What is left of an open mouth after each picture without speech, where it need not move further than a speaking one
may: shut in five."""
SHUT = 0.02
"""Below this a closing mouth is closed."""


MAX_HISTORY = 10
"""Pictures of sound kept from the speech before."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """How much an actor works on at a time, in pictures of 40 ms."""

    history: int = 3
    """Of the speech before it, that the next one is heard with."""
    step: int = 1
    """Given at a time, but for the first, which comes as it is ready."""
    look_ahead: int = 2
    """Heard beyond the picture drawn, 1 to 3; more is never waited for."""

    def __post_init__(self) -> None:
        if self.history < 0 or self.step < 1 or self.look_ahead < 1:
            raise ValueError(
                f"A chunk has at least 0, 1 and 1 pictures, not {self.history}, {self.step}, {self.look_ahead}."
            )


@dataclass(frozen=True, slots=True)
class _Moment:
    life: LifeState
    mouth: Floats


class Actor:
    """Makes one pose for every 40 ms, numbered from 0. What `feed`, `finish` and `idle` return is one motion."""

    def __init__(self, seed: int = 0, chunk: Chunk = Chunk()) -> None:
        self.chunk = chunk
        """Taken when the next speech begins."""
        self._life = Life(seed)
        self._drive: MouthDrive | None = None
        self._step = 1
        self._given = 0
        """Poses of the speech under way."""
        self._lips: list[Lips] = []
        """Ready, but their step is not complete."""
        self._heard = np.empty(0, np.float32)
        """The end of the speech so far, for the one that follows it without a pause."""
        self._script: deque[Lips] | None = None
        """The lips of the speech under way, where they are known before it."""
        self._recited = 0
        """Samples of that speech so far."""
        self._score = Score()
        """Of the speech under way."""
        self._spoken: list[Lips] = []
        """Of the speech under way, or the last one."""
        self._mouth = np.zeros(len(MOUTH), np.float32)
        self._made = 0
        self._past: deque[tuple[int, _Moment]] = deque(maxlen=KEPT)

    def feel(self, emotion: str) -> None:
        """Goes to the mood of that name, one of `EMOTIONS`, in about a second. Raises `ValueError` in words."""
        if emotion not in EMOTIONS:
            raise ValueError(f"There is no emotion {emotion!r}: there are {', '.join(EMOTIONS)}.")
        self._life.emotion = EMOTIONS[emotion]

    @property
    def made(self) -> int:
        """Poses made so far: the serial of the next one."""
        return self._made

    def feed(
        self, pcm: npt.NDArray[np.int16], phones: Sequence[Phone] = (), accents: Sequence[Accent] = ()
    ) -> list[Coefficients]:
        """Takes speech, 16 kHz mono, and returns the poses that are ready; over a whole speech `feed` and `finish`
        return ⌈samples ÷ 640⌉."""
        self._score.add(accents)
        sound = pcm.astype(np.float32) / np.float32(32768)
        if self._script is not None:
            return self._recite(self._script, sound)
        if self._drive is None:
            self._spoken = []
            self._given = 0
            whole = min(self.chunk.history, len(self._heard) // FRAME) * FRAME
            self._drive = MouthDrive(self.chunk.look_ahead, self._heard[len(self._heard) - whole :])
            self._step = self.chunk.step
        self._heard = np.concatenate([self._heard, sound])[-MAX_HISTORY * FRAME :]
        self._lips += self._drive.feed(sound, phones)
        # The first step is given as it becomes ready: nobody waits for its end to hear the beginning.
        ready = len(self._lips)
        return self._perform(ready if self._given < self._step else ready // self._step * self._step)

    def finish(self) -> list[Coefficients]:
        """The speech is over: the poses still owed."""
        if self._script is not None:
            poses = self._recite(self._script, np.zeros(-self._recited % FRAME, np.float32))
            self._script, self._score = None, Score()
            return poses
        drive, self._drive = self._drive, None
        if drive is not None:
            self._lips += drive.finish()
        poses, self._score = self._perform(len(self._lips)), Score()
        return poses

    def recite(self, lips: Sequence[Lips]) -> None:
        """The lips of the next speech, as `spoken` told them of the same sound: it is not listened to again."""
        self._script, self._recited = deque(lips), 0

    @property
    def spoken(self) -> tuple[Lips, ...]:
        """The lips of the speech that `finish` has ended, one for each pose."""
        return tuple(self._spoken)

    def _recite(self, script: deque[Lips], sound: Floats) -> list[Coefficients]:
        self._heard = np.concatenate([self._heard, sound])[-MAX_HISTORY * FRAME :]
        before, self._recited = self._recited // FRAME, self._recited + len(sound)
        count = self._recited // FRAME - before
        return [self._speak(script.popleft() if len(script) > 1 else script[0]) for _ in range(count)]

    def _perform(self, count: int) -> list[Coefficients]:
        ready, self._lips = self._lips[:count], self._lips[count:]
        self._spoken += ready
        self._given += count
        return [self._speak(lips) for lips in ready]

    def idle(self, user_level: float = 0.0) -> Coefficients:
        """The next pose of listening life. `user_level` is the loudness of the user's voice, 0 to 1."""
        self._heard = self._heard[:0]
        mouth = np.maximum(self._mouth * CLOSING, self._mouth - MAX_MOUTH_STEP)
        self._mouth = np.where(mouth < SHUT, 0, mouth).astype(np.float32)
        return self._pose(self._life.step(user_level=user_level))

    def cut(self, shown: int) -> None:
        """Drops the speech under way; the next pose goes on from the one numbered `shown`."""
        self._drive = self._script = None
        self._score = Score()
        self._lips.clear()
        self._heard = self._heard[:0]
        for serial, moment in reversed(self._past):
            if serial <= shown:
                self._life.restore(moment.life)
                self._mouth = moment.mouth
                break
        self._life.forget_plans()

    def _speak(self, lips: Lips) -> Coefficients:
        step = np.clip(lips.shape - self._mouth, -MAX_MOUTH_STEP, MAX_MOUTH_STEP)
        self._mouth = (self._mouth + step).astype(np.float32)
        return self._pose(self._life.step(voice=lips.voice, loudness=lips.loudness, cues=self._score.next()))

    def _pose(self, life: Coefficients) -> Coefficients:
        self._past.append((self._made, _Moment(self._life.snapshot(), self._mouth)))
        self._made += 1
        return replace(life, **dict(zip(MOUTH, self._mouth.tolist(), strict=True)))
