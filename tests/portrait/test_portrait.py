from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from puppet.landmarks import CHIN, FOREHEAD, FaceModels
from puppet.picture import PictureError, Rgb
from puppet.portrait import MAX_YAW, MIN_FACE, Portrait, encode, facts, load, make, thumbnail


def test_framing(portrait: Portrait, astronaut: Rgb) -> None:
    """Her face is a fifth of the photograph: head and shoulders are cut out and enlarged to the smallest size."""
    assert (portrait.width, portrait.height) == (512, 512)
    x, _, w, h = portrait.box
    assert 0.34 < h / portrait.height < 0.45
    assert abs(x + w / 2 - 256) < 20
    assert portrait.faces == 1


def test_landmarks_follow_the_cut(portrait: Portrait, models: FaceModels) -> None:
    (face,) = models.find(portrait.rgb)
    away = np.linalg.norm(face.landmarks[:, :2] - portrait.landmarks[:, :2], axis=1)
    assert away.mean() < 0.015 * face.height


def test_a_close_portrait_keeps_its_framing(astronaut: Rgb, models: FaceModels) -> None:
    close = np.ascontiguousarray(astronaut[40:240, 120:340])
    made = make(cv2.resize(close, (1100, 1000), interpolation=cv2.INTER_CUBIC), models)
    assert (made.width, made.height) == (1024, 930)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_picture_on_its_side_is_stood_up(
    astronaut: Rgb, models: FaceModels, quarters: int, portrait: Portrait
) -> None:
    made = make(np.ascontiguousarray(np.rot90(astronaut, quarters)), models)
    assert np.abs(made.landmarks[:, :2] - portrait.landmarks[:, :2]).max() < 0.03 * portrait.height


def test_of_two_faces_the_larger_one(astronaut: Rgb, models: FaceModels) -> None:
    pair = np.full((512, 900, 3), 200, np.uint8)
    pair[:512, :512] = astronaut
    pair[100:407, 560:867] = cv2.resize(astronaut, (307, 307), interpolation=cv2.INTER_AREA)
    made = make(pair, models)
    assert made.faces == 2
    assert made.box[3] > 0.34 * made.height


def problem(rgb: Rgb, models: FaceModels) -> str:
    with pytest.raises(PictureError) as caught:
        make(rgb, models)
    assert caught.value.message.endswith(".")
    return caught.value.code


def test_no_face(face_free: dict[str, Rgb], models: FaceModels) -> None:
    assert problem(face_free["landscape"], models) == "no_face"


def test_a_tiny_face(astronaut: Rgb, models: FaceModels) -> None:
    assert problem(cv2.resize(astronaut, (200, 200), interpolation=cv2.INTER_AREA), models) == "face_too_small"
    assert MIN_FACE > 200 / 512 * 107


def test_a_face_that_is_cut_off(astronaut: Rgb, models: FaceModels) -> None:
    """Her mouth lies at y 151, her eyes at x 193 to 260."""
    for part in (astronaut[:150], astronaut[:, 215:]):
        large = cv2.resize(np.ascontiguousarray(part), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        assert problem(large, models) in ("face_cut_off", "no_face")


def test_a_face_in_profile(astronaut: Rgb, models: FaceModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile is in the fixtures, so the astronaut's points are turned: what is judged is the points."""
    (face,) = models.find(astronaut)
    for degrees, refused in ((MAX_YAW - 6, False), (MAX_YAW + 6, True)):
        turn = np.radians(degrees - face.yaw)
        rotation = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
        middle = face.landmarks.mean(0)
        points = ((face.landmarks - middle) @ rotation.T + middle).astype(np.float32)
        side = type(face)(face.box, face.score, points)
        monkeypatch.setattr(models, "find", lambda _, side=side: [side])
        if refused:
            assert problem(astronaut, models) == "face_turned"
        else:
            assert make(astronaut, models).faces == 1


def test_kept_beside_its_picture(portrait: Portrait, tmp_path: Path, models_dir: Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(encode(portrait.rgb))
    (tmp_path / "p.json").write_text(json.dumps(facts(portrait) | {"name": "anything"}))
    again = load(path)
    assert np.abs(again.landmarks - portrait.landmarks).max() <= 0.011
    assert (again.width, again.height, again.faces, again.box) == (512, 512, 1, portrait.box)
    assert np.abs(again.eyes - portrait.eyes).max() <= 0.011
    assert np.array_equal(again.person, portrait.person)
    # A description that does not fit is no reason to fail where the networks are at hand.
    for text in ("", "{}", '{"version": 0}', json.dumps(facts(portrait) | {"width": 3})):
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(FileNotFoundError):
            load(path, tmp_path)
        found = load(path, models_dir)
        assert np.linalg.norm(found.landmarks[[FOREHEAD, CHIN], :2] - portrait.landmarks[[FOREHEAD, CHIN], :2]) < 10


def test_thumbnail(portrait: Portrait) -> None:
    small = cv2.imdecode(np.frombuffer(thumbnail(portrait.rgb[:300], 256), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (150, 256, 3)
