"""The offset between sound and picture, measured in their content with the calibration face.

With `--face pattern` each picture is as bright as its own 40 ms of sound are loud (`avatar.face.pattern`). A plain
flash-minus-beep difference would be off by up to 40 ms, because a picture lights up as a whole while the sound may
begin anywhere inside its slice. So the phase is found first: over two seconds at a time the brightness of the pictures
is compared with the loudness of the 40 ms of sound that follow them, shifted from −300 to +300 ms, and the shift that
explains the pictures best is the offset. Positive: the sound is late. Resolution 1 ms.

Pure: takes pictures and sound with their times on one line (of the sender, or of a file), in any order of kinds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avatar.clock import AUDIO_RATE, SLOT_S
from avatar.face.strip import read_strip
from avatar.types import Pcm

LOUD_DBFS, QUIET_DBFS = -20.0, -40.0
"""Where the calibration face's brightness ends and begins: part of what the server promises of `--face pattern`."""
BLOCK = AUDIO_RATE // 1000
"""Samples of 1 ms: the resolution of the measurement."""
SEARCH_MS = 300
"""Beyond this a stream is broken in a way that needs no figure."""
WINDOW, STEP = 50, 25
"""Pictures that are matched together, and from one match to the next: two seconds hold enough onsets and ends of sound
for one answer, one second apart so that five minutes give hundreds of them."""
MIN_SWING = 0.5
"""A window whose pictures do not differ by this share of full brightness holds nothing to match."""
MAX_ERROR = 0.15
"""Root mean square difference, in shares of full brightness, above which nothing matched. Codecs cost about 0.03."""
MAX_DOUBT_MS = 24
"""Shifts that explain a window about equally well may span this much; their middle is the answer."""
NUMBERED = 0.8
"""Share of pictures with a readable number from which a stream counts as the calibration face."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A set of offsets in milliseconds, positive where the sound is late."""

    p50: float
    """Median, with its sign."""
    p95: float
    """95th percentile of the magnitudes."""
    count: int


def spread(offsets: Sequence[float]) -> Spread | None:
    """None when there is nothing to summarise."""
    if not offsets:
        return None
    values = np.asarray(offsets)
    return Spread(float(np.median(values)), float(np.percentile(np.abs(values), 95)), len(values))


class OffsetMeter:
    """Collects brightness and loudness, some 8 kB for a second of stream, and matches them at the end."""

    def __init__(self) -> None:
        self._at: array[float] = array("d")
        self._light: array[float] = array("f")
        self._serial = -1
        self._seen = 0
        self._read = 0
        self._origin: float | None = None
        self._peaks: array[int] = array("H")
        """Loudest sample of each millisecond after `_origin`; what never came is 0."""

    def picture(self, luma: npt.NDArray[np.uint8], at: float) -> None:
        """A picture's luma in limited range, shape (height, width), and its time in seconds."""
        self._seen += 1
        serial = read_strip(luma)
        if serial is None:
            return
        self._read += 1
        if serial == self._serial:
            return  # held: it was made for another stretch of sound
        self._serial = serial
        self._at.append(at)
        self._light.append((float(luma.mean()) - 16) / 219)

    def sound(self, pcm: Pcm, at: float) -> None:
        """Samples at 48 kHz and the time of the first, in seconds."""
        if self._origin is None:
            self._origin = at
        first = round((at - self._origin) * 1000)
        if first < 0 or first > len(self._peaks) + 3_600_000:
            return  # from before the first sound, or a broken clock
        whole = len(pcm) // BLOCK * BLOCK
        peaks = np.abs(pcm[:whole].astype(np.int32)).reshape(-1, BLOCK).max(axis=1, initial=0)
        missing = first + len(peaks) - len(self._peaks)
        if missing > 0:
            self._peaks.extend([0] * missing)
        view = np.frombuffer(self._peaks, np.uint16)
        view[first : first + len(peaks)] = peaks
        del view  # an array with a view on it cannot grow

    @property
    def calibrated(self) -> bool:
        """The pictures are those of the calibration face."""
        return self._seen >= WINDOW and self._read >= NUMBERED * self._seen

    def offsets(self) -> list[float]:
        """One figure in milliseconds for each stretch that could be matched; none for other faces or silence."""
        if not self.calibrated or self._origin is None:
            return []
        at = (np.asarray(self._at) - self._origin) * 1000
        return matched(at, np.asarray(self._light), np.asarray(self._peaks))


def matched(at: npt.NDArray[np.float64], light: npt.NDArray[np.float32], peaks: npt.NDArray[np.uint16]) -> list[float]:
    """One offset in milliseconds for each stretch of pictures that could be matched.

    `at`: times of the pictures in ms after the first peak; `light`: their brightness, 0 to 1; `peaks`: the loudest
    sample of each millisecond, 0 to 32,768.
    """
    model = _explained(peaks)
    found = (_match(at[i : i + WINDOW], light[i : i + WINDOW], model) for i in range(0, len(at) - WINDOW + 1, STEP))
    return [offset for offset in found if offset is not None]


def _explained(peaks: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """The brightness that a picture of the 40 ms from each millisecond on would have."""
    slot = round(SLOT_S * 1000)
    padded = np.concatenate([peaks, np.zeros(slot, np.uint16)])
    loudest = np.lib.stride_tricks.sliding_window_view(padded, slot).max(axis=1)
    dbfs = 20 * np.log10(np.maximum(loudest, 1) / 32768)
    explained: npt.NDArray[np.float64] = np.clip((dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS), 0.0, 1.0)
    return explained


def _match(at: npt.NDArray[np.float64], light: npt.NDArray[np.float32], model: npt.NDArray[np.float64]) -> float | None:
    """The shift of the sound, in ms, that explains the pictures of one window; None when none does or several do."""
    if light.max() - light.min() < MIN_SWING:
        return None
    shifts = np.arange(-SEARCH_MS, SEARCH_MS + 1)
    index = np.round(at)[None, :].astype(np.int64) + shifts[:, None]
    if index.min() < 0 or index.max() >= len(model):
        return None
    error = np.sqrt(((model[index] - light[None, :]) ** 2).mean(axis=1))
    best = float(error.min())
    if best > MAX_ERROR:
        return None
    likely = shifts[error <= best + 0.01]
    if likely[-1] - likely[0] > MAX_DOUBT_MS:
        return None
    return float(likely.mean())
