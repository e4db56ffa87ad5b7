"""Crops, detection and landmarks against the golden vectors; the networks' outputs are stand-ins."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pytest

from ditto.registration import crop, detector, eyes, landmarks, mesh

from .golden import GOLDEN

RULE = GOLDEN.rule
TOL = GOLDEN.manifest["tolerances_fp32"]["crop_putback"]
AUX = GOLDEN.manifest["tolerances_fp32"]["aux_models"]
LEVELS = TOL["image_levels_other_opencv"]
CROPS = sorted({m[1] for m in GOLDEN.vectors("crop_putback").matching(r"(lmk\d+_.*_\d+)_M_o2c")})


@pytest.mark.parametrize("case", CROPS)
def test_golden_crop(case: str) -> None:
    g = GOLDEN.vectors("crop_putback")
    told = ast.literal_eval(g.note(f"{case}_M_o2c"))
    side = int(re.search(r"_d(\d+)_", case)[1])  # type: ignore[index]
    points = g[f"{case}_pts"]
    made = crop.crop(points, side, told["scale"], told["vy_ratio"], told.get("flag_do_rot", True))
    for name, matrix in (("M_o2c", made.to_crop), ("M_c2o", made.to_frame)):
        want = g[f"{case}_{name}"]
        np.testing.assert_allclose(matrix, want, atol=TOL["matrix_rel"] * np.abs(want).max(), rtol=0)
    want = g[f"{case}_pt_crop"]
    np.testing.assert_allclose(made.into(points), want, atol=TOL["matrix_rel"] * np.abs(want).max(), rtol=0)
    picture = GOLDEN.picture(*GOLDEN.frame_size("crop_putback"))
    g.check(f"{case}_img_crop", made.cut(picture).astype(int), absolute=LEVELS)


def test_golden_crop_main() -> None:
    g = GOLDEN.vectors("crop_putback")
    picture = GOLDEN.picture(*GOLDEN.frame_size("crop_putback"))
    g.check("frame", picture)
    made = crop.crop(g["main_pts"], crop.SIDE, crop.SCALE, crop.UP)
    want = g["main_M_c2o"]
    np.testing.assert_allclose(made.to_frame, want, atol=TOL["matrix_rel"] * np.abs(want).max(), rtol=0)
    cut = made.cut(picture)
    g.check("main_img_crop", cut.astype(int), absolute=LEVELS)
    g.check("main_rgb256", crop.network_input(cut), absolute=LEVELS / 255)
    for h, w, most, new_h, new_w, changed in g["check_resize"]:
        assert crop.fitted(int(h), int(w), int(most)) == (new_h, new_w)
        assert ((h, w) != (new_h, new_w)) == bool(changed)


def _picture() -> Any:
    return GOLDEN.picture(*GOLDEN.frame_size("aux_models"))


def test_golden_detector() -> None:
    g = GOLDEN.vectors("aux_models")
    blob, scale = detector.letterbox(_picture())
    g.check("det_blob", blob, absolute=LEVELS / 128)
    outputs: list[Any] = [None] * 9
    for i, stride in enumerate((8, 16, 32)):
        n = 2 * (512 // stride) ** 2
        scores = RULE.uniform(f"aux/det_score{stride}", (n, 1), 0, 0.45)
        scores[g[f"det_pos_idx{stride}"], 0] = g[f"det_pos_score{stride}"]
        outputs[i] = scores
        outputs[i + 3] = RULE.uniform(f"aux/det_box{stride}", (n, 4), 1, 6)
        outputs[i + 6] = RULE.normal(f"aux/det_kps{stride}", (n, 10), 2)
    boxes, points = detector.decode(outputs, scale)
    g.check("det_boxes", boxes, absolute=AUX["pixels"])
    g.check("det_kps", points, absolute=AUX["pixels"])
    best = detector.Detector(lambda _: outputs).find(_picture())[0]
    g.check("det_best", np.array([best.x1, best.y1, best.x2, best.y2, best.score]), absolute=AUX["pixels"])


def test_golden_landmarks() -> None:
    g = GOLDEN.vectors("aux_models")
    box = detector.Box(*(float(v) for v in g["l106_box"]))
    blobs = []

    def net(blob: Any) -> list[Any]:
        blobs.append(blob)
        return [g["l106_raw"]]

    placed = landmarks.Landmarks106(net).place(_picture(), box)
    g.check("l106_blob", blobs[0], absolute=LEVELS)
    g.check("l106_pts", placed, absolute=AUX["pixels"])
    other = np.zeros((1, 3), np.float32)
    got = landmarks.Landmarks203(lambda _: [other, other, g["l203_raw"]]).place(
        np.zeros((224, 224, 3), np.uint8), g["l203_M_c2o"]
    )
    g.check("l203_pts", got, rel_max=AUX["rel"])


def test_golden_landmark_input() -> None:
    """The stand-in crops are synthetic pictures of the crop's size."""
    g = GOLDEN.vectors("aux_models")
    side = crop.FIRST_SIDE
    g.check("l203_input", landmarks.input_203(GOLDEN.picture(side, side)), absolute=LEVELS / 255)


def test_golden_mesh() -> None:
    g = GOLDEN.vectors("aux_models")
    g.check("bf_anchors", mesh.anchors(), absolute=1e-9)
    regressors = RULE.normal("aux/bf_reg", (1, 896, 16), 6)
    regressors[:, :, 2:4] = np.abs(regressors[:, :, 2:4]) + 40
    scores = RULE.normal("aux/bf_cls", (1, 896, 1), 1, -6)
    scores[0, [200, 201, 202, 600, 700], 0] = [3, 2, 2.5, 1, -0.5]
    found = mesh.detections(regressors, scores)
    g.check("bf_det", found, rel_max=AUX["rel"])
    side = crop.SIDE
    cut = GOLDEN.picture(side, side)
    g.check("bf_input", mesh.face_input(cut), absolute=LEVELS / 127.5)
    where = mesh.roi(found[0], side, side)
    g.check("fm_roi", np.array([where.x, where.y, where.width, where.height, where.angle]), absolute=AUX["pixels"])
    g.check("fm_input", mesh.mesh_input(cut, where), absolute=LEVELS / 255)
    g.check("lmk478", mesh.points(g["mesh_raw"], where, side, side), rel_max=AUX["rel"])


def test_golden_eyes() -> None:
    g = GOLDEN.vectors("aux_models")
    g.check("eye_open", eyes.eye_open(g["eye_lmk"]), rel_max=AUX["rel"])
    g.check("eye_ball_move", eyes.eye_ball(g["eye_lmk"]), rel_max=AUX["rel"])
