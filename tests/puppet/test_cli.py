"""`python -m puppet`, as a person runs it."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest


def recording(path: Path, seconds: float = 1.3, rate: int = 22_050) -> Path:
    t = np.arange(round(seconds * rate)) / rate
    sound = 8000 * np.sign(np.sin(2 * np.pi * 130 * t)) * np.abs(np.sin(2 * np.pi * 3 * t))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(sound.astype(np.int16).tobytes())
    return path


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "puppet", *map(str, args)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("suffix", "video", "audio"), [(".mp4", "h264", "aac"), (".webm", "vp9", "opus")])
def test_a_film_has_a_picture_for_every_40_ms_and_its_sound(
    tmp_path: Path, suffix: str, video: str, audio: str
) -> None:
    out = tmp_path / f"film{suffix}"
    done = run("--audio_path", recording(tmp_path / "in.wav"), "--output_path", out, "--frame_scale", "0.25")
    assert done.returncode == 0, done.stderr
    with av.open(str(out)) as film:
        assert film.streams.video[0].codec_context.name.startswith(video[:3])
        assert film.streams.audio[0].codec_context.name.endswith(audio)
        pictures = [f.to_ndarray(format="gray") for f in film.decode(video=0)]
    assert len(pictures) == 33  # ⌈1.3 s ÷ 40 ms⌉
    assert pictures[0].shape == (256, 256)
    with av.open(str(out)) as film:
        samples = sum(f.samples for f in film.decode(audio=0))
        assert samples / 48_000 == pytest.approx(1.3, abs=0.1)
    mouth = np.stack(pictures)[:, 160:200, 100:156].astype(int)
    assert np.abs(np.diff(mouth, axis=0)).mean() > 0.5


def test_another_character_speaks(tmp_path: Path) -> None:
    sound = recording(tmp_path / "in.wav", 0.2)
    films = []
    for name in ("default", "ren"):
        out = tmp_path / f"{name}.mp4"
        done = run("--source_path", name, "--audio_path", sound, "--output_path", out, "--frame-scale", "0.2")
        assert done.returncode == 0, done.stderr
        with av.open(str(out)) as film:
            films.append(next(film.decode(video=0)).to_ndarray(format="gray").astype(int))
    assert np.abs(films[0] - films[1]).mean() > 5


@pytest.mark.parametrize(
    ("name", "content", "out", "message"),
    [
        ("none.wav", None, "o.mp4", "none.wav"),
        ("text.wav", b"this is no sound", "o.mp4", "text.wav"),
        ("good.wav", b"", "o.gif", ".mp4, .webm"),
        ("good.wav", b"", "nowhere/o.mp4", "nowhere"),
        ("good.wav", b"", "taken.mp4", "taken.mp4 is a directory"),
        ("sound.mp4", b"", "sound.mp4", "would overwrite the sound"),
        ("good.wav", b"", "/proc/o.mp4", "/proc"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    tmp_path: Path, name: str, content: bytes | None, out: str, message: str
) -> None:
    (tmp_path / "taken.mp4").mkdir()
    path = tmp_path / name
    if name == "good.wav":
        recording(path, 0.2)
    elif content is not None:
        path.write_bytes(content)
    done = run("--audio_path", path, "--output_path", tmp_path / out)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_scale_out_of_range_is_a_usage_error(tmp_path: Path) -> None:
    done = run("--audio_path", "x.wav", "--output_path", "y.mp4", "--frame_scale", "2")
    assert done.returncode == 2
    assert "0.1 to 1.0" in done.stderr


def test_an_unknown_face_is_answered_with_those_there_are(tmp_path: Path) -> None:
    sound = recording(tmp_path / "in.wav", 0.2)
    done = run("--source_path", "nobody", "--audio_path", sound, "--output_path", tmp_path / "o.mp4")
    assert done.returncode == 2
    assert "nobody" in done.stderr and "default, ren, amara" in done.stderr
