"""Pictures that carry their number and sound that carries the second: what is received can be told from what was sent.

Used on both sides of the link, so it needs nothing but NumPy.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.int16]

SIZE = 512
FPS = 25
RATE = 48_000
BITS = 16
STRIP = 16
"""Rows at the top of a picture that hold its number in Gray code, one block a bit: from picture to picture one block
changes. PSNR leaves them out."""
_DARK, _LIGHT = 40, 215
TICK = 960
MARK_HZ = 3_000
_MARK_SAMPLES = 960
_TONES = (200, 400, 600, 800)


def stamp(i420: Pixels, number: int) -> None:
    """Writes a number into a picture, in place."""
    code = number ^ number >> 1
    block = SIZE // BITS
    for bit in range(BITS):
        i420[:STRIP, bit * block : (bit + 1) * block] = _LIGHT if code >> bit & 1 else _DARK
    i420[SIZE : SIZE + SIZE // 4].reshape(SIZE // 2, SIZE // 2)[: STRIP // 2] = 128
    i420[SIZE + SIZE // 4 :].reshape(SIZE // 2, SIZE // 2)[: STRIP // 2] = 128


def number(luma: Pixels) -> int:
    """The number in a picture of any size that was a square of `SIZE`."""
    height, width = luma.shape
    row = luma[max(0, height * STRIP // SIZE // 2), :]
    code = sum(int(row[(2 * bit + 1) * width // (2 * BITS)] > 128) << bit for bit in range(BITS))
    value = 0
    while code:
        value ^= code
        code >>= 1
    return value


def sound(tick: int) -> Samples:
    """20 ms of a steady hum that is never silent, with a whistle of 20 ms at each whole second."""
    return _sound(tick % 50)


@functools.cache
def _sound(tick: int) -> Samples:
    """All parts have whole periods in a second."""
    t = (np.arange(TICK) + tick * TICK) / RATE
    wave = sum(np.sin(2 * np.pi * hz * t + hz) for hz in _TONES) * (0.06 + 0.02 * np.sin(2 * np.pi * 3 * t))
    if tick % 50 == 0:
        wave = wave + 0.35 * np.sin(2 * np.pi * MARK_HZ * t)
    return np.asarray(wave * 32767, np.int16)


def whistles(heard: Samples) -> npt.NDArray[np.int64]:
    """Indices of the first samples of the whistles in a recording."""
    t = np.arange(len(heard)) / RATE
    turned = heard / 32768 * np.exp(-2j * np.pi * MARK_HZ * t)
    total = np.concatenate(([0], np.cumsum(turned)))
    strength = np.abs(total[_MARK_SAMPLES:] - total[:-_MARK_SAMPLES]) / _MARK_SAMPLES
    found = []
    start = 0
    while start < len(strength):
        above = np.flatnonzero(strength[start:] > 0.08)
        if not len(above):
            break
        first = start + int(above[0])
        window = strength[first : first + 2 * _MARK_SAMPLES]
        found.append(first + int(np.argmax(window)))
        start = first + RATE // 2
    return np.asarray(found, np.int64)


def psnr(luma: Pixels, source: Pixels) -> float:
    """dB, of the luma below the number."""
    error = luma[STRIP:].astype(np.int16) - source[STRIP:SIZE]
    return float(10 * np.log10(255**2 / max(1e-3, float(np.mean(np.square(error, dtype=np.int32))))))


def enlarged(luma: Pixels) -> Pixels:
    """A smaller picture at full size, bilinear, as a page shows it."""
    height, width = luma.shape
    if height == SIZE:
        return luma

    def axis(count: int) -> tuple[Any, Any, Any]:
        at = np.clip((np.arange(SIZE) + 0.5) * count / SIZE - 0.5, 0, count - 1)
        low = at.astype(int)
        return low, np.minimum(low + 1, count - 1), at - low

    top, bottom, v = axis(height)
    left, right, h = axis(width)
    whole = luma.astype(np.float32)
    rows = whole[top] * (1 - v)[:, None] + whole[bottom] * v[:, None]
    return np.asarray(rows[:, left] * (1 - h) + rows[:, right] * h, np.uint8)
