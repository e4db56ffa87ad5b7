"""Ditto's published weights from the model hub: whole folders, resumed where a connection broke, checked by hash.

The hub's own listing says which files there are, how large they are and which hash they have: SHA-256 of large files,
git's SHA-1 of small ones. Nothing here knows those hashes beforehand, and `Brought` says so.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

HUB = "https://huggingface.co"
"""Another address of the same kind is named by `HF_ENDPOINT`, as for the hub's own tools."""
REPOSITORY = "digital-avatar/ditto-talkinghead"
CONFIGURATIONS = "ditto_cfg"
LEFT_OUT = (".so", ".md", ".gitattributes", ".gitignore")
"""The plug-in of TensorRT 8 is of no use here."""
BLOCK = 1 << 20
TIMEOUT_S = 30
TRIES = 6
"""Broken connections in a row that brought nothing; each that brought something begins the count anew."""
LISTING = 4_000_000
"""Bytes of a listing at most."""


class HubError(Exception):
    """A sentence for a person: why a file could not be had."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One of the published layouts."""

    name: str
    folder: str
    what: str
    licence: str = "Apache-2.0 and MIT; insightface_det/det_10g and landmark106/2d106det non-commercial"


BUNDLES = (
    Bundle("ditto-pytorch", "ditto_pytorch", "the neural face's published weights for torch and TensorRT"),
    Bundle("ditto-onnx", "ditto_onnx", "the same for ONNX Runtime, which needs no torch"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of the hub's listing."""

    path: str
    size: int
    sha256: str = ""
    git: str = ""
    """SHA-1 of git's blob."""

    @property
    def checkable(self) -> bool:
        return bool(self.sha256 or self.git)


@dataclass
class Brought:
    """What a fetch did."""

    fetched: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """Files for which the listing has no hash: only their size was compared."""

    def lines(self) -> list[str]:
        """What a person should know of how far the files can be trusted."""
        said = [f"{len(self.fetched)} fetched, {len(self.there)} already there."]
        if self.unchecked:
            said.append(f"Not verified, the hub lists no hash: {', '.join(self.unchecked)}.")
        said.append(
            "The hashes are the hub's own: they show that nothing was lost or changed on the way, not who made the files. "
            "None is pinned in this version."
        )
        return said


def endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def _open(url: str, start: int = 0) -> Any:
    """Raises `HubError` for an answer that no second try would change, `OSError` for the rest."""
    if urllib.parse.urlsplit(url).scheme not in ("https", "http"):
        raise HubError(f"{url} is no address of a hub: HF_ENDPOINT begins with https://")
    headers = {"User-Agent": "streaming-avatar", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 or error.code >= 500 or error.code == 429:
            raise
        reason = {401: "it wants a login", 403: "it is not allowed", 404: "it is not there"}.get(error.code, "")
        raise HubError(f"{url} answered {error.code}{f': {reason}' if reason else ''}") from None


def listing(bundle: Bundle, revision: str = "main") -> list[Listed]:
    """The files of a bundle and of the configurations. Raises `HubError`."""
    url = f"{endpoint()}/api/models/{REPOSITORY}/tree/{urllib.parse.quote(revision, safe='')}?recursive=true"
    try:
        with _open(url) as answer:
            rows = json.loads(answer.read(LISTING))
        files = [row for row in rows if row.get("type") == "file"]
        found = [_listed(row) for row in files if _wanted(str(row["path"]), bundle)]
    except (OSError, http.client.HTTPException) as error:
        raise HubError(f"the hub cannot be reached ({_reason(error)}); is this machine online?") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubError(f"{endpoint()} gave no listing of {REPOSITORY}") from None
    if not any(file.path.startswith(bundle.folder + "/") for file in found):
        raise HubError(f"{REPOSITORY} lists no {bundle.folder}")
    return found


def _wanted(path: str, bundle: Bundle) -> bool:
    """Whether a listed path is one of the bundle's files, and stays where it belongs."""
    parts = PurePosixPath(path).parts
    tidy = "/".join(parts) == path and ".." not in parts and "\\" not in path and ":" not in path
    return tidy and len(parts) > 1 and parts[0] in (bundle.folder, CONFIGURATIONS) and not path.endswith(LEFT_OUT)


def _listed(row: Any) -> Listed:
    large = row.get("lfs") or {}
    if large:
        return Listed(row["path"], int(large["size"]), sha256=str(large.get("oid", "")).removeprefix("sha256:"))
    return Listed(row["path"], int(row["size"]), git=str(row.get("oid", "")))


def whole(file: Listed, path: Path) -> bool:
    """Whether what lies at `path` is the listed file, as far as the listing can tell."""
    try:
        if path.stat().st_size != file.size:
            return False
        if not file.checkable:
            return True
        digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        with path.open("rb") as data:
            while block := data.read(BLOCK):
                digest.update(block)
    except OSError:
        return False
    return digest.hexdigest() == (file.sha256 or file.git)


def fetch_bundle(
    bundle: Bundle, directory: Path, say: Callable[[str], None] = lambda _: None, revision: str = "main"
) -> Brought:
    """Brings what is missing of a bundle below `directory`. What was begun before is gone on with. Raises `HubError`."""
    done = Brought()
    missing = []
    for file in listing(bundle, revision):
        if not file.checkable:
            done.unchecked.append(file.path)
        if whole(file, directory / file.path):
            done.there.append(file.path)
        else:
            missing.append(file)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        needed = sum(file.size - _begun(directory / file.path) for file in missing)
        if needed > shutil.disk_usage(directory).free:
            raise HubError(f"{needed / 1e9:.1f} GB are needed in {directory}, and there is no room for them")
        for file in missing:
            say(f"{file.path} ({file.size / 1e6:.1f} MB)")
            _bring(file, directory / file.path, revision)
            done.fetched.append(file.path)
    except OSError as error:
        raise HubError(f"it cannot be written to {directory}: {error.strerror or error}") from None
    return done


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _begun(path: Path) -> int:
    try:
        return _part(path).stat().st_size
    except OSError:
        return 0


def _bring(file: Listed, path: Path, revision: str) -> None:
    """One file, in as many connections as it takes. It gets its name when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part, failed = _part(path), 0
    if _begun(path) > file.size:
        part.unlink()
    address = f"{urllib.parse.quote(revision, safe='')}/{urllib.parse.quote(file.path)}"
    url = f"{endpoint()}/{REPOSITORY}/resolve/{address}"
    progress = _Progress(file.size)
    while (start := _begun(path)) < file.size or not part.exists():
        try:
            with _open(url, start) as answer:
                _append(answer, part, start, progress)
        except (OSError, http.client.HTTPException) as error:
            progress.end()
            if getattr(error, "code", 0) == 416:
                part.unlink(missing_ok=True)
            failed = 1 if _begun(path) > start else failed + 1
            if failed >= TRIES or _own(error):
                if _own(error):
                    raise
                raise HubError(f"{file.path} broke off at {_begun(path):,} of {file.size:,} bytes "
                    f"({_reason(error)}); the same command goes on from there") from None  # fmt: skip
            time.sleep(min(10.0, 0.1 * 3**failed))
    progress.end()
    if not whole(file, part):
        part.unlink()
        raise HubError(f"{file.path} is not what the hub lists (its size or hash differs); what came was deleted")
    part.replace(path)


def _own(error: BaseException) -> bool:
    """Whether the disk failed, not the connection."""
    return isinstance(error, OSError) and error.filename is not None and not isinstance(error, urllib.error.HTTPError)


def _append(answer: Any, part: Path, start: int, progress: _Progress) -> None:
    resumed = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-")
    have = start if resumed else 0
    with part.open("ab" if resumed else "wb") as out:
        while have < progress.size and (block := answer.read(min(BLOCK, progress.size - have))):
            out.write(block)
            have += len(block)
            progress.shown(have)
    if have < progress.size:
        raise http.client.IncompleteRead(b"", progress.size - have)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or type(error).__name__)


class _Progress:
    """Megabytes and speed on one line of a terminal; a log file gets nothing."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._terminal = sys.stderr.isatty()
        self._began, self._first, self._next = time.monotonic(), -1, 0.0

    def shown(self, have: int) -> None:
        now = time.monotonic()
        if self._first < 0:
            self._first = have
        if self._terminal and now >= self._next:
            speed = (have - self._first) / 1e6 / max(0.1, now - self._began)
            share = have / max(1, self.size)
            sys.stderr.write(f"\r\033[K  {have / 1e6:.0f} of {self.size / 1e6:.0f} MB, {share:.0%}, {speed:.1f} MB/s")
            sys.stderr.flush()
            self._next = now + 0.2

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\033[K")
