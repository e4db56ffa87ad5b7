"""The networks with the golden vectors' weights, each made once."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.ditto.golden import GOLDEN

NETS = ("appearance_extractor", "motion_extractor", "stitch_network", "warp_network", "decoder", "lmdm")


@cache
def state(net: str) -> dict[str, Any]:
    """The state dictionary of a published-size network, made by the directory's rule."""
    import torch

    from ditto.nets.family import FAMILY
    from ditto.nets.widths import FULL

    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in FAMILY[net](FULL).state_dict().items()}
    return {key: torch.from_numpy(value.copy()) for key, value in GOLDEN.rule.weights(net, shapes)}


@cache
def network(net: str) -> Any:
    """A published-size network with those weights, strictly loaded."""
    import torch

    from ditto.nets.family import FAMILY
    from ditto.nets.widths import FULL

    with torch.device("meta"):
        module = FAMILY[net](FULL)
    module.load_state_dict(state(net), strict=True, assign=True)
    return module.eval().requires_grad_(False)


def watch(module: Any, wanted: list[str]) -> dict[str, Any]:
    """Outputs of the submodules named, filled at the module's next call."""
    seen: dict[str, Any] = {}
    modules = dict(module.named_modules())
    for name in wanted:
        if name in modules:
            modules[name].register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out))
    return seen
