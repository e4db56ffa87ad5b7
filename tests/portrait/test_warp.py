from __future__ import annotations

import math
import threading
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from puppet import CAST, load_rig
from puppet.anatomy import LOWER_INNER, UPPER_INNER
from puppet.coefficients import NEUTRAL, Coefficients
from puppet.landmarks import FaceModels, Points
from puppet.picture import Rgb, decode
from puppet.portrait import Portrait, make
from puppet.renderer import I420, picture_size
from puppet.warp import PortraitRig

from .conftest import PICTURES, Look

C = Coefficients


def rgb(frame: I420) -> Rgb:
    return cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_I420)


def aperture(points: Points) -> float:
    """Mean distance of the inner lips in distances of the eyes."""
    pairs = ((82, 87), (13, 14), (312, 317))
    return float(
        np.mean([np.linalg.norm(points[a, :2] - points[b, :2]) for a, b in pairs])
        / np.linalg.norm(points[33, :2] - points[263, :2])
    )


def width(points: Points) -> float:
    return float(np.linalg.norm(points[61, :2] - points[291, :2]) / np.linalg.norm(points[33, :2] - points[263, :2]))


@pytest.mark.parametrize("scale", [0.1, 0.237, 0.5, 0.75, 1.0])
def test_a_frame(rig: PortraitRig, scale: float) -> None:
    frame = rig.open().draw(NEUTRAL, scale)
    w, h = picture_size(rig.width, rig.height, scale)
    assert frame.shape == (h * 3 // 2, w) and frame.dtype == np.uint8 and frame.flags.c_contiguous


def test_at_rest_it_is_the_portrait(rig: PortraitRig, portrait: Portrait) -> None:
    """All but the mouth, which the photograph shows open and which rests closed."""
    drawn = rgb(rig.open().draw(NEUTRAL, 1.0)).astype(int)
    difference = np.abs(drawn - portrait.rgb).mean(2)
    stage = rig.stage((512, 512))
    x0, y0, x1, y1 = (int(v / stage.fine) for v in stage.lips.box)
    outside = np.ones(difference.shape, bool)
    outside[y0 : y1 + 1, x0 : x1 + 1] = False
    assert difference[outside].mean() < 3
    assert np.percentile(difference[outside], 99) < 20


def test_the_jaw_opens_the_mouth(look: Look, portrait: Portrait) -> None:
    rest = aperture(look(NEUTRAL))
    assert aperture(portrait.landmarks) > 0.08 > 2 * rest  # she smiles with her teeth; at rest the lips meet
    opened = [aperture(look(C(jaw=jaw))) for jaw in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert all(a < b for a, b in zip([rest, *opened], opened, strict=False))
    assert opened[-1] > 0.2


def test_a_smiling_mouth_that_rests_looks_shut(look: Look) -> None:
    widest = aperture(look(C(jaw=1)))
    assert aperture(look(NEUTRAL)) < 0.15 * widest
    assert aperture(look(C(press=1))) < 0.12 * widest


def test_closures_win_over_the_jaw(look: Look) -> None:
    rest, wide_open = aperture(look(NEUTRAL)), aperture(look(C(jaw=0.8)))
    assert aperture(look(C(jaw=0.8, press=1))) < rest + 0.1 * (wide_open - rest)
    assert aperture(look(C(jaw=0.8, fv=1))) < rest + 0.5 * (wide_open - rest)


def test_lips_spread_and_round(look: Look) -> None:
    spread, rest, rounded = (width(look(c)) for c in (C(wide=1), NEUTRAL, C(pucker=1)))
    assert spread > 1.04 * rest and rounded < 0.85 * rest
    assert width(look(C(smile=1))) > rest


def test_the_head_turns_as_it_is_told(look: Look, rig: PortraitRig) -> None:
    rest = look(NEUTRAL)

    def moved(c: Coefficients, point: int) -> np.ndarray:
        return (look(c)[point] - rest[point])[:2]

    nose, cheek, brow = 1, 234, 10
    # The nose goes ahead, the far side of the face lags behind: that is what makes it a turn and not a shift.
    assert moved(C(yaw=8), nose)[0] > moved(C(yaw=8), cheek)[0] + 2
    assert moved(C(yaw=-8), nose)[0] < moved(C(yaw=-8), 454)[0] - 2
    assert moved(C(pitch=8), nose)[1] > 4 and moved(C(pitch=-8), nose)[1] < -4
    leaned = look(C(roll=6))
    eyes = [math.atan2(*(p[263] - p[33])[1::-1]) for p in (rest, leaned)]
    assert math.degrees(eyes[1] - eyes[0]) == pytest.approx(6, abs=1.2)
    shifted = look(C(tx=0.02, ty=-0.02)) - rest
    assert np.allclose(shifted[[nose, brow], :2].mean(0), (0.02 * rig.width, -0.02 * rig.width), atol=2.5)


def test_brows(look: Look) -> None:
    up, rest, down = (look(c)[[105, 334], 1].mean() for c in (C(brow=1), NEUTRAL, C(brow=-1)))
    assert up < rest - 2 and down > rest + 2


def test_blinks_close_each_eye_alone(rig: PortraitRig, portrait: Portrait, models: FaceModels) -> None:
    renderer = rig.open()

    def openings(c: Coefficients) -> list[float]:
        eyes = models.detail.eyes(rgb(renderer.draw(c, 1.0)), portrait.landmarks)
        return [float(np.linalg.norm(eye[12] - eye[4]) / np.linalg.norm(eye[0] - eye[8])) for eye in eyes]

    rest = openings(NEUTRAL)
    left, right, half = (openings(c) for c in (C(blink_left=1), C(blink_right=1), C(blink_left=0.5, blink_right=0.5)))
    assert left[0] < 0.65 * rest[0] and left[1] > 0.9 * rest[1]
    assert right[1] < 0.65 * rest[1] and right[0] > 0.9 * rest[0]
    assert all(s < h < r for s, h, r in zip((left[0], right[1]), half, rest, strict=True))


def test_nothing_of_the_eye_shows_under_a_closed_lid(rig: PortraitRig) -> None:
    renderer = rig.open()
    shut = rgb(renderer.draw(C(blink_left=1, blink_right=1), 1.0)).astype(np.float32)
    for eye in rig.anatomy.eyes:
        grid = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 25), np.linspace(0, 1, 9)), -1)
        upper, lower = (np.interp(grid[..., 0], np.linspace(-1, 1, 81), line) for line in (eye.upper, eye.lower))
        local = np.stack([grid[..., 0], upper + (lower - 0.22 - upper) * grid[..., 1]], -1)
        x, y = np.rint(eye.frame.pixels(local)).astype(int).transpose(2, 0, 1)
        lid = shut[y, x]
        # Neither the white nor the dark of the eye: skin, evenly lit.
        assert np.ptp(lid.mean(-1)) < 45
        assert (lid[..., 0] > lid[..., 2] + 8).mean() > 0.95


def test_gaze_moves_the_iris(rig: PortraitRig, portrait: Portrait, models: FaceModels) -> None:
    renderer = rig.open()

    def irises(c: Coefficients) -> np.ndarray:
        return models.detail.eyes(rgb(renderer.draw(c, 1.0)), portrait.landmarks)[:, 16]

    rest, right, left = (irises(c) for c in (NEUTRAL, C(gaze_x=1), C(gaze_x=-1)))
    assert (right - rest)[:, 0].min() > 1 and (left - rest)[:, 0].max() < -1
    assert (irises(C(gaze_y=1)) - rest)[:, 1].mean() > 0.5


POSES = (
    C(yaw=8, pitch=4, roll=4, tx=0.02),
    C(yaw=-8, pitch=-4, roll=-4, ty=0.02),
    C(breath=1, jaw=1, brow=1),
    C(roll=10),
)


def test_the_background_beyond_the_rim_is_still(rig: PortraitRig, portrait: Portrait) -> None:
    renderer = rig.open()
    still = renderer.draw(NEUTRAL, 1.0)[: rig.height].astype(int)
    person = cv2.resize(portrait.person, (rig.width, rig.height)) > 127
    away = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    far = away > 0.3 * 2 * rig.anatomy.face.half
    assert far.mean() > 0.1
    for pose in POSES:
        moved = renderer.draw(pose, 1.0)[: rig.height].astype(int)
        assert np.abs(moved - still)[far].max() <= 2
        assert np.abs(moved - still)[~far].max() > 60


def test_breath_moves_the_body_alone(rig: PortraitRig, portrait: Portrait) -> None:
    renderer = rig.open()
    change = np.abs(
        renderer.draw(C(breath=1), 1.0)[: rig.height].astype(int) - renderer.draw(NEUTRAL, 1.0)[: rig.height]
    )
    chin = round(float(portrait.landmarks[152, 1]))
    assert change[: chin - 10].max() <= 2
    assert change[chin + 60 :].max() > 40


def test_what_is_drawn_depends_on_the_pose_alone(rig: PortraitRig) -> None:
    random = np.random.default_rng(11)
    ranges = {"smile": (-1, 1), "brow": (-1, 1), "gaze_x": (-1, 1), "gaze_y": (-1, 1), "tx": (-0.03, 0.03)}
    ranges |= {"ty": (-0.03, 0.03), "yaw": (-20, 20), "pitch": (-15, 15), "roll": (-15, 15)}
    poses = [C(**{f.name: float(random.uniform(*ranges.get(f.name, (0, 1)))) for f in fields(C)}) for _ in range(12)]
    poses += [NEUTRAL, replace(poses[0], jaw=0.0)]
    wandering = rig.open()
    scales = [0.25, 0.5]
    for pose in poses:
        for scale in scales:
            assert np.array_equal(wandering.draw(pose, scale), rig.open().draw(pose, scale))


def test_frames_belong_to_the_caller(rig: PortraitRig) -> None:
    renderer = rig.open()
    first = renderer.draw(NEUTRAL, 0.25)
    kept = first.copy()
    renderer.draw(C(jaw=1, yaw=10), 0.25)
    assert np.array_equal(first, kept)
    first[:] = 0
    assert np.array_equal(renderer.draw(NEUTRAL, 0.25), kept)


def test_one_rig_in_many_threads(portrait: Portrait) -> None:
    rig = PortraitRig(portrait)
    poses = [C(jaw=i / 10, yaw=i, blink_left=i / 10) for i in range(8)]
    expected = [PortraitRig(portrait).open().draw(pose, 0.25) for pose in poses]
    wrong: list[int] = []

    def perform() -> None:
        renderer = rig.open()
        wrong.extend(i for i, pose in enumerate(poses) if not np.array_equal(renderer.draw(pose, 0.25), expected[i]))

    threads = [threading.Thread(target=perform) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_sizes_kept_are_bounded(portrait: Portrait) -> None:
    rig = PortraitRig(portrait)
    renderer = rig.open()
    for scale in np.linspace(0.1, 0.5, 9):
        renderer.draw(NEUTRAL, float(scale))
    assert len(rig._stages) <= 3


def test_closed_lips_and_a_turning_head_leave_no_seam(portrait: Portrait) -> None:
    """A face of one colour stays one colour, whatever moves in it: nothing leaks between closed lips or at the corners,
    no part is laid in with an edge."""
    points = portrait.landmarks.copy()
    upper, lower = list(UPPER_INNER), list(LOWER_INNER)
    points[upper] = points[lower] = (points[upper] + points[lower]) / 2
    plain = replace(portrait, rgb=np.full_like(portrait.rgb, (190, 150, 130)), landmarks=points)
    rig = PortraitRig(plain)
    assert not rig.anatomy.mouth.is_open
    renderer = rig.open()
    colour = renderer.draw(NEUTRAL, 1.0)[0, 0]
    for c in (
        C(wide=1),
        C(pucker=1, press=0.5),
        C(jaw=1, press=1),
        C(smile=1),
        C(smile=-1, pucker=0.5),
        C(yaw=20, pitch=15, roll=15, brow=1, breath=1, tx=0.03),
        C(gaze_x=1, gaze_y=-1),
    ):
        luma = renderer.draw(c, 1.0)[: rig.height]
        assert np.ptp(luma) <= 1 and luma[0, 0] == colour, c


def test_an_open_mouth_is_dark_inside_and_nowhere_else(portrait: Portrait) -> None:
    """The hole lies between the lips: on a face of one colour all that changes is within it."""
    plain = replace(portrait, rgb=np.full_like(portrait.rgb, (190, 150, 130)))
    rig = PortraitRig(plain)
    luma = rig.open().draw(C(jaw=1), 1.0)[: rig.height].astype(int)
    changed = np.argwhere(np.abs(luma - luma[0, 0]) > 6)[:, ::-1]
    local = rig.anatomy.mouth.frame.local(changed)
    assert len(changed) > 500
    assert np.abs(local[:, 0]).max() < 1.1
    assert local[:, 1].min() > -0.5 and local[:, 1].max() < 0.9


def test_a_drawing_opens_where_its_mouth_is_closed_and_shuts_its_large_eyes(models: FaceModels) -> None:
    """A built-in character as a picture that somebody brings along: thick lines, eyes larger than a person's."""
    for name in CAST:
        drawing = rgb(load_rig(name).open().draw(NEUTRAL, 0.75))
        rig = PortraitRig(make(drawing, models))
        assert not rig.anatomy.mouth.is_open
        eyes = rig.anatomy.eyes
        assert not any(eye.covered for eye in eyes)
        assert 0.8 < eyes[0].frame.half / eyes[1].frame.half < 1.25
        renderer = rig.open()
        scale = 512 / max(rig.width, rig.height)
        shut, awake = (rgb(renderer.draw(C(blink_left=b, blink_right=b), scale)).astype(int) for b in (1, 0))
        for eye in eyes:
            x, y = np.rint(eye.frame.pixels(eye.iris) * scale).astype(int)
            # Where the iris was is skin now, as just below the eye.
            below = eye.frame.pixels((eye.iris[0], float(eye.lower.max()) + 0.35)) * scale
            skin = awake[round(float(below[1])), round(float(below[0]))]
            assert np.abs(shut[y, x] - skin).max() < 40 < np.abs(awake[y, x] - skin).max()


def whites(picture: Rgb, near: npt.NDArray[np.bool_], skin: npt.NDArray[np.float64]) -> int:
    """Pixels of `near` that are as bright as skin of that L*a*b* colour but less colourful."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[near].astype(float)
    colour, of_skin = np.hypot(*(lab[:, 1:] - 128).T), np.hypot(*(skin[1:] - 128))
    return int(((colour < 0.45 * of_skin) & (lab[:, 0] > skin[0] - 15)).sum())


@pytest.mark.parametrize("name", [*CAST, "astronaut", "grace_hopper"])
def test_no_white_stays_around_a_closed_lid(name: str, models: FaceModels) -> None:
    """At 512 pixels, drawings and photographs: what is bright or colourless where the open eye was white is skin when
    it is shut, wherever the networks saw the rims."""
    if name in CAST:
        picture = rgb(load_rig(name).open().draw(NEUTRAL, 512 / load_rig(name).width))
    else:
        picture = decode((PICTURES / f"{name}.jpg").read_bytes())
    rig = PortraitRig(make(picture, models))
    renderer = rig.open()
    scale = 512 / max(rig.width, rig.height)
    awake, shut = (rgb(renderer.draw(C(blink_left=b, blink_right=b), scale)) for b in (0, 1))
    # As large as drawn eyes are, whatever was taken for the rims. Glints of glasses stay, not far from a person's.
    half = float(rig.anatomy.eyes[0].frame.half) * scale
    centres = [eye.frame.pixels(eye.iris) * scale for eye in rig.anatomy.eyes]
    apart = float(np.linalg.norm(centres[1] - centres[0]))
    for x, y in centres:
        rows, columns = np.mgrid[: awake.shape[0], : awake.shape[1]]
        reach = (0.32 * apart, 0.17 * apart) if name in CAST else (1.05 * half, 0.45 * half)
        near = np.hypot((columns - x) / reach[0], (rows - y) / reach[1]) < 1
        below = (np.abs(columns - x) < 0.12 * apart) & (np.abs(rows - y - 0.28 * apart) < 0.05 * apart)
        skin = np.median(cv2.cvtColor(awake, cv2.COLOR_RGB2LAB)[below].astype(float), axis=0)

        assert whites(shut, near, skin) <= 2
        if name in CAST:
            assert whites(awake, near, skin) > 40


def test_glasses_stay_while_the_lids_close_behind_them(astronaut: Rgb, models: FaceModels) -> None:
    rimmed = astronaut.copy()
    (face,) = models.find(rimmed)
    rims = np.zeros(rimmed.shape[:2], np.uint8)
    for outer, inner in ((33, 133), (263, 362)):
        x, y = np.rint(face.landmarks[[outer, inner], :2].mean(0)).astype(int)
        half = float(np.linalg.norm(face.landmarks[outer, :2] - face.landmarks[inner, :2])) / 2
        cv2.ellipse(rims, (int(x), int(y) + 2), (round(1.7 * half), round(1.4 * half)), 0, 0, 360, 255, 2, cv2.LINE_AA)
    rimmed[rims > 128] = (20, 20, 24)
    rig = PortraitRig(make(rimmed, models))
    assert not any(eye.covered for eye in rig.anatomy.eyes)
    renderer = rig.open()
    scale = rimmed.shape[1] / rig.width
    awake, shut = (rgb(renderer.draw(C(blink_left=b, blink_right=b), scale)).astype(int) for b in (0, 1))
    assert np.abs(shut - awake).max() > 60
    frames = (rims > 250) & (awake.mean(2) < 90)
    assert frames.sum() > 60
    assert np.abs(shut - awake)[frames].mean() < 4


def test_sunglasses_do_not_blink(astronaut: Rgb, models: FaceModels) -> None:
    dark = astronaut.copy()
    (face,) = models.find(dark)
    for outer, inner in ((33, 133), (263, 362)):
        centre = np.rint(face.landmarks[[outer, inner], :2].mean(0)).astype(int)
        cv2.ellipse(dark, (int(centre[0]), int(centre[1]) + 2), (16, 12), 0, 0, 360, (15, 15, 18), -1, cv2.LINE_AA)
    rig = PortraitRig(make(dark, models))
    assert all(eye.covered for eye in rig.anatomy.eyes)
    renderer = rig.open()
    still = renderer.draw(NEUTRAL, 0.5)
    assert np.array_equal(renderer.draw(C(blink_left=1, blink_right=1, gaze_x=1), 0.5), still)


def test_any_shape_of_picture(astronaut: Rgb, models: FaceModels) -> None:
    """A face at the very edge of a narrow picture, and one in a wide one."""
    for part in (astronaut[50:230, 168:290], astronaut[40:220, 0:480]):
        rig = PortraitRig(make(np.ascontiguousarray(part), models))
        frame = rig.open().draw(C(jaw=0.8, yaw=10, roll=5, blink_left=1), 0.5)
        w, h = picture_size(rig.width, rig.height, 0.5)
        assert frame.shape == (h * 3 // 2, w)


def test_load_rig_of_a_file(models_dir: Path) -> None:
    path = Path(__file__).parent / "pictures" / "astronaut.jpg"
    rig = load_rig(path)
    assert (rig.width, rig.height) == (512, 512)
    with pytest.raises(ValueError, match="not a picture"):
        load_rig(Path(__file__))
    with pytest.raises(OSError):
        load_rig(path.with_name("nobody.jpg"))


def test_parts_lie_where_they_were(portrait: Portrait) -> None:
    """Drawn at rest, a picture of fine stripes is the same with and without its parts laid in: nothing is shifted or
    repeated at any part's edge, or at the picture's own."""
    y, x = np.mgrid[: portrait.height, : portrait.width]
    stripes = (128 + 90 * np.sin(x * 0.7) * np.sin(y * 0.9)).astype(np.uint8)
    points = portrait.landmarks.copy()
    upper, lower = list(UPPER_INNER), list(LOWER_INNER)
    points[upper] = points[lower] = (points[upper] + points[lower]) / 2
    rig = PortraitRig(replace(portrait, rgb=np.repeat(stripes[..., None], 3, 2), landmarks=points))
    luma = rig.open().draw(C(tongue=1), 1.0)[: rig.height]
    expected = cv2.cvtColor(rig.stage((512, 512)).still, cv2.COLOR_BGR2YUV_I420)[: rig.height]
    assert np.abs(luma.astype(int) - expected).max() <= 3
    assert (
        np.abs(cv2.GaussianBlur(luma, (3, 3), 0).astype(int) - cv2.GaussianBlur(stripes, (3, 3), 0) * 0.86 - 16).mean()
        < 6
    )
