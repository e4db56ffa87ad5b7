"""Whether the microphone hears the avatar's own voice: a loudspeaker, a room, and no echo canceller. A pure core.

What was played is compared with what is heard. First the delay between them is found: the cross-correlation with its
phase kept and its magnitude mostly taken away (GCC-PHAT: Knapp and Carter 1976; the exponent as in Donohue et al. 2007)
is summed over frames, and an echo piles up at one delay where other voices spread. Then the loudness of the echo is
learned at that delay; what is clearly louder than that is somebody else. Everything runs at 8 kHz, where voices are.
"""

from __future__ import annotations

from enum import Enum, auto

import av
import numpy as np
import numpy.typing as npt

from ..types import Pcm

RATE = 8_000
SOURCE_RATE = 48_000
"""Of what is played."""
FRAME = 256
"""Samples at `RATE` of a frame: 32 ms, the voice detector's own step."""

_WINDOW = 4 * FRAME
_DELAYS = 8192
"""Delays that are searched: a second. The network both ways and two jitter buffers take a few hundred milliseconds."""
_AHEAD = 800
"""How much earlier than the first one a frame may come: 100 ms of jitter."""
_FFT = 16_384
_PHAT = 0.8
_BAND_HZ = (200.0, 3600.0)
_KEEP = 0.92
"""Of the summed correlation from frame to frame: it remembers 400 ms."""
_CERTAIN = 9.0
"""Height of the summed correlation's peak over its root mean square from which the delay is believed. Of other voices
one frame in a thousand reaches 8; an echo does within five frames."""
_SUSPECT, _FIRST_SUSPECT = 6.0, 11.0
_DRIFT = 2000
"""Samples by which the two streams may part before they are laid side by side anew."""
_QUIET = 24.0
"""Root mean square of 16-bit samples below which nothing is played, or heard: −63 dBFS."""
_TAIL = 0.80
"""Of a room's echo that is left after a frame: 60 dB in a second."""
_MARGIN = 2.2
"""Louder than the learned echo by this factor is somebody else: 7 dB, what a room's modes make one word louder."""
_FIRST_MARGIN = 4.5
_PRACTICE = 12
"""Looks at the echo's loudness until which the first margin holds: 13 dB, since a first word may be a soft one."""
_PROVEN = 3
"""Such looks after which there surely is an echo: another voice that was taken for one is not waited for again."""
_RISE, _FALL = 0.5, 0.06
"""How fast the learned loudness follows, up and down: it stands near the upper end of what words differ by."""
_DOMINANT = 8.0
"""Height of a frame's own correlation at the delay from which it holds the echo and little else."""
_SPREAD = 16
"""Samples around the delay that are the same path: the width of a correlation peak."""
_HANGOVER = 12
"""Frames of quiet after an echo that belong to it."""
_SEARCH_EVERY = 3
"""Frames between two looks at the correlation once the delay is known."""
_FIRST_CERTAIN, _FIRST_FRAMES = 13.0, 6
"""A sum of so few frames must be higher to be believed: one frame of noise can look like anything."""
_STEADY = 3
"""Frames that a peak must stay where it is: of other voices it wanders."""
_DOUBTS, _FIRST_DOUBTS = 6, 3
"""Looks without an echo after which the delay is forgotten; fewer while it is young, when every frame is looked at."""
_YOUNG_SUSPECT = 7.5
_FLOOR_GROWS = 1.005
_OVER_FLOOR = 2.0
"""Over the quietest that was heard: below it there is only the room's noise."""
_CLEAR_FRAMES = 25
"""Frames of speech played without any echo, 800 ms, after which there is none to be expected."""

_Floats = npt.NDArray[np.float32]


class Hears(Enum):
    """Whom a frame of the microphone holds."""

    OTHERS = auto()
    """Somebody or something else than the avatar, or nothing."""
    UNSURE = auto()
    """Perhaps the avatar."""
    ITSELF = auto()
    """The avatar, and nobody that is louder."""


class _Ring:
    """The newest sound of a stream, by sample index."""

    def __init__(self, size: int) -> None:
        self._sound = np.zeros(2 * size, np.float32)
        self._size = size
        self._fill = size
        self.end = 0

    def add(self, sound: _Floats) -> None:
        sound = sound[-self._size :]
        if self._fill + len(sound) > len(self._sound):
            self._sound[: self._size] = self._sound[self._fill - self._size : self._fill]
            self._fill = self._size
        self._sound[self._fill : self._fill + len(sound)] = sound
        self._fill += len(sound)
        self.end += len(sound)

    def upto(self, end: int, count: int) -> _Floats:
        """The `count` samples before index `end`; zeros where there are none."""
        out = np.zeros(count, np.float32)
        ahead = end - self.end
        stop = self._fill + min(0, ahead)
        wanted = count - max(0, ahead)
        have = min(wanted, stop - (self._fill - self._size))
        if have > 0:
            out[wanted - have : wanted] = self._sound[stop - have : stop]
        return out


class _Resampler:
    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._graph = av.AudioResampler(format="s16", layout="mono", rate=RATE)

    def feed(self, pcm: Pcm) -> _Floats:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None, :], format="s16", layout="mono")
        frame.sample_rate = self._rate
        parts = [out.to_ndarray()[0] for out in self._graph.resample(frame)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


class EchoJudge:
    """Tells, frame by frame, whether a microphone hears what one session plays."""

    def __init__(self, heard_rate: int = 16_000) -> None:
        self._played = _Ring(2 * (_DELAYS + _WINDOW))
        self._heard = _Ring(2 * _WINDOW)
        self._to_played = _Resampler(SOURCE_RATE)
        self._to_heard = _Resampler(heard_rate)
        frequencies = np.fft.rfftfreq(_FFT, 1 / RATE)
        self._band = ((frequencies > _BAND_HZ[0]) & (frequencies < _BAND_HZ[1])).astype(np.float32)
        self._taper = np.hanning(_WINDOW).astype(np.float32)
        self._offset: int | None = None
        """Index on the played stream at the moment of index 0 on the heard one, less the delay."""
        self._sum = np.zeros(_DELAYS, np.float32)
        self._summed = 0
        """Frames in it."""
        self._frames = 0
        self._learned = 0
        """How often the loudness was looked at."""
        self._ratios = (0.0, 0.0, 0.0)
        """Heard over expected loudness of the last frames."""
        self._peak, self._steady = 0, 0
        """Where the sum's peak is, and for how many frames it has been there."""
        self._doubt = 0
        """Looks at the correlation since it last showed an echo."""
        self._floor = 4 * _QUIET
        """Of what is heard, its quietest."""
        self._clear = 0
        self._since = _HANGOVER
        """Frames since the avatar was heard."""
        self._expected = 0.0
        """Root mean square of the played sound as the room holds it."""
        self.delay: int | None = None
        """Samples from playing to hearing, once known; counts from an arbitrary origin."""
        self.gain = 0.0
        """Of the echo, heard over played."""

    def play(self, pcm: Pcm) -> None:
        """The next 48 kHz sound that is sent; silence too."""
        self._played.add(self._to_played.feed(pcm))

    def hear(self, frame: Pcm) -> Hears:
        """The next 32 ms that the microphone heard. Judged by the frames so far, this one included."""
        self._heard.add(self._to_heard.feed(frame))
        offset = self._aligned()
        recent = self._heard.upto(self._heard.end, FRAME)
        level = _rms(recent)
        end = self._heard.end + offset
        played = self._played.upto(end, _DELAYS + _WINDOW)
        loudness = _rms(played)
        if loudness < _QUIET:
            self._expected *= _TAIL
            return Hears.OTHERS
        if self.delay is not None:
            return self._judge(level, end, played)
        loud = loudness > 10 * _QUIET
        self._floor = min(level, self._floor * _FLOOR_GROWS)
        if level < max(_QUIET, _OVER_FLOOR * self._floor):
            self._clear += loud
            return Hears.OTHERS
        height, _ = self._search(played)
        peak = int(self._sum.argmax())
        self._steady = self._steady + 1 if abs(peak - self._peak) <= _SPREAD else 1
        self._peak = peak
        certain = height >= (_CERTAIN if self._summed >= _FIRST_FRAMES else _FIRST_CERTAIN)
        expected = self._clear < _CLEAR_FRAMES
        if certain and (self._steady >= _STEADY or (expected and height >= _FIRST_CERTAIN)):
            self.delay = peak
            self._doubt = 0
            return self._judge(level, end, played)
        if height >= (_SUSPECT if expected or self._summed > 2 * _FIRST_FRAMES else _FIRST_SUSPECT):
            return Hears.UNSURE
        self._clear += loud
        return Hears.OTHERS if self._clear >= _CLEAR_FRAMES else Hears.UNSURE

    def _aligned(self) -> int:
        """The offset between the streams; laid down anew when they have drifted apart."""
        now = self._played.end - self._heard.end + _AHEAD
        if self._offset is None or abs(now - self._offset) > _DRIFT:
            self._offset = now
            self._sum = np.zeros(_DELAYS, np.float32)
            self._summed = 0
            self._forget()
        return self._offset

    def _forget(self) -> None:
        """There is no such echo, or not any more."""
        self.delay = None
        self.gain = 0.0
        self._learned = self._doubt = 0

    def _judge(self, level: float, end: int, played: _Floats) -> Hears:
        """By the loudness that the echo is known to have."""
        assert self.delay is not None
        self._frames += 1
        source = _rms(self._played.upto(end - self.delay, 2 * FRAME))
        self._expected = max(source, self._expected * _TAIL)
        audible = self._expected >= _QUIET and level >= _QUIET
        ratio = level / self._expected if audible else 0.0
        self._ratios = (*self._ratios[1:], ratio)
        young = self._learned < _PRACTICE
        if (young or self._frames % _SEARCH_EVERY == 0) and not self._learn(played, young=young):
            return Hears.OTHERS
        if not audible:
            # A detector goes on hearing a voice for a moment after it.
            self._since += 1
            return Hears.ITSELF if level < 2 * _QUIET and self._since < _HANGOVER else Hears.OTHERS
        margin = _FIRST_MARGIN if young else _MARGIN
        itself = not self.gain or ratio <= margin * self.gain
        self._since = 0 if itself else self._since + 1
        return Hears.ITSELF if itself else Hears.OTHERS

    def _learn(self, played: _Floats, *, young: bool) -> bool:
        """Follows the delay, and the echo's loudness where the echo is most of what is heard. False when there is no
        echo any more."""
        height, correlation = self._search(played)
        if height < _CERTAIN:
            self._doubt += height < (_YOUNG_SUSPECT if young else _SUSPECT) and self._ratios[-1] > 0
            if self._doubt >= (_FIRST_DOUBTS if young else _DOUBTS):
                self._forget()
                return False
            return True
        self._doubt = 0
        peak = int(self._sum.argmax())
        if self.delay is None or abs(peak - self.delay) > _SPREAD:
            self.delay = peak
        near = correlation[max(0, self.delay - _SPREAD) : self.delay + _SPREAD]
        ratio = self._ratios[0]  # of the middle of the window that was correlated
        if not ratio or float(near.max(initial=0)) < _DOMINANT * _rms(correlation):
            return True
        self._learned += 1
        if self._learned >= _PROVEN:
            self._clear = 0
        if not self.gain:
            self.gain = ratio
        else:
            self.gain += (_RISE if ratio > self.gain else _FALL) * (min(ratio, 2 * self.gain) - self.gain)
        return True

    def _search(self, played: _Floats) -> tuple[float, _Floats]:
        """Adds this frame to the summed correlation: the height of the sum's peak, and the frame's own correlation."""
        heard = np.fft.rfft(self._heard.upto(self._heard.end, _WINDOW) * self._taper, _FFT)
        cross = np.fft.rfft(played, _FFT) * np.conj(heard) * self._band
        cross /= np.maximum(np.abs(cross), 1e-3) ** _PHAT
        correlation = np.abs(np.fft.irfft(cross, _FFT)[:_DELAYS])[::-1].astype(np.float32)
        self._sum = self._sum * np.float32(_KEEP) + correlation / (_rms(correlation) + 1e-9)
        self._summed += 1
        return float(self._sum.max()) / (_rms(self._sum) + 1e-9), correlation


def _rms(sound: _Floats) -> float:
    return float(np.sqrt(np.dot(sound, sound) / max(1, len(sound))))
