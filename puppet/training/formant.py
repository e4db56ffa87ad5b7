"""A small formant synthesiser: speech of any speaker whose articulation is known to the sample.

After Klatt, "Software for a cascade/parallel formant synthesizer" (1980): a glottal source through resonators in
cascade, noise through a parallel pair, targets and consonant loci that vowels bend towards. It does not have to please:
it has to show a net many vocal tracts, and every consonant between every pair of vowels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter  # type: ignore[import-not-found, import-untyped, unused-ignore]

Floats = npt.NDArray[np.float64]

RATE = 16_000
STEP = 80
"""Samples between control values: 5 ms."""

VOWELS: dict[str, tuple[float, float, float]] = {
    # First three formants in Hz of an adult man (after Peterson and Barney, 1952, and Delattre for the rounded ones).
    "i": (270, 2290, 3010),
    "ɪ": (390, 1990, 2550),
    "e": (400, 2100, 2650),
    "ɛ": (530, 1840, 2480),
    "æ": (660, 1720, 2410),
    "a": (750, 1300, 2500),
    "ɑ": (730, 1090, 2440),
    "ɔ": (570, 840, 2410),
    "o": (430, 850, 2400),
    "ʊ": (440, 1020, 2240),
    "u": (300, 870, 2240),
    "ʌ": (640, 1190, 2390),
    "ə": (500, 1450, 2450),
    "ɜ": (490, 1350, 1690),
    "y": (280, 1850, 2150),
    "ø": (400, 1600, 2250),
    "ɯ": (320, 1300, 2350),
}
DIPHTHONGS = ("aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ")


@dataclass(frozen=True, slots=True)
class Consonant:
    """How a consonant sounds."""

    kind: str
    """stop, nasal, fricative, glide or affricate."""
    locus: tuple[float, float, float]
    """Formants in Hz that its vowels bend towards."""
    pull: float
    """How far they bend: 1 all the way."""
    voiced: bool
    noise: tuple[float, float, float] = (0.0, 1000.0, 0.0)
    """Centre and bandwidth in Hz, and level, of its burst or friction."""


CONSONANTS: dict[str, Consonant] = {
    "p": Consonant("stop", (250, 800, 2200), 0.75, False, (900, 1800, 0.35)),
    "b": Consonant("stop", (220, 850, 2200), 0.75, True, (900, 1800, 0.25)),
    "m": Consonant("nasal", (260, 1000, 2200), 0.75, True),
    "t": Consonant("stop", (280, 1750, 2650), 0.6, False, (4200, 2200, 0.8)),
    "d": Consonant("stop", (230, 1750, 2650), 0.6, True, (4000, 2400, 0.5)),
    "n": Consonant("nasal", (280, 1650, 2600), 0.6, True),
    "k": Consonant("stop", (280, 1900, 2300), 0.35, False, (2000, 900, 0.8)),
    "ɡ": Consonant("stop", (230, 1900, 2300), 0.35, True, (1900, 900, 0.5)),
    "ŋ": Consonant("nasal", (280, 2000, 2400), 0.35, True),
    "f": Consonant("fricative", (320, 1000, 2200), 0.5, False, (4500, 6000, 0.22)),
    "v": Consonant("fricative", (260, 1000, 2200), 0.5, True, (4500, 6000, 0.12)),
    "θ": Consonant("fricative", (320, 1350, 2550), 0.5, False, (5200, 5000, 0.2)),
    "ð": Consonant("fricative", (270, 1350, 2550), 0.5, True, (5200, 5000, 0.08)),
    "s": Consonant("fricative", (300, 1700, 2600), 0.55, False, (6200, 2200, 1.0)),
    "z": Consonant("fricative", (240, 1700, 2600), 0.55, True, (6200, 2200, 0.5)),
    "ʃ": Consonant("fricative", (300, 1850, 2500), 0.55, False, (3300, 1600, 1.0)),
    "ʒ": Consonant("fricative", (250, 1850, 2500), 0.55, True, (3300, 1600, 0.5)),
    "tʃ": Consonant("affricate", (300, 1850, 2500), 0.55, False, (3300, 1600, 1.0)),
    "dʒ": Consonant("affricate", (250, 1850, 2500), 0.55, True, (3300, 1600, 0.6)),
    "h": Consonant("fricative", (500, 1500, 2500), 0.0, False, (1500, 5000, 0.2)),
    "l": Consonant("glide", (350, 1100, 2700), 0.8, True),
    "ɹ": Consonant("glide", (320, 1150, 1550), 0.85, True),
    "ɾ": Consonant("glide", (300, 1600, 2500), 0.6, True),
    "w": Consonant("glide", (290, 650, 2200), 0.95, True),
    "j": Consonant("glide", (270, 2250, 3000), 0.95, True),
}
WEIGHTS = {"p": 3, "b": 3, "m": 4, "t": 2, "d": 2, "n": 3, "s": 2, "l": 2, "f": 2, "v": 2}


@dataclass(frozen=True, slots=True)
class _Sound:
    ipa: str
    start: float
    end: float
    stress: float


def _plan(rng: np.random.Generator) -> list[_Sound]:
    """Made-up words with pauses, at a random rate."""
    pace = rng.uniform(0.75, 1.35)
    names, weights = list(CONSONANTS), np.array([WEIGHTS.get(c, 1.0) for c in CONSONANTS])
    weights /= weights.sum()
    nuclei = [*VOWELS, *DIPHTHONGS]
    now = rng.uniform(0.1, 0.4)
    plan = [_Sound("", 0.0, now, 0.0)]

    def say(ipa: str, seconds: float, stress: float = 0.0) -> None:
        nonlocal now
        length = seconds * pace * rng.lognormal(0, 0.18)
        plan.append(_Sound(ipa, now, now + length, stress))
        now += length

    def consonant() -> None:
        name = str(rng.choice(names, p=weights))
        kind = CONSONANTS[name].kind
        say(name, {"stop": 0.085, "affricate": 0.12, "nasal": 0.075, "fricative": 0.105, "glide": 0.07}[kind])

    for _ in range(rng.integers(4, 9)):
        for _ in range(rng.choice([1, 2, 2, 3])):
            stress = float(rng.random() < 0.4)
            if rng.random() < 0.9:
                consonant()
            nucleus = str(rng.choice(nuclei))
            say(nucleus, (0.11 if nucleus in VOWELS else 0.17) * (1 + 0.35 * stress), stress)
            if rng.random() < 0.35:
                consonant()
        if rng.random() < 0.18:
            say("", rng.uniform(0.08, 0.45))
    say("", rng.uniform(0.15, 0.4))
    return plan


def _resonate(signal: Floats, frequency: Floats, bandwidth: Floats) -> Floats:
    """A resonator of unit gain at 0 Hz whose frequency and bandwidth change at every step."""
    out = np.empty_like(signal)
    state = np.zeros(2)
    r = np.exp(-np.pi * bandwidth / RATE)
    b = 2 * r * np.cos(2 * np.pi * frequency / RATE)
    c = -(r**2)
    for i in range(len(frequency)):
        part = slice(i * STEP, (i + 1) * STEP)
        gain = 1 - b[i] - c[i]
        # The state is scaled so that a change of gain makes no click.
        out[part], state = lfilter([gain], [1, -b[i], -c[i]], signal[part], zi=state)
    return out


def _glottis(rng: np.random.Generator, pitch: Floats, level: Floats) -> Floats:
    """Rosenberg pulses with jitter and shimmer, differentiated as lips radiate."""
    n = len(pitch) * STEP
    f0 = np.repeat(pitch, STEP)
    phase = np.cumsum(f0 / RATE)
    cycle = np.floor(phase).astype(int)
    count = cycle[-1] + 2
    position = phase - cycle + 0.01 * rng.standard_normal(count)[cycle]
    opened = rng.uniform(0.55, 0.75)
    rise, fall = 0.66 * opened, 0.34 * opened
    pulse = np.where(
        position < rise,
        0.5 - 0.5 * np.cos(np.pi * np.clip(position / rise, 0, 1)),
        np.cos(0.5 * np.pi * np.clip((position - rise) / fall, 0, 1)),
    ) * (1 + 0.06 * rng.standard_normal(count)[cycle])
    voice = np.diff(pulse, prepend=0.0) * 30
    breath = rng.standard_normal(n) * pulse * rng.uniform(0.01, 0.08)
    return np.asarray((voice + breath) * np.repeat(level, STEP))


def _smooth(track: Floats, seconds: float) -> Floats:
    width = max(1, round(seconds * RATE / STEP)) | 1
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(track, width // 2, mode="edge")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), mode="valid"))


def speak(rng: np.random.Generator) -> tuple[Floats, list[tuple[float, float, str]]]:
    """One made-up sentence by a made-up speaker: 16 kHz sound, and its phonemes (start, end in seconds, IPA)."""
    plan = _plan(rng)
    steps = int(np.ceil(plan[-1].end * RATE / STEP))
    t = (np.arange(steps) + 0.5) * STEP / RATE
    tract = rng.uniform(0.92, 1.28)
    voice = rng.uniform(85, 150) if tract < 1.08 else rng.uniform(140, 290)
    formants = np.tile([500.0, 1500.0, 2500.0], (steps, 1))
    voicing, friction, aspiration = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    centre, width = np.full(steps, 3000.0), np.full(steps, 2000.0)
    nasal, closed = np.zeros(steps), np.zeros(steps)

    def vowel_near(i: int) -> tuple[float, float, float]:
        for j in (i + 1, i - 1, i + 2, i - 2):
            if 0 <= j < len(plan):
                name = plan[j].ipa
                if name in VOWELS or name in DIPHTHONGS:
                    return VOWELS[name[0] if j > i else name[-1]]
        return VOWELS["ə"]

    for i, sound in enumerate(plan):
        here = (t >= sound.start) & (t < sound.end)
        if not here.any():
            continue
        share = (t[here] - sound.start) / (sound.end - sound.start)
        if not sound.ipa:
            formants[here] = vowel_near(i)
        elif sound.ipa in VOWELS or sound.ipa in DIPHTHONGS:
            first, last = np.array(VOWELS[sound.ipa[0]]), np.array(VOWELS[sound.ipa[-1]])
            glide = np.clip((share - 0.25) / 0.5, 0, 1)[:, None]
            reduced = 0.15 * (1 - sound.stress) * rng.random()
            target = (first * (1 - glide) + last * glide) * (1 - reduced) + np.array(VOWELS["ə"]) * reduced
            formants[here] = target
            voicing[here] = 0.8 + 0.3 * sound.stress
        else:
            c = CONSONANTS[sound.ipa]
            near = np.array(vowel_near(i))
            goal = near + c.pull * (np.array(c.locus) - near)
            # F1 says how closed the tract is, whatever vowel is near.
            goal[0] = c.locus[0] if c.kind != "fricative" or c.pull else near[0]
            if sound.ipa in ("k", "ɡ", "ŋ"):
                goal[1] = near[1] + 0.35 * (min(2300.0, near[1] + 300) - near[1])
            formants[here] = goal
            noise_centre, noise_width, noise_level = c.noise
            centre[here], width[here] = noise_centre, noise_width
            match c.kind:
                case "stop":
                    burst = share > 1 - min(0.5, (0.018 if c.voiced else 0.035) / (sound.end - sound.start))
                    friction[here] = noise_level * burst * rng.uniform(0.5, 1.2)
                    aspiration[here] = 0.0 if c.voiced else 0.35 * burst * rng.uniform(0, 1.4)
                    voicing[here] = (0.22 if c.voiced else 0.0) * ~burst
                    closed[here] = ~burst
                case "affricate":
                    release = share > 0.45
                    friction[here] = noise_level * release
                    voicing[here] = (0.2 if c.voiced else 0.0) * ~release
                    closed[here] = ~release
                case "nasal":
                    voicing[here] = 0.5
                    nasal[here] = 1
                case "fricative":
                    friction[here] = noise_level if sound.ipa != "h" else 0.0
                    aspiration[here] = 0.45 if sound.ipa == "h" else 0.0
                    voicing[here] = 0.35 if c.voiced else 0.0
                case _:
                    voicing[here] = 0.6
    for k, seconds in enumerate((0.035, 0.050, 0.050)):
        formants[:, k] = _smooth(formants[:, k], seconds * rng.uniform(0.8, 1.3))
    voicing, friction, aspiration = _smooth(voicing, 0.02), _smooth(friction, 0.012), _smooth(aspiration, 0.02)
    closed, nasal = _smooth(closed, 0.012), _smooth(nasal, 0.015)

    stress = np.array([s.stress for s in plan])[np.searchsorted([s.end for s in plan], t).clip(0, len(plan) - 1)]
    pitch = voice * (1.12 - 0.22 * t / t[-1]) * 2 ** (_smooth(stress, 0.15) * rng.uniform(1, 5) / 12)
    pitch *= 2 ** (_smooth(rng.standard_normal(steps), 0.12) * 2 / 12)
    source = _glottis(rng, pitch, voicing)
    source = lfilter([1 - (tilt := rng.uniform(0, 0.55))], [1, -tilt], source)
    source += rng.standard_normal(len(source)) * np.repeat(aspiration, STEP) * 0.25
    bandwidth = rng.uniform(0.8, 1.5)
    out = source
    tracks = [formants[:, 0], formants[:, 1], formants[:, 2], np.full(steps, 3500.0), np.full(steps, 4500.0)]
    damped = 1 + 2.5 * nasal + 1.5 * closed
    for track, base in zip(tracks, (60, 80, 120, 200, 300), strict=True):
        frequency = np.clip(track * tract, 150, 7000)
        out = _resonate(out, frequency, base * bandwidth * tract * damped)
    # A closed or nasal tract radiates little above its first resonance.
    shut = np.repeat(np.clip(closed + 0.55 * nasal, 0, 1), STEP)
    dull = lfilter([0.18], [1, -0.82], out)
    out = out * (1 - shut) + dull * shut
    hiss = rng.standard_normal(len(out)) * np.repeat(friction, STEP)
    hiss = _resonate(hiss, np.clip(centre * (0.7 + 0.3 * tract), 300, 7600), np.clip(width, 300, 7000))
    ratio = np.sqrt((out**2).mean() + 1e-9) / np.sqrt((hiss**2).mean() + 1e-9)
    out = out + hiss * ratio * rng.uniform(0.35, 0.8)
    return out, [(s.start, s.end, s.ipa) for s in plan]
