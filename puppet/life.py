"""Everything about a face that is not speech: blinks, sway, gaze, breath, nods and brows.

One activity variable, never a mode, says how much the face speaks; every output is a continuous function of its state.
The state is a small value: kept for each recent picture, it lets a performance go back to the one that was shown last.
Chance comes from the seed and the picture's number alone, so a seed is a life.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .coefficients import Coefficients
from .emotions import Emotion
from .gestures import Gesture, gestures, pose
from .score import Cue, Cues

DT = 0.04
"""Seconds a picture."""

BLINK = (0.35, 0.85, 1.0, 0.9, 0.55, 0.25, 0.08)
"""Lid closure in the pictures of a blink: down in 100 ms, up in 180 ms, as filmed blinks are."""
DOUBLE_BLINKS = 0.08
BLINK_AT_END = {"phrase": 0.4, "sentence": 0.65, "question": 0.65}
"""How often people blink at such a place. Speakers' blinks gather where phrases end (Nakano and Kitazawa, "Eyeblink
entrainment at breakpoints of speech", 2010)."""
BLINK_REST = 18
"""Pictures after a blink in which nothing asks for another."""
BLINK_WAIT_S = 1.2
"""How long a speaker's blink that is due waits for the end of a phrase."""

SWAY = np.array([1.5, 0.8, 0.8, 0.0023, 0.0015])
"""Standard deviation of yaw, pitch, roll in degrees and of tx, ty in picture widths before smoothing, at rest."""
SWAY_S = np.array([1.3, 1.1, 1.5, 2.0, 2.0])
SMOOTH_S = 0.45
"""The second stage of the sway: without it a head trembles."""
ACTIVITY_S = 0.35
"""Time constant of the one activity variable."""

NOD_HZ = 1.6
LISTENING_NOD_S = 1.3
LISTENING_NOD_DEG = 2.1
BREATH_HZ = 0.24
MAX_STEP = 0.9
"""Degrees that yaw, pitch and roll together may move in a picture, whatever their causes add up to."""
IDLE_STEP = 0.45
"""The same of a face that neither speaks nor nods."""
CHANCES, NORMALS = 12, 7
"""Numbers drawn for each picture."""
NO_CUES = Cues()
BLOCK = 256
"""Pictures whose chances are drawn together."""


@dataclass(slots=True)
class LifeState:
    """Where a life is. Plain numbers: copied for every picture."""

    tick: int = 0
    activity: float = 0.0
    next_blink: float = 1.5
    blink_at: int = -1
    """Index into `BLINK` of the blink that runs, −1 for none; counts past the end for a double."""
    blink_double: bool = False
    blink_due: int = -1
    """Picture in which the end of a phrase asks for a blink, −1 for none."""
    blinked: int = -100
    """Picture in which the last blink began."""
    nodded: int = -100
    """Picture in which the last nod of speech was lowest."""
    gestures: tuple[Gesture, ...] = ()
    """That were begun for an accent, or are about to."""
    spoke: bool = False
    sway: tuple[float, ...] = (0.0,) * 5
    smooth: tuple[float, ...] = (0.0,) * 5
    fast: float = 0.0
    slow: float = 0.0
    nod: float = 0.0
    nod_speed: float = 0.0
    brow: float = 0.0
    brow_goal: float = 0.0
    heard: float = 0.0
    """How much of the user's voice was heard lately."""
    listening_nod: int = -1
    gaze: tuple[float, float] = (0.0, 0.0)
    gaze_goal: tuple[float, float] = (0.0, 0.0)
    next_gaze: float = 1.0
    mood: tuple[float, ...] = (0.0,) * 7
    """Smile, brow, lids, pitch, furrow, sneer and skew that the emotion has reached."""
    haste: float = 0.0
    """How much faster than an idle one the head may move, 0 to 1."""
    head: tuple[float, float, float] | None = None
    """The pose that was shown: yaw, pitch, roll in degrees."""


@dataclass(slots=True)
class _Chance:
    """The numbers of one seed, drawn in blocks."""

    seed: int
    block: int = -1
    uniform: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, CHANCES)))
    normal: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, NORMALS)))

    def at(self, tick: int) -> tuple[list[float], list[float]]:
        block, row = divmod(tick, BLOCK)
        if block != self.block:
            rng = np.random.default_rng([self.seed, block])
            self.uniform, self.normal = rng.random((BLOCK, CHANCES)), rng.standard_normal((BLOCK, NORMALS))
            self.block = block
        return self.uniform[row].tolist(), self.normal[row].tolist()


def _share(seconds: float) -> float:
    """The share of the way to its goal that a value of this time constant goes in a picture."""
    return 1 - math.exp(-DT / seconds)


_ACTIVITY, _FAST, _SLOW = _share(ACTIVITY_S), _share(0.10), _share(0.9)
_BROW_FALL, _BROW_RISE, _SMOOTH = math.exp(-DT / 0.35), _share(0.08), _share(SMOOTH_S)
_MOOD, _HASTE = _share(0.5), _share(0.15)
_MOOD_STEPS = 0.07, 0.12, 0.08, 0.25, 0.12, 0.08, 0.08
"""The farthest that a mood moves each of `LifeState.mood` in one picture."""
_SWAY_KEEP = 1 - DT / SWAY_S
_SWAY_NOISE = np.sqrt(2 * DT / SWAY_S) * SWAY


class Life:
    """A seeded life. Not speech: the mouth's coefficients are added by the actor."""

    def __init__(self, seed: int) -> None:
        self._chance = _Chance(seed & 0xFFFF_FFFF)
        self.emotion = Emotion()
        """The mood that the face goes to, in about a second."""
        self.state = LifeState()
        first, _ = self._chance.at(0)
        self.state.next_blink = 1.0 + 1.5 * first[0]

    def snapshot(self) -> LifeState:
        return copy.copy(self.state)

    def restore(self, state: LifeState) -> None:
        self.state = copy.copy(state)

    def forget_plans(self) -> None:
        """What was to come is not: gestures that have begun end as they would have."""
        s = self.state
        s.blink_due = -1
        s.gestures = tuple(g for g in s.gestures if g.begin <= s.tick)

    def step(
        self, *, voice: float = 0.0, loudness: float = 0.0, user_level: float = 0.0, cues: Cues = NO_CUES
    ) -> Coefficients:
        """The next picture's pose. `voice` 0 to 1: whether this face speaks; `loudness` its own, `user_level` the
        user's, 0 to 1; `cues`: the accents of its speech that come near."""
        s = self.state
        s.tick += 1
        nodding = s.listening_nod >= 0
        uniform, normal = self._chance.at(s.tick)
        now = s.tick * DT
        speaks = voice > 0.5
        s.activity += _ACTIVITY * (voice - s.activity)
        for cue in cues.near:
            self._accent(s, cue)
        s.gestures = tuple(gesture for gesture in s.gestures if gesture.end > s.tick)
        meant = pose(s.gestures, s.tick)
        blink = self._blink(s, now, speaks, cues, uniform, normal)
        nod = self._prosody(s, loudness, cues.stressed, uniform) + self._listen(s, user_level, uniform) + meant.pitch
        gaze_x, gaze_y = self._gaze(s, now, speaks, uniform, normal)

        grow = 1 + 0.7 * s.activity
        sway = np.array(s.sway) * _SWAY_KEEP + _SWAY_NOISE * grow * normal[:5]
        smooth = np.array(s.smooth) + (sway - s.smooth) * _SMOOTH
        s.sway, s.smooth = tuple(sway.tolist()), tuple(smooth.tolist())
        yaw, pitch, roll, tx, ty = s.smooth
        goal = self.emotion
        wanted = (goal.smile, goal.brow, goal.lids, goal.pitch, goal.furrow, goal.sneer, goal.skew)
        steps = (max(-most, min(most, _MOOD * (w - m))) for w, m, most in zip(wanted, s.mood, _MOOD_STEPS, strict=True))
        s.mood = tuple(m + step for m, step in zip(s.mood, steps, strict=True))
        smile, brow, lids, hang, furrow, sneer, skew = s.mood
        # The head goes a little where the eyes look.
        s.haste += _HASTE * (max(voice, s.activity, float(nodding)) - s.haste)
        yaw, pitch, roll = self._held(s, yaw + 0.25 * gaze_x, pitch + nod + hang + 0.2 * gaze_y, roll + meant.roll)

        phase = now * BREATH_HZ % 1
        # In for 42 % of a breath, out for the rest.
        turn = phase / 0.42 if phase < 0.42 else 1 + (phase - 0.42) / 0.58
        breath = 0.5 - 0.5 * math.cos(math.pi * turn)
        return Coefficients(
            smile=min(1.0, max(-1.0, 0.2 * (1 - 0.45 * s.activity) + smile)),
            blink_left=lids + (1 - lids) * blink,
            blink_right=lids + (1 - lids) * blink,
            brow=min(1.0, max(-1.0, s.brow + brow + meant.brow)),
            # The eyes stay on their goal while the head sways.
            gaze_x=min(1.0, max(-1.0, gaze_x - 0.05 * yaw)),
            gaze_y=min(1.0, max(-1.0, gaze_y - 0.05 * pitch)),
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            tx=tx,
            ty=ty - 0.0005 * breath,
            breath=breath,
            furrow=furrow,
            sneer=sneer,
            skew=skew,
        )

    def _accent(self, s: LifeState, cue: Cue) -> None:
        """Plans what an accent asks for. Chance is that of the accent's own picture, so it is the same however early
        the accent was known."""
        chance, _ = self._chance.at(s.tick + cue.ahead)
        found = gestures(cue, s.tick, s.tick + cue.ahead - s.nodded, chance)
        s.gestures += found.made
        if found.nods:
            s.nodded = s.tick + cue.ahead
        if cue.kind != "stress" and chance[11] < BLINK_AT_END[cue.kind]:
            s.blink_due = s.tick + cue.ahead + round(5 * chance[7]) - 1

    def _blink(
        self, s: LifeState, now: float, speaks: bool, cues: Cues, uniform: list[float], normal: list[float]
    ) -> float:
        turned = speaks != s.spoke
        s.spoke = speaks
        rested = s.tick - s.blinked > BLINK_REST
        # People blink where speech begins and ends, where phrases end, and wait with a blink for such a place.
        early = rested and turned and uniform[0] < 0.35 and now > s.next_blink - 2.0
        asked = rested and 0 <= s.blink_due <= s.tick
        if s.blink_due <= s.tick:
            s.blink_due = -1
        waits = speaks and now < s.next_blink + BLINK_WAIT_S and (cues.stressed or cues.end is not None)
        if s.blink_at < 0 and (early or asked or (now > s.next_blink and not waits)):
            s.blink_at, s.blinked = 0, s.tick
            s.blink_double = uniform[1] < DOUBLE_BLINKS
            gap = math.exp(1.15 + 0.5 * normal[5])
            s.next_blink = now + min(9.0, max(1.1, gap)) * (0.85 if speaks else 1.1)
        if s.blink_at < 0:
            return 0.0
        closed = BLINK[s.blink_at % len(BLINK)]
        s.blink_at += 1
        if s.blink_at >= len(BLINK) * (2 if s.blink_double else 1):
            s.blink_at = -1
        return closed

    def _prosody(self, s: LifeState, loudness: float, stressed: bool, uniform: list[float]) -> float:
        """Stress moves the head and the brows: what is loud now against what was loud lately. Where the voice tells
        which words are `stressed`, sound moves the head but a little."""
        s.fast += _FAST * (loudness - s.fast)
        s.slow += _SLOW * (loudness - s.slow)
        stress = max(0.0, s.fast - s.slow) * s.activity
        rate = 2 * math.pi * NOD_HZ
        push = rate * rate * ((0.8 if stressed else 3.2) * stress - s.nod) - 2 * 0.8 * rate * s.nod_speed
        s.nod_speed += push * DT
        s.nod += s.nod_speed * DT
        if stress > 0.22 and uniform[2] < 0.06 and not stressed:
            s.brow_goal = 0.3 + 0.5 * uniform[3]
        s.brow_goal *= _BROW_FALL
        s.brow += (s.brow_goal - s.brow) * _BROW_RISE
        return s.nod

    def _listen(self, s: LifeState, user_level: float, uniform: list[float]) -> float:
        """A nod now and then when the user pauses after having spoken."""
        s.heard = 0.96 * s.heard + 0.04 * user_level
        if s.listening_nod < 0 and user_level < 0.08 and s.heard > 0.12 and s.activity < 0.3 and uniform[4] < 0.10:
            s.listening_nod = 0
            s.heard = 0.0
        if s.listening_nod < 0:
            return 0.0
        share = s.listening_nod * DT / LISTENING_NOD_S
        s.listening_nod += 1
        if share >= 1:
            s.listening_nod = -1
            return 0.0
        return LISTENING_NOD_DEG * math.sin(3 * math.pi * share) * math.sin(math.pi * share) ** 2

    def _gaze(
        self, s: LifeState, now: float, speaks: bool, uniform: list[float], normal: list[float]
    ) -> tuple[float, float]:
        if now > s.next_gaze:
            away = uniform[5] < (0.35 if speaks else 0.18)
            spread = (0.35, 0.18) if away else (0.07, 0.04)
            s.gaze_goal = (
                min(0.9, max(-0.9, spread[0] * normal[5])),
                min(0.6, max(-0.6, spread[1] * normal[6])),
            )
            s.next_gaze = now + (0.35 + 0.55 * uniform[6] if away else 0.9 + 1.9 * uniform[6])
            # Large saccades are often taken with a blink.
            if away and s.blink_at < 0 and abs(s.gaze_goal[0]) > 0.4 and uniform[7] < 0.3:
                s.blink_at, s.blinked, s.blink_double = 0, s.tick, False
        x, y = s.gaze
        s.gaze = x + 0.7 * (s.gaze_goal[0] - x), y + 0.7 * (s.gaze_goal[1] - y)
        return s.gaze

    @staticmethod
    def _held(s: LifeState, yaw: float, pitch: float, roll: float) -> tuple[float, float, float]:
        """The pose, kept from moving faster than a head does."""
        if s.head is not None:
            step = yaw - s.head[0], pitch - s.head[1], roll - s.head[2]
            length = math.hypot(*step)
            if length > 1e-9:
                most = IDLE_STEP + (MAX_STEP - IDLE_STEP) * s.haste
                soft = most * math.tanh(length / most) / length
                yaw, pitch, roll = (h + d * soft for h, d in zip(s.head, step, strict=True))
        s.head = yaw, pitch, roll
        return s.head
