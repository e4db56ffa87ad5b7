"""Makes `.venv` ready: `python3 tools/setup.py run|test [--extras ja,llm,piper] [--no-browser]`.

Called by `make`. Only the standard library, and readable by any Python 3.7+, so that an older one gets a sentence
instead of a syntax error. What is installed is remembered in a stamp inside `.venv`: when the lock files have not
changed since, nothing is looked at and nothing is asked of the network.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "setup.json"
LOG = VENV / "setup.log"

OLDEST = (3, 11)
EXTRAS = ("ja", "llm", "piper", "rtx")
FETCH_AGAIN_S = 24 * 3600
"""After a failed fetch the next tries wait this long: an offline machine should not pay for it at every start."""
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
"""The tests look for the same names, after the environment's CHROMIUM."""
TEST_PACKAGES = {"chromium": "chromium", "npm": "npm", "flite": "flite", "turnserver": "coturn"}
"""Program → Debian package that has it."""
TORCH = "torch==2.13.0"
"""For the tests of the neural face, without CUDA: 0.2 GB instead of 3. The one package that no lock can hold: the build
without CUDA is published on PyTorch's own index and not on PyPI, mirrors carry either under the same number, and each
platform's file has another hash. So its version is pinned here, it is taken alone (what it needs is in the test lock,
hashed), and it counts as installed only when it can be imported."""
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
LIBRARIES = {"libgomp.so.1": ("libgomp1", "llama.cpp"), "libatomic.so.1": ("libatomic1", "Playwright")}
"""Shared library → Debian package that has it, and whose wheel expects it. The smallest Debians lack them."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def stop(text: str) -> NoReturn:
    say("\n" + text)
    sys.exit(1)


class Log:
    """Everything that the tools print goes here; a person sees words."""

    def __init__(self) -> None:
        VENV.mkdir(exist_ok=True)
        self.file = LOG.open("a", encoding="utf-8")
        self.file.write(time.strftime("\n=== %Y-%m-%d %H:%M:%S ") + " ".join(sys.argv) + "\n")

    def run(self, command: list[str], progress: Progress | None = None, **options: Any) -> int:
        self.file.write("$ " + " ".join(command) + "\n")
        self.file.flush()
        options.setdefault("cwd", ROOT)
        options.setdefault("env", clean_environment())
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", **options
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                self.file.write(line)
                if progress:
                    progress.line(line)
        if progress:
            progress.end()
        self.file.flush()
        return process.returncode

    def tail(self, lines: int = 8) -> str:
        self.file.flush()
        text = LOG.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-lines:]
        return "\n".join("    " + line[:200] for line in text)


class Progress:
    """Counts the packages that pip has taken up, on one line of a terminal; a log file gets nothing."""

    def __init__(self, total: int) -> None:
        self.total, self.seen = total, 0
        self.shown = sys.stderr.isatty()

    def line(self, line: str) -> None:
        match = re.match(r"Collecting ([\w.-]+)", line)
        if match:
            self.seen += 1
            self.show(f"{min(self.seen, self.total)} of {self.total}: {match[1]}")
        elif line.startswith("Installing collected"):
            self.show("unpacking")

    def show(self, text: str) -> None:
        if self.shown:
            sys.stderr.write(f"\r\033[K  {text}")
            sys.stderr.flush()

    def end(self) -> None:
        if self.shown:
            sys.stderr.write("\r\033[K")


def clean_environment() -> dict[str, str]:
    """The environment without what would send pip somewhere else than into `.venv`."""
    dropped = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")
    return {k: v for k, v in os.environ.items() if k not in dropped}


def check_python() -> None:
    if sys.version_info < OLDEST:
        stop(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed and this is {platform.python_version()}. "
            "Install one and name it: make run PYTHON=python3.11"
        )


# ---- what the system brings -----------------------------------------------------------------------------------------


def administrator() -> list[str] | None:
    """What to put before a command that needs root; None when root cannot be had without asking for a password."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False, **quiet).returncode == 0:  # type: ignore[call-overload]
        return ["sudo", "-n"]
    return None


def apt_install(packages: list[str], log: Log) -> bool:
    """Installs Debian packages where that is possible without a question."""
    root = administrator()
    if root is None:
        return False
    say(f"Installing {', '.join(packages)} with apt …")
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    install = [*apt, "install", "--no-install-recommends", *packages]
    # The package lists are brought up to date only when they are needed: that takes longer than the installation.
    return log.run(install) == 0 or (log.run([*apt, "update"]) == 0 and log.run(install) == 0)


def make_venv(log: Log) -> None:
    """Creates `.venv`, or keeps one that works."""
    if PYTHON.exists():
        probe = [str(PYTHON), "-c", f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"]
        if log.run(probe) == 0:
            return
        say("The .venv that is there does not work with this Python any more; making a new one.")
        for entry in VENV.iterdir():
            if entry == LOG:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    check_python()
    say(f"Making .venv with Python {platform.python_version()} …")
    create = [sys.executable, "-m", "venv", str(VENV)]
    if log.run(create) == 0:
        return
    # Debian keeps venv's other half in a package of its own.
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if apt_install([package], log) and log.run(create) == 0:
        return
    stop(
        f"Python cannot make a virtual environment; its {package} package may be missing:\n"
        f"    sudo apt install {package}\nWhat it said ({LOG}):\n{log.tail()}"
    )


# ---- Python packages ------------------------------------------------------------------------------------------------


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock_files(target: str, extras: list[str]) -> list[str]:
    files = ["requirements.txt", *(f"requirements-{extra}.txt" for extra in extras)]
    return [*files, "requirements-test.txt"] if target == "test" else files


def read_stamp() -> dict[str, Any]:
    """What has been done to this very `.venv`."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return new_stamp()
    good = isinstance(stamp, dict) and stamp.get("made_of") == made_of() and PYTHON.exists()
    return stamp if good else new_stamp()


def made_of() -> str:
    """Which Python `.venv` is made of, and where: one that was moved does not work."""
    try:
        return f"{VENV}\n{(VENV / 'pyvenv.cfg').read_text(encoding='utf-8')}"
    except OSError:
        return ""


def new_stamp() -> dict[str, Any]:
    return {"made_of": "", "locks": {}, "fetched": "", "fetch_failed": 0.0}


def write_stamp(stamp: dict[str, Any]) -> None:
    stamp["made_of"] = made_of()
    scratch = STAMP.with_suffix(".tmp")
    scratch.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    scratch.replace(STAMP)


def install(name: str, log: Log) -> None:
    """Installs one lock file: exactly what it names, checked by hash, wheels only."""
    total = len(re.findall(r"(?m)^[A-Za-z0-9].*==", (ROOT / name).read_text(encoding="utf-8")))
    say(f"Installing {total} packages ({name}) …")
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    # A lock file is complete, so there is nothing to resolve.
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", name]
    began = time.monotonic()
    if log.run(command, Progress(total)):
        text = log.tail(40)
        hint = "Is this machine online?" if re.search(r"connection|resol|timed out|Retrying", text, re.I) else ""
        if "No space left" in text:
            hint = "The disk is full: about 2 GB are needed."
        stop(f"pip could not install {name}. {hint}\nWhat it said ({LOG}):\n{log.tail()}")
    say(f"  done in {time.monotonic() - began:.0f} s")


def install_torch(stamp: dict[str, Any], log: Log) -> None:
    """Brings torch for the tests. They say themselves what they miss without it."""
    probe = [str(PYTHON), "-c", f"import torch; assert torch.__version__.split('+')[0] == '{TORCH.split('==')[1]}'"]
    if stamp.get("torch") == TORCH or log.run(probe) == 0:
        stamp["torch"] = TORCH
        write_stamp(stamp)
        return
    if "CI" not in os.environ and time.time() - float(stamp.get("torch_failed", 0.0)) < FETCH_AGAIN_S:
        return
    say("Installing PyTorch without CUDA, for the tests of the neural face …")
    environment = clean_environment()
    # Beside the index that is configured: a build with "+cpu" goes before one without, wherever both are found.
    environment["PIP_EXTRA_INDEX_URL"] = f"{environment.get('PIP_EXTRA_INDEX_URL', '')} {TORCH_INDEX}".strip()
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=20", TORCH]
    if log.run(command, env=environment) == 0 and log.run(probe) == 0:
        stamp["torch"] = TORCH
    else:
        stamp["torch_failed"] = time.time()
        say(f"  not now ({LOG} says why); tests of the neural face are skipped without it")
    write_stamp(stamp)


def fetch_models(stamp: dict[str, Any], log: Log) -> None:
    """Brings the small models that lie elsewhere. The server runs without them too, so a failure is only told."""
    script = ROOT / "checkpoints" / "fetch.py"
    if not script.exists() or stamp["fetched"] == digest(script):
        return
    if time.time() - float(stamp["fetch_failed"]) < FETCH_AGAIN_S:
        return
    say("Fetching models for portraits of your own …")
    if log.run([str(PYTHON), "-m", "checkpoints.fetch"]) == 0:
        stamp["fetched"] = digest(script)
    else:
        stamp["fetch_failed"] = time.time()
        say(f"  not now ({LOG} says why); later: .venv/bin/python -m checkpoints.fetch")
    write_stamp(stamp)


# ---- what only the tests need ---------------------------------------------------------------------------------------


def has(program: str) -> bool:
    if program == "chromium":
        named = os.environ.get("CHROMIUM")
        return bool(named and shutil.which(named)) or any(map(shutil.which, CHROMIUM_NAMES))
    return shutil.which(program) is not None


def libraries(log: Log) -> None:
    missing = [name for name in LIBRARIES if not loads(name)]
    if missing and not apt_install([LIBRARIES[name][0] for name in missing], log):
        for package, whose in map(LIBRARIES.__getitem__, missing):
            say(f"{whose} may not start without {package}: sudo apt install {package}")


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def test_programs(browser: bool, log: Log) -> None:
    scripts = sorted(ROOT.glob("tests/*/package-lock.json")) if browser else []
    # Debian starts a relay that is installed: nothing to do to a person's machine for one test.
    needed = {"chromium": browser, "npm": bool(scripts), "flite": True, "turnserver": "CI" in os.environ}
    missing = [name for name in TEST_PACKAGES if needed[name] and not has(name)]
    if missing:
        apt_install([TEST_PACKAGES[name] for name in missing], log)
        missing = [name for name in missing if not has(name)]
    packages = " ".join(TEST_PACKAGES[name] for name in missing)
    if "chromium" in missing:
        stop(
            f"The tests drive a real browser and there is none here: sudo apt install {packages}\n"
            "or name one: CHROMIUM=/path/to/chrome make test\n"
            "or leave out what needs one: make test ARGS=\"-m 'not browser'\""
        )
    if missing:
        say(f"Without {', '.join(missing)} some tests are skipped: sudo apt install {packages}")
    if has("npm"):
        for lock in scripts:
            npm_install(lock, log)


def npm_install(lock: Path, log: Log) -> None:
    """Exactly what the lock file names, checked by hash, no scripts run."""
    stamp = lock.parent / "node_modules" / ".lock"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest(lock):
        return
    say(f"Installing {lock.parent.relative_to(ROOT)}'s JavaScript packages …")
    if log.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=lock.parent):
        stop(f"npm could not install what {lock.relative_to(ROOT)} names. What it said ({LOG}):\n{log.tail()}")
    stamp.write_text(digest(lock), encoding="utf-8")


# ---- the whole ------------------------------------------------------------------------------------------------------


def wanted_extras(text: str | None, stamp: dict[str, Any]) -> list[str]:
    """The extras asked for. Nothing said: those that are there, and the Japanese voice where people speak Japanese."""
    if text is not None:
        extras = [e for e in re.split(r"[,\s]+", text) if e and e != "none"]
        wrong = [e for e in extras if e not in EXTRAS]
        if wrong:
            stop(f"There is no extra named {wrong[0]}; there are {', '.join(EXTRAS)}.")
        return extras
    extras = [e for e in EXTRAS if f"requirements-{e}.txt" in stamp["locks"]]
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    if locale.startswith("ja") and "ja" not in extras:
        say("Your locale is Japanese, so the Japanese voice is installed too (EXTRAS=none leaves it out).")
        extras.append("ja")
    return extras


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/setup.py", description="Makes .venv ready.")
    parser.add_argument("target", choices=["run", "test"])
    parser.add_argument("--extras", default=None, help=f"of {', '.join(EXTRAS)}, or none")
    parser.add_argument("--no-browser", action="store_true", help="the tests to come need no browser")
    args = parser.parse_args()
    stamp = read_stamp()
    extras = wanted_extras(args.extras, stamp)
    todo = [n for n in lock_files(args.target, extras) if stamp["locks"].get(n) != digest(ROOT / n)]
    log = Log()
    if todo:
        make_venv(log)
        for name in todo:
            install(name, log)
            stamp["locks"][name] = digest(ROOT / name)
            write_stamp(stamp)
    if platform.system() == "Linux" and {"requirements-llm.txt", "requirements-test.txt"} & set(todo):
        libraries(log)
    fetch_models(stamp, log)
    if args.target == "test":
        install_torch(stamp, log)
        test_programs(not args.no_browser, log)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        stop("Stopped. The next make goes on from here.")
