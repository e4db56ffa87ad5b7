"""Makes the weights of the puppet's mouth again: `make train`, or `python3 tools/train.py [--small] [--out FILE]`.

Only the standard library. The engines that speak the corpus come from Debian (puppet/training/apt.txt); Python's
packages go into an environment of their own, `.venv-train`, from requirements-train.txt, each checked by its hash. What
is made on the way lies in `.train/`. One thread, fixed seeds and one set of instructions: the same versions of
everything give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-train"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "lock.sha256"
LOCK = ROOT / "requirements-train.txt"
PACKAGES = ROOT / "puppet" / "training" / "apt.txt"
SCRATCH = ROOT / ".train"
WEIGHTS = ROOT / "puppet" / "assets" / "mouth.npz"
OLDEST = (3, 11)
ENGINES = (("festival", "festival_held", "flite", "espeak_held"), ("open_jtalk", "formant", "espeak"))
"""Two processes speak, about as long as each other; what an engine says does not depend on the others."""
SEEDS = ("1", "2")
"""Of the members, each trained by a process of its own."""
SMALL = ("--share", "0.02"), ("--epochs", "1")
"""Of the corpus and of the training, with `--small`: minutes, to see that everything works and comes out the same."""
PINNED = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Wider registers add in another order: what x86 processors have had since 2015 is used on all of them.
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def stop(text: str) -> NoReturn:
    say(text)
    sys.exit(1)


def missing() -> list[str]:
    """Debian's packages that the corpus needs and that are not installed; all of them where there is no dpkg to ask."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    if not shutil.which("dpkg-query"):
        return names
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Status}\\n", *names]
    asked = subprocess.run(query, capture_output=True, text=True, check=False)
    there = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith("install ok installed")}
    return [name for name in names if name not in there]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment() -> None:
    """Makes `.venv-train`, unless it is there and of the same lock."""
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == digest(LOCK):
        return
    say("Making .venv-train: torch and what it brings are about 6 GB …")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    pip += ["--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(LOCK)]
    subprocess.run(pip, check=True)
    STAMP.write_text(digest(LOCK), encoding="utf-8")


def run(module: str, *args: str | Path) -> None:
    command = [str(PYTHON), "-m", f"puppet.training.{module}", *map(str, args)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **PINNED}, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make train", description="Trains the puppet's mouth anew.")
    parser.add_argument("--out", type=Path, default=None, help="the weights; default: puppet/assets/mouth.npz")
    parser.add_argument(
        "--small", action="store_true", help="2 %% of the corpus and one epoch, to .train/small.npz: only for trying"
    )
    parser.add_argument("--keep-corpus", action="store_true", help="train on what was spoken the last time")
    args = parser.parse_args()
    if sys.version_info < OLDEST:
        stop("Python 3.11 or newer is needed: make train PYTHON=python3.11")
    if lacking := missing():
        stop(f"The corpus is spoken by engines that are not here:\n    sudo apt install {' '.join(lacking)}")
    share, epochs = SMALL if args.small else ((), ())
    corpus = SCRATCH / ("small" if args.small else "corpus")
    out: Path = (args.out or (SCRATCH / "small.npz" if args.small else WEIGHTS)).resolve()
    environment()
    before = digest(out) if out.exists() else ""
    if not args.keep_corpus:
        say("Speaking the corpus …")
        with ThreadPoolExecutor(len(ENGINES)) as pool:
            list(pool.map(lambda names: run("corpus", corpus, *names, *share), ENGINES))
    say("Training …")
    members = [corpus.with_name(f"{corpus.name}-{seed}.npz") for seed in SEEDS]
    with ThreadPoolExecutor(len(SEEDS)) as pool:
        list(pool.map(lambda m, seed: run("train", corpus, m, "--seed", seed, *epochs), members, SEEDS))
    run("train", corpus, out, "--join", *members)
    say(f"{out}: sha256 {digest(out)}, {'as before' if digest(out) == before else 'new'}")
    if out == WEIGHTS:
        run("report", corpus)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        stop(f"{Path(error.cmd[0]).name} {' '.join(map(str, error.cmd[1:4]))} … failed; what it said stands above.")
    except KeyboardInterrupt:
        stop("Stopped.")
