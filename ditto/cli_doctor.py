"""`python -m ditto doctor [--cfg_pkl … --data_root …]`: what is there, what is wrong, and how to mend it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DittoError

MEMORY_GB = 6.0
"""Of the GPU: weights 0.4, activations of a batch of 16 about 4, avatars 0.02 each; with some air."""
DISK_GB = 4.0
"""The published checkpoint, and engines built from it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    found: str
    mend: str = ""
    """What to do where it is not good."""
    needed: bool = True
    """Without it nothing runs; else only something does not."""

    def line(self) -> str:
        mark = "ok  " if self.good else "FAIL" if self.needed else "-   "
        return f"{mark} {self.what}: {self.found}" + (f"\n       → {self.mend}" if not self.good and self.mend else "")


def arguments(parser: argparse.ArgumentParser) -> None:
    from .cli_export import checkpoint_arguments

    checkpoint_arguments(parser, required=False)
    parser.add_argument("--engines", type=Path, metavar="DIR", help="where `build` wrote")
    parser.add_argument("--quick", action="store_true", help="does not read the weights through")


def run(args: argparse.Namespace) -> int:
    bad = 0
    for finding in examine(args):
        sys.stdout.write(finding.line() + "\n")
        bad += finding.needed and not finding.good
    sys.stdout.write("Everything that is needed is there.\n" if not bad else f"{bad} to mend.\n")
    return 1 if bad else 0


def examine(args: argparse.Namespace) -> Iterator[Finding]:
    yield from libraries()
    yield from gpu()
    free = shutil.disk_usage(args.data_root if args.data_root and args.data_root.exists() else Path.cwd()).free / 1e9
    yield Finding(
        "disk", free > DISK_GB, f"{free:.0f} GB free", f"free {DISK_GB:.0f} GB for weights and engines", False
    )
    if args.cfg_pkl and args.data_root:
        yield from checkpoint(args.cfg_pkl, args.data_root, args.quick)
    else:
        yield Finding("checkpoint", False, "none named", "name it: --cfg_pkl FILE --data_root DIR", False)
    if args.engines:
        yield from engines(args.engines)


def libraries() -> Iterator[Finding]:
    from .backends.tensorrt import imported

    for name, needed, mend in (
        ("torch", True, "pip install -r requirements-ditto.txt"),
        ("onnxruntime", True, "pip install -r requirements.txt"),
        ("onnx", False, "pip install onnx; only export and build need it"),
        ("transformers", False, "pip install -r requirements-ditto.txt; only HuBERT folders need it"),
        ("tensorrt", False, "pip install -r requirements-ditto.txt; only its engines need it"),
        ("tensorrt_rtx", False, "pip install tensorrt-rtx; only its engines need it"),
    ):
        try:
            module = imported(name)
            yield Finding(name, True, str(getattr(module, "__version__", "there")))
        except Exception as error:  # a GPU library without its driver fails in its own ways
            yield Finding(name, False, f"not usable ({str(error).splitlines()[0][:80]})", mend, needed)


def gpu() -> Iterator[Finding]:
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        driver = Path("/proc/driver/nvidia/version")
        if driver.exists():
            built = torch.version.cuda or "no CUDA at all"
            mend = f"torch is built for {built}; update the driver, or install torch for the one that is there"
        else:
            mend = "without an NVIDIA driver the networks run on the CPU: far below 25 pictures a second"
        yield Finding("GPU", False, "none that torch can use", mend, False)
        return
    for i in range(torch.cuda.device_count()):
        free, whole = (value / 1e9 for value in torch.cuda.mem_get_info(i))
        major, minor = torch.cuda.get_device_capability(i)
        name = f"GPU {i}"
        yield Finding(name, True, f"{torch.cuda.get_device_name(i)}, compute capability {major}.{minor}")
        known = f"sm_{major}{minor}" in torch.cuda.get_arch_list() or major < 12
        yield Finding(
            f"{name} kernels", known, f"sm_{major}{minor}", "this torch is older than the GPU: install a newer one"
        )
        enough = free > MEMORY_GB
        mend = f"about {MEMORY_GB:.0f} GB are needed: stop what else uses the GPU, or use smaller batches"
        yield Finding(f"{name} memory", enough, f"{free:.1f} of {whole:.1f} GB free", mend)


def checkpoint(cfg_pkl: Path, data_root: Path, quick: bool) -> Iterator[Finding]:
    from .checkpoints import open_checkpoint
    from .layout import AUXILIARY, files_of

    try:
        opened = open_checkpoint(cfg_pkl, data_root)
    except DittoError as error:
        yield Finding("checkpoint", False, "cannot be used", str(error))
        return
    mode = "online" if opened.config.online else "offline; speech is still streamed, with this file's other options"
    yield Finding("configuration", True, f"{cfg_pkl.name}, {mode}")
    yield Finding("checkpoint", True, f"{data_root}, {opened.layout.kind} bundle, {opened.fingerprint}")
    for note in opened.layout.notes:
        yield Finding("files", False, "not those that the configuration names", note, False)
    usual = [name for name in AUXILIARY if name in files_of(opened.layout.kind)]
    absent = [name for name in usual if opened.file(name) is None]
    if absent:
        mend = "faces are found by the networks of `python -m checkpoints.fetch` instead"
        yield Finding("auxiliary networks", False, f"without {', '.join(absent)}", mend, False)
    if not quick:
        try:
            opened.check()
            yield Finding("weights", True, "whole, of one checkpoint, as this version expects them")
        except DittoError as error:
            yield Finding("weights", False, "cannot be used", str(error))


def engines(directory: Path) -> Iterator[Finding]:
    from .backends import tensorrt
    from .layout import build_command

    found = sorted(directory.glob("frame.*.engine"))
    if not found:
        yield Finding("engines", False, f"none in {directory}", build_command(directory), False)
    for engine in found:
        name = engine.name.split(".")[1]
        try:
            tensorrt.fitting(engine, directory / "frame.onnx", name=name)
            yield Finding("engine", True, f"{engine.name}, {os.path.getsize(engine) >> 20} MB")
        except (DittoError, OSError) as error:
            yield Finding("engine", False, engine.name, str(error), False)
