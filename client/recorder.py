"""The recording: what was received, in a file whose sound and picture stand where their senders' clocks put them.

All times come in seconds on one line (`client.media` makes it); the file begins with the first picture or sound.
Pictures keep their own times, the last one is held where one is missing; sound has no holes. A picture of another
size than the first is scaled to it, with bars where the shape differs: a file has one size. Encoding happens on a
thread of its own; when it cannot keep up pictures are left out (the one before is held), sound never is.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from avatar.clock import AUDIO_RATE, AUDIO_TIME_BASE, VIDEO_RATE, VIDEO_TIME_BASE
from avatar.types import I420, Pcm

from .exits import Usage
from .timeline import PictureLine, SoundLine

log = logging.getLogger(__name__)

Kind = Literal["picture", "voice", "microphone"]
MAX_PICTURES = 100
"""Pictures that may wait for the encoder, four seconds: about 40 MB at 512 × 512."""
PATIENCE_S = 3.0
"""Media time after which the file begins even though one of its tracks has not: above the two seconds that the
microphone's place takes to find (`client.media`)."""

# Realtime VP9 at speed 8 costs 1.4 ms of CPU for a 512 × 512 picture; the rate is far above what is received, so that
# the second encoding is not seen. One thread: the client must not push the server off a small machine.
_VP9 = {"deadline": "realtime", "speed": "8", "lag-in-frames": "0", "auto-alt-ref": "0", "row-mt": "0"}
_H264 = {"preset": "veryfast", "crf": "20"}
_VIDEO_BITRATE = 2_500_000
_AUDIO_BITRATE = 96_000


@dataclass(frozen=True, slots=True)
class _Item:
    kind: Kind
    at: float
    payload: Any


class Recorder:
    """Writes one file. Everything but `close` returns at once and may be called from the event loop."""

    def __init__(self, path: Path, *, microphone: bool) -> None:
        """`microphone`: a second audio track will come. Raises `Usage` when the file cannot be written."""
        self._path = path
        self._with_microphone = microphone
        try:
            path.unlink(missing_ok=True)
            self._container = av.open(str(path), "w")
        except (OSError, av.FFmpegError) as error:
            raise Usage(f"--output: {path} cannot be written: {error.strerror}.") from None
        self._items: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._pictures = 0
        self._lock = threading.Lock()
        self.left_out = 0
        """Pictures that were not recorded because the encoder could not keep up."""
        self.failure: Exception | None = None
        self.interval = 0.04
        """Seconds between two pictures; may change while recording."""
        self._writer: _Writer | None = None
        self._waiting: list[_Item] = []
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def picture(self, i420: I420, at: float) -> None:
        with self._lock:
            if self._pictures >= MAX_PICTURES:
                self.left_out += 1
                return
            self._pictures += 1
        self._items.put(_Item("picture", at, i420))

    def voice(self, pcm: Pcm, at: float) -> None:
        """The avatar's sound, 48 kHz."""
        self._items.put(_Item("voice", at, pcm))

    def microphone(self, pcm: Pcm, at: float) -> None:
        """The user's sound, 48 kHz, on the same line."""
        self._items.put(_Item("microphone", at, pcm))

    async def close(self) -> None:
        """Writes what is waiting and finishes the file. A file that would hold nothing is removed. Raises what went
        wrong while writing."""
        self._items.put(None)
        await asyncio.to_thread(self._thread.join)
        if self.failure is not None:
            raise Usage(f"The recording {self._path} failed: {self.failure}") from self.failure

    def _run(self) -> None:
        try:
            while (item := self._items.get()) is not None:
                if item.kind == "picture":
                    with self._lock:
                        self._pictures -= 1
                self._take(item)
            if self._writer is None and any(item.kind != "microphone" for item in self._waiting):
                self._begin()
            if self._writer is not None:
                self._writer.finish()
        except Exception as error:  # handed to close(): a full disk must not end the conversation
            log.debug("recording failed", exc_info=True)
            self.failure = error
            while self._items.get() is not None:
                pass
        finally:
            self._container.close()
            if self._writer is None:
                self._path.unlink(missing_ok=True)

    def _take(self, item: _Item) -> None:
        if self._writer is not None:
            self._writer.interval = self.interval
            self._writer.write(item)
            return
        self._waiting.append(item)
        wanted = {"picture", "voice", "microphone"} if self._with_microphone else {"picture", "voice"}
        times = [i.at for i in self._waiting if i.kind != "microphone"]
        if wanted <= {i.kind for i in self._waiting} or (times and max(times) - min(times) > PATIENCE_S):
            self._begin()

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        first = next((i.payload for i in waiting if i.kind == "picture"), None)
        origin = min(i.at for i in waiting)
        size = None if first is None else _size(first)
        self._writer = _Writer(self._container, self._path.suffix.lower(), origin, size, self._with_microphone)
        self._writer.interval = self.interval
        for item in waiting:
            self._writer.write(item)


class _Writer:
    """The open file: places, scales, encodes and muxes. Runs on the recorder's thread."""

    def __init__(
        self, container: Any, suffix: str, origin: float, size: tuple[int, int] | None, microphone: bool
    ) -> None:
        self._container = container
        self._origin = origin
        self._pictures = PictureLine()
        self._last: I420 | None = None
        self._video = None if size is None else _video_stream(container, suffix, size)
        codec = "aac" if suffix == ".mp4" else "libopus"
        self._tracks: dict[Kind, tuple[SoundLine, Any]] = {"voice": (SoundLine(), _audio_stream(container, codec))}
        if microphone:
            self._tracks["microphone"] = (SoundLine(), _audio_stream(container, codec))
        for (_, stream), title in zip(self._tracks.values(), ("Avatar", "Microphone"), strict=False):
            stream.metadata["title"] = title

    @property
    def interval(self) -> float:
        return self._pictures.interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._pictures.interval = seconds

    def write(self, item: _Item) -> None:
        at = item.at - self._origin
        if item.kind == "picture":
            self._picture(item.payload, at)
        elif item.kind in self._tracks:
            line, _ = self._tracks[item.kind]
            begin = line.end
            self._sound(item.kind, begin, line.place(round(at * AUDIO_RATE), item.payload))

    def finish(self) -> None:
        """All tracks end together."""
        ends = [line.end / AUDIO_RATE for line, _ in self._tracks.values()]
        if self._pictures.last is not None:
            ends.append(self._pictures.last + self.interval)
        for moment in self._pictures.fill(max(ends)):
            self._encode(self._last, moment)
        for kind, (line, _) in self._tracks.items():
            begin = line.end
            self._sound(kind, begin, line.fill(round(max(ends) * AUDIO_RATE)))
        for stream in [self._video, *(stream for _, stream in self._tracks.values())]:
            if stream is not None:
                self._container.mux(stream.encode(None))

    def _picture(self, i420: I420, at: float) -> None:
        if self._video is None:
            return
        placed = self._pictures.place(at)
        if placed is None:
            return
        i420 = _fitted(i420, (self._video.width, self._video.height))
        held, moment = placed
        for earlier in held:
            self._encode(i420 if self._last is None else self._last, earlier)
        self._encode(i420, moment)
        self._last = i420

    def _encode(self, i420: I420 | None, moment: float) -> None:
        assert self._video is not None and i420 is not None
        frame = av.VideoFrame.from_ndarray(i420, format="yuv420p")
        frame.pts, frame.time_base = round(moment * VIDEO_RATE), VIDEO_TIME_BASE
        self._container.mux(self._video.encode(frame))

    def _sound(self, kind: Kind, begin: int, pcm: Pcm) -> None:
        stream = self._tracks[kind][1]
        # A long silence goes in pieces: the muxer interleaves by time.
        for start in range(0, len(pcm), AUDIO_RATE):
            piece = pcm[start : start + AUDIO_RATE]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, begin + start, AUDIO_TIME_BASE
            self._container.mux(stream.encode(frame))


def _video_stream(container: Any, suffix: str, size: tuple[int, int]) -> Any:
    stream = container.add_stream("libx264" if suffix == ".mp4" else "libvpx-vp9", rate=Fraction(25))
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = VIDEO_TIME_BASE
    stream.codec_context.thread_count = 1
    stream.codec_context.gop_size = 250  # seekable every ten seconds
    stream.codec_context.options = dict(_H264 if suffix == ".mp4" else _VP9)
    if suffix != ".mp4":
        stream.bit_rate = _VIDEO_BITRATE
    return stream


def _audio_stream(container: Any, codec: str) -> Any:
    stream = container.add_stream(codec, rate=AUDIO_RATE, layout="mono")
    stream.bit_rate = _AUDIO_BITRATE
    return stream


def _size(i420: I420) -> tuple[int, int]:
    """Width and height in pixels."""
    return i420.shape[1], i420.shape[0] * 2 // 3


def _fitted(i420: I420, size: tuple[int, int]) -> I420:
    """The picture at the file's size, whole, with black bars where its shape is another."""
    width, height = size
    if _size(i420) == size:
        return i420
    old_width, old_height = _size(i420)
    scale = min(width / old_width, height / old_height)
    w, h = max(2, round(old_width * scale / 2) * 2), max(2, round(old_height * scale / 2) * 2)
    planes = av.VideoFrame.from_ndarray(i420, format="yuv420p").reformat(width=w, height=h).to_ndarray()
    canvas: I420 = np.full((height * 3 // 2, width), 128, np.uint8)
    canvas[:height] = 16
    x, y = (width - w) // 4 * 2, (height - h) // 4 * 2
    canvas[y : y + h, x : x + w] = planes[:h]
    chroma = canvas[height:].reshape(2, height // 2, width // 2)
    chroma[:, y // 2 : (y + h) // 2, x // 2 : (x + w) // 2] = planes[h:].reshape(2, h // 2, w // 2)
    return canvas
