"""Which face speaks: the neural one where its checkpoints and a device are, else the puppet; or the one asked for."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Invalid, NotReady
from ..seams import Face
from ..settings import FACES, Settings
from .avatars import AvatarStore
from .pattern import PatternFace
from .puppet import PuppetFace

if TYPE_CHECKING:
    from ditto.engine import Engine

log = logging.getLogger(__name__)


def checkpoint(settings: Settings) -> tuple[Path, Path]:
    """Ditto's configuration and weights: a `*` in a name is what is there."""
    return _there(settings.cfg_pkl), _there(settings.data_root)


def _there(pattern: str) -> Path:
    path = Path(pattern)
    if "*" not in path.name:
        return path
    kinds = ["ditto_pytorch", "ditto_onnx"]
    if importlib.util.find_spec("torch") is None:
        kinds.reverse()
    found = sorted(p for p in path.parent.glob(path.name) if p.name not in ("ditto_cfg", "ditto_sources"))
    return min(found, key=lambda p: kinds.index(p.name) if p.name in kinds else len(kinds), default=path)


def ditto_missing(settings: Settings, insisted: bool) -> str:
    """What the neural face lacks on this machine, in words; empty when nothing. On a processor alone it runs only where
    it is insisted on. Imports torch, which takes seconds."""
    if importlib.util.find_spec("ditto") is None or importlib.util.find_spec("ditto.load") is None:
        return "the neural face is not part of this installation"
    config, root = checkpoint(settings)
    for name, path in (("cfg_pkl", config), ("data_root", root)):
        if not path.exists():
            return f"its checkpoints are not there ({name}: {path}; see checkpoints/README.md)"
    from ditto.backends.choice import best_device
    from ditto.checkpoints import open_checkpoint
    from ditto.errors import DittoError
    from ditto.layout import Kind

    try:
        kind = open_checkpoint(config, root).layout.kind
    except (DittoError, OSError) as error:
        return str(error).rstrip(".")
    if kind is Kind.PYTORCH and importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install -r requirements-ditto.txt)"
    if not insisted and best_device(kind) == "cpu":
        return "its checkpoints are there, but no GPU that it could use (--face ditto insists)"
    return ""


def load_engine(settings: Settings) -> Engine:
    """Reads the neural face's networks. Takes seconds to minutes. Raises `ValueError`, ditto's own errors."""
    from ditto.load import engine  # type: ignore[import-not-found, unused-ignore]

    _leave_a_core()
    made: Engine = engine(
        *checkpoint(settings),
        settings.data_dir,
        backend=settings.ditto_backend,
        engines=settings.ditto_engines,
    )
    return made


def _leave_a_core() -> None:
    """For the sound and the encoder: by default torch's threads take every core and wait in busy loops."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 2) - 1)))


async def choose_face(spec: str, settings: Settings, avatars: AvatarStore) -> Face:
    """The face for `spec`: auto, ditto, puppet or pattern. Raises `NotReady` when ditto is asked for and cannot be
    had."""
    if spec not in FACES:
        raise Invalid(f"face must be one of {', '.join(FACES)}, not {spec!r}.", field="face")
    face: Face
    if spec == "pattern":
        face = PatternFace(avatars)
    elif spec == "puppet":
        face = PuppetFace(avatars, "asked for")
    else:
        missing = await asyncio.to_thread(ditto_missing, settings, spec == "ditto")
        if spec == "ditto" and missing:
            raise NotReady(f"The neural face cannot start: {missing}.", field="face")
        if not missing:
            from .ditto import DittoFace

            why = "asked for" if spec == "ditto" else "its checkpoints and a GPU are there"
            face = DittoFace(avatars, why, lambda: load_engine(settings))
        else:
            face = PuppetFace(avatars, f"{missing}; the puppet needs no such thing")
    log.info("face: %s (%s)", face.choice.name, face.choice.why)
    return face
