"""From a checkpoint's files to a film, with every network of it."""

from __future__ import annotations

import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.absent import needs

needs("torch")
needs("onnx")

from ditto.__main__ import main
from ditto.backends.choice import automatic
from ditto.layout import Kind
from ditto.testweights import write

from .stubs import voice
from .tiny import portrait

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from ditto.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., list[str]]:
    """The command that makes a film of six pictures, `film.webm`, with a checkpoint."""
    cv2.imwrite(str(tmp_path / "face.png"), portrait())
    with wave.open(str(tmp_path / "voice.wav"), "wb") as out:
        out.setnchannels(1)
        out.setframerate(16_000)
        out.setsampwidth(2)
        out.writeframes((voice(3_300) * 20000).astype(np.int16).tobytes())

    def words(checkpoint: tuple[Path, Path], finder: str = "published") -> list[str]:
        config, root = checkpoint
        told = {
            "source_path": tmp_path / "face.png",
            "audio_path": tmp_path / "voice.wav",
            "output_path": tmp_path / "film.webm",
            "cfg_pkl": config,
            "data_root": root,
            "data_dir": tmp_path,
            "device": "cpu",
            "sampling_timesteps": 2,
            "finder": finder,
        }
        return ["render", *(part for name, value in told.items() for part in (f"--{name}", str(value)))]

    return words


def pictures(film: Path) -> int:
    with av.open(str(film)) as made:
        return sum(1 for _ in made.decode(video=0))


@pytest.mark.timeout(400)
def test_a_checkpoint_and_a_portrait_become_a_film(
    order: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write(tmp_path, Kind.PYTORCH, "tiny", lambda line: None)
    assert main([*order(checkpoint), "--online"]) == 0, capsys.readouterr().err
    assert pictures(tmp_path / "film.webm") == 6
    assert len(list((tmp_path / "ditto_sources").glob("*.npz"))) == 1
    assert main([*order(checkpoint, "free"), "--online"]) == 2
    assert "checkpoints.fetch face" in capsys.readouterr().err


@pytest.mark.timeout(400)
def test_the_onnx_bundle_needs_no_torch(order: Callable[..., list[str]], tmp_path: Path) -> None:
    checkpoint = write(tmp_path, Kind.ONNX, "tiny", lambda line: None)
    command = [sys.executable, "-c", WITHOUT_TORCH, *order(checkpoint), "--online"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pictures(tmp_path / "film.webm") == 6


def test_the_quickest_backend_that_there_are_files_for(tmp_path: Path) -> None:
    assert automatic(Kind.ONNX, "cuda", None) == "onnxruntime"
    assert automatic(Kind.PYTORCH, "cpu", None) == "torch"
    assert automatic(Kind.PYTORCH, "cuda", None) == "torch-graph"
    assert automatic(Kind.PYTORCH, "cuda", tmp_path) == "onnxruntime"
    (tmp_path / "frame.tensorrt_rtx.engine").touch()
    assert automatic(Kind.PYTORCH, "cuda:1", tmp_path) == "tensorrt-rtx"
    (tmp_path / "frame.tensorrt.engine").touch()
    assert automatic(Kind.PYTORCH, "cuda", tmp_path) == "tensorrt"
    assert automatic(Kind.PYTORCH, "cpu", tmp_path) == "onnxruntime"
    assert automatic(Kind.ONNX, "cuda", tmp_path) == "onnxruntime"
