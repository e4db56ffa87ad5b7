"""The built-in characters: where their features are, and in which colours they are drawn.

Lengths are units of the drawings' view box, 768 a side (`assets/NAME/drawing.svg`). Points of an eye are relative to
its centre, x positive towards the ear, so that one description serves both eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNITS: Final = 768

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
"""A cubic Bézier curve."""


@dataclass(frozen=True, slots=True)
class Eyes:
    left: Point
    """Centre of the eye at the picture's left."""
    right: Point
    upper: Curve
    """Upper lid from the inner to the outer corner, eye open."""
    lower: tuple[Curve, Curve]
    """Lower lid from the inner to the outer corner."""
    crease: Curve
    under: Curve
    """The line below the eye."""
    iris: float
    """Radius."""
    pupil: float
    iris_colours: tuple[str, str, str]
    """Bottom glow, middle, rim."""
    lash: float
    """Thickness at the middle of the lid."""
    wing: float
    """How far the lashes run beyond the outer corner; 0: not at all."""
    lash_colour: str
    lid_colour: str
    line_colour: str
    line_width: float = 2.6


@dataclass(frozen=True, slots=True)
class Brows:
    top: Curve
    """From the inner end to the tail, relative to the eye's centre."""
    bottom: Curve
    """From the tail back to the inner end."""
    colour: str


@dataclass(frozen=True, slots=True)
class Mouth:
    centre: Point
    """On the line between the closed lips."""
    half_width: float
    sag: float
    """How far the corners lie above the middle of the closed line."""
    upper: float
    """Height of the upper lip at its peaks."""
    lower: float
    cupid: float
    """Depth of the bow, as a share of the upper lip's height."""
    upper_colour: str
    lower_colour: str
    shine_colour: str
    line_colour: str
    line_width: float
    drop: float
    """How far the lower lip goes down with the widest jaw."""


@dataclass(frozen=True, slots=True)
class Head:
    """What turns, and about what."""

    centre: Point
    """Of the ellipsoid that gives the face its depth."""
    radii: tuple[float, float, float]
    """Its half axes: width, height, depth."""
    nose: Point
    """Tip."""
    pivot: Point
    """Where the neck meets the shoulders: the head leans about it."""
    chin: float
    """Height of the chin in the picture."""
    jaw: float
    """How far the chin goes down with the widest jaw."""


@dataclass(frozen=True, slots=True)
class Character:
    name: str
    head: Head
    eyes: Eyes
    brows: Brows
    mouth: Mouth


CAST: Final[dict[str, Character]] = {
    "default": Character(
        name="default",
        head=Head(centre=(384, 372), radii=(222, 262, 128), nose=(384, 448), pivot=(384, 640), chin=569, jaw=14),
        eyes=Eyes(
            left=(312, 394),
            right=(456, 394),
            upper=((-38.9, 8), (-23.8, -18), (6.5, -29), (36.7, -4)),
            lower=(
                ((-38.9, 8), (-32.4, 15), (-21.6, 20), (-8.6, 21)),
                ((-8.6, 21), (10.8, 22), (30.2, 14), (36.7, -4)),
            ),
            crease=((-30.2, -14), (-13, -34), (15.1, -37), (36.7, -20)),
            under=((-23.8, 19), (-8.6, 24), (13, 23), (28.1, 11)),
            iris=24,
            pupil=11,
            iris_colours=("#6fb3a6", "#3d8581", "#173c43"),
            lash=7.0,
            wing=1.0,
            lash_colour="#3a1f22",
            lid_colour="#e6b088",
            line_colour="#b5714f",
        ),
        brows=Brows(
            top=((-38, -54), (-18, -67), (18, -72), (46, -55)),
            bottom=((46, -55), (20, -63), (-12, -58), (-36, -45)),
            colour="#52302f",
        ),
        mouth=Mouth(
            centre=(384, 507),
            half_width=47,
            sag=7,
            upper=15,
            lower=18,
            cupid=0.14,
            upper_colour="#c7655c",
            lower_colour="#da8076",
            shine_colour="#e79b90",
            line_colour="#8c3f3c",
            line_width=3.0,
            drop=44,
        ),
    ),
    "ren": Character(
        name="ren",
        head=Head(centre=(384, 380), radii=(216, 262, 126), nose=(384, 452), pivot=(384, 646), chin=592, jaw=15),
        eyes=Eyes(
            left=(311, 392),
            right=(457, 392),
            upper=((-34, 6), (-22, -13), (6, -20), (34, -3)),
            lower=(
                ((-34, 6), (-28, 12), (-18, 16), (-6, 16)),
                ((-6, 16), (12, 16), (28, 10), (34, -3)),
            ),
            crease=((-28, -9), (-12, -23), (14, -25), (36, -12)),
            under=((-22, 18), (-8, 23), (12, 22), (26, 12)),
            iris=19.5,
            pupil=9.5,
            iris_colours=("#a9744a", "#6b4226", "#2b1a12"),
            lash=5.2,
            wing=0.0,
            lash_colour="#2a2022",
            lid_colour="#dfab81",
            line_colour="#a9704a",
        ),
        brows=Brows(
            top=((-42, -42), (-20, -56), (16, -60), (48, -46)),
            bottom=((48, -46), (20, -48), (-10, -46), (-40, -31)),
            colour="#262a33",
        ),
        mouth=Mouth(
            centre=(384, 519),
            half_width=50,
            sag=5,
            upper=10,
            lower=13,
            cupid=0.16,
            upper_colour="#bb6d58",
            lower_colour="#cb8068",
            shine_colour="#d8937c",
            line_colour="#874536",
            line_width=3.0,
            drop=44,
        ),
    ),
    "amara": Character(
        name="amara",
        head=Head(centre=(384, 374), radii=(220, 262, 128), nose=(384, 450), pivot=(384, 642), chin=572, jaw=14),
        eyes=Eyes(
            left=(313, 396),
            right=(455, 396),
            upper=((-37, 8), (-24, -16), (4, -27), (37, -6)),
            lower=(
                ((-37, 8), (-30, 15), (-20, 19), (-8, 20)),
                ((-8, 20), (12, 20), (30, 12), (37, -6)),
            ),
            crease=((-30, -13), (-13, -32), (15, -35), (38, -20)),
            under=((-24, 19), (-8, 24), (12, 23), (28, 11)),
            iris=22.5,
            pupil=11,
            iris_colours=("#8a5a34", "#51301c", "#22130d"),
            lash=7.5,
            wing=0.8,
            lash_colour="#1c1113",
            lid_colour="#8c5636",
            line_colour="#6b3d25",
        ),
        brows=Brows(
            top=((-38, -49), (-18, -63), (18, -68), (47, -51)),
            bottom=((47, -51), (20, -58), (-12, -53), (-37, -39)),
            colour="#23171a",
        ),
        mouth=Mouth(
            centre=(384, 507),
            half_width=49,
            sag=6,
            upper=17,
            lower=20,
            cupid=0.10,
            upper_colour="#8f3d3c",
            lower_colour="#b0534c",
            shine_colour="#c9716a",
            line_colour="#5c2425",
            line_width=3.0,
            drop=44,
        ),
    ),
}
