"""`python -m ditto …` for checkpoints: what a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from ditto.__main__ import main
from tests.absent import needs

needs("torch")
needs("onnx")


def test_doctor_says_what_is_wrong_and_how_to_mend_it(
    tiny_pytorch: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = ["doctor", "--cfg_pkl", str(tiny_pytorch[0]), "--data_root", str(tiny_pytorch[1])]
    assert main(good) == 0
    out = capsys.readouterr().out
    assert "ok   torch" in out and "ok   weights: whole" in out and "Everything that is needed" in out
    assert main([*good[:3], "--data-root", str(tmp_path / "no")]) == 1
    assert "FAIL checkpoint" in (out := capsys.readouterr().out) and "→ There is no directory" in out


def test_export_then_bench(tiny_pytorch: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--cfg_pkl", str(tiny_pytorch[0]), "--data_root", str(tiny_pytorch[1])]
    assert main(["export", *flags, "--out", str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"frame.onnx", "avatar.onnx"}
    capsys.readouterr()


def test_what_cannot_be_done_is_said_in_words(tiny_onnx: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--cfg_pkl", str(tiny_onnx[0]), "--data_root", str(tiny_onnx[1])]
    assert main(["build", *flags, "--out", "unused"]) == 2
    assert "tensorrt" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["paint"])
    assert stopped.value.code == 2
