"""From files to a face: a published checkpoint's networks, put together."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .audio.encoders import load_encoder
from .engine import Engine
from .errors import BadCheckpoint
from .motion.sampler import OnnxSampler, TorchSampler
from .motion.vector import POINTS, Array, Info
from .networks import Networks, TorchExtractors, TorchStitch
from .onnxfiles import suits
from .registration.detector import Detector
from .registration.finder import FILES, Finder, FreeFinder, PublishedFinder
from .registration.landmarks import Landmarks106, Landmarks203
from .registration.mesh import Mesh
from .registration.nets import onnx_net, session

if TYPE_CHECKING:
    from .checkpoints import Checkpoint

log = logging.getLogger(__name__)

FINDERS = ("free", "published")
"""Ways to find a face: with networks that may be used for anything, or exactly as published."""


def networks(
    checkpoint: Checkpoint, device: str = "auto", backend: str = "auto", engines: Path | None = None
) -> Networks:
    """All networks of a checkpoint, on a device, drawn by a backend of `backends.choice`; `engines` is where `export`
    or `build` wrote. Raises `BadCheckpoint`, `Unavailable`.
    """
    try:
        return _networks(checkpoint, device, backend, engines)
    except ValueError as error:
        raise BadCheckpoint(str(error)) from error


def _networks(checkpoint: Checkpoint, device: str, backend: str, engines: Path | None) -> Networks:
    from .backends.choice import best_device, renderer
    from .layout import Kind

    device = best_device(checkpoint.layout.kind) if device == "auto" else device
    for note in checkpoint.layout.notes:
        log.warning("%s", note)
    # Before the rest: what cannot draw here is said before a minute of reading.
    drawing = renderer(checkpoint, backend, device, engines)

    published: PublishedFinder | None = None
    detector, points = checkpoint.file("insightface_det"), checkpoint.file("landmark106")
    if detector is not None and points is not None:
        published = PublishedFinder(
            Detector(onnx_net(detector, "insightface_det")), Landmarks106(onnx_net(points, "landmark106"))
        )
    blaze, mesh = checkpoint.file("blaze_face"), checkpoint.file("face_mesh")
    parts = _torch_parts if checkpoint.layout.kind is Kind.PYTORCH else _onnx_parts
    sampler, stitch, extractors = parts(checkpoint, device)
    return Networks(
        checkpoint.options,
        load_encoder(checkpoint.layout.need("hubert"), device),
        sampler,
        stitch,
        extractors,
        drawing,
        Landmarks203(onnx_net(checkpoint.layout.need("landmark203"), "landmark203")),
        Mesh(onnx_net(blaze, "blaze_face"), onnx_net(mesh, "face_mesh"))
        if blaze is not None and mesh is not None
        else None,
        published,
        checkpoint.layout.root.name,
        checkpoint.fingerprint,
        checkpoint.layout.notes,
    )


def _torch_parts(checkpoint: Checkpoint, device: str) -> tuple[TorchSampler, TorchStitch, TorchExtractors]:
    lmdm, appearance, motion = (
        checkpoint.module(name).to(device) for name in ("lmdm", "appearance_extractor", "motion_extractor")
    )
    stitch = TorchStitch(checkpoint.module("stitch_network"))
    return TorchSampler(lmdm, device), stitch, TorchExtractors(appearance, motion, device)


def _onnx_parts(checkpoint: Checkpoint, device: str) -> tuple[OnnxSampler, OnnxStitch, OnnxExtractors]:
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device.startswith("cuda") else None
    need = checkpoint.layout.need
    lmdm = session(need("lmdm"), providers=providers)
    suits("lmdm", lmdm, need("lmdm"))
    return (
        OnnxSampler(lmdm),
        OnnxStitch(need("stitch_network")),
        OnnxExtractors(need("appearance_extractor"), need("motion_extractor")),
    )


class OnnxStitch:
    """The published stitching file, pair by pair: its batch is one."""

    def __init__(self, path: Path) -> None:
        self._session = session(path, threads=1)
        suits("stitch_network", self._session, path)
        self._names = [value.name for value in self._session.get_inputs()]

    def __call__(self, x_s: Array, x_d: Array) -> Array:
        pairs = zip(x_s, x_d, strict=True)
        out = [self._session.run(None, dict(zip(self._names, (a[None], b[None]), strict=True)))[0] for a, b in pairs]
        return np.asarray(np.concatenate(out).reshape(-1, POINTS, 3), np.float32)


class OnnxExtractors:
    """The published extractor files."""

    def __init__(self, appearance: Path, motion: Path) -> None:
        self._appearance = onnx_net(appearance, "appearance_extractor")
        self._motion = onnx_net(motion, "motion_extractor")

    def appearance(self, image: Array) -> Array:
        return self._appearance(image)[0]

    def motion(self, image: Array) -> Info:
        names = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
        return dict(zip(names, self._motion(image), strict=True))


def finder_of(made: Networks, kind: Literal["free", "published"], face_dir: Path) -> Finder:
    """Raises `BadCheckpoint` in words where its networks are not there."""
    if kind == "published":
        if made.published_finder is None:
            raise BadCheckpoint("This checkpoint has no insightface_det and landmark106: use the free finder.")
        if made.mesh is None and all((face_dir / name).is_file() for name in FILES):
            return made.published_finder.with_eyes(FreeFinder(face_dir))
        return made.published_finder
    try:
        return FreeFinder(face_dir)
    except ValueError as error:
        raise BadCheckpoint(str(error)) from error


def engine(
    cfg_pkl: Path,
    data_root: Path,
    data_dir: Path,
    *,
    device: str = "auto",
    finder: Literal["free", "published"] = "free",
    backend: str = "auto",
    engines: Path | None = None,
) -> Engine:
    """A face of a published checkpoint; `data_dir` holds the free face networks and keeps registered sources.
    `backend` and `engines` are as in `networks`.

    Raises `BadCheckpoint`, `OutOfMemory`, `Unavailable`, all in words.
    """
    from .checkpoints import open_checkpoint

    made = networks(open_checkpoint(cfg_pkl, data_root), device, backend, engines)
    return Engine(made, finder_of(made, finder, data_dir / "face"), data_dir / "ditto_sources")
