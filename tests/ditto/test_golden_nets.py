"""The five networks of the picture against the original's vectors, as published and as they are run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from tests.absent import needs
from tests.ditto.golden import GOLDEN, Vectors
from tests.ditto.nets import network, watch

torch = needs("torch")


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def cases(vectors: Vectors, output: str) -> list[str]:
    return sorted(m[1] for m in vectors.matching(rf"(c\d+_){output}"))


def image(vectors: Vectors, name: str) -> Any:
    """An extractor's input: a recipe, or the synthetic picture made smaller by area."""
    if name not in vectors or vectors.note(name).startswith("tri_image"):
        small = cv2.resize(GOLDEN.picture(512, 512), (256, 256), interpolation=cv2.INTER_AREA)
        whole = (small.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        if name in vectors:
            vectors.check(name, whole, absolute=1e-6)
        return torch.from_numpy(np.ascontiguousarray(whole))
    return torch.from_numpy(vectors.input(name))


def check_inner(vectors: Vectors, case: str, seen: dict[str, Any], bound: float) -> None:
    for name, value in seen.items():
        vectors.check(case + name, value, rel_max=bound)


APPEARANCE = GOLDEN.vectors("appearance_extractor")


@pytest.mark.parametrize("case", cases(APPEARANCE, "f_s"))
def test_appearance(case: str) -> None:
    bound = GOLDEN.tolerance("appearance_extractor")
    net = network("appearance_extractor")
    inner = [m[1] for m in APPEARANCE.matching(rf"{case}(?!image|f_s)(.*)")]
    seen = watch(net, inner)
    APPEARANCE.check(f"{case}f_s", net(image(APPEARANCE, f"{case}image")), rel_max=bound)
    assert set(seen) == set(inner)
    check_inner(APPEARANCE, case, seen, bound)


MOTION = GOLDEN.vectors("motion_extractor")


@pytest.mark.parametrize("case", cases(MOTION, "pitch"))
def test_motion(case: str) -> None:
    from ditto.nets.motion import HEADS

    bound = GOLDEN.tolerance("motion_extractor")
    net = network("motion_extractor")
    inner = [m[1] for m in MOTION.matching(rf"{case}(detector.*)")]
    seen = watch(net, inner)
    outputs = dict(zip(HEADS, net(image(MOTION, f"{case}image")), strict=True))
    assert set(seen) == set(inner)
    check_inner(MOTION, case, seen | outputs, bound)


def test_stitch() -> None:
    vectors, net = GOLDEN.vectors("stitch_network"), network("stitch_network")
    points = [torch.from_numpy(vectors.input(name)) for name in ("kp_source", "kp_driving")]
    bound = GOLDEN.tolerance("stitch_network")
    vectors.check("delta", net.delta(*points), rel_max=bound)
    vectors.check("out", net(*points), rel_max=bound)


WARP = GOLDEN.vectors("warp_network")


@pytest.mark.parametrize("case", cases(WARP, "out"))
def test_warp(case: str) -> None:
    bound = GOLDEN.tolerance("warp_network")
    net = network("warp_network")
    inner = [m[1] for m in WARP.matching(rf"{case}((?:dense_motion_network|third|fourth).*)")]
    seen = watch(net, inner)
    inputs = (torch.from_numpy(WARP.input(case + name)) for name in ("feature_3d", "kp_source", "kp_driving"))
    traced = net.trace(*inputs)
    assert set(seen) == set(inner)
    check_inner(WARP, case, seen, bound)
    WARP.check(f"{case}out", traced.out, rel_max=bound)
    WARP.check(f"{case}warped", traced.warped, rel_max=bound)
    for field in traced.motion.__dataclass_fields__:
        WARP.check(case + field, getattr(traced.motion, field), rel_max=bound)


def test_decoder() -> None:
    vectors, net = GOLDEN.vectors("decoder"), network("decoder")
    bound = GOLDEN.tolerance("decoder", "abs")
    inner = [name for name in vectors if name not in ("feature", "output", "output_crop")]
    seen = watch(net, inner)
    output = net(torch.from_numpy(vectors.input("feature")))
    assert set(seen) == set(inner)
    check_inner(vectors, "", seen, bound)
    vectors.check("output", output, absolute=bound)
    crop = output[:, :, 224:288, 200:264]
    vectors.check("output_crop", crop, absolute=bound)
