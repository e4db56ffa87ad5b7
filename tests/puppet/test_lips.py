"""Lips on encoded film, seen by an outside judge that finds the face and its mouth in every decoded picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import _judge
from benchmarks._films import wave_file
from benchmarks._judge import Judge, OwnNets, Unavailable, hired
from benchmarks._lips import Judged, Seen, compare, look, measured, shut
from puppet import CAST, load_rig
from puppet.film import film
from puppet.landmarks import FaceModels
from puppet.mouth import Phone
from puppet.renderer import Rig
from puppet.sound import RATE
from tests.absent import absent

pytestmark = pytest.mark.timeout(400)  # the judge's environment is installed where there is none yet

PHOTOGRAPH = Path(__file__).parents[1] / "portrait" / "pictures" / "astronaut.jpg"
Phones = list[tuple[float, float, str]]

with np.load(Path(__file__).parent / "speech.npz") as stored:
    SOUND: npt.NDArray[np.int16] = stored["pcm"]
    PHONES: Phones = [(float(s), float(e), str(ipa)) for s, e, ipa in json.loads(str(stored["phones"]))]
SECONDS = len(SOUND) / RATE
LATER_S = 1.43
"""In a pause: from here on the speech's phrases, and then the first ones, are another speech."""


@pytest.fixture(scope="module")
def judge(models_dir: Path) -> Iterator[Judge]:
    try:
        with hired(models_dir) as someone:
            yield someone
    except Unavailable as error:
        absent(f"no judge of lips can be had: {error}")


@pytest.fixture(scope="module")
def rigs(models_dir: Path) -> dict[str, Rig]:
    return {name: load_rig(name) for name in CAST} | {"photograph": load_rig(PHOTOGRAPH)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def shoot(rig: Rig, sound: npt.NDArray[np.int16], phones: Phones, out: Path) -> Path:
    """VP9 at 512 pixels, driven by `phones` where there are any and by the sound elsewhere."""
    known = [Phone(ipa, round(s * RATE), round(e * RATE)) for s, e, ipa in phones]
    heard = wave_file(out.with_suffix(".wav"), sound)
    film(rig, heard, out, scale=512 / max(rig.width, rig.height), seed=3, phones=known)
    with av.open(str(out)) as made:
        assert "vp9" in made.streams.video[0].codec.name
    return out


def verdict(seen: Seen, closed: float = 0.0) -> Judged:
    return compare(seen, PHONES, SOUND, closed)


@pytest.fixture(scope="module")
def spoken(rigs: dict[str, Rig], folder: Path) -> Path:
    """The character that is there first, driven by phonemes."""
    return shoot(rigs["default"], SOUND, PHONES, folder / "default.webm")


@pytest.fixture(scope="module")
def seen(spoken: Path, judge: Judge) -> Seen:
    return look(spoken, judge)


@pytest.mark.parametrize("name", [*CAST, "photograph"])
def test_lips_that_phonemes_drive(name: str, rigs: dict[str, Rig], judge: Judge, folder: Path, seen: Seen) -> None:
    """The photograph smiles with its teeth: its lips have to be closed first, and may part a little in pauses."""
    smiling = name == "photograph"
    if name != "default":
        seen = look(shoot(rigs[name], SOUND, PHONES, folder / f"{name}.webm"), judge)
    found = verdict(seen, shut(rigs[name], judge, pressed=smiling))
    assert found.found == 1.0
    assert found.aperture >= 0.85
    assert found.width >= 0.88
    assert abs(found.lag_ms) <= 10
    assert found.pauses > 10
    assert found.pause < (0.15 if smiling else 0.05)


def test_lips_that_sound_drives(rigs: dict[str, Rig], judge: Judge, folder: Path) -> None:
    found = verdict(look(shoot(rigs["default"], SOUND, [], folder / "sound.webm"), judge))
    assert found.found == 1.0
    assert found.aperture >= 0.55
    assert abs(found.lag_ms) <= 30


def test_lips_of_another_sound_do_not_fit(rigs: dict[str, Rig], judge: Judge, folder: Path) -> None:
    other = np.roll(SOUND, -round(LATER_S * RATE))
    found = verdict(look(shoot(rigs["default"], other, [], folder / "other.webm"), judge))
    assert found.found == 1.0
    assert found.aperture <= 0.20


def test_a_mouth_that_does_not_move_does_not_fit(rigs: dict[str, Rig], judge: Judge, folder: Path, seen: Seen) -> None:
    frozen = look(shoot(rigs["default"], np.zeros_like(SOUND), [], folder / "frozen.webm"), judge)
    assert np.ptp(frozen.aperture) < 0.2 * np.ptp(seen.aperture)
    assert verdict(frozen).aperture < 0.5


@pytest.mark.parametrize("pictures", [-4, -1, 1, 3])
def test_the_judge_tells_how_late_lips_are(seen: Seen, pictures: int) -> None:
    """A film whose pictures come later, or earlier, than they ought to."""
    shifted = Seen(np.roll(seen.aperture, pictures), np.roll(seen.width, pictures))
    assert verdict(shifted).lag_ms == pytest.approx(40 * pictures, abs=11)


def test_pictures_without_a_face_are_counted(judge: Judge, seen: Seen) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (512, 512, 3), np.uint8)
    assert judge.points(noise) is None
    half = Seen(seen.aperture.copy(), seen.width.copy())
    half.aperture[::2] = half.width[::2] = np.nan
    assert verdict(half).found == pytest.approx(0.5, abs=0.02)


def test_without_its_environment_the_products_own_networks_judge(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(name: str) -> Path:
        raise Unavailable(f"no network to fetch {name} from")

    monkeypatch.setattr(_judge, "interpreter", nowhere)
    with hired(models_dir) as someone:
        assert isinstance(someone, OwnNets)
    with pytest.raises(Unavailable, match=r"no network.*checkpoints\.fetch face"), hired(tmp_path):
        pass


def test_the_products_own_networks_see_the_same_mouth(spoken: Path, seen: Seen, models_dir: Path) -> None:
    """They judge where nobody else can be had."""
    own = OwnNets(FaceModels(models_dir))
    with av.open(str(spoken)) as source:
        pictures = [p.to_ndarray(format="rgb24") for n, p in enumerate(source.decode(video=0)) if n % 3 == 0]
    theirs = np.array([measured(own.points(rgb)) for rgb in pictures])
    assert np.corrcoef(theirs[:, 0], seen.aperture[::3])[0, 1] > 0.9
    assert np.corrcoef(theirs[:, 1], seen.width[::3])[0, 1] > 0.8
    assert own.points(np.zeros((512, 512, 3), np.uint8)) is None
