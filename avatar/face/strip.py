"""A number in a picture that a lossy codec cannot wash out: written by the calibration face, read by whoever measures.

Layout, for a picture of `width` × `height` pixels, so that a page can read it as well (all in the luma's full range,
0 black to 255 white):

- 24 bits are 48 square cells in one row, `cell = max(2, width // 72)` pixels a side. The row's left edge is at
  `x = cell`, its bottom edge at `y = height - cell`.
- Bit i is the cells 2i and 2i + 1: white then black is 1, black then white is 0 (Manchester code: half of the strip is
  always white, so its mean is fixed, and a bit is read from a difference, which no change of level can fake).
- Bits 0 to 19, highest first: the serial modulo 2^20 (11 hours at 25 per second) in Gray code, g = s XOR (s >> 1),
  so that one bit changes from picture to picture and the strip costs the codec little.
- Bits 20 to 23: the check, the XOR of the five 4-bit groups of g. A strip whose check is wrong, or one of whose bits
  has cells that differ by less than 24 levels, is no strip.

At 512 pixels the strip is 0.9 % of the picture, at 102 pixels 1.8 %.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SERIAL_BITS = 20
CHECK_BITS = 4
CELLS = 2 * (SERIAL_BITS + CHECK_BITS)
MIN_CONTRAST = 24
"""Levels between a bit's two cells below which it counts as washed out: codecs leave well over 100."""


def cell_size(width: int) -> int:
    """Side of a cell in pixels. 72: the whole strip stays under 1 % of a square picture from 144 pixels on."""
    return max(2, width // 72)


def share(width: int, height: int) -> float:
    """The strip's share of the picture's area."""
    return CELLS * cell_size(width) ** 2 / (width * height)


def _bits(serial: int) -> npt.NDArray[np.bool_]:
    s = serial % (1 << SERIAL_BITS)
    gray = s ^ (s >> 1)
    check = 0
    for shift in range(0, SERIAL_BITS, CHECK_BITS):
        check ^= gray >> shift & 0xF
    word = gray << CHECK_BITS | check
    total = SERIAL_BITS + CHECK_BITS
    return np.array([word >> (total - 1 - i) & 1 for i in range(total)], dtype=np.bool_)


def draw_strip(gray: npt.NDArray[np.uint8], serial: int, *, black: int = 0, white: int = 255) -> None:
    """Writes `serial` into a picture's luma, shape (height, width), in place.

    `black` and `white` are the codes of the extremes: 16 and 235 where the luma is limited range.
    """
    height, width = gray.shape
    cell = cell_size(width)
    ones = _bits(serial)
    levels = np.where(np.stack([ones, ~ones], axis=1).ravel(), white, black).astype(np.uint8)
    gray[height - 2 * cell : height - cell, cell : cell * (CELLS + 1)] = np.repeat(levels, cell)


def read_strip(gray: npt.NDArray[np.uint8]) -> int | None:
    """The serial (modulo 2^20) in a decoded picture, shape (height, width); None where no valid strip is seen.

    Takes full-range and limited-range luma alike.
    """
    height, width = gray.shape
    cell = cell_size(width)
    if width < cell * (CELLS + 2) or height < 3 * cell:
        return None
    row = gray[height - 2 * cell : height - cell, cell : cell * (CELLS + 1)]
    # The rims of a cell carry its neighbour's ringing: the middle is judged where a cell has one.
    rim = cell // 4
    cells = row.reshape(cell, CELLS, cell)[rim : cell - rim, :, rim : cell - rim].mean(axis=(0, 2))
    difference = cells[0::2] - cells[1::2]
    if np.abs(difference).min() < MIN_CONTRAST:
        return None
    bits = difference > 0
    gray_code = int("".join("1" if b else "0" for b in bits[:SERIAL_BITS]), 2)
    serial = gray_code
    shift = gray_code >> 1
    while shift:
        serial ^= shift
        shift >>= 1
    return serial if np.array_equal(_bits(serial), bits) else None
