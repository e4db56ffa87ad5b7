"""Who looks at the pictures: somebody who has not drawn them.

MediaPipe's Face Mesh, the whole package in an environment of its own: another network for lips and eyes (the attention
mesh) than the one that portraits are rigged with, another detector's settings, another runtime. Where it cannot be had,
the product's own landmark networks take its place.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from puppet.landmarks import Face, FaceModels
from puppet.picture import Rgb
from puppet.portrait import MODELS

from ._environment import ROOT, Unavailable, interpreter
from ._facemesh import POINTS

Plane = npt.NDArray[np.float32]
"""Points of a face, shape (n, 2), in pixels; the first 468 are those of the face mesh."""


class Judge(Protocol):
    @property
    def name(self) -> str: ...

    def points(self, rgb: Rgb) -> Plane | None:
        """The largest face of a picture; None where there is none."""
        ...


class FaceMesh:
    """MediaPipe in a process of its own. One picture at a time."""

    name = "MediaPipe Face Mesh"

    def __init__(self, python: Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks._facemesh"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )

    def points(self, rgb: Rgb) -> Plane | None:
        pictures, answers = self._process.stdin, self._process.stdout
        assert pictures is not None and answers is not None
        height, width = rgb.shape[:2]
        size = POINTS * 2 * 4
        try:
            pictures.write(struct.pack("<II", width, height) + np.ascontiguousarray(rgb).tobytes())
            pictures.flush()
            answer = answers.read(size)
        except BrokenPipeError:
            answer = b""
        if len(answer) < size:
            self._said.seek(0)
            raise Unavailable(f"the face mesh ended: {self._said.read()[-300:].decode(errors='replace')}")
        points = np.frombuffer(answer, "<f4").reshape(POINTS, 2)
        return None if np.isnan(points).any() else points

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=30)
        self._said.close()


class OwnNets:
    """The product's networks. A face is followed from picture to picture and looked for again when it is lost."""

    name = "the product's landmark networks"

    def __init__(self, models: FaceModels) -> None:
        self._models = models
        self._last: Face | None = None

    def points(self, rgb: Rgb) -> Plane | None:
        self._last = self._models.follow(rgb, self._last) if self._last else None
        if self._last is None:
            self._last = next(iter(self._models.find(rgb)), None)
        return self._last.landmarks[:, :2] if self._last else None


@contextlib.contextmanager
def hired(models: Path = MODELS) -> Iterator[Judge]:
    """The best judge that can be had here. Raises `Unavailable` when there is none."""
    try:
        mesh = FaceMesh(interpreter("judge"))
        try:
            mesh.points(np.zeros((64, 64, 3), np.uint8))
        except Unavailable:
            mesh.close()
            raise
    except Unavailable as error:
        if not FaceModels.present(models):
            raise Unavailable(f"{error}; nor are there face models: python -m checkpoints.fetch face") from None
        yield OwnNets(FaceModels(models))
        return
    try:
        yield mesh
    finally:
        mesh.close()
