"""Tensors that anybody can make again from their names: a seeded generator a name (specification §14.1).

The golden vectors were computed with weights, inputs and noise made by this rule, and `python -m ditto testweights`
writes checkpoints with it. A prefix selects one family of numbers; the same prefix and name give the same bits on every
machine, because both CRC-32 and numpy's PCG64 streams are fixed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PREFIX = "ditto-golden-v1"

_GAINS = {
    ("lmdm", "final_layer.weight"): 0.03,
    ("stitch_network", "mlp.6.weight"): 0.1,
    ("decoder", "conv_img.0.weight"): 1.0,
    ("warp_network", "dense_motion_network.mask.weight"): 3.0,
}
"""Keeps outputs in the range that trained nets have: small motions, grey pictures, decided masks."""


def rotary_frequencies(width: int) -> Array:
    """10000^(−2i/width), i = 0 … width/2 − 1, as float32: an architectural constant that checkpoints carry (§8.6)."""
    powers = np.power(10000.0, np.arange(0, width, 2, dtype=np.float64) / width).astype(np.float32)
    return np.asarray(np.float32(1.0) / powers, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Deterministic:
    """The generator of one prefix."""

    prefix: str = PREFIX

    def generator(self, name: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(zlib.crc32(f"{self.prefix}|{name}".encode())))

    def normal(self, name: str, shape: Sequence[int], scale: float = 1.0, loc: float = 0.0) -> Array:
        """float32; drawn, scaled and shifted in float64."""
        return np.asarray(self._normal64(name, shape) * scale + loc, dtype=np.float32)

    def uniform(self, name: str, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Array:
        drawn = self.generator(name).random(math.prod(shape)).reshape(tuple(shape))
        return np.asarray(low + (high - low) * drawn, dtype=np.float32)

    def _normal64(self, name: str, shape: Sequence[int]) -> Array:
        drawn: Array = self.generator(name).standard_normal(math.prod(shape))
        return drawn.reshape(tuple(shape))

    def weights(self, net: str, shapes: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, Array]]:
        """(key, value) for every key of a network's state dictionary, in its order."""
        originals: dict[str, Array] = {}
        for key, shape in shapes.items():
            value = self._weight(net, key, tuple(shape), originals)
            if key.endswith("weight_orig"):
                originals[key] = value
            yield key, value

    def _weight(self, net: str, key: str, shape: tuple[int, ...], originals: Mapping[str, Array]) -> Array:
        name, leaf = f"w|{net}|{key}", key.rsplit(".", 1)[-1]
        if leaf == "num_batches_tracked":
            return np.zeros(shape, dtype=np.int64)
        if leaf == "freqs":
            return rotary_frequencies(2 * shape[0])
        if leaf == "running_mean":
            return self.normal(name, shape, 0.1)
        if leaf == "running_var":
            return self.uniform(name, shape, 0.5, 1.5)
        if leaf in ("null_cond_embed", "null_cond_hidden"):
            return self.normal(name, shape, 0.5)
        if leaf in ("gamma", "beta"):
            return self.normal(name, shape, 0.1)
        if leaf in ("bias", "in_proj_bias"):
            return self.normal(name, shape, 0.05)
        if leaf == "weight_u":
            return np.asarray(self._unit(name, shape), dtype=np.float32)
        if leaf == "weight_v":
            stem = key.removesuffix("weight_v")
            original = originals[stem + "weight_orig"].astype(np.float64)
            matrix = original.reshape(original.shape[0], -1)
            v = matrix.T @ self._unit(f"w|{net}|{stem}weight_u", (matrix.shape[0],))
            return np.asarray(v / np.linalg.norm(v), dtype=np.float32)
        if len(shape) == 1:
            return self.uniform(name, shape, 0.8, 1.2)
        gain = _GAINS.get((net, key), math.sqrt(2.0) if len(shape) >= 4 else 1.0)
        return self.normal(name, shape, gain / math.sqrt(math.prod(shape[1:])))

    def _unit(self, name: str, shape: Sequence[int]) -> Array:
        drawn = self._normal64(name, shape)
        return np.asarray(drawn / np.linalg.norm(drawn))

    def start_noise(self, tag: str, clip: int, shape: Sequence[int] = (1, 80, 265)) -> Array:
        """x_T of a session's clip number `clip`."""
        return self.normal(f"noise/xT/{tag}{clip}", shape)

    def step_noise(self, steps: int, shape: Sequence[int] = (1, 80, 265)) -> Array:
        """z_0 … z_{steps−2}, stacked on a new first axis: [steps − 1, *shape]."""
        drawn = [self.normal(f"noise/step{steps}/{i}", shape) for i in range(steps - 1)]
        return np.stack(drawn) if drawn else np.zeros((0, *shape), np.float32)

    def source(self, tag: str, frames: int, scale: float = 1.5) -> list[dict[str, Array]]:
        """A synthetic registered source, one dictionary a frame (§14.1 "Source dicts").

        Keys pitch, yaw, roll [1,66] (logits), t [1,3], exp [1,63], scale [1,1], kp [1,63], eye_open [1,2],
        eye_ball [1,6]; all float32.
        """
        return [self._source_frame(tag, i, scale) for i in range(frames)]

    def _source_frame(self, tag: str, i: int, scale: float) -> dict[str, Array]:
        base = f"{tag}/{i}"
        bins = np.arange(66, dtype=np.float64)
        frame: dict[str, Array] = {}
        for key, degrees in (("pitch", 3 - 2 * i), ("yaw", -5 + 3 * i), ("roll", 1 + i)):
            bell = -0.5 * ((bins - (degrees + 97.5) / 3) / 1.6) ** 2
            frame[key] = np.asarray(bell + self.normal(f"{base}/{key}", (1, 66), 0.1), dtype=np.float32)
        frame["t"] = self.normal(f"{base}/t", (1, 3), 0.05)
        frame["exp"] = self.normal(f"{base}/exp", (1, 63), 0.03)
        frame["scale"] = np.full((1, 1), scale + 0.01 * i, dtype=np.float32)
        frame["kp"] = self.normal(f"{base}/kp", (1, 63), 0.3)
        frame["eye_open"] = self.uniform(f"{tag}/eo{i}", (1, 2), 0.3, 0.9)
        frame["eye_ball"] = self.normal(f"{tag}/eb{i}", (1, 6), 0.02)
        return frame


def tri_image(height: int, width: int, a: int = 3, b: int = 5, c: int = 40) -> Array:
    """A synthetic RGB picture [height, width, 3] uint8 of triangle waves (§14.1)."""
    y, x, channel = np.ogrid[:height, :width, :3]
    v = (a * x + b * y + x * y // 64 + c * channel) % 512
    picture: Array = np.where(v < 256, v, 511 - v).astype(np.uint8)
    return picture
