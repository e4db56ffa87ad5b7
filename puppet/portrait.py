"""A picture with a face → a portrait: framed, at its working size, its landmarks beside it.

What is found once is kept: a JSON file of `facts` beside the picture lets `load` do without the networks.
"""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from .detail import MASK_SIDE, EyePoints, Mask
from .landmarks import CHIN, FOREHEAD, POINTS, Face, FaceModels, Points
from .picture import PictureError, Rgb, decode
from .renderer import MAX_SIDE

MODELS: Final = Path(__file__).parents[1] / "checkpoints" / "face"
"""Where `python -m checkpoints.fetch` puts the networks."""
MIN_SIDE: Final = 512
"""Pixels of a portrait's long side at least: a smaller picture is enlarged, or its default video would be a stamp."""
_PARTS: Final = (33, 133, 263, 362, 0, 17, 61, 291)
"""Corners of the eyes and outlines of the lips in the mesh: all of them have to be in the picture, with skin around."""
_AROUND: Final = 0.04
"""How much, in face heights."""
MIN_FACE: Final = 48
"""Pixels from forehead to chin: below this a mouth is a handful of pixels and cannot be opened believably."""
MAX_YAW: Final = 32.0
"""Degrees: beyond it one mouth corner lies on the face's outline, and there is nothing to warp on the far side."""
_MIN_SHARE: Final = 0.34
"""Face height as a share of the long side: a smaller face is cut out, because a talking face ought to be seen."""
_FRAMED: Final = 2.3
"""Side of that cut in face heights: head and shoulders."""
_RAISED: Final = 0.06
"""How far above the middle of the cut the face lies, as a share of it."""
VERSION: Final = 1
"""Of the JSON file."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture at its working size and the face in it that will speak."""

    rgb: Rgb = field(repr=False, compare=False)
    """Both sides even, the long one from `MIN_SIDE` to `MAX_SIDE`."""
    landmarks: Points = field(repr=False, compare=False)
    eyes: EyePoints = field(repr=False, compare=False)
    """The rims of both eyes, in pixels of `rgb`."""
    person: Mask = field(repr=False, compare=False)
    """Where the person is, `rgb` stretched to a square."""
    faces: int
    """How many faces the picture showed; this is the largest."""

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the face in pixels, within the picture."""
        x0, y0 = np.clip(np.floor(self.landmarks[:, :2].min(0)), 0, (self.width - 1, self.height - 1)).astype(int)
        x1, y1 = np.clip(np.ceil(self.landmarks[:, :2].max(0)), 1, (self.width, self.height)).astype(int)
        return int(x0), int(y0), int(x1 - x0), int(y1 - y0)


def _upright(rgb: Rgb, models: FaceModels) -> tuple[Rgb, list[Face]]:
    """The picture turned by quarters so that its largest face stands, and its faces."""
    faces = models.find(rgb)
    quarters = round(faces[0].roll / 90) % 4 if faces else 0
    if not quarters:
        return rgb, faces
    turned = np.ascontiguousarray(np.rot90(rgb, quarters))
    again = models.find(turned)
    # The same number of quarters could come back for a picture of people lying around a table: turn only once.
    return (turned, again) if again else (rgb, faces)


def _frame(width: int, height: int, face: Face) -> tuple[int, int, int, int]:
    """x, y, width, height of the part of the picture that becomes the portrait."""
    if face.height >= _MIN_SHARE * max(width, height):
        return 0, 0, width, height
    side = face.height * _FRAMED
    w, h = min(width, round(side)), min(height, round(side))
    middle = (face.landmarks[FOREHEAD, :2] + face.landmarks[CHIN, :2]) / 2
    x = round(float(np.clip(middle[0] - w / 2, 0, width - w)))
    y = round(float(np.clip(middle[1] - h / 2 + _RAISED * h, 0, height - h)))
    return x, y, w, h


def make(rgb: Rgb, models: FaceModels) -> Portrait:
    """Finds the largest face, frames it and scales to the working size.

    Raises `PictureError` (`no_face`, `face_too_small`, `face_turned`, `face_cut_off`).
    """
    rgb, faces = _upright(rgb, models)
    if not faces:
        raise PictureError("no_face", "No face was found: use a picture of one face that looks at the camera.")
    face = faces[0]
    if face.height < MIN_FACE:
        raise PictureError(
            "face_too_small",
            f"The face is only {face.height:.0f} pixels high: use a picture in which it has at least {MIN_FACE}.",
        )
    if abs(face.yaw) > MAX_YAW:
        raise PictureError(
            "face_turned", "The face is turned too far to the side: use a picture in which it looks at the camera."
        )
    height, width = rgb.shape[:2]
    margin = _AROUND * face.height
    parts = face.landmarks[list(_PARTS), :2]
    if (parts < margin).any() or (parts > np.array([width, height]) - margin).any():
        raise PictureError(
            "face_cut_off", "The edge of the picture cuts the face off: use a picture that shows all of it."
        )
    x, y, w, h = _frame(width, height, face)
    scale = float(np.clip(1.0, MIN_SIDE / max(w, h), MAX_SIDE / max(w, h)))
    size = 2 * max(8, round(w * scale / 2)), 2 * max(8, round(h * scale / 2))
    part = Image.fromarray(rgb[y : y + h, x : x + w])
    scaled = np.asarray(part if part.size == size else part.resize(size, Image.Resampling.LANCZOS), np.uint8)
    landmarks = face.landmarks.copy()
    fx, fy = size[0] / w, size[1] / h
    landmarks[:, 0] = (landmarks[:, 0] - x + 0.5) * fx - 0.5
    landmarks[:, 1] = (landmarks[:, 1] - y + 0.5) * fy - 0.5
    landmarks[:, 2] *= math.sqrt(fx * fy)
    return Portrait(scaled, landmarks, models.detail.eyes(scaled, landmarks), models.detail.person(scaled), len(faces))


def encode(rgb: Rgb, quality: int = 95) -> bytes:
    """JPEG without chroma subsampling, which would smear lips into teeth."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def facts(portrait: Portrait) -> dict[str, Any]:
    """What the JSON file beside a stored picture says, for `load`. Others may add entries of their own."""
    return {
        "version": VERSION,
        "width": portrait.width,
        "height": portrait.height,
        "faces": portrait.faces,
        "box": list(portrait.box),
        "landmarks": _rounded(portrait.landmarks),
        "eyes": _rounded(portrait.eyes),
        "person": base64.b64encode(cv2.imencode(".png", portrait.person)[1].tobytes()).decode("ascii"),
    }


def _rounded(points: npt.NDArray[np.float32]) -> Any:
    """Hundredths of a pixel, in as few digits."""
    return [[round(v, 2) for v in row] for row in points.reshape(-1, points.shape[-1]).tolist()]


def _described(rgb: Rgb, text: str) -> Portrait | None:
    """The portrait that `text` describes; None where it does not fit the picture, or this version of the program."""
    try:
        facts = json.loads(text)
        if facts["version"] != VERSION or (facts["width"], facts["height"]) != (rgb.shape[1], rgb.shape[0]):
            return None
        landmarks = np.array(facts["landmarks"], np.float32).reshape(POINTS, 3)
        eyes = np.array(facts["eyes"], np.float32).reshape(2, 21, 2)
        packed = np.frombuffer(base64.b64decode(facts["person"], validate=True), np.uint8)
        person = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
        fits = np.isfinite(landmarks).all() and np.isfinite(eyes).all() and person.shape == (MASK_SIDE, MASK_SIDE)
        return Portrait(rgb, landmarks, eyes, person, int(facts["faces"])) if fits else None
    except (ValueError, KeyError, TypeError, cv2.error):
        return None


def load(path: Path, models_directory: Path = MODELS) -> Portrait:
    """The portrait of a picture file. What was found in it comes from the JSON file of the same name beside it, or from
    the networks in `models_directory`.

    Raises `PictureError`, `FileNotFoundError` (the picture, or the networks where they are needed).
    """
    rgb = decode(path.read_bytes())
    beside = path.with_suffix(".json")
    if beside.is_file() and (portrait := _described(rgb, beside.read_text(encoding="utf-8"))) is not None:
        return portrait
    if not FaceModels.present(models_directory):
        raise FileNotFoundError(
            f"Portraits need the face models, which are not in {models_directory}: "
            "run `python -m checkpoints.fetch face`."
        )
    return make(rgb, FaceModels(models_directory))


def thumbnail(rgb: Rgb, side: int) -> bytes:
    """A JPEG whose long side is `side` pixels."""
    height, width = rgb.shape[:2]
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return encode(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), 85)
