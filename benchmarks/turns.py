"""How soon the avatar answers, as the user hears it: typed lines, and recorded speech played as the microphone.

For spoken turns the figure is taken on the client's two-channel recording: the last audible sample of the user's voice
to the first audible sample of the reply. The server's own waterfall stands beside it.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

from ._server import QUICK, ROOT, client, percentile, serving

QUESTIONS = sorted((ROOT / "tests" / "hear" / "speech").glob("*.flac"))
LINES = ("What time is it?", "What can you do?", "Hello!", "How do I connect a real language model?", "Thank you.")
ROUNDS = 1 if QUICK else 4
RATE = 48_000
VOICE_PEAK = 0.03
"""Share of a track's loudest sample above which there is a voice: recordings have breath and room noise below it."""
STAGES = (
    "endpoint",
    "stt_final",
    "llm_first_token",
    "first_clause",
    "tts_first_audio",
    "face_first_frame",
    "first_sent",
)

Pcm = np.ndarray[Any, np.dtype[np.int16]]


def tracks(path: Path) -> list[Pcm]:
    """The audio tracks of a recording, 48 kHz mono from the file's start."""
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    found = []
    for index in range(count):
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            blocks = [b.to_ndarray()[0] for f in container.decode(audio=index) for b in resampler.resample(f)]
        found.append(np.concatenate(blocks))
    return found


def audible(track: Pcm) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Indices of the samples that belong to a voice."""
    magnitude = np.abs(track.astype(np.int32))
    return np.flatnonzero(magnitude > max(300, VOICE_PEAK * int(magnitude.max(initial=0))))


def wait_ms(path: Path) -> float | None:
    """From the user's last audible sample to the avatar's first one after it; None when there was no answer."""
    voice, microphone = (audible(track) for track in tracks(path))
    if not len(voice) or not len(microphone):
        return None
    after = voice[voice > microphone[-1]]
    return None if not len(after) else float(after[0] - microphone[-1]) * 1000 / RATE


def run() -> dict[str, Any]:
    typed: list[float] = []
    spoken: list[float] = []
    turns: list[dict[str, Any]] = []
    unanswered = 0
    with tempfile.TemporaryDirectory() as directory, serving() as server:
        film = Path(directory) / "talk.mkv"
        for _ in range(ROUNDS):
            for line in LINES:
                report = client("--server", server.url, "--chat", line)
                typed += [t["first_audio_received_ms"] for t in report["turns"] if t["first_audio_received_ms"]]
            for question in QUESTIONS:
                report = client("--server", server.url, "--mic_path", question, "--output", film)
                waited = wait_ms(film)
                if waited is None:
                    unanswered += 1
                else:
                    spoken.append(waited)
                    turns += report["turns"][-1:]
        engines = server.get("/ready")["engines"]
    figures: dict[str, Any] = {role: name for role, name in engines.items() if role != "vad"}
    for name, values in (("typed", typed), ("spoken", spoken)):
        figures[f"{name}_turns"] = len(values)
        if values:
            figures[f"{name}_p50_ms"] = statistics.median(values)
            figures[f"{name}_p95_ms"] = percentile(values, 0.95)
    figures["spoken_unanswered"] = unanswered
    for stage in STAGES:
        reached = [turn[stage] for turn in turns if turn.get(stage) is not None]
        if reached:
            figures[f"{stage}_ms"] = statistics.median(reached)
    return figures
