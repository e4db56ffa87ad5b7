"""The rule that weights, inputs and noise are made by, checked before anything that is made with it."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.absent import needs
from tests.ditto.golden import GOLDEN
from tests.ditto.nets import NETS, state

needs("torch")
V = GOLDEN.vectors("rng_check")


def test_numbers() -> None:
    for name in ("normal_demo", "uniform_demo"):
        V.input(name)


@pytest.mark.parametrize("net", NETS)
def test_weights_to_the_bit(net: str) -> None:
    """A sum a key, in the published files' order: keys, shapes, order and values in one."""
    tensors = state(net)
    sums = [
        zlib.crc32(tensor.numpy().astype(tensor.numpy().dtype.newbyteorder("<")).tobytes())
        for tensor in tensors.values()
    ]
    stored = V[f"{net}__key_crc32"].tolist()
    # The rotary frequencies are no random numbers: a power function's last bit differs between libraries.
    same = zip(tensors, sums, stored, strict=True)
    assert [key for key, found, wanted in same if found != wanted and not key.endswith(".freqs")] == []


def test_spectral_norm() -> None:
    for match in V.matching(r"decoder__(.*)\.sigma"):
        tensors = state("decoder")
        original = tensors[f"{match[1]}.weight_orig"].double().flatten(1)
        u, v = tensors[f"{match[1]}.weight_u"].double(), tensors[f"{match[1]}.weight_v"].double()
        np.testing.assert_allclose(float(u @ original @ v), V[match[0]], rtol=1e-6)
