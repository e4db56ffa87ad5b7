"""Nods, brows and blinks fall where the accents of a speech are, whatever comes between, and never jump."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from puppet.actor import Actor
from puppet.coefficients import Coefficients
from puppet.gestures import RISE, gestures, pose
from puppet.life import Life
from puppet.score import LEAD, Accent, Cue, Cues, Score
from puppet.sound import FRAME

KINDS = ("stress", "phrase", "sentence", "question")


def pitch(poses: list[Coefficients]) -> np.ndarray:
    return np.array([p.pitch for p in poses])


def blinks(poses: list[Coefficients]) -> list[int]:
    shut = np.array([p.blink_left for p in poses]) > 0.9
    return list(np.flatnonzero(np.diff(shut.astype(int)) == 1))


def speak(life: Life, accents: list[Accent], pictures: int) -> list[Coefficients]:
    score = Score()
    score.add(accents)
    return [life.step(voice=1.0, loudness=0.5, cues=score.next()) for _ in range(pictures)]


def without(seed: int, pictures: int) -> list[Coefficients]:
    life = Life(seed)
    return [life.step(voice=1.0, loudness=0.5, cues=Cues(stressed=True)) for _ in range(pictures)]


def test_a_nod_is_lowest_on_the_stressed_vowel() -> None:
    tops = []
    for seed in range(40):
        accents = [Accent("stress", (20 + 25 * i) * FRAME, 1.0) for i in range(8)]
        nods = pitch(speak(Life(seed), accents, 240)) - pitch(without(seed, 240))
        for accent in accents:
            at = accent.at // FRAME
            around = nods[at - 10 : at + 10]
            if around.max() > 1.0:
                tops.append(int(around.argmax()) - 10)
    assert len(tops) > 0.7 * 320, "emphasis is nodded at"
    assert abs(np.median(tops)) <= 1
    assert np.percentile(np.abs(tops), 90) <= 3


def test_lighter_words_are_nodded_at_less_often_and_less_deeply() -> None:
    found = {}
    for weight in (0.35, 0.6, 1.0):
        nods = [g for tick in range(300) for g in gestures(Cue("stress", LEAD, weight), tick, 99, chances(tick)).made]
        depths = [g.size for g in nods if g.part == "pitch"]
        found[weight] = len(depths), float(np.mean(depths))
    assert found[0.35][0] < found[0.6][0] < found[1.0][0]
    assert found[0.35][1] < found[0.6][1] < found[1.0][1]


def chances(tick: int) -> list[float]:
    return np.random.default_rng(tick).random(12).tolist()


def test_a_question_raises_the_brows_and_leans_the_head() -> None:
    for tick in range(20):
        made = gestures(Cue("question", LEAD, 0.0), tick, 99, chances(tick)).made
        at = pose(made, tick + LEAD + 3)
        assert at.brow > 0.25 and abs(at.roll) > 1
        after = pose(made, tick + LEAD + 60)
        assert (after.brow, after.roll) == (0, 0)


def test_speakers_blink_where_phrases_end() -> None:
    near = total = 0
    for seed in range(12):
        ends = [40 + 55 * i for i in range(18)]
        kinds = ("phrase", "sentence")
        poses = speak(Life(seed), [Accent(kinds[i % 2], at * FRAME, 0.1) for i, at in enumerate(ends)], 1040)
        found = blinks(poses)
        near += sum(any(-2 <= blink - at <= 9 for at in ends) for blink in found)
        total += len(found)
        assert 10 < len(found) / (1040 / 1500) < 40
    assert near / total > 2.5 * 12 / 55, "far more than by chance"


def test_the_same_for_any_chunking_and_however_early_it_is_known() -> None:
    accents = [Accent(KINDS[i % 4], (12 + 9 * i) * FRAME, 0.2 * (i % 6)) for i in range(12)]
    together = speak(Life(5), accents, 150)
    score, life, late = Score(), Life(5), list(accents)
    poses = []
    for picture in range(150):
        while late and late[0].at // FRAME <= picture + LEAD:
            score.add([late.pop(0)])
        poses.append(life.step(voice=1.0, loudness=0.5, cues=score.next()))
    # What is known at once tells where the next phrase ends, for which a blink may wait; heads and brows are the same.
    assert np.allclose(pitch(poses)[13:], pitch(together)[13:], atol=0.5)
    assert speak(Life(5), accents, 150) == together


def test_without_accents_sound_moves_the_head_as_before() -> None:
    rng = np.random.default_rng(1)
    loudness = np.repeat(rng.random(60), 4)
    plain, known, silent = Life(3), Life(3), Life(3)
    moved = pitch([plain.step(voice=1.0, loudness=float(v)) for v in loudness])
    stiller = pitch([known.step(voice=1.0, loudness=float(v), cues=Cues(stressed=True)) for v in loudness])
    resting = pitch([silent.step(voice=1.0) for _ in loudness])
    assert np.abs(moved - resting).mean() > 2 * np.abs(stiller - resting).mean()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 30), st.data())
def test_cuts_and_resumes_never_jump_and_leave_no_plans(seed: int, data: st.DataObject) -> None:
    life = Life(seed)
    poses: list[Coefficients] = []
    for _ in range(data.draw(st.integers(1, 4))):
        length = data.draw(st.integers(1, 80))
        marks = st.tuples(st.sampled_from(KINDS), st.integers(0, 80), st.floats(0, 1))
        accents = [Accent(k, at * FRAME, w) for k, at, w in data.draw(st.lists(marks, max_size=25))]
        score = Score()
        score.add(accents)
        past = []
        speech = []
        for _ in range(length):
            speech.append(life.step(voice=1.0, loudness=data.draw(st.sampled_from((0.1, 0.9))), cues=score.next()))
            past.append(life.snapshot())
        if data.draw(st.booleans()):
            shown = data.draw(st.integers(0, length - 1))
            life.restore(past[shown])
            life.forget_plans()
            speech = speech[: shown + 1]
            assert all(g.begin <= life.state.tick for g in life.state.gestures) and life.state.blink_due == -1
        poses += speech
        poses += [life.step() for _ in range(data.draw(st.integers(0, 30)))]
    for a, b in pairwise(poses):
        assert math.dist((a.yaw, a.pitch, a.roll), (b.yaw, b.pitch, b.roll)) <= 1.0
        assert abs(a.brow - b.brow) <= 0.4
        assert -1 <= b.brow <= 1 and abs(b.pitch) < 15 and abs(b.roll) < 15


def test_a_cut_drops_what_was_to_come() -> None:
    """After a cut on an actor no nod is begun for what was never said; one that runs ends."""
    sound = (2000 * np.sin(np.arange(80 * FRAME) / 9)).astype(np.int16)
    accents = [Accent("stress", at * FRAME, 1.0) for at in (30, 45, 60)]
    for seed in range(6):
        with_accents, plain = Actor(seed), Actor(seed)
        for actor, marks in ((with_accents, accents), (plain, [])):
            actor.feed(sound, (), marks)
            actor.cut(25)
        after = [(with_accents.idle(), plain.idle()) for _ in range(60)]
        away = np.array([abs(a.pitch - b.pitch) for a, b in after[4 * RISE :]])
        assert away.max() < 1.0, "the nod that had begun has ended"


def test_a_recited_speech_nods_too() -> None:
    sound = (4000 * np.sin(np.arange(60 * FRAME) / 9)).astype(np.int16)
    first = Actor(1)
    first.feed(sound)
    first.finish()
    found = []
    for accents in ([Accent("stress", 30 * FRAME, 1.0)], []):
        actor = Actor(1)
        actor.recite(first.spoken)
        found.append(pitch([*actor.feed(sound, (), accents), *actor.finish()]))
    assert len(found[0]) == len(found[1]) == 60
    assert (found[0] - found[1])[26:36].max() > 1.0
