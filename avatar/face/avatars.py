"""The portraits that sessions may wear: the built-in characters and what users have registered.

An id is the hash of the uploaded bytes, so the same upload is the same avatar. Ids are looked up among the known ones
and never become a path. Pictures are judged, decoded and searched for a face in one thread, one at a time: an upload
can be slow, but neither the event loop nor the memory feels more than one of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import AtCapacity, AvatarError, Invalid, NotFound, NotReady, TooLarge, UnsupportedMedia

if TYPE_CHECKING:
    from puppet.landmarks import FaceModels
    from puppet.picture import PictureError

_T = TypeVar("_T")

log = logging.getLogger(__name__)

MAX_AVATARS: Final = 200
"""Registered portraits: at about half a megabyte each they fill 100 MB, and a picker of more is of no use."""
_MAX_WAITING: Final = 8
"""Uploads in the thread or waiting for it; each holds up to 20 MB."""
_THUMBNAIL: Final = 256
"""Pixels of its long side."""
_STRIP: Final = 240
"""Side of an expression in a strip, in pixels: the page shows them at half of that on a fine screen."""
_ID: Final = re.compile(r"[0-9a-f]{16}")
_MAX_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class AvatarInfo:
    """One avatar as routes and the page see it."""

    id: str
    width: int
    """Working size in pixels, before `frame_scale`."""
    height: int
    face: tuple[int, int, int, int] | None
    """x, y, width, height of the face that speaks, in pixels of the working size; None for a drawn character."""
    faces: int
    """How many faces the picture showed: of several the largest speaks."""
    builtin: bool
    name: str


def _refusal(error: PictureError) -> AvatarError:
    """The picture's problem as the routes answer it."""
    kind: type[AvatarError] = {"too_large": TooLarge, "unsupported_media": UnsupportedMedia}.get(error.code, Invalid)
    return kind(error.message, code=error.code, field="image" if kind is Invalid else None)


def _clean(name: str | None) -> str:
    """A name as a person may read it: one line, no control characters, no directories."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(c for c in last if c.isprintable()).strip()[:_MAX_NAME] or "Portrait"


class AvatarStore:
    """The avatars of one server."""

    def __init__(self, directory: Path, models_dir: Path) -> None:
        """`directory` holds the registered portraits and is made when the first comes, for its user only;
        `models_dir` holds the networks that find faces."""
        self._directory = directory
        self._models_dir = models_dir
        self._models: FaceModels | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="avatars")
        self._waiting = 0
        self._guard = threading.Lock()
        self._known = {info.id: info for info in self._stored()}

    def _stored(self) -> list[AvatarInfo]:
        """What lies in the directory from earlier runs, oldest first. Files that do not fit are left alone."""
        from puppet.portrait import VERSION

        found: list[tuple[float, AvatarInfo]] = []
        for path in self._directory.glob("*.json") if self._directory.is_dir() else ():
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                if (
                    not _ID.fullmatch(path.stem)
                    or facts["version"] != VERSION
                    or not path.with_suffix(".jpg").is_file()
                ):
                    continue
                x, y, w, h = (int(v) for v in facts["box"])
                info = AvatarInfo(
                    id=path.stem,
                    width=int(facts["width"]),
                    height=int(facts["height"]),
                    face=(x, y, w, h),
                    faces=int(facts["faces"]),
                    builtin=False,
                    name=_clean(facts["name"]),
                )
                found.append((path.stat().st_mtime, info))
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("The stored avatar %s cannot be read (%s): left out.", path.name, error)
        return [info for _, info in sorted(found, key=lambda pair: pair[0])]

    async def register(self, data: bytes, content_type: str | None = None, name: str | None = None) -> AvatarInfo:
        """Makes a portrait of the picture in `data`; the same bytes again are the same avatar.

        `content_type` is what the client says; the bytes decide. `name` is for people, such as the file's name.
        Raises `TooLarge`, `UnsupportedMedia`, `Invalid` (`no_face`, `face_too_small`, `face_turned`, `face_cut_off`),
        `NotReady` (`face_models_missing`), `AtCapacity`.
        """
        from puppet.picture import MAX_BYTES

        if len(data) > MAX_BYTES:
            raise TooLarge(f"The picture is larger than {MAX_BYTES // 10**6} MB.")
        if not data:
            raise UnsupportedMedia("The upload is empty: send a JPEG, PNG or WebP picture.")
        if self._waiting >= _MAX_WAITING:
            raise AtCapacity("Too many portraits are being uploaded at once: try again soon.", retry_after_s=3)
        self._waiting += 1
        try:
            return await self._in_thread(lambda: self._register(data, content_type, name))
        finally:
            self._waiting -= 1

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _register(self, data: bytes, content_type: str | None, name: str | None) -> AvatarInfo:
        from puppet import portrait as portraits
        from puppet.picture import PictureError, decode

        key = hashlib.sha256(data).hexdigest()[:16]
        with self._guard:
            if (known := self._known.get(key)) is not None:
                return known
        try:
            rgb = decode(data)
            if len(self._known) >= MAX_AVATARS:
                raise AtCapacity(
                    f"{MAX_AVATARS} portraits are registered, which is the limit: delete one first.",
                    code="too_many_avatars",
                )
            portrait = portraits.make(rgb, self._face_models())
        except PictureError as error:
            if error.code == "unsupported_media" and content_type and not content_type.startswith("image/"):
                kind = "".join(c for c in content_type.split(";")[0] if c.isprintable())[:_MAX_NAME]
                raise UnsupportedMedia(f"{kind} is not a picture: send JPEG, PNG or WebP.") from None
            raise _refusal(error) from None
        info = AvatarInfo(
            id=key,
            width=portrait.width,
            height=portrait.height,
            face=portrait.box,
            faces=portrait.faces,
            builtin=False,
            name=_clean(name),
        )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(f"{key}.jpg", portraits.encode(portrait.rgb))
            # The description comes last: without it the picture does not count.
            self._write(f"{key}.json", json.dumps(portraits.facts(portrait) | {"name": info.name}).encode())
        except OSError as error:
            raise NotReady(f"The portrait cannot be stored: {error.strerror or error}.", code="cannot_store") from error
        with self._guard:
            self._known[key] = info
        log.info("Avatar %s registered: %d × %d, %d face(s).", key, info.width, info.height, info.faces)
        return info

    def _face_models(self) -> FaceModels:
        """The networks, loaded at the first portrait: most servers never see one."""
        if self._models is None:
            from puppet.landmarks import FaceModels

            try:
                self._models = FaceModels(self._models_dir)
            except FileNotFoundError:
                raise NotReady(
                    "Portraits need the face models, which are not there: run `python -m checkpoints.fetch face` "
                    "on the server and try again.",
                    code="face_models_missing",
                ) from None
            except (OSError, ValueError) as error:
                raise NotReady(
                    f"The face models cannot be read ({error}): delete {self._models_dir.name}/ and run "
                    "`python -m checkpoints.fetch face` on the server.",
                    code="face_models_missing",
                ) from None
        return self._models

    def _write(self, name: str, data: bytes) -> None:
        """Readable by its user only (`mkstemp` sees to that), and under its name all at once."""
        handle, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            Path(temporary).replace(self._directory / name)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def list(self) -> list[AvatarInfo]:
        """The built-in characters, then the registered portraits in the order in which they came."""
        with self._guard:
            return [*_built_ins().values(), *self._known.values()]

    def get(self, id: str) -> AvatarInfo:
        """Raises `NotFound`."""
        with self._guard:
            info = _built_ins().get(id) or self._known.get(id)
        if info is None:
            raise NotFound(f"There is no avatar {id[:40]!r}; GET /avatars lists them.", code="unknown_avatar")
        return info

    def source(self, id: str) -> Path | str:
        """What `puppet.load_rig` takes: a built-in character's name, or the path of a portrait. Raises `NotFound`."""
        info = self.get(id)
        return info.id if info.builtin else self._directory / f"{info.id}.jpg"

    async def thumbnail(self, id: str) -> bytes:
        """A JPEG of at most 256 pixels a side. Raises `NotFound`."""
        source = self.source(id)
        try:
            return await asyncio.to_thread(_thumbnail, source)
        except FileNotFoundError:
            raise NotFound(f"The picture of avatar {id} is gone from the disk.", code="unknown_avatar") from None

    async def preview(self, id: str) -> bytes:
        """A JPEG of six expressions side by side, each a square around the face. Raises `NotFound`."""
        source = self.source(id)
        try:
            return await asyncio.to_thread(_preview, source)
        except FileNotFoundError:
            raise NotFound(f"The picture of avatar {id} is gone from the disk.", code="unknown_avatar") from None

    async def delete(self, id: str) -> None:
        """Removes a registered portrait; sessions that wear it keep it until they end. Raises `NotFound`, and
        `Invalid` for a built-in character."""
        info = self.get(id)
        if info.builtin:
            raise Invalid(f"{info.name} is built in and cannot be deleted.", code="built_in_avatar")
        await self._in_thread(lambda: self._delete(info.id))

    def _delete(self, key: str) -> None:
        with self._guard:
            self._known.pop(key, None)
        for suffix in (".json", ".jpg"):
            (self._directory / f"{key}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Drops what waits; what is being worked on ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


@cache
def _built_ins() -> dict[str, AvatarInfo]:
    from puppet.cast import CAST
    from puppet.renderer import MAX_SIDE

    return {
        name: AvatarInfo(
            id=name,
            width=MAX_SIDE,
            height=MAX_SIDE,
            face=None,
            faces=1,
            builtin=True,
            name=name.replace("_", " ").capitalize(),
        )
        for name in CAST
    }


def _thumbnail(source: Path | str) -> bytes:
    """Of a character its resting pose, of a portrait the picture itself."""
    import cv2

    from puppet.picture import decode
    from puppet.portrait import thumbnail

    if isinstance(source, Path):
        return thumbnail(decode(source.read_bytes()), _THUMBNAIL)
    from puppet import load_rig
    from puppet.coefficients import NEUTRAL

    rig = load_rig(source)
    i420 = rig.open().draw(NEUTRAL, _THUMBNAIL / max(rig.width, rig.height))
    return thumbnail(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), _THUMBNAIL)


def _preview(source: Path | str) -> bytes:
    from puppet import load_rig
    from puppet.portrait import encode
    from puppet.preview import strip

    return encode(strip(load_rig(source), _STRIP), 85)
