"""Whisper models on disk: their names, where they lie, how they are fetched.

A model is a directory as CTranslate2's converter writes it: `model.bin`, `config.json`, `tokenizer.json` and a
vocabulary. Named sizes are fetched from the Hugging Face Hub into `DATA_DIR/whisper/NAME`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from tqdm import tqdm

from ..errors import NotReady

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Size:
    """A published model."""

    repo: str
    """On the Hub."""
    megabytes: int
    """To download."""
    cost: float
    """Time per utterance on a CPU, tiny = 1: 403, 830 and 2,692 ms were measured for tiny, base and small on one core;
    the larger ones go by their parameters."""


SIZES = {
    "tiny": Size("Systran/faster-whisper-tiny", 78, 1.0),
    "base": Size("Systran/faster-whisper-base", 148, 2.1),
    "small": Size("Systran/faster-whisper-small", 486, 6.7),
    "medium": Size("Systran/faster-whisper-medium", 1530, 21.0),
    "large-v3-turbo": Size("mobiuslabsgmbh/faster-whisper-large-v3-turbo", 1620, 30.0),
    "large-v3": Size("Systran/faster-whisper-large-v3", 3090, 42.0),
    "tiny.en": Size("Systran/faster-whisper-tiny.en", 78, 1.0),
    "base.en": Size("Systran/faster-whisper-base.en", 148, 2.1),
    "small.en": Size("Systran/faster-whisper-small.en", 486, 6.7),
}
MULTILINGUAL = tuple(name for name in SIZES if not name.endswith(".en"))
"""Small to large."""

_PATTERNS = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
_PROBE_S = 2.5
"""Without a network the server must fall back at once, not after the Hub client's own retries."""
_STALL_S = 90.0
"""A download that brings nothing for this long is given up; the next start goes on from there."""
_LOOK_S = 0.5
_REPORT_S = 10.0
"""Between two log lines of a download where no terminal shows a bar."""
_FETCH = """
import sys
from huggingface_hub import snapshot_download
try:
    snapshot_download(sys.argv[1], local_dir=sys.argv[2], allow_patterns=sys.argv[3:])
except Exception as error:
    print(str(error).splitlines()[0] if str(error) else type(error).__name__)
    sys.exit(1)
"""
"""Runs in a process of its own, which can be ended at any moment: threads of the Hub's client cannot."""


def is_model(directory: Path) -> bool:
    """Whether everything that a load needs is in the directory."""
    return all((directory / name).is_file() for name in ("model.bin", "config.json", "tokenizer.json")) and any(
        directory.glob("vocabulary.*")
    )


def find(name: str, data_dir: Path) -> Path | None:
    """Where the named model lies on this machine: among our data, or in the Hub's own cache."""
    ours = data_dir / "whisper" / name
    if is_model(ours):
        return ours
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(SIZES[name].repo, "model.bin")
    if isinstance(cached, str) and is_model(Path(cached).parent):
        return Path(cached).parent
    return None


def local_names(data_dir: Path) -> list[str]:
    """The multilingual sizes that are on this machine, small to large."""
    return [name for name in MULTILINGUAL if find(name, data_dir) is not None]


async def hub_answers() -> bool:
    """Whether the Hub can be reached, decided within 2.5 s."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        async with (
            aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(total=_PROBE_S)) as http,
            http.head(constants.ENDPOINT) as response,
        ):
            return response.status < 500
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def fetch(name: str, data_dir: Path) -> Path:
    """Downloads the named model; what an earlier attempt has brought is kept. Raises `NotReady`."""
    size = SIZES[name]
    target = data_dir / "whisper" / name
    log.info("Fetching the Whisper model %s (%d MB) into %s", name, size.megabytes, target)
    environment = os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # one bar of our own says it better
    try:
        target.mkdir(parents=True, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", _FETCH, size.repo, str(target), *_PATTERNS,
            stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environment,
        )  # fmt: skip
    except OSError as error:
        raise NotReady(f"The Whisper model {name} cannot be stored in {target}: {error}.") from None
    watch = asyncio.create_task(_watch(name, size, target), name="whisper download")
    said = asyncio.create_task(process.communicate(), name="whisper download output")
    try:
        await asyncio.wait({watch, said}, return_when=asyncio.FIRST_COMPLETED)
        if not said.done():
            raise NotReady(f"The download of the Whisper model {name} brought nothing for {_STALL_S:.0f} s. Try again.")
        output = said.result()[0].decode(errors="replace").strip()
    finally:
        watch.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.gather(watch, said, return_exceptions=True)
    if process.returncode or not is_model(target):
        reason = output or "files are missing"
        raise NotReady(f"The Whisper model {name} could not be fetched from {size.repo}: {reason}.")
    return target


async def _watch(name: str, size: Size, target: Path) -> None:
    """Says how far the download is, by a bar on a terminal, else in the log; returns when it has stalled."""
    terminal = sys.stderr.isatty()
    last, last_growth = -1, time.monotonic()
    last_report = last_growth
    total = size.megabytes * 1_000_000
    with tqdm(total=total, unit="B", unit_scale=True, desc=f"Whisper {name}", disable=not terminal, leave=True) as bar:
        while True:
            await asyncio.sleep(_LOOK_S)
            now, here = time.monotonic(), await asyncio.to_thread(_bytes_in, target)
            bar.update(min(here, total) - bar.n)
            if here != last:
                last, last_growth = here, now
            elif now - last_growth > _STALL_S:
                return
            if not terminal and now - last_report > _REPORT_S:
                last_report = now
                percent = min(99, 100 * here // total)
                log.info("Whisper %s: %d of %d MB (%d %%)", name, here // 1_000_000, size.megabytes, percent)


def _bytes_in(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
