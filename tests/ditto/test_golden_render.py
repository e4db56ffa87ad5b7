"""Mask, put-back and the whole chain from a picture to a frame against the original's vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from ditto.backends.looks import Look
from ditto.backends.putback import as_rgb, put_back, soft_mask, warp
from tests.absent import needs
from tests.ditto.crops import main_crops
from tests.ditto.golden import GOLDEN
from tests.ditto.nets import network

torch = needs("torch")
CROP = GOLDEN.vectors("crop_putback")
CHAIN = GOLDEN.vectors("render_chain")


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@cache
def picture() -> Any:
    return GOLDEN.picture(*GOLDEN.frame_size("crop_putback"))


def look(**wanted: Any) -> Look:
    nothing = np.zeros(0, np.float32)
    return Look(
        **({"features": nothing, "kp_source": nothing, "picture": picture(), "to_frame": CROP["main_M_c2o"]} | wanted)
    )


def test_masks() -> None:
    CROP.check("mask512", soft_mask(), absolute=1e-6)
    CROP.check("mask512_tl", soft_mask()[:32, :32], absolute=1e-6)
    CROP.check("mask512_br", soft_mask()[-32:, -32:], absolute=1e-6)
    for match in CROP.matching(r"mask_(\d+)x(\d+)"):
        ratios = [float(n) for n in re.findall(r"0\.\d+", CROP.note(match[0]))]
        CROP.check(match[0], soft_mask(int(match[1]), int(match[2]), *ratios), absolute=1e-6)


def test_put_back() -> None:
    seed = CROP["render_seed"]
    face = cv2.resize(seed, (512, 512), interpolation=cv2.INTER_LINEAR) * np.float32(255)
    CROP.check("render", face, absolute=1e-3)
    place = put_back(look())
    CROP.check("putback", as_rgb(face, place), absolute=GOLDEN.tolerance("crop_putback", "image_levels"))
    whole = np.zeros(picture().shape[:2], np.float32)
    box = place.box
    whole[box.top : box.bottom, box.left : box.right] = place.mask
    CROP.check("mask_warped", whole, absolute=1e-5)
    drawn = np.zeros(picture().shape, np.float32)
    drawn[box.top : box.bottom, box.left : box.right] = warp(face, place)
    CROP.check("frame_warped", drawn, absolute=1e-2)


@cache
def source() -> tuple[dict[str, Any], Any]:
    """The extractors' findings on the main crop: motion, rescaled as the vectors' note says, and features."""
    from ditto.nets.motion import HEADS

    def seen(crop: Any) -> tuple[float, dict[str, Any], Any]:
        small = cv2.resize(crop, (256, 256), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy((small.astype(np.float32) / 255).transpose(2, 0, 1)[None].copy())
        info = dict(zip(HEADS, network("motion_extractor")(image), strict=True))
        return float(np.abs(info["pitch"].numpy() - CHAIN["x_s_info_pitch"]).max()), info, image

    _off, info, image = min(map(seen, main_crops()), key=lambda found: found[0])
    info |= {key: info[key] * gain for key, gain in (("exp", 0.05), ("kp", 0.3), ("t", 0.05))}
    info["scale"] = info["scale"].abs() * 0.2 + 1
    return info, network("appearance_extractor")(image)


def points(info: dict[str, Any], yaw: float = 0.0, exp: Any = 0.0) -> Any:
    """§6.2, for the chain's own three motions: x = scale·(kp·R + exp) + t."""
    bins = torch.arange(66, dtype=torch.float32)
    angles = [float((info[k].softmax(-1) * bins).sum() * 3 - 97.5) for k in ("pitch", "yaw", "roll")]
    angles[1] += yaw
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in np.deg2rad(angles))
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turn = torch.from_numpy((turn_z @ turn_y @ turn_x).T.astype(np.float32))
    x = info["scale"][:, :, None] * (info["kp"].view(1, 21, 3) @ turn + (info["exp"] + exp).view(1, 21, 3))
    x[:, :, :2] += info["t"][:, None, :2]
    return x


def test_source() -> None:
    info, _features = source()
    for name, value in info.items():
        CHAIN.check(f"x_s_info_{name}", value, rel_max=GOLDEN.tolerance("motion_extractor"))
    CHAIN.check("x_s", points(info), absolute=GOLDEN.tolerance("render_chain", "x_d"))


@pytest.mark.parametrize("frame", sorted(m[1] for m in CHAIN.matching(r"f(\d+)_frame")))
def test_chain(frame: str) -> None:
    from ditto.backends.eager import TorchRenderer
    from ditto.backends.looks import Job
    from ditto.backends.weights import Weights

    note = CHAIN.note(f"f{frame}_x_d")
    name, scale = re.search(r'N\("([^"]+)",\[1,63\],([\d.]+)\)', note).groups()  # type: ignore[union-attr]
    yaw = float(re.search(r"yaw degrees \+= (-?[\d.]+)", note)[1])  # type: ignore[index]
    info, features = source()
    x_s = points(info)
    x_d = points(info, yaw, torch.from_numpy(GOLDEN.rule.normal(name, (1, 63), float(scale))))
    x_d = network("stitch_network")(x_s, x_d)
    CHAIN.check(f"f{frame}_x_d", x_d, absolute=GOLDEN.tolerance("render_chain", "x_d"))
    renderer = TorchRenderer(Weights(network("warp_network"), network("decoder")))
    prepared = renderer.prepare(look(features=features.numpy(), kp_source=x_s[0].numpy()))
    job = Job(prepared, x_d[0].numpy())
    (face,) = renderer.faces([job])
    CHAIN.check(f"f{frame}_decoded", face, absolute=GOLDEN.tolerance("render_chain", "decoded_levels"))
    drawn = as_rgb(face, put_back(prepared.look))
    CHAIN.check(f"f{frame}_frame", drawn, absolute=GOLDEN.tolerance("render_chain", "frame_levels"))
