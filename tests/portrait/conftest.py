from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from puppet.coefficients import Coefficients
from puppet.landmarks import FaceModels, Points
from puppet.picture import Rgb, decode
from puppet.portrait import Portrait, make
from puppet.warp import PortraitRig

PICTURES = Path(__file__).parent / "pictures"


@pytest.fixture(scope="session")
def models(models_dir: Path) -> FaceModels:
    return FaceModels(models_dir)


@pytest.fixture(scope="session")
def astronaut() -> Rgb:
    picture = decode((PICTURES / "astronaut.jpg").read_bytes())
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def portrait(astronaut: Rgb, models: FaceModels) -> Portrait:
    return make(astronaut, models)


@pytest.fixture(scope="session")
def face_free() -> dict[str, Rgb]:
    """Pictures without a face: noise, gradients, writing, shapes, a drawn landscape."""
    random = np.random.default_rng(5)
    across = np.linspace(0, 255, 640, dtype=np.float32)[None, :, None].repeat(480, 0).repeat(3, 2)
    writing = np.full((480, 640, 3), 250, np.uint8)
    for line in range(14):
        cv2.putText(writing, "Lorem ipsum :-) (o_o) 8-D OOO 0.0", (10, 30 + 32 * line), 0, 0.9, (20, 20, 20), 2)
    shapes = np.full((480, 640, 3), 180, np.uint8)
    for _ in range(60):
        x, y, r, *colour = (int(v) for v in random.integers(0, (640, 480, 60, 255, 255, 255)))
        cv2.circle(shapes, (x, y), r, colour, -1, cv2.LINE_AA)
    landscape = np.zeros((480, 640, 3), np.uint8)
    landscape[:] = np.linspace((120, 170, 230), (220, 230, 250), 480)[:, None].astype(np.uint8)
    cv2.circle(landscape, (500, 90), 40, (255, 240, 180), -1, cv2.LINE_AA)
    for height, colour in ((260, (110, 130, 150)), (330, (80, 120, 90)), (400, (60, 90, 50))):
        steps = np.cumsum(random.normal(0, 4, 33))
        ridge = np.stack([np.linspace(0, 640, 33), height + steps], 1)
        cv2.fillPoly(landscape, [np.int32([*ridge, (640, 480), (0, 480)])], colour, cv2.LINE_AA)
    return {
        "white": np.full((300, 300, 3), 255, np.uint8),
        "noise": random.integers(0, 255, (512, 512, 3), np.uint8),
        "soft noise": cv2.GaussianBlur(random.integers(0, 255, (512, 512, 3), np.uint8), (0, 0), 9),
        "gradient": across.astype(np.uint8),
        "writing": writing,
        "shapes": shapes,
        "landscape": landscape,
    }


Look = Callable[[Coefficients], Points]


@pytest.fixture(scope="module")
def rig(portrait: Portrait) -> PortraitRig:
    return PortraitRig(portrait)


@pytest.fixture(scope="module")
def look(rig: PortraitRig, models: FaceModels) -> Look:
    """The face mesh of a drawn pose: the judge has not seen how it was drawn."""
    renderer = rig.open()

    def points(c: Coefficients) -> Points:
        drawn = np.asarray(cv2.cvtColor(renderer.draw(c, 1.0), cv2.COLOR_YUV2RGB_I420), np.uint8)
        (face,) = models.find(drawn)
        return face.landmarks

    return points
