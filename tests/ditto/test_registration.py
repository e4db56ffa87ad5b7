"""From files to sources: faces found or not, said in words; videos; what is kept on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ditto.registration import crop
from ditto.registration.cache import SourceCache, key
from ditto.registration.detector import Detector
from ditto.registration.finder import FILES, Found, FreeFinder, PublishedFinder
from ditto.registration.landmarks import Landmarks106, Landmarks203
from ditto.registration.loading import load_pictures, shrunk
from ditto.registration.register import FaceError, Registrar, plausible

from .stubs import RULE
from .tiny import MiddleFinder, portrait

MODELS = Path(__file__).parents[2] / "checkpoints" / "face"
ASTRONAUT = Path(__file__).parents[1] / "portrait" / "pictures" / "astronaut.jpg"


class Extractors:
    """Numbers that depend on what is seen."""

    def appearance(self, image: Any) -> Any:
        return np.full((1, 4, 2, 64, 64), image.mean(), np.float32)

    def motion(self, image: Any) -> Any:
        frame = RULE.source("extracted", 1)[0]
        frame["t"] = frame["t"] + np.float32(image.mean())
        return {k: frame[k] for k in ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")}


class Faces:
    """Sees what it is told to see."""

    def __init__(self, *faces: list[Found]) -> None:
        self._faces = list(faces)

    def find(self, picture: Any) -> list[Found]:
        return self._faces.pop(0) if len(self._faces) > 1 else self._faces[0]


def seen(size: float = 100.0, lean: float = 0.0) -> Found:
    (face,) = MiddleFinder().find(np.zeros((int(size * 2), int(size * 2), 3), np.uint8))
    c, s = np.cos(np.radians(lean)), np.sin(np.radians(lean))
    turn = np.array([[c, s], [-s, c]], np.float32)
    middle = face.points.mean(axis=0)
    moved = [(np.asarray(p) - middle) @ turn + middle for p in (face.points, face.eyes, face.lips)]
    eyes = {"eye_open": np.full((1, 2), 0.5, np.float32), "eye_ball": np.zeros((1, 6), np.float32)}
    return replace(face, points=moved[0].astype(np.float32), eyes=moved[1], lips=moved[2], **eyes)


def registrar(finder: Any, landmarks: Any = None) -> Registrar:
    return Registrar(finder, landmarks, None, Extractors())


@pytest.mark.parametrize(
    ("faces", "code", "words"),
    [
        ([], "no_face", "No face was found"),
        ([seen(30)], "face_too_small", "needs 48"),
        ([seen(100, 90)], "face_turned", "turn the picture upright"),
    ],
)
def test_a_picture_that_cannot_be_moved_is_refused_in_words(faces: list[Found], code: str, words: str) -> None:
    with pytest.raises(FaceError, match=words) as caught:
        registrar(Faces(faces)).register([portrait()])
    assert caught.value.code == code


def test_of_several_faces_the_largest_speaks_and_it_is_said() -> None:
    made = registrar(Faces([seen(90), seen(50)])).register([portrait()])
    assert made.faces == 2 and "2 faces" in made.notes[0]
    assert made.source.still and made.source.frames[0].picture is not None


def test_a_source_has_what_a_performance_needs() -> None:
    made = registrar(MiddleFinder()).register([portrait()])
    (frame,) = made.source.frames
    assert made.source.kp.shape == (63,) and frame.eye_open.shape == (1, 2) and frame.eye_ball.shape == (1, 6)
    assert {k: v.shape for k, v in frame.info.items()} == {
        **dict.fromkeys(("pitch", "yaw", "roll"), (1, 66)),
        "t": (1, 3),
        "exp": (1, 63),
        "scale": (1, 1),
        "kp": (1, 63),
    }
    x, y, w, h = made.box
    assert 0 < x < 200 and 0 < y < 240 and w > 0 and h > 0


def test_a_lost_face_is_looked_for_again() -> None:
    face = seen(100)
    made = registrar(Faces([face], [], [face])).register([portrait()] * 3)
    assert len(made.source.frames) == 3 and "lost in 1 of 3" in made.notes[0]
    with pytest.raises(FaceError, match="lost in 3 of 4"):
        registrar(Faces([face], [])).register([portrait()] * 4)


def test_landmarks_that_lie_nowhere_on_a_face_are_not_believed() -> None:
    nonsense = Landmarks203(lambda _: [np.full((1, 406), 7.0, np.float32)])
    plain = registrar(MiddleFinder()).register([portrait()])
    made = registrar(MiddleFinder(), nonsense).register([portrait()])
    np.testing.assert_array_equal(made.source.frames[0].to_frame, plain.source.frames[0].to_frame)
    first = crop.Crop(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 224)
    assert not plausible(np.full((203, 2), np.nan, np.float32), first)


def test_a_network_that_gives_no_numbers_is_refused() -> None:
    class Broken(Extractors):
        def motion(self, image: Any) -> Any:
            return {k: v * np.nan for k, v in super().motion(image).items()}

    with pytest.raises(FaceError, match="weights whole"):
        Registrar(MiddleFinder(), None, None, Broken()).register([portrait()])


def test_the_published_way_crops_by_106_points() -> None:
    angle = np.linspace(0, 2 * np.pi, 106, endpoint=False)
    points = 0.3 * np.stack([np.sin(angle), -np.cos(angle)], 1)
    points[[33, 35, 40, 39]], points[[87, 89, 94, 93]], points[[52, 61]] = (-0.1, -0.1), (0.1, -0.1), (0.0, 0.15)
    outputs: list[Any] = [np.zeros((n, k), np.float32) for k in (1, 4, 10) for n in (8192, 2048, 512)]
    outputs[2][200], outputs[5][200] = 0.9, (2, 2, 2, 2)
    finder = PublishedFinder(Detector(lambda _: outputs), Landmarks106(lambda _: [points.reshape(1, -1)]))
    blank = np.zeros((512, 512, 3), np.uint8)
    (face,) = finder.find(blank)
    assert face.height > 10 and abs(face.lean) < 1 and not len(face.eye_open)

    # A bundle without a mesh: the eyes are those of the face that the free networks see in the same place.
    looking = replace(face, points=face.points + 2, eye_open=np.full((1, 2), 0.3, np.float32))
    elsewhere = replace(looking, points=face.points + face.height)
    (seen,) = finder.with_eyes(Faces([elsewhere, looking])).find(blank)
    np.testing.assert_array_equal(seen.eye_open, looking.eye_open)
    np.testing.assert_array_equal(seen.points, face.points)
    (blind,) = finder.with_eyes(Faces([elsewhere])).find(blank)
    assert not len(blind.eye_open)


def test_eyes_that_nobody_sees_are_open_and_that_is_said() -> None:
    made = registrar(Faces([replace(seen(90), eye_open=np.zeros((0, 2), np.float32))])).register([portrait()])
    np.testing.assert_array_equal(made.source.frames[0].eye_open, np.full((1, 2), 0.6, np.float32))
    assert "No network saw the eyes" in made.notes[0]


def test_a_source_on_disk_is_the_one_that_was_put_there(tmp_path: Path) -> None:
    made = registrar(Faces([seen(90), seen(50)])).register([portrait()] * 2)
    cache = SourceCache(tmp_path / "sources")
    assert cache.get("nothing") is None
    cache.put("a", made)
    again = cache.get("a")
    assert again is not None and again.notes == made.notes and again.box == made.box
    for one, two in zip(made.source.frames, again.source.frames, strict=True):
        np.testing.assert_array_equal(one.features, two.features)
        np.testing.assert_array_equal(one.info["exp"], two.info["exp"])
    assert (tmp_path / "sources").stat().st_mode & 0o077 == 0
    small = SourceCache(tmp_path / "sources", most_bytes=1)
    small.put("b", made)
    assert [p.stem for p in (tmp_path / "sources").glob("*.npz")] == ["b"]


def test_a_key_is_of_the_pixels_and_of_what_made_it() -> None:
    one, other = portrait(), portrait()
    other[0, 0] += 1
    assert key([one], "x") == key([portrait()], "x")
    assert len({key([one], "x"), key([other], "x"), key([one], "y"), key([one, one], "x")}) == 4


def test_pictures_and_videos_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), portrait()[..., ::-1])
    (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    (picture,) = load_pictures(tmp_path / "photo.mp4")
    np.testing.assert_array_equal(picture, portrait())
    with av.open(str(tmp_path / "film.mkv"), "w") as file:
        stream = file.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 200, 240, "yuv420p"
        for _ in range(6):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(portrait(), format="rgb24")))
        file.mux(stream.encode(None))
    assert len(load_pictures(tmp_path / "film.mkv")) == 6
    assert len(load_pictures(tmp_path / "film.mkv", 4)) == 4
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 and nothing more")
    (tmp_path / "text.jpg").write_text("no picture at all")
    for name in ("bad.jpg", "text.jpg"):
        with pytest.raises(FaceError) as caught:
            load_pictures(tmp_path / name)
        assert caught.value.code == "unreadable" and name in caught.value.message
    assert shrunk(np.zeros((300, 3001, 3), np.uint8), 1024).shape == (102, 1024, 3)


def test_a_directory_without_the_face_networks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"checkpoints\.fetch face"):
        FreeFinder(tmp_path)


@pytest.fixture(scope="module")
def free() -> FreeFinder:
    if not all((MODELS / name).is_file() for name in FILES):
        pytest.skip("the face networks are not fetched")
    return FreeFinder(MODELS)


def test_the_free_networks_find_a_face_however_it_lies(free: FreeFinder) -> None:
    picture = cv2.imread(str(ASTRONAUT))[..., ::-1].copy()
    (face,) = free.find(picture)
    assert 90 < face.height < 160 and abs(face.lean) < 12
    assert 0.3 < face.eye_open.min() <= face.eye_open.max() < 1.5
    side = free.find(np.rot90(picture).copy())
    assert side and abs(abs(side[0].lean) - 90) < 20
    small = np.zeros((1400, 1400, 3), np.uint8)
    small[900:1100, 100:300] = cv2.resize(picture, (200, 200), interpolation=cv2.INTER_AREA)
    found = free.find(small)
    assert found and np.allclose(found[0].points.mean(axis=0), (100 + 200 * 0.44, 900 + 200 * 0.25), atol=25)
    assert free.find(np.full((300, 300, 3), 128, np.uint8)) == []


def test_a_photograph_is_registered_with_the_free_networks(free: FreeFinder) -> None:
    picture = cv2.imread(str(ASTRONAUT))[..., ::-1].copy()
    made = Registrar(free, None, None, Extractors()).register([picture])
    (frame,) = made.source.frames
    corners = np.array([[0, 0], [512, 512]], np.float32)
    low, high = crop.move(corners, frame.to_frame)
    (face,) = free.find(picture)
    assert (low < face.points.min(axis=0)).all() and (high > face.points.max(axis=0)).all()
    with pytest.raises(FaceError, match="upright"):
        Registrar(free, None, None, Extractors()).register([np.rot90(picture).copy()])
