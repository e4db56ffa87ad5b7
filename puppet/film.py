"""A portrait and a recording to a video file, sound included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from .actor import Actor
from .mouth import Phone
from .renderer import I420, Rig, picture_size
from .sound import FRAME, RATE

FPS = 25
SOUND_RATE = 48_000
"""Hz of the sound in the file: what Opus runs at."""
FORMATS: dict[str, tuple[tuple[str, ...], str, dict[str, str]]] = {
    # suffix: (video encoders in order of preference, audio encoder, options of the video encoder)
    ".mp4": (("libx264", "libopenh264", "h264_videotoolbox"), "aac", {"crf": "18", "preset": "medium"}),
    ".webm": (("libvpx-vp9", "libvpx"), "libopus", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5"}),
}


class FilmError(ValueError):
    """What was asked for cannot be filmed, in words."""


def _resampled(frames: Iterable[av.AudioFrame], rate: int) -> npt.NDArray[np.int16]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    parts = [out.to_ndarray()[0] for frame in (*frames, None) for out in resampler.resample(frame)]
    return np.concatenate(parts) if parts else np.empty(0, np.int16)


def resampled(sound: npt.NDArray[np.int16], source: int, target: int) -> npt.NDArray[np.int16]:
    """Mono sound of one rate at another."""
    frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
    frame.sample_rate = source
    return _resampled([frame], target)


def read_sound(path: Path, rate: int) -> npt.NDArray[np.int16]:
    """Any file that has sound, as mono at `rate` Hz. Raises `FilmError` where there is none, or it cannot be read."""
    try:
        with av.open(str(path)) as source:
            if not source.streams.audio:
                raise FilmError(f"{path.name} has no sound.")
            sound = _resampled(source.decode(audio=0), rate)
    except av.error.InvalidDataError as error:
        raise FilmError(f"{path.name} is not a recording: {error.strerror}.") from None
    except OSError as error:
        raise FilmError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not len(sound):
        raise FilmError(f"{path.name} has no sound.")
    return sound


def pictures(
    rig: Rig, sound: npt.NDArray[np.int16], actor: Actor, *, scale: float, phones: Sequence[Phone] = ()
) -> Iterator[I420]:
    """One picture for each 40 ms of `sound` (16 kHz)."""
    renderer = rig.open()
    second = RATE
    for start in range(0, len(sound), second):
        for pose in actor.feed(sound[start : start + second], phones if start == 0 else ()):
            yield renderer.draw(pose, scale)
    for pose in actor.finish():
        yield renderer.draw(pose, scale)


def _encoder(names: Sequence[str]) -> str:
    for name in names:
        if name in av.codecs_available:
            return name
    raise FilmError(f"None of the encoders {', '.join(names)} is in this installation of PyAV.")


def film(
    rig: Rig,
    audio: Path,
    output: Path,
    *,
    scale: float = 1.0,
    seed: int = 0,
    phones: Sequence[Phone] = (),
    emotion: str = "neutral",
    actor: Actor | None = None,
) -> int:
    """Writes `output` (.mp4 or .webm) of the rig speaking `audio`; returns the number of pictures. `phones` are the
    sound's, where they are known; `actor` plays instead of one of that `seed` and `emotion`."""
    if output.suffix.lower() not in FORMATS:
        raise FilmError(f"The output must be one of {', '.join(FORMATS)}, not {output.suffix or output.name!r}.")
    if not output.parent.is_dir():
        raise FilmError(f"There is no directory {output.parent} to write to.")
    if output.is_dir():
        raise FilmError(f"{output} is a directory.")
    if output.exists() and audio.exists() and output.samefile(audio):
        raise FilmError(f"The film would overwrite the sound that it is made of, {audio}.")
    encoders, audio_encoder, options = FORMATS[output.suffix.lower()]
    voice, sound = read_sound(audio, RATE), read_sound(audio, SOUND_RATE)
    count = -(-len(voice) // FRAME)
    per_picture = SOUND_RATE // FPS
    sound = np.pad(sound[: count * per_picture], (0, max(0, count * per_picture - len(sound))))
    width, height = picture_size(rig.width, rig.height, scale)
    if actor is None:
        actor = Actor(seed)
        actor.feel(emotion)
    with av.open(str(output), "w") as container:
        video = container.add_stream(_encoder(encoders), rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = Fraction(1, FPS)
        # What the pictures are in: without it players guess by size.
        video.codec_context.colorspace, video.codec_context.color_range = 5, 1
        track = container.add_stream(audio_encoder, rate=SOUND_RATE, layout="mono")
        for i, picture in enumerate(pictures(rig, voice, actor, scale=scale, phones=phones)):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(video.encode(frame))
            piece = sound[None, i * per_picture : (i + 1) * per_picture]
            heard = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = SOUND_RATE, i * per_picture, Fraction(1, SOUND_RATE)
            container.mux(track.encode(heard))
        container.mux(video.encode(None))
        container.mux(track.encode(None))
    return count
