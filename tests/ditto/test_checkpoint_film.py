"""From a checkpoint's files to a film, with every network of it."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.absent import needs

needs("torch")
needs("onnx")

from ditto.__main__ import main
from ditto.layout import Kind
from ditto.testweights import write

from .stubs import voice
from .tiny import portrait


@pytest.mark.timeout(400)
def test_a_checkpoint_and_a_portrait_become_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, root = write(tmp_path, Kind.PYTORCH, "tiny", lambda line: None)
    cv2.imwrite(str(tmp_path / "face.png"), portrait())
    with wave.open(str(tmp_path / "voice.wav"), "wb") as out:
        out.setnchannels(1)
        out.setframerate(16_000)
        out.setsampwidth(2)
        out.writeframes((voice(3_300) * 20000).astype(np.int16).tobytes())
    told = {
        "source_path": tmp_path / "face.png",
        "audio_path": tmp_path / "voice.wav",
        "output_path": tmp_path / "film.webm",
        "cfg_pkl": config,
        "data_root": root,
        "data_dir": tmp_path,
        "finder": "published",
        "device": "cpu",
        "sampling_timesteps": 2,
    }
    argv = [part for name, value in told.items() for part in (f"--{name}", str(value))]
    assert main(["render", *argv, "--online"]) == 0, capsys.readouterr().err
    with av.open(str(tmp_path / "film.webm")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 6
    assert len(list((tmp_path / "ditto_sources").glob("*.npz"))) == 1
    assert main(["render", *argv[:-2], "--finder", "free"]) == 2
    assert "checkpoints.fetch face" in capsys.readouterr().err
