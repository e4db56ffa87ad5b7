"""The built-in characters, drawn."""

from __future__ import annotations

import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from puppet import CAST, load_rig
from puppet.character import KEPT_SIZES, CharacterRig
from puppet.coefficients import NEUTRAL, Coefficients
from puppet.renderer import Rig, picture_size

NAMES = sorted(CAST)


@pytest.fixture(scope="module", params=NAMES)
def rig(request: pytest.FixtureRequest) -> CharacterRig:
    return CharacterRig(request.param)


def bgr(rig: Rig, coefficients: Coefficients, scale: float = 0.5) -> np.ndarray:
    return cv2.cvtColor(rig.open().draw(coefficients, scale), cv2.COLOR_YUV2BGR_I420).astype(int)


def region(rig: CharacterRig, centre: tuple[float, float], half: float, picture: np.ndarray) -> np.ndarray:
    k = picture.shape[0] / 768
    x, y = centre
    return picture[round((y - half) * k) : round((y + half) * k), round((x - half) * k) : round((x + half) * k)]


def test_three_characters_are_built_in() -> None:
    assert len(NAMES) >= 3
    assert "default" in NAMES
    for name in NAMES:
        rig = load_rig(name)
        assert isinstance(rig, Rig)
        assert max(rig.width, rig.height) <= 1024


def test_an_unknown_character_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="default"):
        CharacterRig("nobody")


@pytest.mark.parametrize("scale", [0.1, 0.1234, 0.25, 0.37, 0.5, 0.75, 1.0])
def test_any_scale_draws_straight_at_its_size(scale: float) -> None:
    rig = CharacterRig("default")
    width, height = picture_size(rig.width, rig.height, scale)
    assert width % 2 == height % 2 == 0
    assert abs(width - 1024 * scale) <= 1
    picture = rig.open().draw(NEUTRAL, scale)
    assert picture.shape == (height * 3 // 2, width)
    assert picture.dtype == np.uint8
    assert picture[:height].min() >= 16  # limited range
    assert picture[:height].max() <= 235


def test_sizes_show_the_same_picture(rig: CharacterRig) -> None:
    pose = Coefficients(jaw=0.6, yaw=4, pitch=-2, roll=3, blink_left=0.4, gaze_x=0.4)
    large = bgr(rig, pose, 1.0).astype(np.uint8)
    for scale in (0.5, 0.25):
        small = bgr(rig, pose, scale)
        shrunk = cv2.resize(large, small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(small - shrunk).mean() < 2.0


def test_the_same_pose_is_the_same_picture_and_the_array_is_the_callers(rig: CharacterRig) -> None:
    renderer = rig.open()
    first = renderer.draw(NEUTRAL, 0.25)
    kept = first.copy()
    renderer.draw(Coefficients(jaw=1, yaw=8), 0.25)
    assert np.array_equal(first, kept)
    assert np.array_equal(renderer.draw(NEUTRAL, 0.25), kept)


@pytest.mark.parametrize(
    "name",
    ["jaw", "wide", "pucker", "press", "fv", "teeth", "smile", "brow", "gaze_x", "gaze_y", "yaw", "pitch", "roll"],
)
def test_every_coefficient_is_seen(rig: CharacterRig, name: str) -> None:
    base = Coefficients(jaw=0.5) if name in ("press", "fv") else NEUTRAL
    amount = 3.0 if name in ("yaw", "pitch", "roll") else 1.0
    changed = np.abs(bgr(rig, replace(base, **{name: amount})) - bgr(rig, base)).max(axis=2)
    assert (changed > 24).sum() > 40


def test_the_tongue_shows_in_an_open_mouth(rig: CharacterRig) -> None:
    opened = Coefficients(jaw=0.4)
    changed = np.abs(bgr(rig, replace(opened, tongue=1.0)) - bgr(rig, opened)).max(axis=2)
    assert (changed > 24).sum() > 40


def test_each_eye_blinks_alone_and_shows_no_white_when_shut(rig: CharacterRig) -> None:
    eyes = rig.character.eyes
    still = bgr(rig, NEUTRAL)
    shut = bgr(rig, Coefficients(blink_left=1))
    assert np.abs(region(rig, eyes.left, 30, shut - still)).max() > 60
    assert np.abs(region(rig, eyes.right, 30, shut - still)).max() <= 2

    def white(picture: np.ndarray) -> int:
        return int((region(rig, eyes.left, 30, picture).min(axis=2) > 200).sum())

    assert white(still) > 20
    # Skin tones reach neither the white nor the colours of an eye.
    assert white(shut) < 0.1 * white(still) + 3


def test_press_shuts_the_mouth_whatever_the_jaw_does(rig: CharacterRig) -> None:
    def dark(pose: Coefficients) -> int:
        x, y = rig.character.mouth.centre
        picture = region(rig, (x, y + 12), 26, bgr(rig, pose))
        return int((picture.sum(axis=2) < 3 * 62).sum())

    opened = dark(Coefficients(jaw=1))
    assert opened > 200
    assert dark(Coefficients(jaw=1, press=1)) < 0.2 * opened


def test_the_background_is_still(rig: CharacterRig) -> None:
    """Outside the head's rim and the body nothing moves, however the head turns."""
    still = bgr(rig, NEUTRAL)
    for pose in (Coefficients(yaw=6), Coefficients(pitch=-5), Coefficients(roll=4), Coefficients(breath=1)):
        moved = np.abs(bgr(rig, pose) - still).max(axis=2)
        side = moved.shape[0]
        border = np.ones_like(moved, bool)
        border[round(0.04 * side) :, round(0.10 * side) : round(0.90 * side)] = False
        body = round(0.80 * side)
        border[body:] = False
        assert moved[border].max() <= 2


def test_motion_is_smooth(rig: CharacterRig) -> None:
    """A small step of any coefficient is a small step of the picture: nothing pops."""
    renderer = rig.open()
    base = Coefficients(jaw=0.3, pucker=0.3, teeth=0.2)
    for name in ("jaw", "wide", "pucker", "press", "fv", "tongue", "teeth", "blink_left", "gaze_x", "smile"):
        previous = None
        for share in np.linspace(0, 1, 41):
            picture = cv2.cvtColor(renderer.paint(replace(base, **{name: float(share)}), 256), cv2.COLOR_BGRA2GRAY)
            picture = cv2.GaussianBlur(picture, (0, 0), 2.0).astype(int)
            if previous is not None:
                assert np.abs(picture - previous).max() < 30, (name, share)
            previous = picture


def test_sizes_in_memory_are_bounded_and_shared_between_threads() -> None:
    rig = CharacterRig("default")
    scales = [0.1 + 0.02 * i for i in range(KEPT_SIZES + 3)]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            renderer = rig.open()
            for scale in scales:
                renderer.draw(NEUTRAL, scale)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(rig._stacks) <= KEPT_SIZES
