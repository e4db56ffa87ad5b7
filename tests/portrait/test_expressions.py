"""What moods, rounded vowels and shut eyes look like, to a face mesh that has not seen how they were drawn."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from puppet.anatomy import study
from puppet.coefficients import NEUTRAL, Coefficients
from puppet.frame import LINE_X
from puppet.oral import Oral
from puppet.portrait import Portrait
from puppet.warp import PortraitRig

from .conftest import Look
from .test_warp import aperture, width

C = Coefficients


def test_moods_have_faces_of_their_own(look: Look) -> None:
    """Inner ends of the brows come down in anger and rise in sorrow; in disgust the upper lip rises to the
    nose; in contempt one mouth corner alone; and nobody's corners are up who is sad."""
    rest = look(NEUTRAL)

    def moved(c: Coefficients, points: list[int]) -> np.ndarray:
        return (look(c)[points] - rest[points])[:, :2]

    inner = [55, 285]
    angry, sad = moved(C(furrow=1), inner), moved(C(furrow=-1), inner)
    assert angry[:, 1].min() > 0.5 and sad[:, 1].max() < -0.5
    assert moved(C(sneer=1), [0])[0, 1] < -1
    left, right = moved(C(skew=1), [61, 291])
    assert right[1] < left[1] - 1.5
    left, right = moved(C(skew=-1), [61, 291])
    assert left[1] < right[1] - 1.5
    assert moved(C(smile=-1), [61, 291])[:, 1].mean() > 4


def test_rounded_lips_part_in_a_circle(look: Look) -> None:
    """ "oh" is rounder than "ah" on a smiling face: less wide for its height."""

    def slenderness(c: Coefficients) -> float:
        points = look(c)
        return aperture(points) / width(points)

    assert slenderness(C(jaw=0.45, pucker=0.8)) > 1.3 * slenderness(C(jaw=0.45))


def test_a_shut_eye_is_skin_with_a_line_of_lashes(rig: PortraitRig) -> None:
    """Down the middle of a shut eye there is one dark line, near the lower rim, and nothing of the iris."""
    luma = rig.open().draw(C(blink_left=1, blink_right=1), 1.0)[: rig.height].astype(float)
    awake = rig.open().draw(NEUTRAL, 1.0)[: rig.height].astype(float)
    for eye in rig.anatomy.eyes:
        y = np.linspace(float(eye.upper.min()) - 0.1, float(eye.lower.max()) + 0.2, 60)
        line = np.rint(eye.frame.pixels(np.stack([np.full_like(y, eye.iris[0]), y], -1))).astype(int)
        lid, open_ = luma[line[:, 1], line[:, 0]], awake[line[:, 1], line[:, 0]]
        dark = y[lid < lid.max() - 30]
        assert len(dark) and float(dark.min()) > eye.iris[1]
        assert open_[np.abs(y - eye.iris[1]).argmin()] < lid[np.abs(y - eye.iris[1]).argmin()] - 40


def test_what_is_no_teeth_is_not_taken_for_them(portrait: Portrait) -> None:
    """Her mouth is open over her teeth; the same mouth with skin where they are gets drawn ones."""
    bgr = np.ascontiguousarray(portrait.rgb[:, :, ::-1])
    mouth = study(portrait).mouth
    skin = np.median(bgr[330:345, 240:280], axis=(0, 1)).astype(np.float32)
    assert Oral(mouth, bgr)._own(mouth, bgr, skin) is not None
    line = np.stack([LINE_X, mouth.upper], -1), np.stack([LINE_X, mouth.lower], -1)[::-1]
    hole = np.rint(mouth.frame.pixels(np.concatenate(line))).astype(np.int32)
    cv2.fillPoly(bgr, [hole], tuple(int(v) - 8 for v in skin))
    assert Oral(mouth, bgr)._own(mouth, bgr, skin) is None


def test_teeth_under_a_beard_are_as_bright_as_the_face(portrait: Portrait) -> None:
    shut = replace(study(portrait).mouth, lower=study(portrait).mouth.upper)
    bgr = np.ascontiguousarray(portrait.rgb[:, :, ::-1])
    bare = Oral(shut, bgr)._ivory.mean()
    below = round(float(shut.frame.pixels((0.0, 0.2))[1]))
    bgr[below:] //= 5
    bearded = Oral(shut, bgr)._ivory.mean()
    assert bearded > 0.8 * bare
