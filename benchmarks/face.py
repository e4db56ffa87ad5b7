"""What the puppet costs, how its lips follow speech, and how its films look to an outside judge.

CPU time is the process's own, one thread, sound to I420, with the product's VP9 encoder taking turns as the yardstick:
on a busy machine both slow down together. Lips are measured on flite, an engine that the net never heard, speaking
sentences that are in no training text. The judge (`benchmarks._judge`) sees encoded films of the built-in characters
and the test portraits. Environment variables add what is not in the repository: `AVATAR_SPEECH=FILE` and
`AVATAR_SPEECH_WORDS="what is said"` a human recording, `AVATAR_PORTRAITS` more portraits, as paths with colons between
them.

Writes sheets of every face, `benchmarks/out/NAME-SIZE.jpg` (`benchmarks._sheets`).
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from avatar.play.video import Vp9Encoder
from puppet import CAST, load_rig
from puppet.actor import Actor
from puppet.coefficients import Coefficients
from puppet.landmarks import FaceModels
from puppet.life import Life
from puppet.mouth import MouthDrive
from puppet.portrait import MODELS
from puppet.renderer import I420, Rig
from puppet.sound import RATE
from puppet.training.voices import Take

from . import Figure, at_most
from ._environment import Unavailable
from ._films import joined, on_film, on_sound, takes
from ._judge import hired
from ._sheets import OUT, PICTURES, portraits, write

BARS = {
    "layered_512_ms": at_most(6.0),
    "layered_512_p95_over_mean": at_most(2.0),
    "layered_256_over_512": at_most(0.4),
    "layered_512_over_vp9": at_most(3.0),
    "layered_rig_ms": at_most(500),
}
PHOTO_BARS = {"photo_512_ms": at_most(4.0), "photo_512_p95_over_mean": at_most(2.0), "photo_512_over_vp9": at_most(3.0)}
SIZES = (256, 512, 1024)


def shares(sound: npt.NDArray[np.int16]) -> dict[str, float]:
    """Milliseconds of CPU that a picture costs before anything is drawn."""
    drive, life = MouthDrive(), Life(1)
    began = time.process_time()
    lips = drive.feed(sound.astype(np.float32) / np.float32(32768))
    middle = time.process_time()
    for lip in lips:
        life.step(voice=lip.voice, loudness=lip.loudness)
    done = time.process_time()
    return {"sound_to_mouth_ms": 1000 * (middle - began) / len(lips), "life_ms": 1000 * (done - middle) / len(lips)}


def cost(rig: Rig, side: int, sound: npt.NDArray[np.int16]) -> tuple[list[float], list[float]]:
    """Milliseconds of CPU for each picture: the face, and VP9 encoding it."""
    actor, renderer = Actor(1), rig.open()
    encoder = Vp9Encoder(330_000)
    scale = side / max(rig.width, rig.height)
    face: list[float] = []
    video: list[float] = []
    for n, start in enumerate(range(0, len(sound), 640)):
        began = time.process_time()
        pictures: list[I420] = [renderer.draw(pose, scale) for pose in actor.feed(sound[start : start + 640])]
        middle = time.process_time()
        for picture in pictures:
            encoder.encode(picture, n * 3600, key=n == 0)
        done = time.process_time()
        if pictures and n > 25:
            face.append(1000 * (middle - began))
            video.append(1000 * (done - middle))
    encoder.close()
    return face, video


def costs(name: str, rigs: Sequence[Rig], sound: npt.NDArray[np.int16]) -> dict[str, Any]:
    """The dearest of `rigs` at each size."""
    found: dict[str, Any] = {}
    worst: dict[int, float] = {}
    for side in SIZES:
        runs = [cost(rig, side, sound) for rig in rigs]
        face, video = max(runs, key=lambda run: statistics.mean(run[0]))
        worst[side] = statistics.mean(face)
        found[f"{name}_{side}_ms"] = worst[side]
        found[f"{name}_{side}_p95_over_mean"] = float(np.percentile(face, 95)) / worst[side]
        found[f"{name}_{side}_over_vp9"] = worst[side] / statistics.mean(video)
    found[f"{name}_256_over_512"] = worst[256] / worst[512]
    return found


def run() -> dict[str, Any]:
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {}
    layered = {name: load_rig(name) for name in CAST}
    began = time.process_time()
    load_rig("default").open().draw(Coefficients(), 0.5)
    figures["layered_rig_ms"] = 1000 * (time.process_time() - began)
    write(OUT)

    if shutil.which("flite") is None:
        figures["flite"] = "not installed: its figures and the judge's are missing"
        sound = np.random.default_rng(0).normal(0, 2000, 20 * RATE).astype(np.int16)
        spoken: list[Take] = []
    else:
        spoken = takes()
        sound, _ = joined(spoken[:6])
    figures |= shares(sound)
    figures |= costs("layered", list(layered.values()), sound)
    models = FaceModels.present(MODELS)
    photo = PICTURES / "astronaut.jpg"
    if models and photo.exists():
        began = time.process_time()
        rig = load_rig(photo)
        rig.open().draw(Coefficients(), 0.5)
        figures["photo_rig_ms"] = 1000 * (time.process_time() - began)
        figures |= costs("photo", [rig], sound)

    if spoken:
        figures |= on_sound(spoken)
        try:
            with hired() as judge:
                figures["judge"] = judge.name
                pictures = portraits() if models else {}
                faces = layered | {name: load_rig(path) for name, path in pictures.items()}
                figures |= on_film(faces, pictures, spoken, judge)
        except Unavailable as error:
            figures["judge"] = f"none: {error}"
    return {name: Figure(value, PHOTO_BARS[name]) if name in PHOTO_BARS else value for name, value in figures.items()}
