"""Interrupting the avatar, measured where it is heard: from the first audible sample of a voice to silence.

A real peer speaks recorded sentences over the avatar at random moments: while it thinks, in its first clause, in the
middle, near the end. Sound and pictures are dated by their arrival. What was heard is checked against the voice
engine's own word times and the sound that arrived; the mouth is judged by the face landmark nets on decoded pictures.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from avatar.clock import AUDIO_RATE, AUDIO_SAMPLES
from avatar.play.receive import ReceivedPicture
from avatar.speak.clauses import ClauseSplitter
from avatar.speak.engines import choose_tts
from puppet.landmarks import FaceModels

from . import Skipped, at_least, at_most
from ._duplex import AUDIBLE, Pcm, Person, calling, spoken
from ._lips import EYES, LOWER, UPPER
from ._server import QUICK, ROOT, percentile, serving
from .alarms import hush

ROUNDS = 12 if QUICK else 200
log = logging.getLogger(__name__)

BARS = {
    "silence_p50_ms": at_most(250),
    "silence_p95_ms": at_most(350),
    "mouth_closed_p95_ms": at_most(400),
    "taken_for_nothing": at_most(ROUNDS // 50),
    "heard_afterwards": at_most(0),
    "heard_text_right_share": at_least(0.95),
}
TEXT = (
    "Here is a sentence to begin with. Then there comes another one, which is a little longer than the first. "
    "After that the speaker tells of rivers, of mountains and of the sea. And this is the last thing to be said today."
)
SAID = ("No, thank you.", "Wait a moment please.", "Stop, I have another question.", "What time is it in Tokyo?")
"""By another voice than the avatar's."""
STAGES = ("thinking", "first", "middle", "last")
FADED_S = 0.1
"""After the last audible packet: what sounds later, before the next turn, belongs to nobody."""
MODELS = ROOT / "checkpoints" / "face"
CLOSED_SHARE = 0.25
"""Of the way from a resting mouth to one that is wide open."""


async def words(directory: Path) -> list[tuple[float, float]]:
    """Begin and end of each word of `TEXT` in seconds from the first sound, by the voice that a server here gets."""
    tts = await choose_tts("auto", directory)
    await tts.warm()
    splitter = ClauseSplitter("t", "en")
    found, origin = [], 0
    for clause in [*splitter.push(TEXT), *splitter.finish()]:
        length = 0
        async for chunk in tts.speak(clause, None):
            scale = AUDIO_RATE / chunk.rate
            found += [((origin + w.start * scale), (origin + w.end * scale)) for w in chunk.words if w.text.strip()]
            length = round(chunk.end * scale)
        origin += -(-length // AUDIO_SAMPLES) * AUDIO_SAMPLES
    await tts.close()
    return [(begin / AUDIO_RATE, end / AUDIO_RATE) for begin, end in found]


@dataclass
class Trial:
    stage: str
    silence_ms: float | None
    mouth_ms: float | None
    afterwards: int
    words_off: int | None


def aperture(picture: ReceivedPicture, models: FaceModels) -> float:
    rgb = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p").to_ndarray(format="rgb24")
    faces = models.find(rgb)
    if not faces:
        return float("nan")
    p = faces[0].landmarks[:, :2]
    gap = np.mean([np.linalg.norm(p[u] - p[v]) for u, v in zip(UPPER, LOWER, strict=True)])
    return float(gap / np.linalg.norm(p[EYES[0]] - p[EYES[1]]))


def first_audible(pcm: Pcm) -> int | None:
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > AUDIBLE)
    return int(loud[0]) if len(loud) else None


class Bench:
    def __init__(self, url: str, person: Person, times: list[tuple[float, float]]) -> None:
        self.url, self.person, self.times = url, person, times
        self.models = FaceModels(MODELS) if FaceModels.present(MODELS) else None
        self.rest = self.wide = 0.0
        self.choice = random.Random(7)
        self.said = [spoken("rms", "-t", text) for text in SAID]

    async def measure_mouth(self) -> None:
        """How open the mouth is at rest, and while it speaks."""
        if self.models is None:
            return
        await asyncio.sleep(1.0)
        quiet = list(self.person.seen)[-15:]
        await self.person.api.say(self.person.session_id, TEXT, "avatar")
        await asyncio.sleep(4.0)
        loud = list(self.person.seen)[-60:]
        await hush(self.url, self.person)
        gaps = [await asyncio.to_thread(self._gaps, pictures) for pictures in (quiet, loud)]
        self.rest, self.wide = float(np.nanmedian(gaps[0])), float(np.nanpercentile(gaps[1], 90))

    def _gaps(self, pictures: list[ReceivedPicture]) -> list[float]:
        assert self.models is not None
        return [aperture(picture, self.models) for picture in pictures]

    async def trial(self, number: int) -> Trial:
        person, stage = self.person, STAGES[number % len(STAGES)]
        total = self.times[-1][1]
        begins = {
            "thinking": (0.0, 0.1),
            "first": (0.3, 1.2),
            "middle": (1.5, 0.6 * total),
            "last": (0.75 * total, total - 0.6),
        }
        began = time.monotonic()
        await person.api.say(person.session_id, TEXT, "avatar")
        if stage != "thinking":
            await person.until(lambda: person.ours("caption", began))
        await asyncio.sleep(self.choice.uniform(*begins[stage]))
        onset = await person.say(self.choice.choice(self.said))
        with contextlib.suppress(TimeoutError):
            await person.until(lambda: person.ours("interrupted", onset), 8.0)
        await person.finished()
        await asyncio.sleep(0.3)
        cut = person.ours("interrupted", onset)
        again = min(
            [at for at, d in person.told if at > onset and d["t"] == "state" and d["state"] == "speaking"]
            or [onset + 1.2]
        )
        again = max(again, onset + 0.4)
        last = person.last_audible(onset, min(again, onset + 1.0))
        result = Trial(stage, None if last is None else 1000 * (last - onset), None, 0, None)
        if cut:
            stop = onset + 0.1 if last is None else last
            rest = person.received(stop + FADED_S, again)
            result.afterwards = int(first_audible(rest) is not None)
            result.words_off = self._words_off(began, stop, cut[0]["heard_text"])
        result.mouth_ms = await asyncio.to_thread(self._mouth_ms, onset, again)
        await hush(self.url, person)
        log.info("trial %d: %s", number, result)
        return result

    def _words_off(self, began: float, stop: float, heard: str) -> int:
        sound = self.person.received(began, stop)
        first = first_audible(sound)
        length = 0.0 if first is None else (len(sound) - first) / AUDIO_RATE
        truth = sum(1 for begin, end in self.times if (begin + end) / 2 < length)
        return abs(len(heard.split()) - truth)

    def _mouth_ms(self, onset: float, again: float) -> float | None:
        """From the onset to the first picture after which the mouth stays shut; None where it was not open."""
        if self.models is None:
            return None
        pictures = [p for p in list(self.person.seen) if onset - 0.1 <= p.arrived < min(again, onset + 1.0)]
        limit = self.rest + CLOSED_SHARE * (self.wide - self.rest)
        open_at = [p.arrived for p in pictures if aperture(p, self.models) > limit]
        if not open_at or open_at[-1] < onset:
            return None
        return 1000 * (open_at[-1] + 0.04 - onset)


async def _measure(url: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        times = await words(Path(directory))
    async with calling(url, pictures=True) as person:
        bench = Bench(url, person, times)
        await bench.measure_mouth()
        trials = [await bench.trial(number) for number in range(ROUNDS)]
    cut = [t for t in trials if t.words_off is not None]
    silence = [t.silence_ms for t in cut if t.silence_ms is not None]
    mouth = [t.mouth_ms for t in cut if t.mouth_ms is not None]
    off = [t.words_off for t in trials if t.words_off is not None]
    figures: dict[str, Any] = {
        "interruptions": len(trials),
        "taken_for_nothing": len(trials) - len(cut),
        "silence_p50_ms": percentile(silence, 0.5),
        "silence_p95_ms": percentile(silence, 0.95),
        "heard_afterwards": sum(t.afterwards for t in trials),
        "heard_text_right_share": sum(1 for words_off in off if words_off <= 1) / max(1, len(off)),
    }
    if mouth:
        figures |= {"mouth_closed_p50_ms": percentile(mouth, 0.5), "mouth_closed_p95_ms": percentile(mouth, 0.95)}
    return figures


def run() -> dict[str, Any]:
    if shutil.which("flite") is None:
        raise Skipped("flite is not installed; it is the person's voice")
    with serving("--stt", "pocketsphinx") as server:
        return asyncio.run(_measure(server.url))
