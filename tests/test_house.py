"""The habits of the house, checked: locks, licences, borders between the rooms, nothing of anybody's machine."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (
    "requirements.txt",
    *(f"requirements-{n}.txt" for n in ("ja", "llm", "piper", "test", "ditto", "train", "yardstick", "judge")),
)
VALUES = {"threads", "types", "errors", "seams", "tunables", "clock", "settings"}
"""What every room may know: the values that flow, and nothing that moves them."""
LINE = ("hear", "think", "speak", "face", "play")
LIBRARIES = ("puppet", "ditto")
LONGEST = 400
"""Lines. One module, one noun; most stay under 300."""


@cache
def tracked() -> tuple[Path, ...]:
    """The repository's files; in an unpacked archive, without git, what looks like them."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        names = [name for name in listing.stdout.decode().split("\0") if name]
    else:
        grown = re.compile(r"(^|/)(\.(?!ci/|gitignore$)[^/]*|__pycache__|node_modules|out)(/|$)|^checkpoints/[^/]+/")
        paths = (str(p.relative_to(ROOT)) for p in ROOT.rglob("*"))
        names = [name for name in paths if not grown.search(name)]
    return tuple(p for name in names if (p := ROOT / name).is_file())


def sources() -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py"]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            yield path.relative_to(ROOT), data.decode("utf-8")


def packages(lock: str) -> dict[str, list[str]]:
    """Package → its hashes, for every pinned line of a lock."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9][\w.-]*)==\S+", line):
            name = match[1].lower()
            found.setdefault(name, [])
        elif match := re.match(r"\s+--hash=(sha256:[0-9a-f]{64})\b", line):
            found[name].append(match[1])
        else:
            assert re.match(r"\s*(#|$)", line), f"{lock}: neither a pin nor a hash: {line}"
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    pins = packages(lock)
    assert pins
    assert not [name for name, hashes in pins.items() if not hashes]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_wish_is_in_its_lock(lock: str) -> None:
    wishes = "base" if lock == "requirements.txt" else lock.removeprefix("requirements-").removesuffix(".txt")
    lines = (ROOT / "requirements" / f"{wishes}.in").read_text(encoding="utf-8").splitlines()
    names = [re.split(r"[=<>\[ ;]", line)[0].lower() for line in lines if re.match(r"[A-Za-z]", line)]
    assert names
    assert set(names) <= set(packages(lock))


def test_the_default_installation_is_light() -> None:
    heavy = {"torch", "transformers", "librosa", "scipy", "numba", "tensorrt", "openai"}
    assert not heavy & set(packages("requirements.txt"))


def test_locks_agree_on_versions() -> None:
    """They are installed into one environment, one after the other; but for the judge, who has one of his own."""
    versions: dict[tuple[str, str], str] = {}
    for lock in (name for name in LOCKS if "judge" not in name):
        for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([A-Za-z0-9][\w.-]*)==([^ \\;]+)\s*(;[^\\]*)?", line):
                key = match[1].lower(), (match[3] or "").strip()
                assert versions.setdefault(key, match[2]) == match[2], f"{lock} wants another {match[1]}"


def test_the_notice_names_every_package() -> None:
    notice = set(re.findall(r"[a-z0-9][a-z0-9._-]*[a-z0-9]|[a-z0-9]", (ROOT / "NOTICE").read_text("utf-8").lower()))
    wanted = {name for lock in LOCKS if not re.search("ditto|train", lock) for name in packages(lock)}
    assert sorted(wanted - notice) == []


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


@pytest.mark.parametrize("target", ["run", "test", "check", "bench", "soak", "train"])
def test_make_has_the_promised_targets(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"(?m)^{target}:", makefile)
    done = subprocess.run(
        ["make", "--dry-run", target, "ARGS=--answer 42"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--answer 42" in done.stdout


def test_nothing_of_a_machine_is_in_the_repository() -> None:
    marks = (
        r"/(?:home|Users)/[a-z]\w*/",
        r"/root/(?!avatar\b)\w",
        r"(?<![\w./])/(?:work|opt/pypi|opt/wheels)\b",
        r"--(?:extra-)?index-url\s*[=\s]\s*\S",
        r"--find-links\s*[=\s]\s*\S",
        r"\b(?:AKIA[0-9A-Z]{16}|ghp_\w{30,}|hf_[A-Za-z]{30,}|sk-[A-Za-z0-9]{32,})\b",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    )
    pattern = re.compile("|".join(marks))
    own = Path(__file__).relative_to(ROOT)
    found = [f"{path}: {m[0]}" for path, text in texts() if path != own and (m := pattern.search(text))]
    assert found == []


def test_modules_stay_short() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text("utf-8").splitlines())) > LONGEST}
    assert long == {}


def imports(path: Path) -> set[str]:
    """Absolute names of the modules that a module imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} if node.module else {f"{module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", LINE)
def test_a_room_of_the_line_knows_no_other(room: str) -> None:
    """Data flows one way, and only the session sees the whole line."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        if path.is_relative_to(ROOT / "avatar" / room)
        for name in imports(path)
        if name.startswith("avatar.") and name.split(".")[1] not in {room, *VALUES}
    ]
    assert wrong == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_faces_are_libraries_of_their_own(library: str) -> None:
    ours = {"avatar", "client", "puppet", "ditto", "benchmarks", "tests", "streaming_server", "streaming_client"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        if path.is_relative_to(ROOT / library)
        for name in imports(path)
        if name.split(".")[0] in ours - {library}
    ]
    assert wrong == []


def test_the_product_needs_nothing_of_the_tests() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        if not path.is_relative_to(ROOT / "tests") and not path.is_relative_to(ROOT / "benchmarks")
        for name in imports(path)
        if name.split(".")[0] in {"tests", "benchmarks", "pytest", "hypothesis", "playwright"}
    ]
    assert wrong == []


def test_gpl_code_is_loaded_by_worker_processes_alone() -> None:
    """espeak-ng and Piper are GPL: see docs/adr/0004."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        if path.is_relative_to(ROOT / "avatar") and "worker" not in path.stem
        for name in imports(path)
        if name.split(".")[0] in {"espeakng_loader", "piper", "phonemizer"}
    ]
    assert wrong == []
