"""Recording a session on the server: the encoded packets as they are sent, and its captions as WebVTT.

Nothing is encoded again: a recorder takes from the session's broadcast like a viewer. Files are written on a thread of
their own; when the disk cannot keep up the recording ends, the conversation never waits.
"""

from __future__ import annotations

import asyncio
import io
import logging
import queue
import threading
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av

from .clock import AUDIO_RATE, AUDIO_TIME_BASE, SLOTS_PER_S, VIDEO_RATE, VIDEO_TIME_BASE
from .errors import AvatarError, Invalid
from .events import Caption, Event, Interrupted, Spoken
from .play import codecs, opus
from .play.source import Broadcast, PictureSource
from .play.takers import Shot, Sound
from .speak.spoken import EMPHASIS

log = logging.getLogger(__name__)

Format = Literal["webm", "mp4"]
CODECS: dict[str, tuple[str, ...]] = {"webm": ("vp9", "vp8", "av1"), "mp4": ("h264", "vp9", "av1")}
"""Container → the video codecs that players expect in it."""
LONGEST_S = 3600.0
"""A recording that nobody ends, ends by itself."""
WAITING = 2000
"""Packets that may wait for the disk, half a minute."""
TICK_S = 0.02
BEHIND_TICKS = 10
"""Pictures are encoded beside the sound, which is never so late."""
SILENCE = b"\xf8\xff\xfe"
"""20 ms of Opus silence, mono: what a file gets where nothing was sent because nothing was said (RFC 6716 §3.1: CELT,
full band, one frame)."""
_ENCODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}
"""What PyAV sets a track's parameters up with; nothing is encoded by it."""
_RAW = {"h264": "h264", "av1": "obu"}
"""FFmpeg's formats of bare streams, for the others."""
_OPTIONS = {"webm": {"flush_packets": "1"}, "mp4": {"flush_packets": "1", "movflags": "hybrid_fragmented"}}
"""What has been written can be read when the end of the file cannot be written any more."""
_DELIMITER = {"h264": b"", "av1": b"\x12\0"}
"""What such a stream must begin with: AV1's temporal delimiter (AV1 bitstream specification §7.5)."""


class Recording(AvatarError):
    """A recording is running already, or none is, or it failed."""

    status, code = 409, "recording"


@dataclass(frozen=True, slots=True)
class _Cue:
    turn_id: str
    text: str
    start_s: float
    end_s: float


class Captions:
    """Cues on the media's line of time; pure."""

    def __init__(self) -> None:
        self._cues: list[_Cue] = []
        self._said_s = 0.0
        """End of the word that sounded last."""

    def take(self, event: Event, now_s: float) -> None:
        """`now_s` is media time."""
        if isinstance(event, Caption) and event.text.strip():
            if event.heard_text is not None:
                self._broke_off(event)
            self._end(event.start_s)
            self._cues.append(_Cue(event.turn_id, event.text.strip(), event.start_s, event.end_s))
        elif isinstance(event, Spoken):
            self._said_s = event.end_s
        elif isinstance(event, Interrupted):
            self._end(now_s)

    def _broke_off(self, rest: Caption) -> None:
        """The clause on the screen was held in the middle and goes on only now: what is said now was not said then."""
        last = self._cues[-1] if self._cues else None
        if last is None or last.turn_id != rest.turn_id or not last.text.endswith(rest.text.strip()):
            return
        said = last.text.removesuffix(rest.text.strip()).rstrip()
        self._cues[-1] = replace(last, text=said)
        if last.start_s < self._said_s:
            self._end(self._said_s)

    def _end(self, at_s: float) -> None:
        """What is on the screen at that moment goes away."""
        if self._cues and self._cues[-1].end_s > at_s:
            self._cues[-1] = replace(self._cues[-1], end_s=max(self._cues[-1].start_s, at_s))

    def vtt(self, origin_s: float, length_s: float) -> str:
        """The file for a recording that begins at `origin_s` (W3C WebVTT)."""
        lines = ["WEBVTT", ""]
        for cue in self._cues:
            start, end = max(0.0, cue.start_s - origin_s), min(length_s, cue.end_s - origin_s)
            if end > start and cue.text:
                text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
                text = EMPHASIS.sub(r"<i>\2</i>", " ".join(text.split()))
                lines += [f"{_clock(start)} --> {_clock(end)}", text, ""]
        return "\n".join(lines)


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"


@dataclass(frozen=True, slots=True)
class Film:
    """A finished recording."""

    path: Path
    captions: Path
    seconds: float
    bytes: int


class Recorder:
    """Writes one file. Everything but `close` returns at once."""

    leads = False
    target = None

    def __init__(self, broadcast: Broadcast, path: Path, format: Format) -> None:
        """Begins with the next key frame, which is asked for. Raises `Invalid` for a file that cannot be written."""
        used = [codec for codec in broadcast.codecs if codec in CODECS[format]]
        self.codec = used[0] if used else "vp9"
        self.path, self.captions_path = path, path.with_suffix(".vtt")
        self._broadcast = broadcast
        self._source: PictureSource = broadcast.pictures(self.codec)
        self.captions = Captions()
        self._items: queue.Queue[Shot | Sound | None] = queue.Queue(WAITING)
        self._origin: float | None = None
        """Media seconds at which the file begins."""
        self._end_s = 0.0
        self._next_tick = 0
        """Of the sound in the file, counted from its beginning."""
        self.began = time.monotonic()
        self.failure = ""
        self._ended = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()  # FFmpeg opens it later
            self._container: Any = av.open(str(path), "w", format=format, options=_OPTIONS[format])
        except (OSError, av.FFmpegError) as error:
            raise Invalid(f"The recording cannot be written: {error.strerror}.", field="recordings") from None
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()
        self._sounds = _Sounds(self)
        self._source.join(self)
        broadcast.sound.join(self._sounds)
        self._source.want_key()

    @property
    def taking(self) -> bool:
        return not self._ended and time.monotonic() - self.began < LONGEST_S

    @property
    def seconds(self) -> float:
        """Of media so far."""
        return 0.0 if self._origin is None else self._end_s - self._origin

    def blocked(self, now: float) -> bool:
        return False

    def take(self, shot: Shot) -> None:
        if self._origin is None:
            if not shot.picture.key:
                self._source.want_key()
                return
            self._origin = shot.slot / SLOTS_PER_S
        self._end_s = max(self._end_s, (shot.slot + 1) / SLOTS_PER_S)
        self._put(shot)

    def take_sound(self, sound: Sound) -> None:
        # The sound of the first picture's slot may be here before its picture is encoded.
        self._end_s = max(self._end_s, (sound.tick + 1) * TICK_S)
        self._put(sound)

    def tell(self, event: Event) -> None:
        """An event of the session."""
        clock = self._broadcast.clock
        self.captions.take(event, clock.media_s() if clock.running else 0.0)

    def _put(self, item: Shot | Sound) -> None:
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self._ended = True
            self.failure = "The disk cannot keep up."

    async def close(self) -> Film:
        """Finishes the file. Raises `Recording` when there is nothing in it, or it could not be written to its end;
        what there is of it stays."""
        self._ended = True
        await self._source.leave(self)
        self._broadcast.sound.leave(self._sounds)
        size = await asyncio.to_thread(self._finish)
        if self.failure or not size:
            words = self.failure or "Nothing was recorded: there was no picture yet."
            raise Recording(words, code="recording_failed", recording=self.path.name if size else None)
        return Film(self.path, self.captions_path, round(self.seconds, 2), size)

    def _finish(self) -> int:
        """Bytes in the file; 0 when there is no use in it, and it is gone."""
        self._items.put(None)
        self._thread.join()
        size = 0
        try:
            size = self.path.stat().st_size
            if self._origin is None or not size:
                self.path.unlink(missing_ok=True)
                return 0
            self.captions_path.write_text(self.captions.vtt(self._origin, self.seconds), encoding="utf-8")
        except OSError as error:
            self.failure = self.failure or f"The recording could not be written: {error.strerror}."
        return size

    # On the thread.

    def _run(self) -> None:
        try:
            self._write()
        except Exception as error:  # a full disk, or whatever a container says to packets that it does not like
            self._fail(error)
            while self._items.get() is not None:
                pass
        try:
            self._container.close()
        except (OSError, av.FFmpegError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failure:
            self.failure = f"The recording could not be written: {getattr(error, 'strerror', None) or error}."
            log.warning("%s", self.failure)
        self._ended = True

    def _write(self) -> None:
        early: list[Sound] = []
        video: Any = None
        audio: Any = None
        base = 0
        last = 0
        while (item := self._items.get()) is not None:
            if video is None:
                if isinstance(item, Sound):
                    early = [*early[-25:], item]
                    continue
                base = item.slot
                video, audio = self._open(item)
                for sound in early:
                    self._mux_sound(audio, sound, base)
            if isinstance(item, Sound):
                self._mux_sound(audio, item, base)
                continue
            last = item.slot
            packet = av.Packet(self._frame(item))
            packet.stream, packet.time_base = video, VIDEO_TIME_BASE
            packet.pts = packet.dts = item.pts - base * VIDEO_RATE // SLOTS_PER_S
            packet.duration = VIDEO_RATE // SLOTS_PER_S
            packet.is_keyframe = item.picture.key
            self._container.mux(packet)
            # A silence goes in as it passes, for the muxer to interleave; a little behind, as sound may yet come.
            for tick in range(self._next_tick, 2 * (item.slot - base) - BEHIND_TICKS):
                self._mux_opus(audio, SILENCE, tick)
        for tick in range(self._next_tick, 2 * (last - base + 1) if audio is not None else 0):
            self._mux_opus(audio, SILENCE, tick)

    def _open(self, first: Shot) -> tuple[Any, Any]:
        if self.codec in _RAW:
            video = self._container.add_stream_from_template(_template(self.codec, self._frame(first)), opaque=True)
        else:
            video = self._container.add_stream(_ENCODERS[self.codec], rate=Fraction(SLOTS_PER_S))
            video.width, video.height, video.pix_fmt = first.picture.width, first.picture.height, "yuv420p"
            video.codec_context.thread_count = 1
        video.time_base = VIDEO_TIME_BASE
        audio = self._container.add_stream("libopus", rate=AUDIO_RATE, layout="mono")
        return video, audio

    def _frame(self, shot: Shot) -> bytes:
        """The encoded picture as it was before it was cut into packets."""
        return codecs.frame(self.codec, shot.picture.payloads)

    def _mux_sound(self, audio: Any, sound: Sound, base: int) -> None:
        """Puts a packet at its place, silence before it where none was sent."""
        place = sound.tick - 2 * base
        for tick in range(self._next_tick, place):
            self._mux_opus(audio, SILENCE, tick)
        if place >= self._next_tick:
            self._mux_opus(audio, sound.data, place)

    def _mux_opus(self, audio: Any, data: bytes, tick: int) -> None:
        packet = av.Packet(data)
        packet.stream, packet.time_base = audio, AUDIO_TIME_BASE
        packet.pts = packet.dts = tick * 960
        packet.duration = 960
        packet.is_keyframe = True
        self._container.mux(packet)
        self._next_tick = tick + 1


def _template(codec: str, key: bytes) -> Any:
    """A stream with what a key frame carries of parameters, which files want in their head."""
    return av.open(io.BytesIO(_DELIMITER[codec] + key), format=_RAW[codec]).streams.video[0]


class _Sounds:
    """The recorder as a taker of sound."""

    leads = False
    target = opus.BITRATE
    lossy = 0.0
    dtx = False

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @property
    def taking(self) -> bool:
        return self._recorder.taking

    def take(self, sound: Sound) -> None:
        self._recorder.take_sound(sound)
