"""The face that needs one CPU core and nothing else: sound or phonemes to a mouth, life, and a picture of it all.

A library of its own: it knows nothing of sessions, sockets or the neural face. `load_rig` makes a rig of a built-in
character or of any portrait.
"""

from __future__ import annotations

from pathlib import Path

from .cast import CAST
from .character import CharacterRig
from .renderer import Rig

__all__ = ["CAST", "Rig", "load_rig"]


def load_rig(source: Path | str) -> Rig:
    """The rig of a built-in character, named by one of `CAST`, or of the portrait in a file.

    Raises `OSError` where the file cannot be read and `ValueError`, in words, where no rig can be made of it.
    """
    if isinstance(source, str) and source in CAST:
        return CharacterRig(source)
    from .warp import PortraitRig  # type: ignore[import-not-found, unused-ignore]

    rig: Rig = PortraitRig.load(Path(source))
    return rig
