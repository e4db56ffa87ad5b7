"""One session's motion: sound and silence in, frames out, in one movement that never jumps.

All of it is in `ActorState`, a value: to keep a session is to keep the state, to copy one is to copy it, and to go
back is to take an earlier part of it. The networks' work is done elsewhere (`Work`); nothing here knows of pictures,
clocks or threads.

A speech is heard with the features of the frames before it and begins wherever the face was. Where one stretch of
motion follows another – idle life, a speech, the next clause, what comes after a cut – the new one is shifted to meet
the last frame and the shift dies away (Bollo 2016, "Inertialization").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from .audio.chunks import frames_of
from .audio.features import WIDTH, Hearing, Sound, pool
from .chunking import Pace
from .controls import Manner, eased
from .motion.clips import LENGTH
from .motion.noise import FrameNoise
from .motion.online import Online, open_speech
from .motion.schedule import steps as schedule
from .motion.vector import PARTS, SIZE, Array, clip
from .persona import Drawn, Persona, Work

KEPT = 256
"""Frames that can be gone back to, and from which a speech takes what was before it: ten seconds."""
_LIPS, _BODY = 5, 14
"""Frames in which a shift dies away: the mouth has a word to say, the head has time."""
_PIECE = 10 * 16_000
"""Samples that are heard at a time: an hour in one call needs no more memory than ten seconds."""


def _fall(frames: int) -> Array:
    """Share of a shift that is left in each of the frames after it began; smooth at both ends."""
    t = np.arange(1, frames + 1, dtype=np.float32) / np.float32(frames + 1)
    return np.asarray(1 - t * t * (3 - 2 * t), np.float32)


def _falls() -> Array:
    weights = np.zeros((_BODY, SIZE), np.float32)
    weights[:] = _fall(_BODY)[:, None]
    weights[:, PARTS["exp"]] = 0
    weights[:_LIPS, PARTS["exp"]] = _fall(_LIPS)[:, None]
    return weights


_FALLS = _falls()


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame as it was shown."""

    index: int
    """Counts the frames of the session that count: those that a cut takes back are counted again."""
    motion: Array
    """[265]."""
    features: Array | None
    """[1024] of the speech; None: silence."""
    shift: Array
    """[265]: what the stretch was shifted by when it began."""
    age: int
    """Frames since then."""
    manner: Manner

    @property
    def settled(self) -> bool:
        return self.age >= _BODY


@dataclass(frozen=True, slots=True)
class Speech:
    """A speech under way."""

    pace: Pace
    hearing: Hearing
    online: Online
    began: int
    """Index of its first frame."""
    rows: Array
    """[n,1024]: features of its frames from the next one to be given on."""
    pushed: int = 0
    given: int = 0


@dataclass(frozen=True, slots=True)
class ActorState:
    """All that a session's motion depends on, beside its persona and what it will be told."""

    seed: int
    manner: Manner = field(default_factory=Manner)
    """Where the manner is going; each moment says how far it has come."""
    pace: Pace = field(default_factory=Pace)
    """Of the next speech, and of the one under way from its next chunk on."""
    steps: int = 10
    past: tuple[Moment, ...] = ()
    speech: Speech | None = None


@dataclass(frozen=True, slots=True)
class Pose:
    """One frame to be drawn."""

    index: int
    drawn: Drawn
    loop: tuple[int, int, Manner] | None = None
    """Set where the picture is one of the idle loop's: its place there, the blink's frame, the manner. The same key is
    the same picture, in any session."""
    motion: Array = field(repr=False, default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class _Target:
    """A frame as the motion would have it."""

    motion: Array
    features: Array | None
    manner: Manner
    fresh: bool
    """The first of its stretch: it is shifted to meet the frame before it."""
    loop_at: int = -1
    """Where in the idle loop it is from; −1: it is speech."""


class Actor:
    """Acts for one session; `state` may be read and replaced between calls. One call at a time."""

    def __init__(self, persona: Persona, work: Work, state: ActorState) -> None:
        """Raises `ValueError` for steps that cannot be."""
        schedule(state.steps)
        self._persona = persona
        self._work = work
        self._noise = FrameNoise(state.seed)
        persona.ready(work)
        self.state = state

    @property
    def made(self) -> int:
        """Index of the next frame."""
        return self.state.past[-1].index + 1 if self.state.past else 0

    def feed(self, sound: Sound) -> list[Pose]:
        """Takes speech, 16 kHz mono, −1 to 1, and returns the frames that are ready.

        Over a whole speech `feed` and `finish` return ⌈samples ÷ 640⌉, however it is cut up. Raises `ValueError` in
        words for sound that is none; the speech then goes on as if it had not been fed.
        """
        sound = checked(sound)
        poses: list[Pose] = []
        for at in range(0, len(sound), _PIECE):
            poses += self._hear(sound[at : at + _PIECE])
        return poses

    def _hear(self, sound: Sound) -> list[Pose]:
        speech = self._paced(self.state.speech or self._begin())
        hearing, windows = speech.hearing.feed(sound)
        self.state = replace(self.state, speech=replace(speech, hearing=hearing))
        return [pose for window in windows for pose in self._window(window)]

    def finish(self) -> list[Pose]:
        """The speech is over: the frames still owed."""
        if self.state.speech is None:
            return []
        speech = self._paced(self.state.speech)
        self.state = replace(self.state, speech=speech)
        total, made, new = frames_of(speech.hearing.samples), speech.online.past, speech.online.how.new
        blocks = made + -(-max(0, total - made) // new) * new
        poses = [pose for window in speech.hearing.finish() for pose in self._window(window, blocks)]
        speech = self._speech()
        if (owed := blocks - speech.pushed) > 0:
            # The last row again, as the published loop fills its last window.
            last = speech.rows[-1:] if len(speech.rows) else np.zeros((1, WIDTH), np.float32)
            poses += self._push(np.repeat(last, owed, axis=0))
        speech = self._speech()
        tail = speech.online.tail()[: total - speech.given]
        poses += self._give(tail)
        self.state = replace(self.state, speech=None)
        return poses

    def idle(self) -> Pose:
        """The next frame of listening life."""
        before = self.state.past[-1] if self.state.past else None
        manner = self._manner(before)
        loop = self._persona.idle(manner.emotion, self._work)
        at = self._persona.place(self.made, self.state.seed)
        fresh = before is not None and (
            before.features is not None or before.age < 0 or before.manner.emotion != manner.emotion
        )
        return self._show(_Target(loop[at], None, manner, fresh, at))

    def cut(self, shown: int) -> None:
        """Speech was interrupted: frames after index `shown` will never be seen; −1: none was.

        The next frame goes on from that one. Of the cut speech nothing is left: no sound, no features, no noise.
        """
        kept = [m for m in self.state.past if m.index <= shown]
        if not kept and shown >= 0:
            kept = list(self.state.past[:1])  # longer ago than is kept
        past = tuple(replace(m, features=None) if m.features is not None else m for m in kept)
        if past:
            past = (*past[:-1], replace(past[-1], age=-1))
        self.state = replace(self.state, past=past, speech=None)

    def tell(self, *, manner: Manner | None = None, pace: Pace | None = None, steps: int | None = None) -> None:
        """Takes a new manner from the next frame, steps from the next clip, a pace from the next chunk of sound.

        Whether frames are given early changes with the next speech: it is a way to join all clips of one. Raises
        `ValueError` for steps that cannot be; all stays as it was.
        """
        if steps is not None:
            schedule(steps)
        state = self.state
        self.state = replace(
            state,
            manner=state.manner if manner is None else manner,
            pace=state.pace if pace is None else pace,
            steps=state.steps if steps is None else steps,
        )

    # ---- a speech ----------------------------------------------------------------------------------------------------

    def _begin(self) -> Speech:
        online = self._open(self.state.pace)
        empty = np.empty((0, WIDTH), np.float32)
        speech = Speech(self.state.pace, Hearing(self.state.pace.chunks), online, self.made, empty)
        self.state = replace(self.state, speech=speech)
        return speech

    def _open(self, pace: Pace) -> Online:
        """A speech's motion before its first clip, going on from what is shown now."""
        state, persona = self.state, self._persona
        how = pace.fusing(persona.options)
        past = state.past[-how.overlap :]
        rows = persona.silence[: how.overlap].copy()
        for i, moment in enumerate(reversed(past), 1):
            if moment.features is not None:
                rows[-i] = moment.features
        before = state.past[-how.overlap - 1].motion if len(state.past) > how.overlap else persona.rest
        pose = (persona.rest if how.reset else before).copy()
        if how.reset and how.carried is not None:
            pose[how.carried[0] : how.carried[1]] = before[how.carried[0] : how.carried[1]]
        return open_speech(how, persona.rest, pose, rows, waits=False)

    def _paced(self, speech: Speech) -> Speech:
        """The speech as it goes on at a border of chunks: with the pace that was told last."""
        pace = replace(self.state.pace, early=speech.pace.early)
        if pace == speech.pace:
            return speech
        if speech.online.start is None:
            online = self._open(pace).push(speech.rows)
        else:
            online = speech.online.paced(pace.fusing(self._persona.options))
        return replace(speech, pace=pace, hearing=replace(speech.hearing, chunks=pace.chunks), online=online)

    def _speech(self) -> Speech:
        speech = self.state.speech
        assert speech is not None
        return speech

    def _window(self, window: Sound, most: int | None = None) -> list[Pose]:
        """A whole window was heard; `most` rows of the speech count."""
        speech = self._speech()
        rows = pool(self._work.hear(window), speech.pace.chunks)
        if most is not None:
            rows = rows[: max(0, most - speech.pushed)]
        return self._push(rows)

    def _push(self, rows: Array) -> list[Pose]:
        speech = self._speech()
        speech = replace(
            speech,
            online=speech.online.push(rows),
            rows=np.concatenate([speech.rows, rows]),
            pushed=speech.pushed + len(rows),
        )
        self.state = replace(self.state, speech=speech)
        poses: list[Pose] = []
        while (window := self._speech().online.want()) is not None:
            speech = self._speech()
            emotion = self.state.manner.emotion
            condition = self._persona.condition(emotion).rows(window.features, speech.began + window.first)
            start, noises = self._noise.window(speech.began + window.first, LENGTH, self.state.steps)
            made = self._work.move(condition, window.pose, start, noises)
            take = speech.online.take_early if speech.pace.early else speech.online.take
            online, ready = take(made)
            self.state = replace(self.state, speech=replace(speech, online=online))
            owed = frames_of(speech.hearing.samples) - speech.given
            poses += self._give(ready[: max(0, owed)])
        return poses

    def _give(self, motions: Array) -> list[Pose]:
        return list(self._given(motions))

    def _given(self, motions: Array) -> Iterator[Pose]:
        for motion in motions:
            speech = self._speech()
            row = speech.rows[0] if len(speech.rows) else np.zeros(WIDTH, np.float32)
            before = self.state.past[-1] if self.state.past else None
            yield self._show(_Target(motion, row.copy(), self._manner(before), speech.given == 0))
            self.state = replace(self.state, speech=replace(speech, rows=speech.rows[1:], given=speech.given + 1))

    # ---- a frame -----------------------------------------------------------------------------------------------------

    def _manner(self, before: Moment | None) -> Manner:
        return self.state.manner if before is None else eased(before.manner, self.state.manner)

    def _show(self, target: _Target) -> Pose:
        """Shows a frame, shifted to meet the one before it."""
        before = self.state.past[-1] if self.state.past else None
        limited = clip(target.motion, self._persona.options.v_min_max_for_clip)
        if before is None:
            shift, age = np.zeros(SIZE, np.float32), _BODY
        elif target.fresh:
            shift, age = np.asarray(before.motion - limited, np.float32), 0
        else:
            shift, age = before.shift, min(before.age + 1, _BODY)
        motion = limited + shift * _FALLS[age] if age < _BODY else limited
        index = self.made
        moment = Moment(index, motion, target.features, shift, age, target.manner)
        self.state = replace(self.state, past=(*self.state.past, moment)[-KEPT:])
        drawn = self._persona.draw(motion, index, target.manner, self.state.seed)
        alike = moment.settled and target.loop_at >= 0 and target.manner == self.state.manner
        key = (target.loop_at, drawn.blink, replace(target.manner, blink_rate=0.0)) if alike else None
        return Pose(index, drawn, key, motion)


def checked(sound: Sound) -> Sound:
    """Mono sound as the networks take it. Raises `ValueError` in words."""
    sound = np.asarray(sound)
    if sound.dtype == np.int16:
        sound = sound.astype(np.float32) / np.float32(32768)
    if sound.ndim != 1:
        raise ValueError(f"Speech is mono, one number a sample, not an array of shape {list(sound.shape)}.")
    if not np.issubdtype(sound.dtype, np.floating):
        raise ValueError(f"Speech is int16 or float samples, not {sound.dtype}.")
    if not np.isfinite(sound).all():
        raise ValueError("The speech holds samples that are no numbers (NaN or infinite).")
    return np.clip(sound, -1, 1).astype(np.float32)
