"""The diffusion model against the original's vectors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.absent import needs
from tests.ditto.golden import GOLDEN
from tests.ditto.nets import network, watch

torch = needs("torch")

V = GOLDEN.vectors("lmdm")
TIMES = sorted({int(m[1]) for m in V.matching(r"t(\d+)_x_start")}, reverse=True)
BOUND = GOLDEN.tolerance("lmdm")
PROBED = [
    (int(m[1]), m[2]) for m in V.matching(r"t(\d+)_((?:\w+_)?(?:projection|encoder|norm_cond|mlp|tokens|Decoder).*)")
]


def tensor(name: str):
    return torch.from_numpy(V.input(name))


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def test_rotary() -> None:
    from ditto.nets.lmdm import Rotary

    frequencies = V["rotary_freqs"]
    rotary = Rotary(2 * len(frequencies))
    V.check("rotary_freqs", rotary.freqs, rel_max=1e-6)
    whole = GOLDEN.rule.normal("lmdm/rot", V.entries["rotary_out"]["full_shape"])
    V.check("rotary_out", rotary(torch.from_numpy(whole)), rel_max=BOUND)


@pytest.mark.parametrize("t", TIMES)
def test_single_call_as_published(t: int) -> None:
    net = network("lmdm")
    inputs = tensor("x"), tensor("cond_frame"), tensor("cond"), torch.tensor([t])
    conditional, unconditional = net(*inputs), net(*inputs, unconditional=True)
    V.check(f"t{t}_conditional", conditional, rel_max=BOUND)
    V.check(f"t{t}_unconditional", unconditional, rel_max=BOUND)
    guided = unconditional + 2 * (conditional - unconditional)
    V.check(f"t{t}_x_start", guided, rel_max=BOUND)
    # In float32 as the original: at t = 0 its rounding of 1/ᾱ − 1 shows in the fourth digit.
    alpha, one = np.float32(V["alphas_cumprod"][t]), np.float32(1)
    noise = float(np.sqrt(one / (one - alpha))) * tensor("x") - guided / float(np.sqrt(one / alpha - one))
    V.check(f"t{t}_pred_noise", noise, rel_max=10 * BOUND)


@pytest.mark.parametrize("t", TIMES)
def test_single_call_split(t: int) -> None:
    net = network("lmdm")
    memory, null = net.condition(tensor("cond")), net.unconditional()
    (moment,) = net.schedule(torch.tensor([t]))
    V.check(
        f"t{t}_x_start", net.step(tensor("x"), net.frame(tensor("cond_frame")), memory, null, moment), rel_max=BOUND
    )


def test_inner_outputs() -> None:
    net = network("lmdm")
    assert PROBED
    for t in {t for t, _ in PROBED}:
        names = [name for when, name in PROBED if when == t]
        seen = watch(net, names)
        net(tensor("x"), tensor("cond_frame"), tensor("cond"), torch.tensor([t]))
        assert set(names) == set(seen)
        for name in names:
            V.check(f"t{t}_{name}", seen[name], rel_max=BOUND)
