"""A portrait and a recording to a video file, sound included."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from .audio import features
from .audio.chunks import Chunks, frames_of
from .backends.looks import I420, Job
from .chunking import Pace
from .controls import manner
from .engine import Engine
from .motion.clips import LENGTH
from .motion.noise import FrameNoise
from .motion.published import Recital
from .motion.vector import SIZE, Array
from .performance import Rig
from .registration.loading import load_pictures

FPS, RATE, SOUND_RATE = 25, 16_000, 48_000
FORMATS: dict[str, tuple[tuple[str, ...], str, dict[str, str]]] = {
    ".mp4": (("libx264", "libopenh264", "h264_videotoolbox"), "aac", {"crf": "18", "preset": "medium"}),
    ".webm": (("libvpx-vp9", "libvpx"), "libopus", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5"}),
}
_PIECE = RATE * 2
"""Samples fed at a time: pictures come while the rest is still heard."""


def read_sound(path: Path, rate: int) -> npt.NDArray[np.int16]:
    """Any file that has sound, as mono at `rate` Hz. Raises `ValueError` in words, `OSError`."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    try:
        with av.open(str(path)) as source:
            if not source.streams.audio:
                raise ValueError(f"{path.name} has no sound.")
            parts = [
                out.to_ndarray()[0]
                for frame in itertools.chain(_numbers(path, source.decode(audio=0)), (None,))
                for out in resampler.resample(frame)
            ]
    except av.error.InvalidDataError as error:
        raise ValueError(f"{path.name} is not a recording: {error.strerror}.") from None
    sound = np.concatenate(parts) if parts else np.empty(0, np.int16)
    if not len(sound):
        raise ValueError(f"{path.name} has no sound.")
    return sound


def _numbers(path: Path, frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """The frames, which must not hold what is no number: as int16 it would be a noise that nobody recorded."""
    for frame in frames:
        if frame.format.name.startswith(("flt", "dbl")) and not np.isfinite(frame.to_ndarray()).all():
            raise ValueError(f"{path.name} holds samples that are no numbers (NaN or infinite).")
        yield frame


class _ClipNoise:
    """One seed's noise for the offline loop: of the clips' own frames."""

    def __init__(self, seed: int, new: int) -> None:
        self._noise, self._new, self._seed = FrameNoise(seed), new, seed

    def start(self, clip: int) -> Array:
        return self._noise.window(clip * self._new, LENGTH, 1)[0]

    def steps(self, count: int) -> Array:
        rng = np.random.default_rng((self._seed & (2**63 - 1), 1))
        return rng.standard_normal((count - 1, LENGTH, SIZE), dtype=np.float32)


def offline(engine: Engine, rig: Rig, sound: npt.NDArray[np.int16], seed: int, steps: int | None) -> Iterator[I420]:
    """Pictures of a whole recording at once, as the published offline pipeline makes them."""
    n = engine.networks
    options = engine.configured
    if options.online_mode:
        options = replace(options, online_mode=False, overlap_v2=min(options.overlap_v2, 10))
    options = replace(options, sampling_timesteps=steps or options.sampling_timesteps)
    heard = sound.astype(np.float32) / np.float32(32768)
    rows = features.offline(n.encoder, heard, Chunks())
    noise = _ClipNoise(seed, options.fusing.new)
    recital = Recital(options, rig.persona.source, n.sampler, noise, n.stitch, frames_of(len(sound)))
    jobs: list[Job] = []
    for posed in recital.offline(rows):
        jobs.append(Job(rig.looks[posed.source_index], posed.x_d[0], rig.width, rig.height))
        if len(jobs) == n.renderer.batch:
            yield from n.renderer.render(jobs)
            jobs = []
    if jobs:
        yield from n.renderer.render(jobs)


def online(engine: Engine, rig: Rig, sound: npt.NDArray[np.int16], seed: int, **told: Any) -> Iterator[I420]:
    """Pictures of a recording that is heard piece by piece, as in a conversation."""
    performance = engine.perform(rig, seed, **told)
    try:
        heard = sound.astype(np.float32) / np.float32(32768)
        for at in range(0, len(heard), _PIECE):
            yield from (p.i420 for p in performance.feed(heard[at : at + _PIECE]) if p.i420 is not None)
        yield from (p.i420 for p in performance.finish() if p.i420 is not None)
    finally:
        performance.close()


def write(
    path: Path,
    pictures: Iterable[I420],
    sound: npt.NDArray[np.int16],
    size: tuple[int, int],
    count: int,
    told: Callable[[int], None] = lambda done: None,
) -> int:
    """Writes pictures (I420, width × height) and their 48 kHz sound; returns how many there were."""
    encoders, audio_encoder, options = FORMATS[path.suffix.lower()]
    encoder = next((name for name in encoders if name in av.codecs_available), None)
    if encoder is None:
        raise ValueError(f"None of the encoders {', '.join(encoders)} is in this installation of PyAV.")
    each = SOUND_RATE // FPS
    sound = np.pad(sound[: count * each], (0, max(0, count * each - len(sound))))
    done = 0
    with av.open(str(path), "w") as container:
        video = container.add_stream(encoder, rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.time_base = Fraction(1, FPS)
        video.codec_context.colorspace, video.codec_context.color_range = 5, 1
        track = container.add_stream(audio_encoder, rate=SOUND_RATE, layout="mono")
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="yuv420p")
            frame.pts, frame.time_base = done, Fraction(1, FPS)
            container.mux(video.encode(frame))
            piece = av.AudioFrame.from_ndarray(
                sound[None, done * each : (done + 1) * each], format="s16", layout="mono"
            )
            piece.sample_rate, piece.pts, piece.time_base = SOUND_RATE, done * each, Fraction(1, SOUND_RATE)
            container.mux(track.encode(piece))
            done += 1
            told(done)
        container.mux(video.encode(None))
        container.mux(track.encode(None))
    return done


def film(engine: Engine, args: argparse.Namespace) -> int:
    """What `render` does once the networks are there. Raises `ValueError`, `DittoError`, `OSError` in words."""
    pictures = load_pictures(args.source_path, engine.networks.options.template_n_frames)
    voice, sound = read_sound(args.audio_path, RATE), read_sound(args.audio_path, SOUND_RATE)
    rig = engine.rig(pictures)
    for note in rig.notes:
        sys.stderr.write(f"{note}\n")
    count = frames_of(len(voice))
    if args.online:
        told: dict[str, Any] = {
            "pace": Pace.of(args.chunk_config, args.valid_clip_len, args.early),
            "steps": args.sampling_timesteps,
            "manner": manner(args.preset, emotion=args.emotion),
        }
        made = online(engine, rig, voice, args.seed, **told)
    else:
        made = offline(engine, rig, voice, args.seed, args.sampling_timesteps)

    def shown(done: int) -> None:
        if sys.stderr.isatty() and done % FPS == 0:
            sys.stderr.write(f"\r{done} of {count} pictures")

    return write(args.output_path, made, sound, (rig.width, rig.height), count, shown)
