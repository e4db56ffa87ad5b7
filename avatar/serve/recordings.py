"""Uploaded recordings: received, judged, decoded to 48 kHz mono, spoken.

A recording is decoded once, into a temporary file of raw samples, so that an hour-long upload costs disk and not
memory, and its length is known before the answer is given.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

import av
import numpy as np

from ..clock import AUDIO_RATE
from ..errors import Invalid, TooLarge, UnsupportedMedia
from ..types import AudioChunk
from .limits import LIMITS

READ_SAMPLES = AUDIO_RATE // 5
"""200 ms handed on at a time."""
SILENT_PEAK = 33
"""−60 dBFS: below it nobody hears anything, and the mouth would not move."""
_SNIFF = ("matroska", "webm", "mp4", "mov", "wav", "ogg", "flac", "mp3", "aac", "aiff", "amr", "caf", "avi", "mpegts")


class Recording:
    """Decoded sound that waits to be spoken."""

    def __init__(self, raw: IO[bytes], samples: int) -> None:
        self._raw = raw
        self.samples = samples
        """At 48 kHz."""

    @property
    def seconds(self) -> float:
        return self.samples / AUDIO_RATE

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        """The sound from its beginning."""
        try:
            for start in range(0, self.samples, READ_SAMPLES):
                yield AudioChunk(await asyncio.to_thread(self._read, start), AUDIO_RATE, start)
        finally:
            self.close()

    def _read(self, start: int) -> np.ndarray[Any, np.dtype[np.int16]]:
        self._raw.seek(2 * start)
        return np.frombuffer(self._raw.read(2 * READ_SAMPLES), np.int16)

    def close(self) -> None:
        """Frees the file; harmless when repeated."""
        self._raw.close()


async def receive(chunks: AsyncIterator[bytes]) -> Recording:
    """A recording from an upload's bytes.

    Raises `UnsupportedMedia` when it is not sound, `TooLarge` when it is too long, `Invalid` when it is silent or
    empty.
    """
    with tempfile.NamedTemporaryFile(prefix="speech-") as upload:
        async for chunk in chunks:
            await asyncio.to_thread(upload.write, chunk)
        upload.flush()
        return await asyncio.to_thread(_decode, Path(upload.name))


def _decode(path: Path) -> Recording:
    raw: IO[bytes] = tempfile.TemporaryFile(prefix="speech-")  # noqa: SIM115 (the recording owns it)
    try:
        samples, peak = _copy(path, raw)
        if not samples:
            raise UnsupportedMedia("The recording holds no sound.")
        if peak < SILENT_PEAK:
            raise Invalid("The recording is silent: there is nothing to speak.", code="silent", field="speech")
    except BaseException:
        raw.close()
        raise
    return Recording(raw, samples)


def _copy(path: Path, raw: IO[bytes]) -> tuple[int, int]:
    """Decodes into `raw`; returns the samples written and the largest magnitude among them."""
    limit_s = LIMITS["speech_s"]
    too_long = TooLarge(f"A recording may last at most {limit_s // 60} minutes.", code="too_long", limit_s=limit_s)
    not_sound = UnsupportedMedia("The body is not a sound file that can be read; WAV, MP3, Ogg, FLAC, MP4, WebM can.")
    total = peak = 0
    try:
        # FFmpeg may neither follow references in playlists nor read other files: only the upload itself is opened.
        with av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="ignore") as container:
            if not any(name in container.format.name.split(",") for name in _SNIFF):
                raise not_sound
            if not container.streams.audio:
                raise UnsupportedMedia("The file holds no sound track.")
            if container.duration is not None and container.duration / 1e6 > limit_s:
                raise too_long
            resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
            for decoded in _frames(container):
                for frame in resampler.resample(decoded):
                    pcm = frame.to_ndarray().reshape(-1)
                    total += len(pcm)
                    if total > limit_s * AUDIO_RATE:
                        raise too_long
                    if len(pcm):
                        peak = max(peak, int(np.abs(pcm.astype(np.int32)).max()))
                    raw.write(pcm.tobytes())
    except (av.FFmpegError, OSError, ValueError, EOFError):
        if not total:
            raise not_sound from None
    raw.flush()
    return total, peak


def _frames(container: Any) -> Any:
    """The decoded frames of the first sound track, then None, which flushes a resampler."""
    yield from container.decode(audio=0)
    yield None
