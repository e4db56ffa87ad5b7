"""`python -m ditto …` for checkpoints: what a person sees."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ditto import delays
from ditto.__main__ import main
from ditto.chunking import LOW_LATENCY, Pace
from ditto.config import read_config, write_config
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


def test_doctor_reads_the_options_and_tells_bundles_apart(
    tiny_pytorch: tuple[Path, Path], tiny_onnx: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(config: Path, root: Path) -> tuple[int, str]:
        code = main(["doctor", "--quick", "--cfg_pkl", str(config), "--data_root", str(root)])
        return code, capsys.readouterr().out

    config, root = tiny_pytorch
    code, out = told(config, root)
    assert code == 0 and "files:" not in out
    read = read_config(config)
    write_config(tmp_path / "wrong.pkl", replace(read, default_kwargs={**read.default_kwargs, "crop_scale": "wide"}))
    code, out = told(tmp_path / "wrong.pkl", root)
    assert code == 1 and "FAIL checkpoint" in out
    assert re.search(
        r"→ .*wrong\.pkl cannot be used: crop_scale of the configuration is 'wide'; it is a number", out
    ), out
    code, out = told(tiny_onnx[0], root)
    assert code == 0
    assert re.search(rf"- +files: not those .*\n +→ .*{tiny_onnx[0].name} is of the onnx bundle: .*Name a conf", out), (
        out
    )
    decoder = {**read.base_cfg, "decoder_cfg": {"model_path": "models/mine.pth"}}
    write_config(tmp_path / "mine.pkl", replace(read, base_cfg=decoder))
    code, out = told(tmp_path / "mine.pkl", root)
    assert code == 1 and "names models/mine.pth for decoder, and there is no such file" in out


@pytest.mark.timeout(400)
def test_export_then_bench(
    tiny_pytorch: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--cfg_pkl", str(tiny_pytorch[0]), "--data_root", str(tiny_pytorch[1])]
    assert main(["export", *flags, "--out", str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"frame.onnx", "avatar.onnx"}
    capsys.readouterr()
    # Two rows of the table: all of them take a minute.
    monkeypatch.setattr(delays, "settings", lambda: [(Pace(), 2), (LOW_LATENCY, 2)])
    quick = ["--seconds", "0", "--batches", "1,2", "--sessions", "2", "--hold", "0.4", "--device", "cpu"]
    assert main(["bench", *flags, *quick]) == 0
    out = capsys.readouterr().out
    assert "a clip of 10 steps: 71.7 GFLOP" in out
    assert re.search(r"\| \(3,5,2\) \| 5 \| fused \| 2 \| 485 \| 325 \| 405 \| 485 \| 5\.0 \| \d+ \|", out)
    assert re.search(r"\| \(2,3,2\) \| 3 \| fused \| 2 \| 325 ", out)
    assert re.search(r"torch cpu float32\n.*\n +1 +\d+\.\d\d +\d+\.\d\d\n +2 +\d", out)
    assert re.search(r"as published.*: \d+\.\d\d ms per frame", out)
    assert len(re.findall(r"first frame after 0\.5 s of sound in hand, \(.,.,.\), 10 steps: \d+ ms", out)) == 2
    assert "2 sessions for 0.4 s: 20 pictures (10 to 10 a session)" in out


def test_the_whole_table_has_a_row_for_each_setting() -> None:
    rows = [(pace.chunks, pace.new, pace.early, steps) for pace, steps in delays.settings()]
    assert len(rows) == len(set(rows)) and {steps for *_, steps in rows} == {5, 10, 20, 50}
    assert {pace.new for pace, _ in delays.settings()} >= {1, 3, 5, 10}


def test_what_a_speech_needs_before_its_first_picture() -> None:
    assert Pace().delay_ms(0) == 485 and LOW_LATENCY.delay_ms(0) == 325


def test_bench_without_a_checkpoint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delays, "settings", lambda: [(Pace(), 2)])
    assert main(["bench", "--width", "tiny", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "made-up, tiny network" in out and "| (3,5,2) | 5 | fused | 2 |" in out and "--cfg_pkl FILE" in out
    for wrong in (["--sessions", "2"], ["--data_root", "."]):
        assert main(["bench", "--device", "cpu", *wrong]) == 2
        assert "both of --cfg_pkl" in capsys.readouterr().err
    assert main(["bench", "--device", "banana"]) == 2 and "no device" in capsys.readouterr().err
    for batches in ("a", "0,1", ""):
        with pytest.raises(SystemExit):
            main(["bench", "--batches", batches])


def test_what_cannot_be_done_is_said_in_words(tiny_onnx: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--cfg_pkl", str(tiny_onnx[0]), "--data_root", str(tiny_onnx[1])]
    assert main(["build", *flags, "--out", "unused"]) == 2
    assert "tensorrt" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["paint"])
    assert stopped.value.code == 2
