"""What `make` does before anything else runs: tools/setup.py, and the table of benchmarks."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import Bar, Figure, at_least, at_most, between, equals
from benchmarks.__main__ import Row, judge, main, names, table
from tests.absent import absent
from tools import setup


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.venv` that looks whole."""
    root = tmp_path / ".venv"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python").symlink_to(sys.executable)
    (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\n")
    monkeypatch.setattr(setup, "VENV", root)
    monkeypatch.setattr(setup, "PYTHON", root / "bin" / "python")
    monkeypatch.setattr(setup, "STAMP", root / "setup.json")
    monkeypatch.setattr(setup, "LOG", root / "setup.log")
    return root


def test_an_old_python_can_read_the_setup_and_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(setup.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit) as stopped:
        setup.check_python()
    assert stopped.value.code == 1
    assert "3.11 or newer" in capsys.readouterr().err


def test_what_was_done_is_remembered_until_the_venv_is_another(venv: Path) -> None:
    stamp = setup.read_stamp()
    assert stamp["locks"] == {}
    stamp["locks"]["requirements.txt"] = "abc"
    setup.write_stamp(stamp)
    assert setup.read_stamp()["locks"] == {"requirements.txt": "abc"}

    (venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.0\n")
    assert setup.read_stamp()["locks"] == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made_of": "elsewhere"}'])
def test_a_damaged_stamp_is_no_stamp(venv: Path, text: str) -> None:
    (venv / "setup.json").write_text(text)
    assert setup.read_stamp() == setup.new_stamp()


def test_a_venv_whose_python_is_gone_is_no_venv(venv: Path) -> None:
    setup.write_stamp(setup.read_stamp() | {"locks": {"requirements.txt": "abc"}})
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python3")
    assert setup.read_stamp()["locks"] == {}


@pytest.mark.parametrize(
    ("asked", "language", "installed", "extras"),
    [
        (None, "en_US.UTF-8", [], []),
        (None, "ja_JP.UTF-8", [], ["ja"]),
        (None, "C", ["requirements-llm.txt"], ["llm"]),
        (None, "ja_JP.UTF-8", ["requirements-ja.txt"], ["ja"]),
        ("none", "ja_JP.UTF-8", [], []),
        ("llm, piper", "C", [], ["llm", "piper"]),
        ("ja llm", "C", [], ["ja", "llm"]),
    ],
)
def test_which_extras_are_installed(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, language: str, installed: list[str], extras: list[str]
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", language)
    stamp: dict[str, Any] = setup.new_stamp() | {"locks": dict.fromkeys(installed, "x")}
    assert setup.wanted_extras(asked, stamp) == extras


def test_an_extra_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        setup.wanted_extras("cuda", setup.new_stamp())
    assert "ja, llm, piper, rtx" in capsys.readouterr().err


def test_every_lock_that_setup_names_is_there() -> None:
    for target in ("run", "test"):
        for name in setup.lock_files(target, list(setup.EXTRAS)):
            assert (setup.ROOT / name).is_file()


def test_pip_is_kept_inside_the_venv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    environment = setup.clean_environment()
    assert "PIP_USER" not in environment and "PYTHONPATH" not in environment
    assert environment["PIP_INDEX_URL"] == "https://mirror.example/simple"


def test_a_tools_words_go_to_the_log_and_its_end_can_be_shown(venv: Path) -> None:
    log = setup.Log()
    assert log.run([sys.executable, "-c", "print('line one'); print('line two'); raise SystemExit(3)"], cwd=venv) == 3
    assert log.tail(1).strip() == "line two"


def test_torch_is_the_one_package_outside_the_locks() -> None:
    """Its version is the one that the GPU lock has, and all that it needs is hashed in the locks of the tests."""
    name, version = setup.TORCH.split("==")
    assert name == "torch"
    assert f"\ntorch=={version} " in (setup.ROOT / "requirements-ditto.txt").read_text(encoding="utf-8")
    locked = "".join((setup.ROOT / lock).read_text(encoding="utf-8") for lock in setup.lock_files("test", []))
    assert "\ntorch==" not in locked
    try:
        needs = importlib.metadata.requires("torch") or []
    except importlib.metadata.PackageNotFoundError:
        absent("torch is not installed")
    names = [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
    missing = [
        n for n in names if not re.search(rf"(?mi)^{n}==", locked) and not n.startswith(("nvidia", "cuda", "triton"))
    ]
    assert missing == []


@pytest.mark.parametrize(("works", "remembered"), [(True, True), (False, False)])
def test_torch_counts_only_when_it_can_be_imported(
    venv: Path, monkeypatch: pytest.MonkeyPatch, works: bool, remembered: bool
) -> None:
    ran: list[list[str]] = []

    def run(_log: setup.Log, command: list[str], *_: Any, **options: Any) -> int:
        ran.append(command)
        if "pip" in command:
            assert options["env"]["PIP_EXTRA_INDEX_URL"].endswith(setup.TORCH_INDEX)
            return 0
        return 0 if works and len(ran) > 1 else 1

    monkeypatch.setattr(setup.Log, "run", run)
    stamp = setup.new_stamp()
    setup.install_torch(stamp, setup.Log())
    assert [("pip" in command) for command in ran] == [False, True, False]
    assert ran[1][-1] == setup.TORCH and "--no-deps" in ran[1]
    assert (stamp.get("torch") == setup.TORCH) == remembered
    monkeypatch.delenv("CI", raising=False)
    ran.clear()
    setup.install_torch(stamp, setup.Log())
    assert not any("pip" in command for command in ran), "not asked for again at once"


# ---- the table of benchmarks ----------------------------------------------------------------------------------------


def test_bars_judge_figures() -> None:
    bars: dict[str, Bar] = {
        "a_ms": at_most(5),
        "b": at_least(2),
        "c": between(1, 2),
        "d": equals("vp9"),
        "gone": at_most(1),
    }
    figures = {"a_ms": 5, "b": 1.9, "c": 1.5, "d": "vp8", "free": 7, "own": Figure(3, at_most(2)), "text": Figure("x")}
    rows = {row.name: row.verdict for row in judge("bench", figures, bars)}
    assert rows == {
        "a_ms": "pass",
        "b": "fail",
        "c": "pass",
        "d": "fail",
        "free": "",
        "own": "fail",
        "text": "",
        "gone": "fail",
    }


def test_the_table_lines_up() -> None:
    lines = table([Row("codec", "psnr_gain_db", 2.31, "≥ 2", "pass"), Row("x", "y", None, "", "")]).splitlines()
    assert lines[0].split() == ["benchmark", "figure", "value", "bar"]
    assert lines[2].split() == ["codec", "psnr_gain_db", "2.31", "≥", "2", "pass"]
    assert lines[0].index("figure") == lines[2].index("psnr") == lines[3].index("y")


def test_an_unknown_benchmark_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["no_such_benchmark"])
    assert stopped.value.code == 2


def test_a_benchmark_runs_in_a_process_of_its_own_and_leaves_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "mind" in names()
    assert main(["mind", "--json", str(tmp_path / "out.json")]) in (0, 1)  # the figures are the machine's affair
    report = json.loads((tmp_path / "out.json").read_text())
    assert {row["name"] for row in report["rows"]} >= {"first_token_p50_ms", "cancel_to_idle_ms"}
    assert "first_token_p50_ms" in capsys.readouterr().out
