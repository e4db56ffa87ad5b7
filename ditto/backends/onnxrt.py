"""ONNX Runtime: the published files as they are, or the folded pipeline that `python -m ditto export` writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ditto.errors import BadCheckpoint, Unavailable
from ditto.onnxfiles import suits

from ..registration.nets import unusable
from .looks import I420, Array, Job, Look, Prepared
from .places import Places, put

FRAME_FILE, AVATAR_FILE = "frame.onnx", "avatar.onnx"
"""What `export` writes: the work of a frame, and an avatar's constants."""
OPSET = 20


@dataclass(slots=True)
class State:
    inputs: tuple[Array, ...]
    """What a frame needs of its avatar, batch 1."""
    places: Places = field(default_factory=Places)


def open_session(model: Path | bytes, device: str, threads: int = 0, optimise: bool = True) -> Any:
    """Raises `BadCheckpoint` where the runtime cannot use the file, `Unavailable` where it has no such device."""
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise Unavailable("This onnxruntime has no CUDA: pip install onnxruntime-gpu, in place of onnxruntime.")
        providers.insert(0, "CUDAExecutionProvider")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    name = model.name if isinstance(model, Path) else "the converted network"
    try:
        session = onnxruntime.InferenceSession(
            str(model) if isinstance(model, Path) else model, options, providers=providers
        )
    except Exception as error:  # the runtime's errors share no base of their own
        raise BadCheckpoint(unusable(name, error)) from error
    if session.get_providers()[0] != providers[0]:
        raise Unavailable(f"ONNX Runtime cannot use {device} here and would compute on the CPU in silence.")
    return session


def warp_model(path: Path) -> Path | bytes:
    """The warp as a runtime without plugins takes it: the plugin-free twin where that lies beside it, at opset 20."""
    twin = path.with_name("warp_network_ori.onnx")
    path = twin if twin.is_file() else path
    try:
        import onnx
    except ImportError:
        return path
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's own, of no common base
        raise BadCheckpoint(unusable(path.name, error)) from error
    if any(node.op_type == "GridSample3D" for node in model.graph.node):
        raise BadCheckpoint(
            f"{path} needs a TensorRT plugin. Put warp_network_ori.onnx of the same bundle beside it; it needs none."
        )
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), OPSET)
    if opset >= OPSET:
        return path
    from onnx import version_converter

    converted: bytes = version_converter.convert_version(model, OPSET).SerializeToString()
    return converted


class _OnHost:
    """Put-back on the CPU, whatever ran the networks."""

    name: str
    batch: int

    def faces(self, jobs: Sequence[Job]) -> Array:
        raise NotImplementedError

    def warm(self) -> None: ...

    def render(self, jobs: Sequence[Job]) -> list[I420]:
        if not 1 <= len(jobs) <= self.batch:
            raise ValueError(f"{len(jobs)} frames in one batch; it takes 1 to {self.batch}")
        drawn = self.faces(jobs)
        return [put(face, job, job.prepared.state.places) for face, job in zip(drawn, jobs, strict=True)]

    def close(self) -> None: ...


class PublishedOnnxRenderer(_OnHost):
    """`warp_network.onnx` and `decoder.onnx`, a frame a call: their batch is one."""

    def __init__(self, warp: Path, decoder: Path, device: str = "cpu", threads: int = 0) -> None:
        self._warp = open_session(warp_model(warp), device, threads)
        self._decoder = open_session(decoder, device, threads)
        suits("warp_network", self._warp, warp)
        suits("decoder", self._decoder, decoder)
        self._warp_names, self._decoder_names = (
            [value.name for value in session.get_inputs()] for session in (self._warp, self._decoder)
        )
        self.name, self.batch, self.note = f"onnxruntime {device}, published files", 16, ""

    def prepare(self, look: Look) -> Prepared:
        points = np.asarray(look.kp_source, np.float32).reshape(1, 21, 3)
        return Prepared(look, State((np.asarray(look.features, np.float32), points)))

    def faces(self, jobs: Sequence[Job]) -> Array:
        return np.stack([self._face(job) for job in jobs])

    def _face(self, job: Job) -> Array:
        state: State = job.prepared.state
        driving = np.asarray(job.kp_driving, np.float32).reshape(1, 21, 3)
        given = dict(zip(self._warp_names, (*state.inputs, driving), strict=True))
        feature = self._warp.run(None, given)[0]
        face = self._decoder.run(None, {self._decoder_names[0]: feature})[0]
        return np.ascontiguousarray(np.clip(face[0], 0, 1).transpose(1, 2, 0) * np.float32(255))


class ExportedRenderer(_OnHost):
    """The folded pipeline, frames of any avatars in one batch. Needs no torch."""

    def __init__(self, directory: Path, device: str = "cpu", threads: int = 0, batch: int = 16) -> None:
        for name in (FRAME_FILE, AVATAR_FILE):
            if not (directory / name).is_file():
                raise BadCheckpoint(f"{directory} has no {name}; write it: python -m ditto export --out {directory}")
        self._frame = open_session(directory / FRAME_FILE, device, threads)
        self._avatar = open_session(directory / AVATAR_FILE, "cpu", threads)
        self._names = [value.name for value in self._frame.get_inputs()]
        self.name, self.batch, self.note = f"onnxruntime {device}, exported pipeline", batch, ""

    def prepare(self, look: Look) -> Prepared:
        points = np.asarray(look.kp_source, np.float32).reshape(1, 21, 3)
        features = np.asarray(look.features, np.float32)
        made = self._avatar.run(None, {"feature_3d": features, "kp_source": points})
        return Prepared(look, State((features, *made, points)))

    def faces(self, jobs: Sequence[Job]) -> Array:
        columns = zip(*(job.prepared.state.inputs for job in jobs), strict=True)
        driving = np.stack([np.asarray(job.kp_driving, np.float32).reshape(21, 3) for job in jobs])
        given = dict(zip(self._names, (*map(np.concatenate, columns), driving), strict=True))
        return np.ascontiguousarray(self._frame.run(None, given)[0].transpose(0, 2, 3, 1))
