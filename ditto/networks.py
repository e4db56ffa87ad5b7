"""Everything that is loaded once: the networks of a checkpoint, shared by all sessions and never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .audio.features import Encoder
from .backends.looks import Renderer
from .motion.options import Options
from .motion.sampler import Sampler
from .motion.vector import Array
from .registration.finder import PublishedFinder
from .registration.landmarks import Landmarks203
from .registration.mesh import Mesh
from .registration.register import Extractors


@dataclass(frozen=True)
class Networks:
    """One checkpoint, ready to run."""

    options: Options
    encoder: Encoder
    sampler: Sampler
    stitch: Callable[[Array, Array], Array]
    """Key points of source and driving [b,21,3] → driving that fits the shoulders."""
    extractors: Extractors
    renderer: Renderer
    landmarks: Landmarks203 | None
    mesh: Mesh | None
    published_finder: PublishedFinder | None
    """The exact way to find a face, where its weights are there."""
    checkpoint: str
    """Its name, for the log."""
    fingerprint: str
    """Of the weights that registration depends on."""
    notes: tuple[str, ...] = ()
    """Where the files are not what the configuration says, in sentences."""

    @property
    def name(self) -> str:
        """Checkpoint, backend and precision."""
        return f"{self.checkpoint}, {self.renderer.name}"

    @property
    def remarks(self) -> str:
        """What a person should know of them, backend and precision first; the renderer's are known once it is warm."""
        return "; ".join(part for part in (self.name, self.renderer.note, *self.notes) if part)


class TorchExtractors:
    """The two extractors in torch, float32."""

    def __init__(self, appearance: Any, motion: Any, device: str = "cpu") -> None:
        import torch

        self._torch, self._device = torch, torch.device(device)
        self._appearance, self._motion = appearance, motion

    def _given(self, image: Array) -> Any:
        return self._torch.from_numpy(image).to(self._device)

    def appearance(self, image: Array) -> Array:
        with self._torch.inference_mode():
            out: Array = self._appearance(self._given(image)).float().cpu().numpy()
            return out

    def motion(self, image: Array) -> dict[str, Array]:
        names = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
        with self._torch.inference_mode():
            outputs = self._motion(self._given(image))
        pairs = outputs.items() if isinstance(outputs, dict) else zip(names, outputs, strict=True)
        return {name: value.float().cpu().numpy() for name, value in pairs}


class TorchStitch:
    """The stitching network in torch: a few thousand products, always on the CPU."""

    def __init__(self, network: Any) -> None:
        import torch

        self._torch, self._net = torch, network

    def __call__(self, x_s: Array, x_d: Array) -> Array:
        torch = self._torch
        with torch.inference_mode():
            out: Array = self._net(torch.from_numpy(x_s), torch.from_numpy(x_d)).numpy()
            return out
