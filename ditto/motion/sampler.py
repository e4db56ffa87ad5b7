"""Clips from the diffusion network: the sampling loop around it, for whatever it runs on."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .schedule import sample, times
from .vector import Array


class Sampler(Protocol):
    """Samples clips; keeps nothing of a session. Safe to call from one thread at a time."""

    def sample(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        """Clips [b,80,265] for conditions [b,80,1103], the frames before them [b,265], start noise [b,80,265] and the
        noise of the steps [steps − 1, b, 80, 265]."""
        ...


class TorchSampler:
    """The network in torch. What depends on the steps alone is computed once and kept."""

    KEPT_SCHEDULES = 8

    def __init__(self, network: Any, device: str = "cpu", dtype: Any = None) -> None:
        """`network` is a `ditto.nets.lmdm.Lmdm` with its weights, on `device` already."""
        import torch

        self._torch = torch
        self._net = network
        self._device = torch.device(device)
        self._dtype = dtype or torch.float32
        self._schedules: dict[int, Any] = {}
        with torch.inference_mode():
            self._null = network.unconditional()

    def _schedule(self, count: int) -> Any:
        if count not in self._schedules:
            if len(self._schedules) >= self.KEPT_SCHEDULES:
                self._schedules.pop(next(iter(self._schedules)))
            self._schedules[count] = self._net.schedule(self._torch.tensor(times(count)[:-1], device=self._device))
        return self._schedules[count]

    def sample(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        torch = self._torch
        count = len(noises) + 1

        def onto(array: Array) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

        with torch.inference_mode():
            moments = self._schedule(count)
            memory = self._net.condition(onto(condition).to(self._dtype))
            frame = self._net.frame(onto(pose).to(self._dtype))
            given = onto(noises)
            clip = sample(
                onto(start),
                lambda i: given[i],
                count,
                # x itself stays in float32: in half precision the last steps would lose what they add.
                lambda x, _, i: self._net.step(x.to(self._dtype), frame, memory, self._null, moments[i]).float(),
            )
            return np.asarray(clip.cpu().numpy(), np.float32)


class OnnxSampler:
    """The published ONNX file: one call a step and a clip, both passes of the guidance inside it."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [value.name for value in session.get_inputs()]
        outputs = [value.name for value in session.get_outputs()]
        self._output = outputs.index("x_start") if "x_start" in outputs else len(outputs) - 1

    def sample(self, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        return np.concatenate([self._one(i, condition, pose, start, noises) for i in range(len(start))])

    def _one(self, row: int, condition: Array, pose: Array, start: Array, noises: Array) -> Array:
        one = slice(row, row + 1)

        def denoise(x: Array, time: int, _: int) -> Array:
            values = (np.asarray(x, np.float32), pose[one], condition[one], np.array([time], np.int64))
            out = self._session.run(None, dict(zip(self._names, values, strict=True)))
            return np.asarray(out[self._output], np.float32)

        return np.asarray(sample(start[one], lambda i: noises[i, one], len(noises) + 1, denoise), np.float32)
