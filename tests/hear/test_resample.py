"""48 → 16 kHz."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.hear.resample import LAG, Downsampler
from tests.hear.sounds import noise


def test_a_moment_keeps_its_place() -> None:
    sound = np.zeros(9_600, np.int16)
    sound[3_000] = 30_000
    result = Downsampler().feed(sound)
    assert int(np.argmax(np.abs(result))) == 1_000


def test_the_filter_holds_back_one_millisecond() -> None:
    down = Downsampler()
    total = sum(len(down.feed(noise(0.02, -20, seed))) for seed in range(50))
    assert total == 50 * 320 - LAG


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9_600), max_size=12))
def test_any_split_gives_the_same_samples(cuts: list[int]) -> None:
    sound = noise(0.2, -12)
    whole = Downsampler().feed(sound)
    down = Downsampler()
    edges = [0, *sorted(cuts), len(sound)]
    parts = [down.feed(sound[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_strided_sound_is_read_right() -> None:
    stereo = np.stack([noise(0.1, -12), noise(0.1, -12, seed=1)], axis=1)
    assert np.array_equal(Downsampler().feed(stereo[:, 0]), Downsampler().feed(stereo[:, 0].copy()))
