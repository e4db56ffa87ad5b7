"""Sheets of poses for a person to look at: faces as large as they are drawn, at 512 and at 1024 pixels.

    python -m benchmarks._sheets [DIRECTORY]

writes into `benchmarks/out/`, or into DIRECTORY what docs/faces.md shows. Of every built-in character, of the test
portraits, of a drawing brought along, large and small, of somebody with a wide open mouth, and of `AVATAR_PORTRAITS`
(paths with colons between them).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from puppet import CAST, load_rig
from puppet.actor import Actor
from puppet.coefficients import NEUTRAL, Coefficients
from puppet.emotions import EMOTIONS
from puppet.landmarks import FaceModels
from puppet.picture import Rgb, decode
from puppet.portrait import MODELS, Portrait, encode, make
from puppet.renderer import Rig
from puppet.warp import PortraitRig

HERE = Path(__file__).parent
OUT = HERE / "out"
PICTURES = HERE.parent / "tests" / "portrait" / "pictures"
SIZES = (512, 1024)
AROUND = 1.3
"""Side of a tile in face heights."""
COLUMNS = 6
POSES = {
    "rest": Coefficients(),
    "ah": Coefficients(jaw=1, wide=0.05),
    "ee": Coefficients(jaw=0.22, wide=0.95, teeth=0.3),
    "oo": Coefficients(jaw=0.2, pucker=1),
    "m b p": Coefficients(jaw=0.05, press=1),
    "f v": Coefficients(jaw=0.1, fv=1, teeth=0.2),
    "smile": Coefficients(smile=1),
    "blink half": Coefficients(blink_left=0.5, blink_right=0.5),
    "blink": Coefficients(blink_left=1, blink_right=1),
    "look left": Coefficients(gaze_x=-0.8),
    "look right": Coefficients(gaze_x=0.8, gaze_y=0.2),
    "turned": Coefficients(yaw=-8, pitch=-3, roll=3, jaw=0.3),
}
FEW = ("rest", "ah", "oo", "blink")
LARGE = (*CAST, "astronaut", "grace_hopper", "drawing")
"""These poses of these faces are what docs/faces.md shows at 1024 pixels."""
MOODS_OF = ("default", "amara", "astronaut")
LARGEST = 150_000
"""Bytes of a picture in the docs."""


def enlarged(portrait: Portrait, side: int) -> Portrait:
    """The portrait as if its picture had been that large."""
    scale = side / max(portrait.width, portrait.height)
    rgb = np.asarray(cv2.resize(portrait.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    points = (portrait.landmarks + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)
    eyes = (portrait.eyes + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)
    return Portrait(rgb, points, eyes, portrait.person, portrait.faces)


def portraits() -> dict[str, Path]:
    """The test portraits and those of `AVATAR_PORTRAITS`, by name."""
    more = os.environ.get("AVATAR_PORTRAITS", "")
    paths = [*sorted(PICTURES.glob("*.jpg")), *(Path(p) for p in more.split(os.pathsep) if p)]
    return {path.stem: path for path in paths}


def drawn(rig: Rig, pose: Coefficients, side: int) -> Rgb:
    picture = rig.open().draw(pose, side / max(rig.width, rig.height))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), np.uint8)


def faces(models: FaceModels | None, side: int) -> Iterator[tuple[str, Rig]]:
    """Every face, ready to be drawn at `side`; without `models` the built-in characters alone."""
    for name in CAST:
        yield name, load_rig(name)
    if models is None:
        return
    pictures = {name: decode(path.read_bytes()) for name, path in portraits().items()}
    pictures["drawing"] = drawn(load_rig("amara"), NEUTRAL, 768)
    pictures["small_drawing"] = drawn(load_rig("amara"), NEUTRAL, 512)
    pictures["open"] = drawn(PortraitRig(make(pictures["astronaut"], models)), Coefficients(jaw=0.9), 512)
    for name, rgb in pictures.items():
        portrait = make(rgb, models)
        # A larger picture keeps its working size and is drawn smaller, as in a session.
        yield name, PortraitRig(enlarged(portrait, side) if max(portrait.width, portrait.height) < side else portrait)


def square(picture: Rgb, models: FaceModels | None) -> tuple[int, int, int, int]:
    """x, y, width and height of what a tile shows: the face, or everything where none is found."""
    height, width = picture.shape[:2]
    found = models.find(picture) if models else []
    if not found:
        return 0, 0, width, height
    x, y, w, h = found[0].box
    side = min(round(AROUND * max(w, h)), width, height)
    x, y = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    return max(0, min(x, width - side)), max(0, min(y, height - side)), side, side


def labelled(tile: Rgb, name: str) -> Rgb:
    tile = tile.copy()
    size = tile.shape[1] / 480
    for colour, weight in (((255, 255, 255), 4), ((40, 40, 40), 1)):
        thick = max(1, round(weight * size))
        cv2.putText(
            tile, name, (round(10 * size), round(24 * size)), cv2.FONT_HERSHEY_SIMPLEX, 0.8 * size, colour, thick, 16
        )
    return tile


def rows(tiles: Mapping[str, Rgb], columns: int) -> Rgb:
    every = [labelled(tile, name) for name, tile in tiles.items()]
    return np.vstack([np.hstack(every[i : i + columns]) for i in range(0, len(every), columns)])


def sheet(rig: Rig, side: int, models: FaceModels | None, poses: Mapping[str, Coefficients] = POSES) -> Rgb:
    """The face in each pose, pixel for pixel as it is drawn at `side`, `COLUMNS` to a row."""
    x, y, w, h = square(drawn(rig, NEUTRAL, side), models)
    return rows({name: drawn(rig, pose, side)[y : y + h, x : x + w] for name, pose in poses.items()}, COLUMNS)


def moods(rigs: Mapping[str, Rig], models: FaceModels | None) -> Rgb:
    """Every mood of `rigs`, a row each, saying nothing."""
    strips = []
    for rig in rigs.values():
        x, y, w, h = square(drawn(rig, NEUTRAL, 512), models)
        tiles = {}
        for mood in EMOTIONS:
            actor = Actor(5)
            actor.feel(mood)
            pose = [actor.idle() for _ in range(75)][-1]
            shown = drawn(rig, replace(pose, yaw=0.0, roll=0.0), 512)[y : y + h, x : x + w]
            tiles[mood] = np.asarray(cv2.resize(shown, (216, 216), interpolation=cv2.INTER_AREA), np.uint8)
        strips.append(rows(tiles, len(EMOTIONS)))
    return np.vstack(strips)


def light(rgb: Rgb) -> bytes:
    """A JPEG for the docs, as good as its size allows."""
    return next((d for q in range(90, 30, -4) if len(d := encode(rgb, q)) <= LARGEST), encode(rgb, 30))


def write(directory: Path, *, docs: bool = False) -> None:
    """All sheets as JPEG files: `NAME-SIZE.jpg`; for the docs small ones, and the moods."""
    directory.mkdir(parents=True, exist_ok=True)
    models = FaceModels(MODELS) if FaceModels.present(MODELS) else None
    moody: dict[str, Rig] = {}
    for side in SIZES:
        for name, rig in faces(models, side):
            few = docs and side > 512
            if few and name not in LARGE:
                continue
            rgb = sheet(rig, side, models, {n: POSES[n] for n in FEW} if few else POSES)
            (directory / f"{name}-{side}.jpg").write_bytes(light(rgb) if docs else encode(rgb, 92))
            if side == 512 and name in MOODS_OF:
                moody[name] = rig
    if docs:
        (directory / "moods.jpg").write_bytes(light(moods(moody, models)))


if __name__ == "__main__":
    cv2.setNumThreads(1)
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT, docs=len(sys.argv) > 1)
