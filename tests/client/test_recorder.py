import asyncio
from pathlib import Path

import numpy as np
import pytest

from client.exits import Usage
from client.recorder import MAX_PICTURES, Recorder
from tests.client.performances import RATE, SLOT, lag, picture, slices, speech, watch

START = 1_700_000_000.0
"""Recordings are placed by the sender's wall clock: large numbers must not cost precision."""
SECONDS = 8


async def record(
    path: Path, *, missing_pictures: range = range(0), missing_sound: range = range(0), late_sound_s: float = 0.0
) -> None:
    recorder = Recorder(path, microphone=True)
    for number, pcm in slices(speech(SECONDS)):
        at = START + number * 0.04
        if number not in missing_pictures:
            recorder.picture(picture(number, pcm), at)
        if number not in missing_sound:
            recorder.voice(pcm, at + late_sound_s)
        recorder.microphone(pcm, at + 0.5)
        await asyncio.sleep(0.002)  # no faster than the encoder: nothing is to be left out
    await recorder.close()
    assert recorder.left_out == 0


@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [
        ("webm", ["vp9", "opus", "opus"]),
        ("mkv", ["vp9", "opus", "opus"]),
        ("mp4", ["h264", "aac", "aac"]),
    ],
)
async def test_sound_picture_and_microphone_stand_where_they_belong(
    tmp_path: Path, suffix: str, codecs: list[str]
) -> None:
    path = tmp_path / f"film.{suffix}"
    await record(path)
    film = watch(path)
    assert [c.removeprefix("lib") for c in film.codecs] == codecs
    assert film.offset is not None
    assert abs(film.offset.p50) <= 3
    assert film.offset.p95 <= 8
    assert len(film.times) == pytest.approx((SECONDS + 0.5) * 25, abs=2)
    assert np.diff(film.times).max() == pytest.approx(0.04, abs=0.002)
    assert abs(lag(film.tracks[0], speech(SECONDS))) <= RATE // 1000
    assert lag(film.tracks[1], speech(SECONDS)) == pytest.approx(RATE // 2, abs=RATE // 1000)
    assert [len(t) / RATE for t in film.tracks] == pytest.approx([SECONDS + 0.5] * 2, abs=0.05)


async def test_an_offset_of_the_media_is_kept(tmp_path: Path) -> None:
    await record(tmp_path / "film.webm", late_sound_s=0.1)
    film = watch(tmp_path / "film.webm")
    assert film.offset is not None
    assert film.offset.p50 == pytest.approx(100, abs=3)


async def test_what_is_missing_is_filled(tmp_path: Path) -> None:
    await record(tmp_path / "film.webm", missing_pictures=range(50, 75), missing_sound=range(100, 103))
    film = watch(tmp_path / "film.webm")
    assert np.diff(film.times).max() == pytest.approx(0.04, abs=0.002)  # the last picture is held
    hole = film.tracks[0][100 * SLOT + 500 : 103 * SLOT - 500]
    assert np.abs(hole.astype(int)).max() < 200
    assert abs(lag(film.tracks[0], speech(SECONDS))) <= RATE // 1000  # nothing after it has moved
    assert film.offset is not None
    assert abs(film.offset.p50) <= 3


async def test_first_pictures_that_are_missing_are_padded(tmp_path: Path) -> None:
    await record(tmp_path / "film.mkv", missing_pictures=range(10))
    film = watch(tmp_path / "film.mkv")
    assert film.times[0] == 0.0
    assert film.offset is not None
    assert abs(film.offset.p50) <= 3


@pytest.mark.parametrize("suffix", ["webm", "mp4"])
async def test_a_change_of_size_is_scaled_to_the_first(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film.{suffix}"
    recorder = Recorder(path, microphone=False)
    for number, pcm in slices(speech(4)):
        recorder.picture(picture(number, pcm, side=256 if number < 50 else 512), START + number * 0.04)
        recorder.voice(pcm, START + number * 0.04)
        await asyncio.sleep(0.002)
    await recorder.close()
    film = watch(path)
    assert film.sizes == {(256, 256)}
    assert len(film.times) == 100


async def test_another_shape_gets_bars(tmp_path: Path) -> None:
    import av

    recorder = Recorder(tmp_path / "film.mkv", microphone=False)
    for number, (width, height) in enumerate([(128, 128)] * 10 + [(256, 128)] * 10):
        white = np.full((height * 3 // 2, width), 128, np.uint8)
        white[:height] = 235
        recorder.picture(white, START + number * 0.04)
        recorder.voice(np.zeros(SLOT, np.int16), START + number * 0.04)
    await recorder.close()
    with av.open(str(tmp_path / "film.mkv")) as container:
        last = list(container.decode(video=0))[-1].to_ndarray()[:128]
    assert last[64].mean() > 220
    assert last[:24].mean() < 30
    assert last[-24:].mean() < 30


async def test_sound_alone_is_recorded_when_no_picture_comes(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "film.webm", microphone=False)
    for number, pcm in slices(speech(5)):
        recorder.voice(pcm, START + number * 0.04)
    await recorder.close()
    import av

    with av.open(str(tmp_path / "film.webm")) as container:
        assert not container.streams.video
        assert container.duration / 1e6 == pytest.approx(5, abs=0.1)


async def test_nothing_received_leaves_no_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "film.webm", microphone=False)
    await recorder.close()
    assert not (tmp_path / "film.webm").exists()


async def test_an_encoder_that_cannot_keep_up_costs_pictures_and_no_sound(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "film.webm", microphone=False)
    pcm, count = speech(0.04), 4 * MAX_PICTURES
    for number in range(count):  # all at once
        recorder.picture(picture(number, pcm), START + number * 0.04)
        recorder.voice(pcm, START + number * 0.04)
    await recorder.close()
    film = watch(tmp_path / "film.webm")
    assert recorder.left_out > 0
    assert len(film.tracks[0]) / RATE == pytest.approx(count * 0.04, abs=0.05)


def test_a_place_that_cannot_be_written_is_said_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "film.webm").mkdir()
    with pytest.raises(Usage, match=r"film\.webm"):
        Recorder(tmp_path / "film.webm", microphone=False)
