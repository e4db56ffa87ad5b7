"""Films of spoken sentences, and what the outside judge makes of them."""

from __future__ import annotations

import os
import tempfile
import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puppet.actor import Actor
from puppet.film import film, read_sound
from puppet.mouth import Lips, Phone
from puppet.picture import decode
from puppet.renderer import Rig
from puppet.sound import RATE
from puppet.training.report import lips
from puppet.training.voices import Take, flite_says

from . import Bar, Figure, at_least, at_most, between
from ._judge import Judge
from ._lips import Judged, align, compare, look, measured, shut

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
    "The number of members has grown by about a tenth since April.",
    "Our neighbour keeps ten ducks, two goats and a grey donkey.",
    "It took the painter a long time to get the colour of the lake right.",
    "Somebody left a lamp burning in the kitchen again last night.",
    "Take the second road on the left and ask for the old library.",
    "The company promised to repair the broken pump by tomorrow.",
    "In spring the meadow is full of poppies, bees and butterflies.",
    "He remembered the tune, but he had forgotten nearly every word.",
    "Tell the captain that the cargo must be loaded before dark.",
    "A plumber climbed up the ladder to look at the leaking pipe.",
    "She collects stamps, old maps and pictures of steam engines.",
    "The train to the coast is late, so let us get a cup of tea.",
    "Grandmother told us stories of robbers in the dark mountains.",
    "My uncle repairs clocks in a tiny shop behind the market.",
    "Nobody knows how deep the green pond in the garden really is.",
    "The doctor recommended a bit of rest and plenty of warm soup.",
)
"""In no training text. Fewer closures than these have would not tell an AUC of 0.85 from one of 0.82."""
PAUSE_S = 0.5
"""Silence between the sentences of a film: long enough that a mouth has no excuse."""
SMILING = 0.03
"""Aperture, as a share of the distance of the eyes, from which on a mouth that rests counts as open: the teeth of a
smile show, and no lip is drawn over them."""

LIP_BARS = {
    "flite_jaw": at_least(0.65),
    "flite_aperture": at_least(0.60),
    "flite_width": at_least(0.65),
    "flite_aperture_over_loudness": at_least(0.30),
    "flite_closure_auc": at_least(0.85),
    "flite_pause": at_most(0.05),
}
FILM_BARS: Mapping[str, Mapping[str, Bar]] = {
    "phonemes": {"aperture": at_least(0.85), "width": at_least(0.88), "lag_ms": between(-10, 10)},
    "sound": {"lag_ms": between(-30, 30)},
    "other_sound": {"aperture": at_most(0.20)},
    "human": {"aperture": at_least(0.55), "lag_ms": between(-30, 30)},
}
"""Drive → figure → bar, for every face."""


def takes() -> list[Take]:
    """The test engine's sentences in two voices, at three rates."""
    said = [
        flite_says(words, voice, stretch=(0.9, 1.0, 1.2)[i % 3])
        for voice in ("awb", "rms")
        for i, words in enumerate(SENTENCES)
    ]
    return [take for take in said if take is not None]


def on_sound(spoken: Sequence[Take]) -> dict[str, Any]:
    """What the net makes of the test engine, before anything is drawn."""
    net, loud = lips(spoken)
    found = {
        "flite_jaw": net.jaw,
        "flite_aperture": net.aperture,
        "flite_width": net.width,
        "flite_aperture_over_loudness": net.aperture - loud.aperture,
        "flite_closure_auc": net.closure,
        "flite_pause": net.pause,
    }
    return {name: Figure(value, LIP_BARS[name]) for name, value in found.items()} | {
        "flite_closures": net.closures,
        "flite_loudness_closure_auc": loud.closure,
    }


def joined(parts: Sequence[Take]) -> tuple[npt.NDArray[np.int16], list[tuple[float, float, str]]]:
    """Takes one after the other, with pauses."""
    quiet = np.zeros(round(PAUSE_S * RATE), np.int16)
    sounds: list[npt.NDArray[np.int16]] = []
    phones: list[tuple[float, float, str]] = []
    start = 0.0
    for take in parts:
        phones += [(s + start, e + start, ipa) for s, e, ipa in take.phones]
        start += len(take.pcm) / RATE
        phones.append((start, start + PAUSE_S, ""))
        start += PAUSE_S
        sounds += [take.pcm, quiet]
    return np.concatenate(sounds), phones


class _Loud(Actor):
    """Lips that follow loudness, as cheap avatars' do: what the net is measured against."""

    def _speak(self, lips: Lips) -> Any:
        shape = np.zeros_like(lips.shape)
        shape[0] = lips.loudness
        return super()._speak(replace(lips, shape=shape))


def wave_file(path: Path, pcm: npt.NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.tobytes())
    return path


def _figures(name: str, drive: str, seen: Judged, smiling: bool) -> dict[str, Any]:
    bars = FILM_BARS.get(drive, {})
    values = {"aperture": seen.aperture, "width": seen.width, "lag_ms": seen.lag_ms, "closure_auc": seen.closure}
    if drive == "human":  # four closures are no sample
        del values["closure_auc"]
    found: dict[str, Any] = {f"{name}_{drive}_{k}": Figure(v, bars.get(k)) for k, v in values.items()}
    if drive == "phonemes" or (drive in ("sound", "human") and seen.pauses):
        bar = at_most(0.15 if smiling else 0.05)
        found[f"{name}_{drive}_pause"] = Figure(seen.pause, bar)
    return found


def on_film(
    rigs: Mapping[str, Rig], pictures: Mapping[str, Path], spoken: Sequence[Take], judge: Judge
) -> dict[str, Any]:
    """Encoded films of every face: driven by phonemes, by sound, by its loudness, and by a sound that is not theirs.
    `pictures`: where the portraits among the faces come from."""
    sound, phones = joined(spoken[:4])
    other, _ = joined(spoken[8:13])
    known = [Phone(ipa, round(s * RATE), round(e * RATE)) for s, e, ipa in phones]
    found: dict[str, Any] = {}
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        mine, theirs = wave_file(scratch / "a.wav", sound), wave_file(scratch / "b.wav", other[: len(sound)])

        shown = {name: measured(judge.points(decode(path.read_bytes())))[0] for name, path in pictures.items()}
        smiling = {name for name, aperture in shown.items() if aperture > SMILING}
        closed = {name: shut(rig, judge, pressed=name in smiling) for name, rig in rigs.items()}

        def shoot(name: str, drive: str, audio: Path, said: Sequence[tuple[float, float, str]], **how: Any) -> None:
            out = scratch / "film.webm"
            film(rigs[name], audio, out, scale=512 / max(rigs[name].width, rigs[name].height), seed=3, **how)
            seen = compare(look(out, judge), said, read_sound(audio, RATE), closed[name])
            shares.append(seen.found)
            found.update(_figures(name, drive, seen, name in smiling))

        for name in rigs:
            shoot(name, "phonemes", mine, phones, phones=known)
            shoot(name, "sound", mine, phones)
        shoot("default", "loudness", mine, phones, actor=_Loud(3))
        shoot("default", "other_sound", theirs, phones)
        if speech := os.environ.get("AVATAR_SPEECH"):
            human = read_sound(Path(speech), RATE)
            said = align(human, os.environ.get("AVATAR_SPEECH_WORDS", ""))
            net, loud = lips([Take("human", "human", human, said)])
            found |= {"human_jaw": net.jaw, "human_aperture": net.aperture, "human_width": net.width}
            found["human_aperture_over_loudness"] = net.aperture - loud.aperture
            for name in rigs:
                shoot(name, "human", Path(speech), said)
        else:
            found["human"] = "left out: AVATAR_SPEECH names no recording"
    found["faces_found"] = Figure(min(shares), at_least(1.0))
    return found
