"""A picture or the frames of a short video become a `Source` (§2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from ..motion.options import Options
from ..motion.vector import ANGLES, Array, Info
from ..source import Source, SourceFrame, source
from .crop import FIRST_SCALE, FIRST_SIDE, FIRST_UP, SIDE, Crop, Points, Rgb, crop, crop_around, fit, network_input
from .eyes import eye_ball, eye_open
from .finder import Finder, Found
from .landmarks import Landmarks203
from .mesh import Mesh

Problem = Literal["no_face", "face_too_small", "face_turned", "face_lost", "unreadable"]
SMALLEST = 48
"""Pixels of a face's longer side: below, the 512-pixel crop is a tenfold enlargement."""
MOST_LEAN = 60.0
"""Degrees. A face that leans by more is most often a picture that lies on its side."""
MOST_FRAMES = 250
"""Of a video: ten seconds, 2 GB of features."""
_OPEN = np.array([[0.6, 0.6]], np.float32)
_OPEN.setflags(write=False)
"""Eyes of a face on which no network could see them: open, looking ahead."""


class FaceError(ValueError):
    """Why a picture cannot be moved: a code for programs and a sentence for a person."""

    def __init__(self, code: Problem, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Extractors(Protocol):
    """The two networks that see the 256-pixel picture [1,3,256,256], 0 to 1."""

    def appearance(self, image: Array) -> Array:
        """f_s [1,32,16,64,64]."""
        ...

    def motion(self, image: Array) -> Info:
        """pitch, yaw, roll [1,66], t [1,3], exp [1,63], scale [1,1], kp [1,63]."""
        ...


@dataclass(frozen=True, slots=True)
class Registered:
    """A source, and what a person should know of how it came about."""

    source: Source
    faces: int
    """How many faces the first frame showed; the largest is used."""
    box: tuple[int, int, int, int]
    """x, y, width, height of the face in the first frame, pixels of the working size."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registrar:
    """Registers with one set of networks."""

    finder: Finder
    landmarks: Landmarks203 | None
    """None: the finder's own points place the crop."""
    mesh: Mesh | None
    """None: the finder's own eyes are taken."""
    extractors: Extractors
    options: Options = field(default_factory=Options)

    def register(self, pictures: Sequence[Rgb], heard: Callable[[float], None] = lambda share: None) -> Registered:
        """`pictures`: one for a photograph. `heard` is told how much of the work is done, 0 to 1.

        Raises `FaceError`.
        """
        if not pictures:
            raise FaceError("unreadable", "There is no picture in this file.")
        notes: list[str] = []
        if len(pictures) > MOST_FRAMES:
            notes.append(f"The video has {len(pictures)} frames; the first {MOST_FRAMES} are used.")
            pictures = pictures[:MOST_FRAMES]
        frames: list[SourceFrame] = []
        points: Points | None = None
        lost, blind, box, faces = 0, 0, (0, 0, 0, 0), 0
        for i, given in enumerate(pictures):
            picture = fit(np.ascontiguousarray(given, np.uint8), self.options.max_size)
            found: Found | None = None
            if points is None:
                every = self.finder.find(picture)
                found = _judged(every) if every or not frames else None
                if i == 0 and found is not None:
                    faces, box = len(every), _box(found)
                    if faces > 1:
                        notes.append(f"The picture shows {faces} faces; the largest is used.")
            placed = self._points(picture, found, points)
            if placed is None:
                # A cut in the video, or a face turned away: the last place is kept, and the next frame looks anew.
                lost += 1
                frames.append(frames[-1])
                points = None
                continue
            points = placed if isinstance(placed, np.ndarray) else None
            where = self._crop(placed, found)
            frames.append(self._frame(picture, where, found))
            blind += frames[-1].eye_open is _OPEN
            heard((i + 1) / len(pictures))
        if lost * 2 > len(pictures):
            raise FaceError("face_lost", f"The face is lost in {lost} of {len(pictures)} frames of the video.")
        if lost:
            notes.append(f"The face was lost in {lost} of {len(pictures)} frames; they repeat the frame before.")
        if blind:
            notes.append("No network saw the eyes: they are taken to be open and to look ahead.")
        return Registered(source(frames, self.options.smo_k_s), faces, box, tuple(notes))

    def _points(self, picture: Rgb, found: Found | None, tracked: Points | None) -> Points | Found | None:
        """The 203 points of this frame, or the finder's face where no network has them; None where it is lost."""
        if self.landmarks is None:
            return found
        if tracked is not None:
            first = crop(tracked, FIRST_SIDE, FIRST_SCALE, FIRST_UP)
            points = self.landmarks.place(first.cut(picture), first.to_frame)
            if plausible(points, first):
                return points
            found = next(iter(self.finder.find(picture)), None)
        if found is None:
            return None
        first = crop_around(found.points, found.eyes, found.lips, FIRST_SIDE, FIRST_SCALE, FIRST_UP)
        points = self.landmarks.place(first.cut(picture), first.to_frame)
        return points if plausible(points, first) else found

    def _crop(self, placed: Points | Found, found: Found | None) -> Crop:
        o = self.options
        if isinstance(placed, Found):
            return crop_around(
                placed.points, placed.eyes, placed.lips, SIDE, o.crop_scale, o.crop_vy_ratio, o.crop_flag_do_rot
            )
        return crop(placed, SIDE, o.crop_scale, o.crop_vy_ratio, o.crop_flag_do_rot)

    def _frame(self, picture: Rgb, where: Crop, found: Found | None) -> SourceFrame:
        cut = where.cut(picture)
        opened, ball = self._eyes(cut, picture, found)
        image = network_input(cut)
        info = self.extractors.motion(image)
        if not all(np.isfinite(v).all() for v in info.values()):
            raise FaceError("unreadable", "The motion network gives no numbers here: are its weights whole?")
        shaped = {k: np.asarray(info[k], np.float32).reshape(1, -1) for k in (*ANGLES, "t", "exp", "scale", "kp")}
        features = np.asarray(self.extractors.appearance(image), np.float32)
        return SourceFrame(shaped, opened, ball, where.to_frame, features, picture)

    def _eyes(self, cut: Rgb, picture: Rgb, found: Found | None) -> tuple[Array, Array]:
        points = self.mesh.place(cut) if self.mesh is not None else None
        if points is not None and np.isfinite(points).all():
            return eye_open(points), eye_ball(points)
        if found is None or not len(found.eye_open):
            found = next((f for f in self.finder.find(cut) if len(f.eye_open)), None)
        if found is not None and len(found.eye_open):
            return found.eye_open, found.eye_ball
        return _OPEN, np.zeros((1, 6), np.float32)


def plausible(points: Points, first: Crop) -> bool:
    """Whether landmarks lie as on a face that the crop was cut around: inside it, and spread over it."""
    if not np.isfinite(points).all():
        return False
    inside = first.into(points) / first.side
    low, high = inside.min(axis=0), inside.max(axis=0)
    spread = high - low
    left, right, lips = (inside[list(i)].mean(axis=0) for i in ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)))
    eyes = (left + right) / 2
    return bool(
        low.min() > -0.25
        and high.max() < 1.25
        and spread.min() > 0.2
        and lips[1] - eyes[1] > 0.08
        and right[0] > left[0]
    )


def _box(found: Found) -> tuple[int, int, int, int]:
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    x, y, w, h = (round(float(v)) for v in (*low, *(high - low)))
    return x, y, w, h


def _judged(faces: list[Found]) -> Found:
    """The largest face, if it can be moved."""
    if not faces:
        raise FaceError("no_face", "No face was found: use a picture in which a face looks towards the camera.")
    face = faces[0]
    if face.height < SMALLEST:
        raise FaceError(
            "face_too_small",
            f"The face is {face.height:.0f} pixels high and needs {SMALLEST}: use a closer or a larger picture.",
        )
    if abs(face.lean) > MOST_LEAN:
        raise FaceError(
            "face_turned",
            f"The face leans by {abs(face.lean):.0f}°: turn the picture upright.",
        )
    return face
