"""The calibration face: brightness follows the sound, and its number survives the codec."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avatar.face.avatars import AvatarStore
from avatar.face.pattern import PatternFace, PatternPerformance, brightness
from avatar.face.strip import cell_size, draw_strip, read_strip, share
from avatar.tunables import Tunables


def tone(dbfs: float, samples: int = 1920) -> np.ndarray:
    peak = round(32768 * 10 ** (dbfs / 20))
    sound = np.zeros(samples, np.int16)
    sound[samples // 2] = -min(peak, 32768)
    return sound


def gray(i420: np.ndarray) -> np.ndarray:
    """The picture as a viewer decodes it, full range."""
    return cv2.cvtColor(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), cv2.COLOR_BGR2GRAY)


def perform(**tunables: float) -> PatternPerformance:
    return PatternPerformance(Tunables(**tunables))


@pytest.mark.parametrize(("dbfs", "level"), [(-60, 0), (-40.5, 0), (-30, 127.5), (-25, 191.2), (-19.9, 255), (0, 255)])
def test_brightness_follows_the_loudest_sample(dbfs: float, level: float) -> None:
    assert brightness(tone(dbfs)) == pytest.approx(level, abs=1)
    (frame,) = perform().feed(tone(dbfs))
    assert frame.i420 is not None
    assert gray(frame.i420).mean() == pytest.approx(level, abs=2)


def test_silence_is_black_and_numbers_go_on() -> None:
    face = perform()
    frames = [face.idle(), *face.feed(np.zeros(1920 * 2, np.int16)), face.idle()]
    assert [f.serial for f in frames] == [0, 1, 2, 3]
    for frame in frames:
        assert frame.i420 is not None
        assert read_strip(gray(frame.i420)) == frame.serial
        assert gray(frame.i420).mean() < 2


@pytest.mark.parametrize("scale", [0.1, 0.13, 0.25, 0.5, 0.77, 1.0])
def test_the_strip_leaves_the_mean_alone_at_every_size(scale: float) -> None:
    face = perform(frame_scale=scale)
    for dbfs in (-60, -30, 0):
        (frame,) = face.feed(tone(dbfs))
        assert frame.i420 is not None
        picture = gray(frame.i420)
        assert read_strip(picture) == frame.serial
        # Half of the strip's share is what the rest of the picture cannot make up for at the two ends.
        slack = 127.5 * share(*picture.shape) + 1.5
        assert abs(picture.mean() - brightness(tone(dbfs))) <= slack


def test_the_strip_is_under_one_percent_at_the_default_size() -> None:
    assert share(512, 512) < 0.01
    assert cell_size(512) == 7


def test_every_serial_reads_back_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    for serial in [0, 1, 2**20 - 1, 2**20, *rng.integers(0, 2**20, 200).tolist()]:
        picture = np.full((512, 512), 130, np.uint8)
        draw_strip(picture, serial)
        assert read_strip(picture) == serial % 2**20
    assert read_strip(np.full((512, 512), 255, np.uint8)) is None
    assert read_strip(rng.integers(0, 255, (512, 512), dtype=np.uint8)) is None
    assert read_strip(np.zeros((8, 8), np.uint8)) is None


def test_one_wrong_bit_is_noticed() -> None:
    for bit in range(24):
        picture = np.full((512, 512), 130, np.uint8)
        draw_strip(picture, 12345)
        cell = cell_size(512)
        left = cell * (1 + 2 * bit)
        pair = picture[512 - 2 * cell : 512 - cell, left : left + 2 * cell]
        pair[:] = 255 - pair
        assert read_strip(picture) is None


@pytest.mark.parametrize(("scale", "kbps"), [(0.5, 330), (0.1, 60), (1.0, 600)])
def test_the_number_survives_vp9(scale: float, kbps: int) -> None:
    """Flashes are the worst a codec meets: the whole picture changes under the strip."""
    face = perform(frame_scale=scale)
    rng = np.random.default_rng(1)
    frames = [face.feed(tone(float(rng.choice([-60.0, -30.0, -5.0]))))[0] for _ in range(60)]
    first = frames[0].i420
    assert first is not None
    encoder = av.CodecContext.create("libvpx-vp9", "w")
    encoder.width, encoder.height, encoder.pix_fmt = first.shape[1], first.shape[0] * 2 // 3, "yuv420p"
    encoder.time_base, encoder.bit_rate = Fraction(1, 25), kbps * 1000
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    decoder = av.CodecContext.create("vp9", "r")
    seen = []
    for frame in [*frames, None]:
        picture = None
        if frame is not None:
            picture = av.VideoFrame.from_ndarray(frame.i420, format="yuv420p")
            picture.pts = frame.serial
        for packet in encoder.encode(picture):
            seen += [read_strip(f.to_ndarray(format="gray")) for f in decoder.decode(packet)]
    assert seen == [f.serial for f in frames]


@pytest.mark.parametrize("samples", [0, 1, 1919, 1920, 1921, 19200, 20001])
def test_a_speech_has_as_many_frames_as_slots(samples: int) -> None:
    face = perform()
    sound = np.zeros(samples, np.int16)
    frames = [f for i in range(0, samples, 777) for f in face.feed(sound[i : i + 777])] + face.finish()
    assert len(frames) == -(-samples // 1920)
    assert face.finish() == []


def test_fewer_pictures_are_drawn_but_slots_go_on() -> None:
    face = perform(fps=10)
    frames = face.feed(np.zeros(1920 * 100, np.int16))
    assert len(frames) == 100
    assert sum(f.i420 is not None for f in frames) == 40


def test_after_a_cut_or_a_new_size_the_next_frame_is_drawn() -> None:
    face = perform(fps=5)
    face.feed(np.zeros(1920 * 2 + 100, np.int16))
    face.cut(0)
    frame = face.idle()
    assert frame.serial == 2
    assert frame.i420 is not None
    assert face.finish() == []
    face.tune(Tunables(fps=5, frame_scale=0.25))
    bigger = face.idle().i420
    assert bigger is not None
    assert bigger.shape == (384, 256)


async def test_the_face_takes_any_known_portrait(tmp_path: Path) -> None:
    face = PatternFace(AvatarStore(tmp_path / "avatars", tmp_path))
    await face.warm()
    rig = await face.rig("default")
    assert (rig.width, rig.height) == (1024, 1024)
    assert face.rate == 48_000
    assert face.choice.role == "face"
    assert len(face.perform(rig, Tunables(), 0).feed(np.zeros(3840, np.int16))) == 2
    await face.close()
