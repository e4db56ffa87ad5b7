"""Which face speaks: the neural one where its checkpoints and a device are, else the puppet; or the one asked for."""

from __future__ import annotations

import importlib.util
import logging
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


def ditto_missing(settings: Settings) -> str:
    """What the neural face lacks on this machine, in words; empty when nothing."""
    if importlib.util.find_spec("ditto") is None or importlib.util.find_spec("ditto.load") is None:
        return "the neural face is not part of this installation"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install -r requirements-ditto.txt)"
    for name, path in (("cfg_pkl", settings.cfg_pkl), ("data_root", settings.data_root)):
        if not Path(path).exists():
            return f"its checkpoints are not there ({name}: {path}; see checkpoints/README.md)"
    return ""


def load_engine(settings: Settings) -> Engine:
    """Reads the neural face's networks. Takes seconds to minutes. Raises `ValueError`, ditto's own errors."""
    from ditto.load import engine  # type: ignore[import-not-found, unused-ignore]

    made: Engine = engine(Path(settings.cfg_pkl), Path(settings.data_root), settings.data_dir)
    return made


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
        missing = ditto_missing(settings)
        if spec == "ditto" and missing:
            raise NotReady(f"The neural face cannot start: {missing}.", field="face")
        if not missing:
            from .ditto import DittoFace

            why = "asked for" if spec == "ditto" else "its checkpoints are there"
            face = DittoFace(avatars, why, lambda: load_engine(settings))
        else:
            face = PuppetFace(avatars, f"{missing}; the puppet needs neither")
    log.info("face: %s (%s)", face.choice.name, face.choice.why)
    return face
