"""What a face costs, of a photograph and of the built-in characters; what of its picture moves, and how fast.

CPU time is the process's own, one thread, from the sound to a picture in I420, with the product's VP9 encoder taking
turns as the yardstick: on a busy machine both slow down together. The photograph is the test portrait, a smiling one:
the dearest kind, as its lips have to be closed first. Of the characters the dearest counts.

Writes `benchmarks/out/portrait_NAME.jpg`, the expressions that the page shows when a portrait is new;
`AVATAR_PORTRAITS` names more pictures to draw them of.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from puppet import CAST, load_rig
from puppet.actor import Actor
from puppet.coefficients import NEUTRAL, Coefficients
from puppet.emotions import EMOTIONS
from puppet.landmarks import FaceModels
from puppet.picture import decode
from puppet.portrait import MODELS, Portrait, encode, make
from puppet.preview import strip
from puppet.renderer import Rig, picture_size
from puppet.scratch import Scratch
from puppet.sound import FRAME, RATE
from puppet.warp import PortraitRig

from . import Skipped, _sheets, at_least, at_most
from ._sheets import OUT, enlarged, faces
from .face import cost

HERE = Path(__file__).parent
PICTURE = _sheets.PICTURES / "astronaut.jpg"
SOUND = HERE.parent / "tests" / "puppet" / "speech.npz"
SIZES = (256, 512, 1024)
PICTURES = 100
RUNS = 5
SEQUENCES = 200

BARS = {
    "photo_512_ms": at_most(4.0),
    "photo_512_p95_over_mean": at_most(2.0),
    "photo_512_over_vp9": at_most(3.0),
    "photo_256_over_512": at_most(0.4),
    "photo_rig_ms": at_most(500),
    "layered_512_ms": at_most(6.0),
    "layered_512_p95_over_mean": at_most(2.0),
    "layered_512_over_vp9": at_most(3.0),
    "layered_256_over_512": at_most(0.4),
    "layered_rig_ms": at_most(500),
    "head_step_idle_deg": at_most(0.5),
    "head_step_deg": at_most(1.0),
    "background_px": at_most(0.3),
    "seen_aperture": at_least(0.85),
    "seen_width": at_least(0.88),
}


def speech(count: int) -> list[Coefficients]:
    """A fixed performance at 25 pictures a second: syllables, closures, blinks, sway."""
    random = np.random.default_rng(4)
    jaw = np.clip(np.convolve(random.normal(0.35, 0.5, count + 4), np.hanning(5) / 2, "valid"), 0, 1)
    round_ = np.convolve(random.normal(0, 0.9, count + 6), np.hanning(7) / 3, "valid")
    return [
        Coefficients(
            jaw=float(jaw[i]),
            wide=float(np.clip(-round_[i], 0, 1)),
            pucker=float(np.clip(round_[i], 0, 1)),
            press=float(i % 11 == 5),
            blink_left=float(i % 60 < 5) * 0.7,
            blink_right=float(i % 60 < 5) * 0.7,
            gaze_x=0.2 * (i // 20 % 2),
            yaw=3 * math.sin(i / 9),
            pitch=2 * math.cos(i / 7),
            roll=1.5 * math.sin(i / 11),
            breath=0.5 + 0.5 * math.sin(i / 16),
        )
        for i in range(count)
    ]


def background(rig: PortraitRig, portrait: Portrait, side: int) -> float:
    """The largest shift of anything further than 0.3 face heights from the person, in pixels of the drawn size."""
    size = picture_size(rig.width, rig.height, side / max(rig.width, rig.height))
    turning = rig.stage(size).turning
    x0, y0, x1, y1 = turning.box
    person = cv2.resize(portrait.person, size) > 127
    away = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[y0:y1, x0:x1]
    far = away > 0.3 * 2 * rig.anatomy.face.half * size[0] / rig.width
    rest = turning.sources(NEUTRAL, Scratch())
    fine = (rest[0, -1, 0] - rest[0, 0, 0]) / (rest.shape[1] - 1)
    poses = speech(PICTURES)[::5]
    return max(
        float(np.linalg.norm(turning.sources(pose, Scratch()) - rest, axis=2)[far].max()) / float(fine)
        for pose in poses
    )


def seen(rig: PortraitRig, models: FaceModels) -> dict[str, float]:
    """How the mouth that the face mesh sees follows the one that was asked for (correlation)."""
    renderer, scale = rig.open(), 1.0
    poses = speech(PICTURES)
    found: list[tuple[float, float, float, float]] = []
    for pose in poses:
        faces = models.find(cv2.cvtColor(renderer.draw(pose, scale), cv2.COLOR_YUV2RGB_I420))
        if faces:
            p = faces[0].landmarks[:, :2]
            eyes = np.linalg.norm(p[33] - p[263])
            gap = np.mean([np.linalg.norm(p[a] - p[b]) for a, b in ((82, 87), (13, 14), (312, 317))]) / eyes
            width = np.linalg.norm(p[61] - p[291]) / eyes
            found.append((float(gap), pose.jaw * (1 - pose.press), float(width), pose.wide - pose.pucker))
    gaps, jaws, widths, wides = np.array(found).T
    return {
        "seen_aperture": float(np.corrcoef(gaps, jaws)[0, 1]),
        "seen_width": float(np.corrcoef(widths, wides)[0, 1]),
        "face_found": len(found) / len(poses),
    }


def spoken() -> npt.NDArray[np.int16]:
    """Eight seconds of speech."""
    with np.load(SOUND) as file:
        pcm: npt.NDArray[np.int16] = file["pcm"]
    return np.resize(pcm, 8 * RATE)


def costs(name: str, rigs: Sequence[Rig], sound: npt.NDArray[np.int16]) -> dict[str, float]:
    """The dearest of `rigs` at each size."""
    found: dict[str, float] = {}
    # Others on the machine take the caches. Sizes take turns, so that they suffer alike: ratios are medians over the
    # runs, times those of the least disturbed run, which says most of the drawing itself.
    runs = [[{side: cost(rig, side, sound) for side in SIZES} for rig in rigs] for _ in range(RUNS)]

    def mean(run: dict[int, tuple[list[float], list[float]]], side: int) -> float:
        return statistics.mean(run[side][0])

    for side in SIZES:
        calm = [min((run[i] for run in runs), key=lambda r: mean(r, side)) for i in range(len(rigs))]
        dearest = max(range(len(rigs)), key=lambda i: mean(calm[i], side))
        face = calm[dearest][side][0]
        found[f"{name}_{side}_ms"] = mean(calm[dearest], side)
        found[f"{name}_{side}_p95_over_mean"] = float(np.percentile(face, 95)) / mean(calm[dearest], side)
        ratios = [mean(run[dearest], side) / statistics.mean(run[dearest][side][1]) for run in runs]
        found[f"{name}_{side}_over_vp9"] = statistics.median(ratios)
    ratios = [mean(run, 256) / mean(run, 512) for rig_runs in runs for run in rig_runs]
    found[f"{name}_256_over_512"] = statistics.median(ratios)
    return found


def steps(sound: npt.NDArray[np.int16]) -> dict[str, float]:
    """The largest turn of the head from one picture to the next: of a face that has long been idle, and of any, over
    random sequences of idling, listening, speaking, being cut off and changing moods."""
    rng = np.random.default_rng(8)
    actor = Actor(8)
    shown: list[tuple[Coefficients, bool]] = []
    quiet = 0

    def show(poses: Sequence[Coefficients], calm: bool) -> None:
        nonlocal quiet
        for pose in poses:
            quiet = quiet + 1 if calm else 0
            shown.append((pose, quiet > 50))

    for _ in range(SEQUENCES):
        actor.feel(str(rng.choice(sorted(EMOTIONS))))
        level = float(rng.choice((0.0, 0.8)))
        show([actor.idle(level) for _ in range(rng.integers(1, 150))], level == 0)
        start = int(rng.integers(0, len(sound) - 60 * FRAME))
        poses = actor.feed(sound[start : start + int(rng.integers(1, 60 * FRAME))])
        if rng.random() < 0.5:
            show(poses + actor.finish(), False)
        else:
            kept = int(rng.integers(0, len(poses) + 1))
            show(poses[:kept], False)
            actor.cut(actor.made - len(poses) + kept - 1)

    def largest(calm: bool) -> float:
        return max(
            math.dist((a.yaw, a.pitch, a.roll), (b.yaw, b.pitch, b.roll))
            for (a, _), (b, idle) in pairwise(shown)
            if idle or not calm
        )

    return {"head_step_idle_deg": largest(True), "head_step_deg": largest(False)}


def previews(models: FaceModels) -> None:
    """Pictures for a person to judge."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, rig in faces(models, 512):
        (OUT / f"portrait_{name}.jpg").write_bytes(encode(strip(rig, 256)))


def run() -> dict[str, Any]:
    if not FaceModels.present(MODELS):
        raise Skipped("the face models are not there: python -m checkpoints.fetch face")
    cv2.setNumThreads(1)
    models = FaceModels(MODELS)
    data = PICTURE.read_bytes()
    portrait = make(decode(data), models)
    rig = PortraitRig(portrait)
    registered, ready = [], []
    for _ in range(RUNS):
        began = time.process_time()
        portrait = make(decode(data), models)
        registered.append(1000 * (time.process_time() - began))
        rig = PortraitRig(portrait)
        rig.open().draw(NEUTRAL, 1.0)
        ready.append(1000 * (time.process_time() - began))
    figures: dict[str, Any] = {
        "photo_register_ms": statistics.median(registered),
        "photo_rig_ms": statistics.median(ready),
    }
    began = time.process_time()
    load_rig("default").open().draw(NEUTRAL, 0.5)
    figures["layered_rig_ms"] = 1000 * (time.process_time() - began)
    sound = spoken()
    large = PortraitRig(enlarged(portrait, 1024))
    figures |= costs("photo", [large], sound)
    figures |= costs("layered", [load_rig(name) for name in CAST], sound)
    figures |= steps(sound)
    figures["background_px"] = background(rig, portrait, 512)
    figures |= seen(rig, models)
    previews(models)
    return figures
