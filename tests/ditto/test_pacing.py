"""What changes while a speech runs: chunks, steps, manner, at the next border, with every frame in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditto.actor import Actor, ActorState, Pose
from ditto.audio.chunks import frames_of
from ditto.chunking import LOW_LATENCY, Pace
from ditto.controls import manner
from ditto.motion.noise import FrameNoise
from ditto.state import from_bytes, to_bytes

from .stubs import StubWork, persona, voice

CONFIGS = st.tuples(st.integers(0, 10), st.integers(1, 12), st.integers(1, 6)).filter(lambda c: 5 <= sum(c) <= 20)
LONG = Pace.of((5, 10, 3))


class Noted(StubWork):
    """Keeps how long the windows were, and in how many steps the clips were made."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[int] = []
        self.steps: list[int] = []

    def hear(self, window: Any) -> Any:
        self.windows.append(len(window))
        return super().hear(window)

    def move(self, condition: Any, pose: Any, start: Any, noises: Any) -> Any:
        self.steps.append(len(noises) + 1)
        return super().move(condition, pose, start, noises)


class Restless(StubWork):
    """No clip agrees with the one before it: what is not blended over frames that still wait is a jump."""

    def move(self, *told: Any) -> Any:
        made = super().move(*told)
        return made + np.float32((-1) ** self.moved) * np.abs(made).mean(axis=0)


def actor(pace: Pace, work: StubWork | None = None) -> Actor:
    return Actor(persona(), work or StubWork(), ActorState(1, pace=pace, steps=3))


def perform(a: Actor, sound: Any, told: list[tuple[int, Pace]], cuts: list[int]) -> list[Pose]:
    """A speech with a pace told when so many of its samples were heard, fed in pieces cut at `cuts`."""
    paces = dict(told)
    poses: list[Pose] = []
    at = 0
    for end in sorted({*cuts, *paces, len(sound)}):
        if end <= len(sound):
            poses += a.feed(sound[at:end])
            at = end
            if end in paces:
                a.tell(pace=paces[end])
    return poses + a.finish()


def motions(poses: list[Pose]) -> Any:
    return np.stack([np.concatenate([p.motion, p.drawn.x_d.reshape(-1)]) for p in poses])


@settings(max_examples=25, deadline=None)
@given(
    CONFIGS,
    st.booleans(),
    st.integers(1, 45_000),
    st.lists(st.tuples(st.integers(0, 45_000), CONFIGS), min_size=1, max_size=5),
    st.lists(st.integers(0, 45_000), max_size=6),
)
def test_chunks_that_change_within_a_speech_lose_no_frame_and_add_none(
    config: tuple[int, int, int], early: bool, samples: int, told: list[tuple[int, Any]], cuts: list[int]
) -> None:
    sound = voice(samples)
    paces = [(at, Pace.of(chunks)) for at, chunks in told]
    one, two = actor(Pace.of(config, early=early)), actor(Pace.of(config, early=early))
    whole, pieces = perform(one, sound, paces, []), perform(two, sound, paces, cuts)
    assert [p.index for p in whole] == list(range(frames_of(samples)))
    # The same however it is cut up, and what comes after it too.
    np.testing.assert_array_equal(motions(whole), motions(pieces))
    np.testing.assert_array_equal(one.idle().motion, two.idle().motion)
    assert len(perform(one, sound[:5000], [], [])) == frames_of(min(samples, 5000))


def test_chunks_change_with_the_next_window() -> None:
    work = Noted()
    a, sound = actor(LONG, work), voice(16_000 * 3)
    a.feed(sound[:20_000])
    before = len(work.windows)
    assert set(work.windows) == {LONG.chunks.window}
    a.tell(pace=LOW_LATENCY)
    a.feed(sound[20_000:40_000])
    assert len(work.windows) > before and set(work.windows[before:]) == {LOW_LATENCY.chunks.window}
    assert a.state.speech is not None and a.state.speech.pace == LOW_LATENCY
    # What is promised of the new pace holds from then on: no frame waits longer than its most.
    least = 40_000 / 16 - LOW_LATENCY.delays_ms()[2]
    assert a.made * 40 >= least
    a.tell(pace=LONG)
    before = len(work.windows)
    a.feed(sound[40_000:])
    assert len(a.finish()) + a.made >= 75
    assert set(work.windows[before:]) == {LONG.chunks.window}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    "order", [(LONG, LOW_LATENCY), (Pace(), Pace(LONG.chunks, 20)), (Pace(), Pace.of((3, 1, 2)), Pace())]
)
def test_nothing_jumps_where_chunks_change(order: tuple[Pace, ...], early: bool) -> None:
    """At a border of two paces a step is no larger than those within one pace, all 265 numbers taken together."""
    sound = voice(16_000 * 4, 3)
    paces = [Pace(pace.chunks, pace.new, early) for pace in order]

    def steps(poses: list[Pose]) -> Any:
        # Without the beginning, where the pose before the speech dies away.
        return np.abs(np.diff(np.stack([p.motion for p in poses[14:]]), axis=0))

    plain = [steps(perform(actor(pace, Restless()), sound, [], [])) for pace in paces]
    # Each number on its own scale: the angles' logits are tens, the expression hundredths.
    usual = np.median(np.concatenate(plain), axis=0)
    most = max((each / usual).mean(axis=1).max() for each in plain)
    for start in range(15_000, 30_000, 1_900):
        told = [(start * (i + 1), pace) for i, pace in enumerate(paces[1:])]
        changed = steps(perform(actor(paces[0], Restless()), sound, told, []))
        assert (changed / usual).mean(axis=1).max() < 1.25 * most


def test_what_was_given_before_a_change_stands_and_no_frame_is_given_twice() -> None:
    sound = voice(30_000)
    plain, changed = actor(Pace()), actor(Pace())
    before = changed.feed(sound[:17_000])
    np.testing.assert_array_equal(motions(before), motions(plain.feed(sound[:17_000])))
    changed.tell(pace=LONG)
    after = changed.feed(sound[17_000:]) + changed.finish()
    assert [p.index for p in before + after] == list(range(47))


def test_a_state_in_the_middle_of_a_change_is_a_value() -> None:
    a, sound = actor(LONG), voice(40_000)
    a.feed(sound[:22_000])
    a.tell(pace=LOW_LATENCY)
    stored = to_bytes(a.state)
    b = Actor(persona(), StubWork(), from_bytes(stored))
    rest = [x.feed(sound[22_000:]) + x.finish() for x in (a, b)]
    np.testing.assert_array_equal(motions(rest[0]), motions(rest[1]))


def test_a_change_leaves_nothing_of_cut_speech() -> None:
    """Two sessions that heard different things after the same beginning are the same once they are cut back to it."""
    one, two = actor(Pace()), actor(Pace())
    common = voice(15_000)
    shown = min(len(a.feed(common)) for a in (one, two)) - 1
    for a, rest in ((one, voice(20_000, 5)), (two, voice(26_000, 6))):
        a.tell(pace=LOW_LATENCY)
        a.feed(rest)
        a.cut(shown)
    assert to_bytes(one.state) == to_bytes(two.state)


def test_steps_change_with_the_next_clip_and_manner_with_the_next_frame() -> None:
    work = Noted()
    a = actor(Pace(), work)
    poses = a.feed(voice(12_000))
    made = len(work.steps)
    a.tell(steps=7, manner=manner("natural", head_yaw=12.0))
    poses += a.feed(voice(12_000, 1)) + a.finish()
    assert set(work.steps[:made]) == {3} and set(work.steps[made:]) == {7}
    turned = [moment.manner.head_yaw for moment in a.state.past]
    at = next(i for i, yaw in enumerate(turned) if yaw)
    assert at < len(poses) - 5 and turned[at:] == sorted(turned[at:]) and turned[-1] > 10
    assert FrameNoise(1).window(0, 4, 3)[0].shape == (4, 265)
