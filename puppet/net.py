"""The mouth's net in plain numpy, one step of 20 ms at a time. Trained by `puppet.training`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .sound import BANDS

Floats = npt.NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "assets" / "mouth.npz"
"""Of several members, each trained from another seed, in one array for each layer: [members, from, to]. What they say
is averaged, which is surer than each of them."""
CONTEXT = 3
"""Steps that the convolution sees."""
LOOK_AHEADS = (2, 4, 6)
"""Steps by which the answers lag the sound: the net names three mouths at once, the later the surer."""


@cache
def _weights(path: Path) -> dict[str, Floats]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: np.ascontiguousarray(stored[name].astype(np.float32)) for name in stored.files}


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), dtype=np.float32)  # no overflow, whatever comes in


class MouthNet:
    """Causal convolution, gated recurrent unit (Cho et al., 2014, with the reset gate after the product, as cuDNN and
    torch have it), linear layer. The weights are shared; the state is this object's."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        self._w = _weights(path)
        self._seen = np.zeros((CONTEXT, 2 * BANDS), np.float32)
        members, size, _ = self._w["hidden"].shape
        self._state = np.zeros((members, 1, size), np.float32)

    def step(self, features: Floats) -> Floats:
        """Features of two hops, shape (2, BANDS), to the mouths of `LOOK_AHEADS` steps ago, shape (3, 8): `MOUTH`
        before `visemes.shape_mouth`, and whether it speaks."""
        w = self._w
        self._seen[:-1] = self._seen[1:]
        self._seen[-1] = features.reshape(-1)
        front = np.maximum(self._seen.reshape(1, -1) @ w["front"] + w["front_bias"], 0)
        given, kept = front @ w["input"] + w["input_bias"], self._state @ w["hidden"] + w["hidden_bias"]
        n = self._state.shape[-1]
        gates = _sigmoid(given[..., : 2 * n] + kept[..., : 2 * n])
        reset, update = gates[..., :n], gates[..., n:]
        fresh = np.tanh(given[..., 2 * n :] + reset * kept[..., 2 * n :])
        self._state = ((1 - update) * fresh + update * self._state).astype(np.float32)
        said = _sigmoid(self._state @ w["mouth"] + w["mouth_bias"]).mean(axis=0)
        return np.asarray(said.reshape(len(LOOK_AHEADS), -1), np.float32)
