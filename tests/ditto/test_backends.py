"""Every renderer that a CPU can run draws what the published networks draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ditto.backends.looks import Job, Look
from ditto.deterministic import Deterministic, tri_image
from tests.absent import needs

torch = needs("torch")
needs("onnx")
RULE = Deterministic("backends")
Opened = Callable[[], Any]


@pytest.fixture(scope="module")
def checkpoint(tiny_pytorch: tuple[Path, Path]) -> Any:
    from ditto.checkpoints import open_checkpoint

    return open_checkpoint(*tiny_pytorch)


@pytest.fixture(scope="module")
def looks(checkpoint: Any) -> list[Look]:
    dense = checkpoint.weights.warp.dense_motion_network
    shape = (1, dense.compress.in_channels, 2, 64, 64)
    turn = np.array([[0.3, 0.05, 20], [-0.05, 0.3, 30], [0, 0, 1]], np.float32)
    return [
        Look(RULE.normal(f"f{i}", shape), RULE.normal(f"s{i}", (21, 3), 0.3), tri_image(240, 320, c=40 + i), turn)
        for i in range(2)
    ]


def driven(look: Look, i: int) -> Any:
    return look.kp_source + RULE.normal(f"d{i}", (21, 3), 0.02)


def published(checkpoint: Any, look: Look, points: Any) -> Any:
    """The networks as published, one frame: RGB [512,512,3], 0 … 255."""
    with torch.inference_mode():
        given = (
            torch.from_numpy(v.reshape(s))
            for v, s in ((look.features, look.features.shape), (look.kp_source, (1, 21, 3)), (points, (1, 21, 3)))
        )
        face = checkpoint.weights.decoder(checkpoint.weights.warp(*given))
    return face[0].permute(1, 2, 0).numpy() * 255


@pytest.fixture(scope="module", params=["torch", "onnxruntime", "exported"])
def renderer(
    request: pytest.FixtureRequest, checkpoint: Any, tiny_onnx: tuple[Path, Path], tmp_path_factory: Any
) -> Any:
    if request.param == "torch":
        from ditto.backends.eager import TorchRenderer

        return TorchRenderer(checkpoint.weights)
    from ditto.backends import onnxrt
    from ditto.backends.export import export_pipeline

    if request.param == "onnxruntime":
        root = tiny_onnx[1]
        return onnxrt.PublishedOnnxRenderer(root / "warp_network.onnx", root / "decoder.onnx", threads=1)
    out = tmp_path_factory.mktemp("exported")
    export_pipeline(checkpoint.weights, out)
    return onnxrt.ExportedRenderer(out, threads=1)


def test_faces_are_the_published_networks_faces(renderer: Any, checkpoint: Any, looks: list[Look]) -> None:
    prepared = [renderer.prepare(look) for look in looks]
    jobs = [Job(prepared[i % 2], driven(looks[i % 2], i)) for i in range(3)]
    for i, face in enumerate(renderer.faces(jobs)):
        wanted = published(checkpoint, looks[i % 2], jobs[i].kp_driving)
        assert np.abs(face - wanted).max() < 0.1, "of 255"


def test_a_frame_is_the_picture_with_the_face_in_it(renderer: Any, looks: list[Look]) -> None:
    from ditto.backends.putback import to_i420

    look = looks[0]
    job = Job(renderer.prepare(look), driven(look, 0))
    small = Job(job.prepared, job.kp_driving, width=160, height=120)
    whole, half = renderer.render([job, small])
    assert whole.shape == (360, 320) and half.shape == (180, 160)
    still = to_i420(look.picture)
    changed = whole[:240] != still[:240]
    assert changed[40:180, 60:180].mean() > 0.8, "the face is drawn"
    beside = changed[:4], changed[186:], changed[:, :18], changed[:, 202:]
    assert not any(part.any() for part in beside), "and nothing beside it"
    (again,) = renderer.render([job])
    # Alone or in a batch: the same to a rounding.
    assert np.abs(again.astype(int) - whole).max() <= 1 and again is not whole


def test_a_batch_has_its_limits(renderer: Any, looks: list[Look]) -> None:
    job = Job(renderer.prepare(looks[0]), driven(looks[0], 0))
    for jobs in ([], [job] * (renderer.batch + 1)):
        with pytest.raises(ValueError, match="1 to"):
            renderer.render(jobs)


def test_a_face_outside_its_picture_changes_nothing(renderer: Any, looks: list[Look]) -> None:
    from ditto.backends.putback import to_i420

    away = np.array([[0.1, 0, 5000], [0, 0.1, 30], [0, 0, 1]], np.float32)
    look = Look(looks[0].features, looks[0].kp_source, looks[0].picture, away)
    (frame,) = renderer.render([Job(renderer.prepare(look), driven(look, 0))])
    assert np.array_equal(frame, to_i420(look.picture))


def test_a_full_device_and_a_lost_one_are_told_apart() -> None:
    from ditto.errors import DeviceLost, OutOfMemory
    from ditto.faults import device_faults

    with pytest.raises(OutOfMemory), device_faults():
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(DeviceLost, match="unspecified launch failure"), device_faults():
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
    with pytest.raises(RuntimeError, match="shapes"), device_faults():
        raise RuntimeError("shapes do not match")


def test_half_precision_stays_near(checkpoint: Any, looks: list[Look]) -> None:
    """The same code in bfloat16: coordinates, masks and statistics stay float32."""
    from ditto.backends.eager import TorchRenderer

    renderer = TorchRenderer(checkpoint.weights, dtype=torch.bfloat16)
    points = driven(looks[0], 0)
    (face,) = renderer.faces([Job(renderer.prepare(looks[0]), points)])
    off = np.abs(face - published(checkpoint, looks[0], points)) / 255
    assert off.max() < 0.2 and off.mean() < 0.01
