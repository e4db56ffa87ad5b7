"""The reference renderer: PyTorch on a CPU or a CUDA device, one kernel after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ditto.faults import device_faults

from . import putback
from .fastwarp import AvatarVolume
from .looks import I420, Array, Job, Look, Prepared
from .pipeline import build
from .places import Places, put
from .weights import Weights


@dataclass(frozen=True, slots=True)
class Placement:
    """A `PutBack` on the device."""

    place: putback.PutBack
    grid: Tensor
    mask: Tensor
    behind: Tensor
    base: Tensor


@dataclass(slots=True)
class State:
    """A look on the device."""

    volume: AvatarVolume
    places: Places = field(default_factory=Places)


class TorchRenderer:
    """Weights in `dtype`; float32 on a CPU, bfloat16 on a CUDA device unless said otherwise."""

    def __init__(
        self, weights: Weights, device: str = "cpu", dtype: torch.dtype | None = None, batch: int = 16
    ) -> None:
        self.device = torch.device(device)
        on_gpu = self.device.type == "cuda"
        self.dtype = dtype or (torch.bfloat16 if on_gpu else torch.float32)
        self.name = f"torch {self.device.type} {str(self.dtype).removeprefix('torch.')}"
        self.batch = batch
        self.note = ""
        with device_faults():
            self.pipeline = build(weights, self.device, self.dtype)
            yuv = torch.from_numpy(putback.TO_YUV)
            self._yuv = yuv.to(self.device)

    def warm(self) -> None:
        """One frame of an avatar that is nowhere."""
        depth = self.pipeline.warp.grid.shape[0]
        channels = self.pipeline.warp.prepare.compress.in_channels
        features = np.zeros((1, channels, depth, 64, 64), np.float32)
        nowhere = Look(features, np.zeros((21, 3), np.float32), np.zeros((512, 512, 3), np.uint8), np.eye(3))
        self.render([Job(self.prepare(nowhere), np.zeros((21, 3), np.float32))])

    def prepare(self, look: Look) -> Prepared:
        with device_faults(), torch.inference_mode():
            features = torch.from_numpy(np.ascontiguousarray(look.features, np.float32)).to(self.device)
            points = (
                torch.from_numpy(np.ascontiguousarray(look.kp_source, np.float32)).reshape(1, 21, 3).to(self.device)
            )
            made = self.pipeline.warp.prepare(features, points)
            # The volume is sampled in float32; it is kept in the network's type, which is how precise it was made.
            volume = AvatarVolume(made.volume.to(self.dtype), *made.tensors()[1:])
        return Prepared(look, State(volume))

    def render(self, jobs: Sequence[Job]) -> list[I420]:
        with device_faults(), torch.inference_mode():
            drawn = self.draw(jobs)
            if self.device.type == "cpu":
                faces = drawn.permute(0, 2, 3, 1).contiguous().numpy()
                return [put(face, job, job.prepared.state.places) for face, job in zip(faces, jobs, strict=True)]
            pictures = [self._put(drawn[i : i + 1], job) for i, job in enumerate(jobs)]
            copies = [picture.to("cpu", non_blocking=True) for picture in pictures]
            torch.cuda.current_stream(self.device).synchronize()
            return [copy.numpy() for copy in copies]

    def faces(self, jobs: Sequence[Job]) -> Array:
        with device_faults(), torch.inference_mode():
            return np.asarray(self.draw(jobs).permute(0, 2, 3, 1).contiguous().cpu().numpy(), np.float32)

    def draw(self, jobs: Sequence[Job]) -> Tensor:
        """[B,3,512,512] on the device."""
        volume, driving = self.gather(jobs)
        face: Tensor = self.pipeline(*volume.tensors(), driving)
        return face

    def gather(self, jobs: Sequence[Job]) -> tuple[AvatarVolume, Tensor]:
        """The jobs' constants as one batch, and their driven points [B,21,3]."""
        if not 1 <= len(jobs) <= self.batch:
            raise ValueError(f"{len(jobs)} frames in one batch; it takes 1 to {self.batch}")
        points = np.stack([np.asarray(job.kp_driving, np.float32).reshape(21, 3) for job in jobs])
        driving = torch.from_numpy(points)
        if self.device.type == "cuda":
            driving = driving.pin_memory()
        states: list[State] = [job.prepared.state for job in jobs]
        return AvatarVolume.join([s.volume for s in states]), driving.to(self.device, non_blocking=True)

    def close(self) -> None:
        self.pipeline.to("meta")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    # ---- put-back ----------------------------------------------------------------------------------------------------

    def placement(self, job: Job) -> Placement:
        size = job.size()

        def make() -> Placement:
            place = putback.put_back(job.prepared.look, *size)

            def to(array: Any) -> Tensor:
                return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

            behind = to(place.behind.transpose(2, 0, 1))[None]
            return Placement(place, to(place.unit_grid())[None], to(place.mask)[None, None], behind, to(place.base))

        state: State = job.prepared.state
        made: Placement = state.places.get(size, make)
        return made

    def _put(self, face: Tensor, job: Job) -> Tensor:
        """One face [1,3,512,512] in its picture, I420 on the device."""
        kept = self.placement(job)
        out = kept.base.clone()
        box, height, width = kept.place.box, kept.place.height, kept.place.width
        if 0 in box.size:
            return out
        warped = F.grid_sample(face, kept.grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        inside = (kept.mask * warped + kept.behind).clamp(0, 255)
        yuv = torch.einsum("yc,bchw->byhw", self._yuv, inside)
        luma, chroma = out[:height], out[height:].view(2, height // 2, width // 2)
        luma[box.top : box.bottom, box.left : box.right] = (yuv[0, 0] + 16).round().to(torch.uint8)
        halves = F.avg_pool2d(yuv[:, 1:], 2)[0] + 128
        rows, columns = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
        chroma[:, rows, columns] = halves.round().to(torch.uint8)
        return out
