"""What the puppet costs, how its lips follow speech, and how its films look to an outside judge.

CPU time is the process's own, one thread, sound to I420, with the product's VP9 encoder taking turns as the yardstick:
on a busy machine both slow down together. Lips are measured on flite, an engine that the net never heard, speaking
sentences that are in no training text. The judge (`benchmarks._lips`) needs the face models; without them its figures
are left out. `AVATAR_SPEECH=FILE` and `AVATAR_SPEECH_WORDS="what is said"` add figures for a human recording.

Writes contact sheets of every character, `benchmarks/out/faces_NAME_SIZE.png`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from avatar.play.video import Vp9Encoder
from puppet import CAST, load_rig
from puppet.actor import Actor
from puppet.coefficients import Coefficients
from puppet.film import film, read_sound
from puppet.landmarks import FaceModels
from puppet.mouth import MouthDrive, Phone
from puppet.renderer import I420, Rig
from puppet.sound import RATE
from puppet.training.measure import Score, score
from puppet.training.voices import Take, flite_says

from . import Figure, at_least, at_most, between
from ._lips import align, compare, look

HERE = Path(__file__).parent
PICTURES = HERE.parent / "tests" / "portrait" / "pictures"
MODELS = HERE.parent / "checkpoints" / "face"

BARS = {
    "layered_512_ms": at_most(6.0),
    "layered_512_p95_over_mean": at_most(2.0),
    "layered_256_over_512": at_most(0.4),
    "layered_512_over_vp9": at_most(3.0),
    "layered_rig_ms": at_most(500),
}
PHOTO_BARS = {"photo_512_ms": at_most(4.0), "photo_512_p95_over_mean": at_most(2.0), "photo_512_over_vp9": at_most(3.0)}
LIP_BARS = {
    "flite_jaw": at_least(0.65),
    "flite_aperture": at_least(0.60),
    "flite_width": at_least(0.65),
    "flite_aperture_over_loudness": at_least(0.30),
    "flite_closure_auc": at_least(0.85),
    "flite_pause": at_most(0.05),
}
JUDGE_BARS = {
    "phonemes_seen_aperture": at_least(0.85),
    "phonemes_seen_width": at_least(0.88),
    "phonemes_seen_lag_ms": between(-10, 10),
    "sound_seen_lag_ms": between(-30, 30),
    "mismatched_seen_aperture": at_most(0.20),
    "faces_found": at_least(1.0),
}
HUMAN_BARS = {f"human_{name}_seen_aperture": at_least(0.55) for name in CAST} | {
    f"human_{name}_seen_lag_ms": between(-30, 30) for name in CAST
}
OPTIONAL = PHOTO_BARS | LIP_BARS | JUDGE_BARS | HUMAN_BARS
"""Bars of figures that need an engine or a model that may not be here."""

SENTENCES = (
    "My brother Bob bought a big brown umbrella before the morning bus came.",
    "Please bring me a pair of blue boots and a warm wool blanket.",
    "The old farmer found five white feathers under the wooden fence.",
    "Maybe we could build a better bridge above the empty river bed.",
    "She wore a purple velvet jacket to the museum on Monday evening.",
    "Pam and Tim keep a map of every mountain path in the bottom drawer.",
    "You should choose a shoe that fits your foot, not your fancy.",
    "A thousand thin threads hold the heavy theatre curtain together.",
    "The baker made a pumpkin pie for the people who came by boat.",
    "Who moved the yellow lamp from the table to the window?",
    "Both of them spoke slowly, because the phone line was bad.",
    "Heavy rain fell upon the roof of the empty farm house all night.",
    "A clever boy can climb the apple tree by the garden wall.",
    "We lost our way in the fog, but a sheep dog led us home.",
    "Put the milk and the butter back into the refrigerator, please.",
    "Those vases were moved from Rome to Vienna in a wooden box.",
)
SIZES = (256, 512, 1024)


def speak(take: Take) -> npt.NDArray[np.float32]:
    """The mouth that the net gives a take, shape (pictures, 7), and its loudness as an eighth column."""
    drive = MouthDrive()
    lips = drive.feed(take.pcm.astype(np.float32) / np.float32(32768)) + drive.finish()
    return np.stack([np.append(lip.shape, lip.loudness) for lip in lips])


def lips(takes: Sequence[Take]) -> tuple[Score, Score]:
    """The net's score and that of a jaw that follows loudness."""
    rows = [speak(take) for take in takes]
    phones = [take.phones for take in takes]
    loud = [np.pad(row[:, 7:], ((0, 0), (0, 6))) for row in rows]
    sounds = [take.pcm for take in takes]
    return score([row[:, :7] for row in rows], phones, sounds), score(loud, phones, sounds)


def takes() -> list[Take]:
    """The test engine's sentences in two voices, at three rates."""
    said = [
        flite_says(words, voice, stretch=(0.9, 1.0, 1.2)[i % 3])
        for voice in ("awb", "rms")
        for i, words in enumerate(SENTENCES)
    ]
    return [take for take in said if take is not None]


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


POSES = {
    "rest": Coefficients(),
    "aa": Coefficients(jaw=1, wide=0.05),
    "eh": Coefficients(jaw=0.6, wide=0.45),
    "ee": Coefficients(jaw=0.22, wide=0.95, teeth=0.3),
    "oh": Coefficients(jaw=0.45, pucker=0.8),
    "oo": Coefficients(jaw=0.2, pucker=1),
    "m b p": Coefficients(jaw=0.05, press=1),
    "f v": Coefficients(jaw=0.1, fv=1, teeth=0.2),
    "th l": Coefficients(jaw=0.2, wide=0.15, tongue=1, teeth=0.3),
    "s": Coefficients(jaw=0.08, wide=0.35, teeth=1),
    "sh": Coefficients(jaw=0.12, pucker=0.6, teeth=0.9),
    "smile": Coefficients(smile=1),
    "blink half": Coefficients(blink_left=0.5, blink_right=0.5),
    "blink": Coefficients(blink_left=1, blink_right=1),
    "brows": Coefficients(brow=1, gaze_y=-0.4),
    "gaze": Coefficients(gaze_x=0.8, gaze_y=0.2),
    "left": Coefficients(yaw=-8, jaw=0.3),
    "right": Coefficients(yaw=8, jaw=0.3),
    "up": Coefficients(pitch=-6),
    "lean": Coefficients(roll=5, smile=0.5),
}


def sheet(rig: Rig, side: int, path: Path) -> None:
    """Every pose of `POSES` drawn at `side`, five to a row, the face enlarged beside it."""
    renderer = rig.open()
    tiles = []
    for name, pose in POSES.items():
        picture = cv2.cvtColor(renderer.draw(pose, side / max(rig.width, rig.height)), cv2.COLOR_YUV2BGR_I420)
        tile = cv2.resize(
            picture, (384, round(384 * picture.shape[0] / picture.shape[1])), interpolation=cv2.INTER_AREA
        )
        cv2.putText(tile, name, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 3, cv2.LINE_AA)
        cv2.putText(tile, name, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (40, 40, 40), 1, cv2.LINE_AA)
        tiles.append(tile)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.vconcat([cv2.hconcat(tiles[i : i + 5]) for i in range(0, len(tiles), 5)]))


def _wave(path: Path, pcm: npt.NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.tobytes())
    return path


def joined(parts: Sequence[Take]) -> tuple[npt.NDArray[np.int16], list[tuple[float, float, str]]]:
    """Takes one after the other."""
    phones: list[tuple[float, float, str]] = []
    start = 0.0
    for take in parts:
        phones += [(s + start, e + start, ipa) for s, e, ipa in take.phones]
        start += len(take.pcm) / RATE
    return np.concatenate([take.pcm for take in parts]), phones


def judged(spoken: Sequence[Take]) -> dict[str, Any]:
    """Films as the judge sees them: driven by phonemes, by sound, and by a sound that is not theirs."""
    models = FaceModels(MODELS)
    sound, phones = joined(spoken[:4])
    other, _ = joined(spoken[8:12])
    known = [Phone(ipa, round(s * RATE), round(e * RATE)) for s, e, ipa in phones]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        mine, theirs = _wave(scratch / "a.wav", sound), _wave(scratch / "b.wav", other[: len(sound)])
        shares = []
        for name, character, audio, drive in (
            ("phonemes", "default", mine, known),
            ("sound", "default", mine, []),
            ("mismatched", "default", theirs, []),
            *((f"sound_{n}", n, mine, []) for n in CAST if n != "default"),
        ):
            out = scratch / f"{name}.webm"
            film(load_rig(character), audio, out, scale=0.5, seed=3, phones=drive)
            result = compare(look(out, models), phones)
            shares.append(result.found)
            found[f"{name}_seen_aperture"] = result.aperture
            found[f"{name}_seen_width"] = result.width
            found[f"{name}_seen_lag_ms"] = result.lag_ms
        speech = os.environ.get("AVATAR_SPEECH")
        if speech:
            human = read_sound(Path(speech), RATE)
            phones = align(human, os.environ.get("AVATAR_SPEECH_WORDS", ""))
            net, loud = lips([Take("human", "human", human, phones)])
            found |= {"human_jaw": net.jaw, "human_aperture": net.aperture, "human_width": net.width}
            found["human_aperture_over_loudness"] = net.aperture - loud.aperture
            for name in CAST:
                out = scratch / f"human_{name}.webm"
                film(load_rig(name), Path(speech), out, scale=0.5, seed=3)
                result = compare(look(out, models), phones)
                shares.append(result.found)
                found[f"human_{name}_seen_aperture"] = result.aperture
                found[f"human_{name}_seen_lag_ms"] = result.lag_ms
        found["faces_found"] = min(shares)
    return found


def run() -> dict[str, Any]:
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {}
    layered = {name: load_rig(name) for name in CAST}
    began = time.process_time()
    load_rig("default").open().draw(Coefficients(), 0.5)
    figures["layered_rig_ms"] = 1000 * (time.process_time() - began)
    for name, rig in layered.items():
        for side in (512, 1024):
            sheet(rig, side, HERE / "out" / f"faces_{name}_{side}.png")

    if shutil.which("flite") is None:
        figures["flite"] = "not installed: its figures and the judge's are missing"
        sound = np.random.default_rng(0).normal(0, 2000, 20 * RATE).astype(np.int16)
        spoken: list[Take] = []
    else:
        spoken = takes()
        sound, _ = joined(spoken[:6])
    figures |= costs("layered", list(layered.values()), sound)
    models = FaceModels.present(MODELS)
    photo = PICTURES / "astronaut.jpg"
    if models and photo.exists():
        began = time.process_time()
        rig = load_rig(photo)
        rig.open().draw(Coefficients(), 0.5)
        figures["photo_rig_ms"] = 1000 * (time.process_time() - began)
        figures |= costs("photo", [rig], sound)
        sheet(rig, 512, HERE / "out" / "faces_photo_512.png")

    if spoken:
        net, loud = lips(spoken)
        figures |= {
            "flite_jaw": net.jaw,
            "flite_aperture": net.aperture,
            "flite_width": net.width,
            "flite_aperture_over_loudness": net.aperture - loud.aperture,
            "flite_closure_auc": net.closure,
            "flite_closures": net.closures,
            "flite_pause": net.pause,
        }
        if models:
            figures |= judged(spoken)
    return {name: Figure(value, OPTIONAL[name]) if name in OPTIONAL else value for name, value in figures.items()}
