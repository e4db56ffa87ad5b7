"""Stand-ins for the auxiliary networks that exist as files alone, so that a checkpoint made for tests is complete.

They have the published inputs and outputs and find what a test needs: a face in the middle of any picture that is not
blank, landmarks of an upright face, features that follow the sound. They recognise nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .deterministic import Deterministic
from .layout import ONNX_FILES, PYTORCH_FILES, Kind

RULE = Deterministic("ditto-standins-v1")


def ring(count: int, centre: tuple[float, float], radius: tuple[float, float]) -> np.ndarray[Any, Any]:
    """Points on an ellipse, clockwise from the right."""
    angle = np.arange(count) / max(count, 1) * 2 * np.pi
    return np.stack([centre[0] + radius[0] * np.cos(angle), centre[1] + radius[1] * np.sin(angle)], axis=1)


def face(count: int, groups: dict[str, tuple[int, ...]], size: float = 0.33) -> np.ndarray[Any, Any]:
    """[count,2] landmarks of an upright face in the unit square: outline, and named groups where they belong."""
    points = ring(count, (0.5, 0.5), (0.8 * size, size))
    places = {
        "left": ((0.5 - 0.4 * size, 0.5 - 0.25 * size), (0.16 * size, 0.06 * size)),
        "right": ((0.5 + 0.4 * size, 0.5 - 0.25 * size), (0.16 * size, 0.06 * size)),
        "lips": ((0.5, 0.5 + 0.5 * size), (0.3 * size, 0.1 * size)),
    }
    for name, index in groups.items():
        points[list(index)] = ring(len(index), *places[name])
    return points.astype(np.float32)


class Points(nn.Module):
    """Landmarks that sway a little with the picture's brightness."""

    offset: Tensor
    tilt: Tensor

    def __init__(self, points: np.ndarray[Any, Any], channel_axis: int, span: float) -> None:
        super().__init__()
        flat = torch.from_numpy(np.ascontiguousarray(points, np.float32)).reshape(1, -1)
        self.register_buffer("offset", flat)
        self.register_buffer(
            "tilt", torch.from_numpy(RULE.normal(f"tilt{flat.numel()}", (3, flat.numel()), 0.004 * span))
        )
        self.axes = tuple(axis for axis in (1, 2, 3) if axis != channel_axis)

    def forward(self, picture: Tensor) -> Tensor:
        return self.offset + torch.tanh(picture.mean(dim=self.axes)) @ self.tilt


class Landmarks203(nn.Module):
    """The PyTorch bundle's file has its landmarks third."""

    def __init__(self, third: bool) -> None:
        super().__init__()
        groups = {"left": (0, 6, 12, 18), "right": (24, 30, 36, 42), "lips": (48, 66)}
        self.points, self.third = Points(face(203, groups), 1, 1.0), third

    def forward(self, picture: Tensor) -> Any:
        points = self.points(picture)
        return (points[:, :2], points[:, 2:4], points) if self.third else points


class Landmarks106(nn.Module):
    """In units of half the input, from its centre."""

    def __init__(self) -> None:
        super().__init__()
        groups = {"left": (33, 35, 40, 39), "right": (87, 89, 94, 93), "lips": (52, 61)}
        self.points = Points(face(106, groups) * 2 - 1, 1, 2.0)

    def forward(self, picture: Tensor) -> Tensor:
        out: Tensor = self.points(picture / 255)
        return out


class FaceDetector(nn.Module):
    """One face in the middle of what is not padding; none in a blank picture."""

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        filled = (picture.amax(dim=1) > -0.99).float()
        height, width = (filled.amax(dim=axis).sum(dim=1) for axis in (2, 1))
        contrast = picture.amax(dim=(1, 2, 3)) - picture.amin(dim=(1, 2, 3))
        patch = picture[:, :, 128:256, 128:256]
        detail = patch.amax(dim=(1, 2, 3)) - patch.amin(dim=(1, 2, 3))
        score = torch.sigmoid(40 * (torch.minimum(contrast, detail) - 0.2)) * 0.9
        radius = 0.3 * torch.minimum(height, width)
        # The anchor at (256, 256) of the coarsest grid: row 8, column 8, the first of two.
        ends = torch.stack((256 - width / 2 + radius, 256 - height / 2 + radius), 1)
        others = torch.stack((width / 2 - 256 + radius, height / 2 - 256 + radius), 1)
        box = torch.cat((ends, others), 1) / 32
        anchor = torch.zeros(512, 1)
        anchor[2 * (8 * 16 + 8)] = 1
        empty = [torch.zeros(n, 1) for n in (8192, 2048)]
        scores = [*empty, anchor * score]
        boxes = [torch.ones(8192, 4), torch.ones(2048, 4), torch.ones(512, 1) * box]
        points = [torch.zeros(n, 10) for n in (8192, 2048, 512)]
        # Everything that depends on nothing is tied to the input: a constant may not be an output of some runtimes.
        nothing = contrast * 0
        return tuple(out + nothing for out in (*scores, *boxes, *points))


class BlazeFace(nn.Module):
    """The same on the crop: one face in its middle."""

    regressors: Tensor

    def __init__(self) -> None:
        super().__init__()
        cell, side = 2 * (8 * 16 + 8), 56.0
        rows = torch.zeros(1, 896, 16)
        # Half a cell above and left of the anchor's centre is the picture's.
        rows[0, cell] = torch.tensor([-4.0, -4, side, side, -14, -12, 6, -12, -4, -2, -4, 8, -26, -8, 18, -8])
        self.register_buffer("regressors", rows)
        self.register_buffer("scores", torch.full((1, 896, 1), -8.0).index_fill(1, torch.tensor([cell]), 4.0))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        contrast = picture.amax(dim=(1, 2, 3)) - picture.amin(dim=(1, 2, 3))
        blank = torch.relu(0.2 - contrast) * 100
        return self.regressors + contrast * 0, self.scores - blank


class FaceMesh(nn.Module):
    """478 points; eyes half open, irises in their middles."""

    def __init__(self) -> None:
        super().__init__()
        points = np.zeros((478, 3), np.float32)
        points[:, :2] = ring(478, (0.5, 0.5), (0.3, 0.38))
        for x, (outer, inner), lids, iris in (
            (0.36, (33, 133), ((145, 159), (144, 160), (153, 158)), 468),
            (0.64, (263, 362), ((374, 386), (373, 387), (380, 385)), 473),
        ):
            side = -1 if x < 0.5 else 1
            points[outer, :2], points[inner, :2] = (x + side * 0.06, 0.42), (x - side * 0.06, 0.42)
            for i, (low, high) in enumerate(lids):
                points[low, :2] = x + (i - 1) * 0.02, 0.435
                points[high, :2] = x + (i - 1) * 0.02, 0.405
            points[iris, :2] = x, 0.42
        self.points = Points(points * 256, 3, 64.0)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        points = self.points(picture).reshape(1, 1, 1, 1434)
        level = picture.mean(dim=(1, 2, 3)).reshape(1, 1, 1, 1)
        return points, level, level.reshape(1, 1)


class Hubert(nn.Module):
    """Rows of 1024 that follow 25 ms of sound each, 50 a second: [1, L] → [(L − 80)/320, 1024]."""

    def __init__(self) -> None:
        super().__init__()
        self.hear = nn.Conv1d(1, 16, 400, stride=320)
        self.tell = nn.Linear(16, 1024)
        with torch.no_grad():
            self.hear.weight.copy_(torch.from_numpy(RULE.normal("hear", (16, 1, 400), 0.3)))
            self.hear.bias.copy_(torch.from_numpy(RULE.normal("hear bias", (16,), 0.1)))
            self.tell.weight.copy_(torch.from_numpy(RULE.normal("tell", (1024, 16), 0.1)))
            self.tell.bias.copy_(torch.from_numpy(RULE.normal("tell bias", (1024,), 0.05)))

    def forward(self, sound: Tensor) -> Tensor:
        rows = torch.tanh(self.hear(sound.unsqueeze(1)))
        out: Tensor = self.tell(rows.transpose(1, 2)).squeeze(0)
        return out


def write(root: Path, layout: Kind, say: Callable[[str], None]) -> None:
    """All auxiliary networks of a layout. MediaPipe's `.task` is of another make and is left out: the mesh of
    `checkpoints/fetch.py` takes its place where a bundle has none."""
    from .backends.export import export

    files = PYTORCH_FILES if layout is Kind.PYTORCH else ONNX_FILES
    original = layout is Kind.PYTORCH
    landmarks = ("landmarks",) if not original else ("first", "second", "landmarks")
    detected = tuple(f"{kind}{i}" for kind in ("scores", "boxes", "kps") for i in (1, 2, 3))
    makes: dict[str, tuple[nn.Module, tuple[int, ...], str, tuple[str, ...]]] = {
        "hubert": (Hubert(), (1, 6480), "input_values", ("encoding_out",)),
        "landmark203": (Landmarks203(original), (1, 3, 224, 224), "input", landmarks),
        "landmark106": (Landmarks106(), (1, 3, 192, 192), "data", ("fc1",)),
        "insightface_det": (FaceDetector(), (1, 3, 512, 512), "image", detected),
        "blaze_face": (BlazeFace(), (1, 128, 128, 3), "input", ("regressors", "classificators")),
        "face_mesh": (FaceMesh(), (1, 256, 256, 3), "input", ("Identity", "Identity_1", "Identity_2")),
    }
    for name, (net, shape, given, found) in makes.items():
        if name in files:
            path = root / files[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            say(f"{path}")
            moving = {given: {1: "samples"}, found[0]: {0: "rows"}} if name == "hubert" else {}
            export(net.eval().requires_grad_(False), (torch.zeros(shape),), path, (given,), found, moving)
