"""A talking head to measure codecs with: drawn, shaded and textured, with motion, speech, blinks and a little noise.

Deterministic, so that figures can be compared between versions. The head is a picture of its own that moves by
fractions of a pixel over a background that stands still, as a face's does.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from avatar.types import I420

Image = npt.NDArray[np.float32]


def _texture(random: np.random.Generator, size: int, scales: tuple[tuple[int, float], ...]) -> Image:
    """Noise of several grain sizes (pixels, amplitude), as skin, cloth and plaster have it."""
    total = np.zeros((size, size), np.float32)
    for grain, amplitude in scales:
        coarse = random.standard_normal((size // grain + 2, size // grain + 2)).astype(np.float32)
        total += amplitude * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return total


def _background(random: np.random.Generator, size: int) -> Image:
    """A wall with shelves out of focus."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    wall = np.stack([150 - 40 * y, 160 - 30 * x, 170 - 35 * y], -1)
    for shelf in range(4):
        left = 0.0
        while left < 1.0:
            width, height = random.uniform(0.02, 0.06), random.uniform(0.12, 0.2)
            top = 0.04 + 0.25 * shelf + 0.2 - height
            book = (
                slice(int(top * size), int((0.24 + 0.25 * shelf) * size)),
                slice(int(left * size), int((left + width) * size)),
            )
            wall[book] = random.uniform(40, 190, 3)
            left += width + 0.004
    blurred = cv2.GaussianBlur(wall.astype(np.float32), (0, 0), size / 128)
    return np.asarray(blurred + _texture(random, size, ((1, 1.0), (4, 1.5)))[..., None], np.float32)


def _head(random: np.random.Generator, size: int) -> tuple[Image, Image]:
    """Head and shoulders in RGB, and how much they cover."""
    y, x = (np.mgrid[0:size, 0:size].astype(np.float32) - size / 2) / (size / 2)
    colour = np.zeros((size, size, 3), np.float32)
    alpha = np.zeros((size, size), np.float32)

    def lay(field: Image, rgb: tuple[float, float, float], shade: Image, edge: float = 0.015) -> None:
        cover = np.clip(-field / edge + 0.5, 0, 1)[..., None]
        colour[:] = colour * (1 - cover) + np.array(rgb, np.float32) * shade[..., None] * cover
        alpha[:] = np.maximum(alpha, cover[..., 0])

    grain = _texture(random, size, ((1, 0.012), (3, 0.015), (12, 0.02)))
    weave = 0.05 * np.sin(x * size * 0.9) * np.sin(y * size * 0.8) + grain * 2
    strands = 0.16 * np.sin(40 * np.arctan2(x, y + 0.3) + 6 * grain * 40) + grain * 3
    lay(
        np.maximum(np.abs(x) - 0.75 + 0.25 * np.clip(0.9 - y, 0, 1), 0.62 - y),
        (60, 75, 110),
        0.9 - 0.3 * np.abs(x) + weave,
    )
    lay(np.maximum(np.abs(x) - 0.16, np.abs(y - 0.55) - 0.2), (205, 160, 135), 0.75 + grain)
    lay(np.hypot(x / 0.47, (y + 0.12) / 0.62) - 1, (60, 42, 32), 0.9 + strands)
    light = 1.05 - 0.35 * np.hypot(x + 0.12, y + 0.2) + grain
    lay(np.hypot(x / 0.38, (y - 0.02) / 0.5) - 1, (226, 178, 150), light)
    for side in (-1, 1):
        lay(np.hypot((x - side * 0.16) / 0.09, (y + 0.22) / 0.018) - 1, (70, 50, 40), 0.9 + grain * 4)
    lay(np.hypot((x - 0.01) / 0.05, (y - 0.06) / 0.13) - 1, (214, 162, 134), light + 0.03, edge=0.2)
    return np.asarray(cv2.GaussianBlur(colour, (0, 0), 0.7), np.float32), alpha  # a lens is not sharp to the pixel


def clip(frames: int, size: int = 512, seed: int = 7, noise: float = 0.5) -> Iterator[I420]:
    """`frames` pictures at 25 per second; `noise` is the standard deviation of the camera's noise, of 255."""
    random = np.random.default_rng(seed)
    background = _background(random, size)
    colour, alpha = _head(random, size)
    unit = size / 2
    for n in range(frames):
        t = n / 25
        shift = (unit * 0.025 * np.sin(0.9 * t), unit * (0.012 * np.sin(1.7 * t + 1) + 0.008 * np.sin(5.1 * t)))
        turn = 2.2 * np.sin(0.7 * t + 0.5)
        image, cover = colour.copy(), alpha
        _features(image, t, size)
        matrix = cv2.getRotationMatrix2D((size / 2, size * 0.8), turn, 1 + 0.008 * np.sin(1.1 * t))
        matrix[:, 2] += shift
        image = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_CUBIC)
        cover = cv2.warpAffine(cover, matrix, (size, size), flags=cv2.INTER_LINEAR)[..., None]
        scene = background * (1 - cover) + image * cover + random.normal(0, noise, (size, size, 1))
        rgb = np.clip(scene, 0, 255).astype(np.uint8)
        yield np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def _features(image: Image, t: float, size: int) -> None:
    """Eyes and mouth: what moves most in a talking face."""
    unit = size / 2

    def at(x: float, y: float) -> tuple[int, int]:
        return round((1 + x) * unit * 16), round((1 + y) * unit * 16)

    def ellipse(x: float, y: float, a: float, b: float, rgb: tuple[float, float, float]) -> None:
        axes = max(1, round(a * unit * 16)), max(1, round(b * unit * 16))
        cv2.ellipse(image, at(x, y), axes, 0, 0, 360, rgb, -1, cv2.LINE_AA, shift=4)

    blink = max(0.0, 1 - abs((t % 3.1) - 2.9) / 0.1)
    gaze = 0.012 * np.sin(0.5 * t)
    for side in (-0.16, 0.16):
        ellipse(side, -0.12, 0.075, 0.036 * (1 - 0.9 * blink), (238, 236, 232))
        if blink < 0.7:
            ellipse(side + gaze, -0.12, 0.032, 0.032 * (1 - blink), (70, 90, 60))
            ellipse(side + gaze, -0.12, 0.014, 0.014 * (1 - blink), (15, 12, 12))
            ellipse(side + gaze + 0.01, -0.13, 0.006, 0.006, (255, 255, 255))
    talk = float(np.clip(np.sin(0.8 * t) + 0.7, 0, 1))  # sentences and pauses
    opening = talk * abs(np.sin(9.1 * t) * 0.6 + np.sin(14.3 * t) * 0.4)
    wide = 0.13 + 0.025 * np.sin(6.7 * t) * talk
    ellipse(0, 0.28, wide, 0.03 + 0.055 * opening, (176, 92, 88))
    ellipse(0, 0.28, wide * 0.85, 0.005 + 0.045 * opening, (60, 20, 24))
    if opening > 0.3:
        ellipse(0, 0.28 - 0.03 * opening, wide * 0.6, 0.012, (235, 232, 225))
