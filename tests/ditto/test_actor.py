"""A session's motion: streaming, counting, cutting, copying. The networks are stand-ins; the goldens have the real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditto.actor import Actor, ActorState, Pose
from ditto.audio import features
from ditto.audio.chunks import Chunks, frames_of
from ditto.chunking import LOW_LATENCY, Pace
from ditto.controls import blink_gap, manner
from ditto.motion.blinks import in_places
from ditto.motion.clips import LENGTH
from ditto.motion.noise import FrameNoise
from ditto.motion.published import Recital
from ditto.state import from_bytes, to_bytes

from .stubs import StubEncoder, StubWork, persona, voice

CONFIGS = st.tuples(st.integers(1, 10), st.integers(1, 12), st.integers(1, 6)).filter(lambda c: 5 <= sum(c) <= 20)


def actor(pace: Pace | None = None, seed: int = 1, frames: int = 1) -> Actor:
    return Actor(persona(frames), StubWork(), ActorState(seed, pace=pace or Pace(), steps=4))


def told(poses: list[Pose]) -> Any:
    return (
        np.stack([np.concatenate([p.motion, p.drawn.x_d.reshape(-1)]) for p in poses]) if poses else np.empty((0, 328))
    )


def perform(a: Actor, sound: Any, cuts: list[int]) -> list[Pose]:
    poses: list[Pose] = []
    for piece in np.split(sound, sorted(min(c, len(sound)) for c in cuts)):
        poses += a.feed(piece)
    return poses + a.finish()


@settings(max_examples=15, deadline=None)
@given(CONFIGS, st.integers(0, 30_000), st.lists(st.integers(0, 30_000), max_size=12), st.booleans())
def test_any_split_of_a_speech_gives_the_same_frames(
    config: tuple[int, int, int], samples: int, cuts: list[int], early: bool
) -> None:
    sound, pace = voice(samples), Pace.of(config, early=early)
    whole, pieces = perform(actor(pace), sound, []), perform(actor(pace), sound, cuts)
    assert len(whole) == len(pieces) == frames_of(samples)
    np.testing.assert_array_equal(told(whole), told(pieces))


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 1600, 3200, 16_000, 16_001, 33_999])
@pytest.mark.parametrize("early", [False, True])
def test_a_speech_has_a_frame_for_each_begun_40_ms(samples: int, early: bool) -> None:
    a = actor(Pace(early=early))
    for k in range(3):  # one speech after another, as the clauses of a reply
        poses = perform(a, voice(samples, k), [700, 5000])
        assert [p.index for p in poses] == list(range(k * frames_of(samples), (k + 1) * frames_of(samples)))


@pytest.mark.parametrize(("config", "new"), [((3, 5, 2), 5), ((3, 5, 2), 10), ((2, 3, 2), 3), ((2, 4, 2), 8)])
def test_the_stream_is_the_published_loop_without_its_surplus(config: tuple[int, int, int], new: int) -> None:
    """Frame by frame the published loop's, up to the last block, which is not held back for a clip that never comes."""
    sound, chunks, p = voice(40_000), Chunks(*config), persona()
    pace = Pace(chunks, new)
    options = replace(p.options, overlap_v2=LENGTH - new)
    rows, frame_noise = features.online(StubEncoder(), sound, chunks), FrameNoise(1)

    class Noise:
        def start(self, clip: int) -> Any:
            self.at = clip * new - (LENGTH - new)
            return frame_noise.window(self.at, LENGTH, 4)[0]

        def steps(self, count: int) -> Any:
            return frame_noise.window(self.next, LENGTH, count)[1]

        next = 0

    class Sampler:
        clips = 0

        def sample(self, condition: Any, pose: Any, start: Any, noises: Any) -> Any:
            window = frame_noise.window(self.clips * new - (LENGTH - new), LENGTH, 4)
            self.clips += 1
            return StubWork().move(condition[0], pose[0], *window)[None]

    recital = Recital(options, p.source, Sampler(), Noise(), None, frames_of(len(sound)))
    pushed = [rows[k : k + chunks.current] for k in range(0, len(rows), chunks.current)]
    published = np.stack([q.motion for q in recital.online(p.silence[: LENGTH - new], pushed)])
    ours = np.stack([q.motion for q in perform(actor(pace), sound, [9999])])
    sure = (frames_of(len(sound)) - 1) // new * new
    assert sure > 2 * new and len(published) >= len(ours) == frames_of(len(sound))
    np.testing.assert_allclose(ours[:sure], published[:sure], atol=1e-5)


@pytest.mark.parametrize(
    ("pace", "limit_ms"),
    [(Pace(), 485), (LOW_LATENCY, 325), (Pace(early=True), 285), (Pace.of((2, 3, 2), early=True), 205)],
)
def test_the_first_picture_needs_no_more_sound_than_promised(pace: Pace, limit_ms: int) -> None:
    a, sound, step = actor(pace), voice(32_000), 80
    fed = next(n for n in range(step, len(sound), step) if a.feed(sound[n - step : n]))
    assert fed / 16 <= limit_ms
    assert fed == pace.heard_before(0)


@settings(max_examples=8, deadline=None)
@given(CONFIGS, st.booleans(), st.integers(1, 400))
def test_every_frame_comes_as_soon_as_the_table_says(config: tuple[int, int, int], early: bool, step: int) -> None:
    pace = Pace.of(config, early=early)
    a, sound, made = actor(pace), voice(30_000), 0
    for n in range(step * 8, len(sound), step * 8):
        made += len(a.feed(sound[n - step * 8 : n]))
        assert made == 0 or pace.heard_before(made - 1) <= n
        assert pace.heard_before(made) > n


def interrupt(seed: int) -> None:
    """Two sessions hear the same up to what the last heard frame needs, and different things after it. Cut there, they
    are the same to the byte and go on alike."""
    rng = np.random.default_rng(seed)
    pace = Pace.of([(3, 5, 2), (2, 3, 2), (3, 1, 2), (4, 8, 3), (5, 10, 2)][seed % 5], early=bool(rng.integers(2)))
    one, two = actor(pace, seed), actor(pace, seed)
    for _ in range(int(rng.integers(1, 4))):
        idle = int(rng.integers(0, 30))
        assert np.array_equal(told([one.idle() for _ in range(idle)]), told([two.idle() for _ in range(idle)]))
        first = one.made
        common = voice(int(rng.integers(1000, 30_000)), seed)
        rest = [voice(int(rng.integers(0, 20_000)), int(rng.integers(1 << 30))) for _ in range(2)]
        sounds = [np.concatenate([common, r]) for r in rest]
        made = [a.feed(s) for a, s in zip((one, two), sounds, strict=True)]
        if rng.integers(2):
            made = [m + a.finish() for m, a in zip(made, (one, two), strict=True)]
        sure = sum(pace.heard_before(k) <= len(common) for k in range(min(len(m) for m in made)))
        shown = first - 1 + int(rng.integers(0, sure + 1))
        one.cut(shown)
        two.cut(shown)
        assert one.made == two.made == shown + 1
        assert to_bytes(one.state) == to_bytes(two.state)
        np.testing.assert_array_equal(one.idle().motion, two.idle().motion)
    sound = voice(9000, seed + 1)
    np.testing.assert_array_equal(told(perform(one, sound, [])), told(perform(two, sound, [3000])))


def test_a_speech_that_was_cut_before_its_first_frame_was_seen_never_was() -> None:
    one, two = actor(), actor()
    assert one.feed(voice(20_000))
    one.cut(-1)
    assert to_bytes(one.state) == to_bytes(two.state) and one.made == 0
    np.testing.assert_array_equal(told([one.idle()]), told([two.idle()]))


@pytest.mark.parametrize("seed", [*range(15), 1104])
def test_nothing_of_cut_speech_is_left(seed: int) -> None:
    interrupt(seed)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_nothing_of_cut_speech_is_left_a_thousand_times() -> None:
    for seed in range(1000, 2000):
        interrupt(seed)


def test_a_copied_state_gives_the_same_frames() -> None:
    a = actor(frames=3)
    for _ in range(7):
        a.idle()
    a.feed(voice(12_345))
    a.tell(manner=manner("lively", gaze_x=4.0))
    kept, stored = a.state, to_bytes(a.state)
    first = perform(a, voice(20_000, 3), [7]) + [a.idle() for _ in range(30)]
    a.state = kept
    again = perform(a, voice(20_000, 3), [9000]) + [a.idle() for _ in range(30)]
    other = Actor(persona(3), StubWork(), from_bytes(stored))
    third = perform(other, voice(20_000, 3), []) + [other.idle() for _ in range(30)]
    np.testing.assert_array_equal(told(first), told(again))
    np.testing.assert_array_equal(told(first), told(third))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04N."])
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no state"):
        from_bytes(data)


def test_seeds_make_sessions_differ_and_noise_is_not_shared() -> None:
    sound = voice(20_000)
    assert not np.array_equal(told(perform(actor(seed=1), sound, [])), told(perform(actor(seed=2), sound, [])))


def test_no_stretch_begins_with_a_jump() -> None:
    """From idle to speech, clause to clause, and back: a frame is as near its neighbours as inside a speech."""
    a = actor()
    poses = [a.idle() for _ in range(40)]
    for k in range(3):
        poses += perform(a, voice(15_000, k), [])
    poses += [a.idle() for _ in range(60)]
    poses += a.feed(voice(30_000, 9))
    a.cut(a.made - 4)
    poses = poses[: a.made] + [a.idle() for _ in range(40)]
    steps = np.abs(np.diff(np.stack([p.drawn.x_d for p in poses]), axis=0)).max(axis=(1, 2))
    assert steps.max() < 4 * np.median(steps) + 0.02


def test_idle_life_needs_no_network_and_comes_round() -> None:
    a = actor()
    work = a._work
    poses = [a.idle() for _ in range(300)]
    assert isinstance(work, StubWork) and work.heard == work.moved == 0
    assert all(p.loop is not None for p in poses) and len({p.loop for p in poses}) < len(poses)
    assert any(p.drawn.blink for p in poses)


@pytest.mark.parametrize("frames", [1, 3, 70, 130])
def test_one_key_is_one_picture_whoever_shows_it(frames: int) -> None:
    """Sessions of any seed, before speech and after it, a video or a photograph."""
    seen: dict[Any, Pose] = {}
    made = 0
    for seed in (1, 2, 77):
        a = actor(seed=seed, frames=frames)
        for samples in (0, 9_000 + 640 * seed):
            perform(a, voice(samples, seed), [])
            for pose in [a.idle() for _ in range(500)]:
                if pose.loop is None:
                    continue
                made += 1
                first = seen.setdefault(pose.loop, pose)
                assert first.drawn.source_index == pose.drawn.source_index
                np.testing.assert_array_equal(first.drawn.x_d, pose.drawn.x_d)
                np.testing.assert_array_equal(first.drawn.x_s, pose.drawn.x_s)
    assert made > 2900 and len(seen) < 1.5 * persona(frames).length


def test_blinks_go_on_from_listening_into_speech_and_back() -> None:
    a, at = actor(), 0
    shut = []
    for k in range(40):
        shut += [p.drawn.blink for p in [a.idle() for _ in range(17)] + perform(a, voice(640 * 23, k), [])]
        at += 40
    array = persona().options.delta_eye_arr
    assert array is not None and len(shut) == at
    begun = [i for i, frame in enumerate(shut) if frame == 1]
    assert len(begun) > 10 and len(set(np.diff(begun))) > 2
    # A blink that has begun is shown to its end.
    for i in begun:
        whole = shut[i : i + len(array) - 1]
        assert whole == list(range(1, len(whole) + 1))


@pytest.mark.parametrize("rate", [0.0, 2.0, 10.0, 15.0, 20.0, 40.0])
@pytest.mark.parametrize("loop", [240, 260, 500])
def test_blinks_come_as_often_as_they_are_asked_for(rate: float, loop: int) -> None:
    tables = [in_places(loop, 15, blink_gap(manner(blink_rate=rate)), seed) for seed in range(40)]
    assert all(len(table) % loop == 0 for table in tables)
    found = sum((table == 1).sum() for table in tables) / sum(map(len, tables)) * 1500
    assert abs(found - rate) <= 0.15 * rate + 0.3
    places = {int(i) % loop for table in tables for i in np.flatnonzero(table == 1)}
    assert len(places) * 15 <= 0.7 * loop


def test_a_new_manner_comes_by_degrees() -> None:
    a = actor()
    a.idle()
    a.tell(manner=manner("calm", head_yaw=10.0))
    turned = [a.state.past[-1].manner.head_yaw for _ in range(60) if a.idle()]
    assert 0 < turned[0] < 3 and turned[-1] == 10.0 and turned == sorted(turned)


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (np.array([0.0, np.nan] * 700, np.float32), "NaN"),
        (np.array([np.inf] * 700, np.float32), "infinite"),
        (np.zeros((700, 2), np.float32), "mono"),
        (np.zeros(700, np.int32), "int16 or float"),
    ],
)
def test_sound_that_is_none_is_refused_and_nothing_lost(sound: Any, words: str) -> None:
    a = actor()
    poses = a.feed(voice(5000))
    with pytest.raises(ValueError, match=words):
        a.feed(sound)
    poses += a.feed(voice(5000, 1)) + a.finish()
    assert len(poses) == frames_of(10_000)


@pytest.mark.parametrize("count", [0, -1, 51])
def test_steps_that_cannot_be_are_refused_before_they_cost_a_speech(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 50 steps"):
        Actor(persona(), StubWork(), ActorState(1, steps=count))
    a = actor()
    poses = a.feed(voice(15_000))
    with pytest.raises(ValueError, match="1 to 50 steps"):
        a.tell(steps=count)
    assert a.state.steps == 4
    assert len(poses + a.feed(voice(15_000, 1)) + a.finish()) == frames_of(30_000)


def test_no_sound_is_no_speech() -> None:
    a = actor()
    assert a.feed(np.empty(0, np.float32)) == [] == a.finish()
    assert a.made == 0 and a.state.speech is None


@pytest.mark.parametrize("config", [(1, 2, 1), (10, 10, 1), (3, 0, 2), (3, 5, 0)])
def test_chunks_that_the_encoder_cannot_hear_are_refused(config: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="frames"):
        Pace.of(config)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_an_hour_in_one_call() -> None:
    a = actor()
    sound = voice(16_000 * 3600)
    assert len(a.feed(sound)) + len(a.finish()) == 90_000
    assert len(to_bytes(a.state)) < 5_000_000
