from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from puppet.landmarks import CHIN, EYE_LEFT, EYE_RIGHT, FOREHEAD, POINTS, FaceModels
from puppet.picture import Rgb


def turned(rgb: Rgb, degrees: float) -> Rgb:
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 0.7)
    return cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def pasted(rgb: Rgb, size: tuple[int, int], at: tuple[int, int], height: int) -> Rgb:
    """The picture at `height` pixels on a plain ground of `size` (width, height), its corner `at`."""
    ground = np.full((size[1], size[0], 3), (170, 175, 180), np.uint8)
    small = cv2.resize(rgb, (round(rgb.shape[1] * height / rgb.shape[0]), height), interpolation=cv2.INTER_AREA)
    ground[at[1] : at[1] + small.shape[0], at[0] : at[0] + small.shape[1]] = small
    return ground


def test_the_astronaut(models: FaceModels, astronaut: Rgb) -> None:
    (face,) = models.find(astronaut)
    assert face.score > 0.9
    assert face.landmarks.shape == (POINTS, 3)
    # The pupils are the darkest spots around the eyes, whatever a network says.
    for corners in ((33, 133), (362, 263)):
        eye = face.landmarks[list(corners), :2].mean(0)
        x, y = np.rint(eye).astype(int)
        dark = cv2.GaussianBlur(astronaut.mean(2), (0, 0), 2)[y - 10 : y + 10, x - 10 : x + 10]
        row, column = np.unravel_index(dark.argmin(), dark.shape)
        assert np.allclose(eye, (x - 10 + column, y - 10 + row), atol=3.5)
    assert abs(face.landmarks[CHIN, 1] - 177) < 6
    assert abs(face.roll) < 6 and abs(face.yaw) < 10


def test_the_same_picture_gives_the_same_points(models: FaceModels, astronaut: Rgb) -> None:
    first, second = models.find(astronaut), models.find(astronaut)
    assert np.array_equal(first[0].landmarks, second[0].landmarks)


def test_no_face_where_there_is_none(models: FaceModels, face_free: dict[str, Rgb]) -> None:
    assert {name: len(models.find(picture)) for name, picture in face_free.items()} == dict.fromkeys(face_free, 0)


@pytest.mark.parametrize("degrees", [-170, -90, -60, -35, -20, 20, 35, 60, 90, 135, 180])
def test_a_tilted_face(models: FaceModels, astronaut: Rgb, degrees: float) -> None:
    (upright,) = models.find(astronaut)
    faces = models.find(turned(astronaut, degrees))
    assert len(faces) == 1
    difference = (faces[0].roll - upright.roll - degrees + 180) % 360 - 180
    assert abs(difference) < 6


@pytest.mark.parametrize(("at", "height"), [((0, 0), 300), ((1500, 900), 300), ((700, 20), 240), ((30, 780), 420)])
def test_a_small_face_anywhere(models: FaceModels, astronaut: Rgb, at: tuple[int, int], height: int) -> None:
    """The whole astronaut at `height` in a picture of 1920 × 1200: her face is a fifth of it."""
    (upright,) = models.find(astronaut)
    faces = models.find(pasted(astronaut, (1920, 1200), at, height))
    assert len(faces) == 1
    scale = height / 512
    expected = upright.landmarks[[FOREHEAD, CHIN, EYE_LEFT, EYE_RIGHT], :2] * scale + at
    error = np.linalg.norm(faces[0].landmarks[[FOREHEAD, CHIN, EYE_LEFT, EYE_RIGHT], :2] - expected, axis=1)
    assert error.max() < 0.08 * upright.height * scale


def test_two_faces_the_largest_first(models: FaceModels, astronaut: Rgb) -> None:
    ground = pasted(astronaut, (1000, 520), (0, 0), 340)
    ground[0:512, 480:992] = astronaut
    faces = models.find(ground)
    assert len(faces) == 2
    assert faces[0].box[0] > 480 > faces[1].box[0]


def test_a_face_that_fills_the_picture(models: FaceModels, astronaut: Rgb) -> None:
    (face,) = models.find(astronaut)
    x, y, w, h = face.box
    assert len(models.find(np.ascontiguousarray(astronaut[y : y + h, x : x + w]))) == 1


def test_missing_and_broken_models(tmp_path: Path) -> None:
    assert not FaceModels.present(tmp_path)
    with pytest.raises(FileNotFoundError, match="face_detection_short_range"):
        FaceModels(tmp_path)
    (tmp_path / "face_detection_short_range.tflite").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="fetch it again"):
        FaceModels(tmp_path)
