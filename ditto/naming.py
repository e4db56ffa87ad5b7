"""Files that a configuration names and that are not there: what stands in for them is told, or refused.

The published online configuration exists for the TensorRT bundle alone, so a configuration may be used with the weights
of another bundle; a name that no bundle has was somebody's own choice, and other weights in its place would be a
surprise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .errors import BadCheckpoint

UNREAD = frozenset({"face_landmarker"})
"""What nothing here reads may be absent without a word."""


def bundle_of(name: str, named: str, bundles: Mapping[str, Mapping[str, str]]) -> str:
    """The bundle whose file a configuration names for a network; empty for none. TensorRT's are known by their end."""
    if named.lower().endswith((".engine", ".trt")):
        return "tensorrt"
    plain = re.sub(r"[\\/]+", "/", named).removeprefix("./")
    whole = [kind for kind, files in bundles.items() if files.get(name) == plain]
    same = [kind for kind, files in bundles.items() if _last(files.get(name, "")) == _last(plain)]
    return (whole or same or [""])[0]


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def remarks(
    config: str,
    root: Path,
    kind: str,
    absent: Mapping[str, str],
    used: Mapping[str, Path],
    bundles: Mapping[str, Mapping[str, str]],
    needed: tuple[str, ...],
) -> tuple[str, ...]:
    """Sentences on the files of networks that a configuration names and that are not there (`absent`).

    `used` are the files in their place. Raises `BadCheckpoint` for one of somebody's own.
    """
    others: dict[str, list[str]] = {}
    moved, gone = [], []
    for name, named in absent.items():
        if name in UNREAD:
            continue
        bundle = bundle_of(name, named, bundles)
        if not bundle and name in needed:
            instead = f", or name {used[name]} in its place" if name in used else ""
            raise BadCheckpoint(
                f"The configuration {config} names {named} for {name}, and there is no such file, as it stands or "
                f"below {root}. Put it there{instead}."
            )
        if bundle and bundle != kind:
            others.setdefault(bundle, []).append(named)
        elif name in used:
            moved.append(f"{named} (in its place: {used[name]})")
        else:
            gone.append(f"{named} ({name})")
    told = [
        f"The configuration {config} is of the {bundle} bundle: {_some(names)} {_are(names)} not there, and the "
        f"networks of the {kind} bundle in {root} are used with its options. Name a configuration and a data root of "
        "one bundle if that was not meant."
        for bundle, names in others.items()
    ]
    if moved:
        told.append(f"The configuration {config} names what is not there: {_some(moved)}. Mend it, or move the files.")
    if gone:
        told.append(
            f"The configuration {config} names {_some(gone)}, which {_are(gone)} not there and done without. "
            "Fetch the checkpoint again to have all of it."
        )
    return tuple(told)


def _some(names: list[str], most: int = 2) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
