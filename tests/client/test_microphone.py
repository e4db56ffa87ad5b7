import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from client.exits import Usage
from client.microphone import FRAME, Microphone, seconds
from tests.client.conftest import write_wav
from tests.client.performances import RATE, lag, speech


class Line:
    """Runs a microphone and keeps what it sends."""

    def __init__(self, microphone: Microphone) -> None:
        self.sent: list[np.ndarray] = []
        self.ticks: list[int] = []
        self._task = asyncio.create_task(microphone.run(self._take))

    def _take(self, tick: int, pcm: np.ndarray) -> None:
        self.ticks.append(tick)
        self.sent.append(pcm)

    async def frames(self, count: int) -> np.ndarray:
        while len(self.sent) < count:
            await asyncio.sleep(0.005)
        return np.concatenate(self.sent)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_the_file_is_sent_to_the_sample_between_silence(tmp_path: Path) -> None:
    pcm = speech(0.5)
    microphone = Microphone(write_wav(tmp_path / "user.wav", pcm))
    await microphone.ready()
    line = Line(microphone)
    before = len(await line.frames(3))
    microphone.play()
    await microphone.finished.wait()
    sent = await line.frames(len(line.sent) + 3)
    await line.stop()
    assert not sent[:before].any()
    begin = int(np.flatnonzero(sent)[0]) - int(np.flatnonzero(pcm)[0])
    assert begin % FRAME == 0
    assert np.array_equal(sent[begin : begin + len(pcm)], pcm)
    assert not sent[begin + len(pcm) :].any()
    assert microphone.position == len(pcm)


async def test_frames_follow_each_other_in_real_time_and_count_on(tmp_path: Path) -> None:
    captured: list[float] = []
    microphone = Microphone(write_wav(tmp_path / "user.wav", speech(1)), lambda pcm, at: captured.append(at))
    began = time.monotonic()
    line = Line(microphone)
    await line.frames(20)
    await line.stop()
    assert time.monotonic() - began >= 20 * 0.02 - 0.001  # a frame leaves when its last sample has been captured
    assert line.ticks == list(range(len(line.ticks)))
    assert np.diff(captured) == pytest.approx([0.02] * (len(captured) - 1), abs=1e-6)  # samples know no jitter


async def test_any_rate_and_layout_becomes_48_khz_mono(tmp_path: Path) -> None:
    pcm = speech(1)[::3]  # 16 kHz
    stereo = np.stack([pcm, pcm], axis=1)
    path = write_wav(tmp_path / "user.wav", stereo, rate=16_000, layout="stereo")
    assert seconds(path) == pytest.approx(1, abs=0.01)
    microphone = Microphone(path)
    await microphone.ready()
    microphone.play()
    line = Line(microphone)
    await microphone.finished.wait()
    sent = await line.frames(1)
    await line.stop()
    assert abs(lag(sent, speech(1))) < RATE // 1000


async def test_a_file_without_sound_is_refused_before_anything_is_connected(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no sound in here")
    with pytest.raises(Usage, match=r"notes\.txt"):
        await Microphone(text).ready()
    with pytest.raises(Usage, match=r"notes\.txt"):
        seconds(text)
