"""TensorRT (11.2.1 or newer) and TensorRT-RTX: the exported pipeline, built for one GPU and kept beside a manifest.

No plugin and no precision flags: the graph is standard ONNX of opset 20, strongly typed; what must stay float32 is
float32 in it. An engine runs only where its manifest says: same files, library, compute capability, precision, batches.
Both libraries are imported when they are needed; a machine without them runs everything else.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ditto.errors import BadCheckpoint, OutOfMemory, Unavailable
from ditto.layout import build_command

OLDEST = (11, 2, 1)
"""Of TensorRT: the first whose GridSample takes volumes."""
OLDEST_RTX = (1, 6)
BARE_RTX = "tensorrt_rtx_bindings"
LIBRARIES = {"tensorrt": OLDEST, "tensorrt_rtx": OLDEST_RTX}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an engine was built from and for."""

    model: str
    """SHA-256 of the ONNX file."""
    library: str
    """tensorrt or tensorrt_rtx."""
    version: str
    capability: str
    """The GPU's compute capability, `9.0`; `any` for an engine of TensorRT-RTX, which is finished on its GPU."""
    precision: str
    batches: tuple[int, int, int]
    """Smallest, best and largest batch of the profile."""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Manifest | None:
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return Manifest(**{**value, "batches": tuple(value["batches"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def imported(name: str) -> Any:
    """A library's module, whatever its version. Raises what importing it raises."""
    try:
        return importlib.import_module(name)
    except ImportError:
        # RTX's wheels alone, without the package that only names them, have a module of another name.
        if name != "tensorrt_rtx" or importlib.util.find_spec(BARE_RTX) is None:
            raise
        return importlib.import_module(BARE_RTX)


def library(name: str = "tensorrt") -> Any:
    """The module, new enough. Raises `Unavailable`."""
    package = name.replace("_", "-")
    try:
        module = imported(name)
    except (ImportError, OSError) as error:
        raise Unavailable(
            f"{package} cannot be loaded ({error}). pip install {package}, or use --backend torch."
        ) from error
    numbers = tuple(int(part) for part in module.__version__.split(".")[:3] if part.isdigit())
    if numbers < LIBRARIES[name]:
        oldest = ".".join(map(str, LIBRARIES[name]))
        raise Unavailable(f"{package} {module.__version__} is too old: its GridSample takes no volumes. {oldest} does.")
    return module


def model_hash(onnx: Path) -> str:
    digest = hashlib.sha256()
    with onnx.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def capability(name: str) -> str:
    """Of the GPU that an engine is built for."""
    if name == "tensorrt_rtx":
        return "any"
    import torch

    if not torch.cuda.is_available():
        raise Unavailable("TensorRT builds engines on the GPU that will run them, and there is none here.")
    return ".".join(map(str, torch.cuda.get_device_capability()))


def build(
    onnx: Path, engine: Path, precision: str, batches: tuple[int, int, int] = (1, 8, 16), name: str = "tensorrt"
) -> Manifest:
    """Builds an engine and writes it beside its manifest, or keeps the one that is there and matches."""
    trt = library(name)
    manifest = Manifest(model_hash(onnx), name, str(trt.__version__), capability(name), precision, batches)
    note = engine.with_suffix(".json")
    if engine.is_file() and Manifest.read(note) == manifest:
        return manifest
    scratch = engine.with_suffix(".part")
    scratch.write_bytes(bytes(serialise(trt, onnx, batches)))
    scratch.replace(engine)
    manifest.write(note)
    return manifest


def serialise(trt: Any, onnx: Path, batches: tuple[int, int, int]) -> Any:
    """Parses and builds; returns the plan. Raises `BadCheckpoint` with the parser's own words."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(min(3, parser.num_errors)))
        raise BadCheckpoint(f"{trt.__name__} does not take {onnx.name}: {errors}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        rest = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, *((count, *rest) for count in batches))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise OutOfMemory(f"{trt.__name__} could not build {onnx.name}; its log says why. Too little GPU memory?")
    return plan


def fitting(engine: Path, onnx: Path, precision: str | None = None, name: str = "tensorrt") -> Manifest:
    """The manifest of an engine that may run here, of any precision unless one is named.

    Raises `BadCheckpoint` with what differs and how to rebuild."""
    manifest = Manifest.read(engine.with_suffix(".json"))
    again = f"Build it again: {build_command(engine.parent)}"
    if manifest is None or not engine.is_file():
        raise BadCheckpoint(f"{engine} has no manifest beside it, so nobody knows what it was built for. {again}")
    wanted = {
        "model": model_hash(onnx),
        "library": name,
        "version": str(library(name).__version__),
        "capability": capability(name),
        "precision": precision or manifest.precision,
    }
    differ = [
        f"{key} is {getattr(manifest, key)[:12]}, here {value[:12]}"
        for key, value in wanted.items()
        if getattr(manifest, key) != value
    ]
    if differ:
        raise BadCheckpoint(f"{engine} was built for something else: {'; '.join(differ)}. {again}")
    return manifest


class Engine:
    """A deserialised engine on torch's memory and stream. Not for two threads at once."""

    def __init__(self, plan: Path, name: str = "tensorrt") -> None:
        trt = library(name)
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise BadCheckpoint(f"{plan} cannot be loaded by {name} here; its log says why. Build it again.")
        self._context = self._engine.create_execution_context()

    def run(self, inputs: dict[str, Any], output: str, result: Any, stream: int) -> None:
        """Tensors on the device, contiguous, kept by the caller until the stream has passed."""
        run(self._context, inputs, output, result, stream)


def run(context: Any, inputs: dict[str, Any], output: str, result: Any, stream: int) -> None:
    """One execution: shapes, addresses, launch. Raises `RuntimeError` where the context refuses."""
    for name, tensor in inputs.items():
        if not tensor.is_contiguous():
            raise ValueError(f"{name} is not contiguous")
        if not context.set_input_shape(name, tuple(tensor.shape)):
            raise ValueError(f"{name} of shape {tuple(tensor.shape)} is outside the engine's profile")
        context.set_tensor_address(name, tensor.data_ptr())
    context.set_tensor_address(output, result.data_ptr())
    if not context.execute_async_v3(stream):
        raise RuntimeError("CUDA error: the engine did not start")


def renderer(weights: Any, directory: Path, name: str = "tensorrt") -> Any:
    """A `Renderer` that draws with the engine in `directory`; preparing and put-back are torch's."""
    import torch

    from .eager import TorchRenderer
    from .pipeline import INPUTS, OUTPUT

    onnx, plan = directory / "frame.onnx", directory / f"frame.{name}.engine"
    manifest = fitting(plan, onnx, name=name)
    precision = manifest.precision

    class EngineRenderer(TorchRenderer):
        def __init__(self) -> None:
            super().__init__(weights, "cuda", getattr(torch, precision), manifest.batches[2])
            self.name = f"{name} {manifest.version} {precision}"
            self._engine = Engine(plan, name)

        def draw(self, jobs: Sequence[Any]) -> Any:
            volume, driving = self.gather(jobs)
            given = {k: v.contiguous() for k, v in zip(INPUTS, (*volume.tensors(), driving), strict=True)}
            result = torch.empty(len(jobs), 3, 512, 512, device=self.device)
            self._engine.run(given, OUTPUT, result, torch.cuda.current_stream(self.device).cuda_stream)
            # The inputs may be freed once this stream has used them, which torch's allocator keeps in order.
            return result

    return EngineRenderer()
