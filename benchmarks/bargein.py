"""Interrupting the avatar, measured where it is heard: from the first audible sample of a voice to silence.

A real peer speaks recorded sentences over the avatar at random moments: while it thinks, in its first clause, in the
middle, near the end. Sound and pictures are dated by their arrival. What was heard is checked against the voice
engine's own word times and the sound that arrived; the mouth is judged by the face landmark nets on decoded pictures.
In every fourth interruption the face is the calibration pattern, which is bright exactly where a picture's own 40 ms of
sound are loud: not a picture of the old turn can be seen later without being noticed.

Each interruption is written to `benchmarks/out/bargein.jsonl` as it is measured. One that breaks is counted and costs
itself alone; BENCH_RESUME=1 goes on where a run was stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
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
PATTERN_EVERY = 4
BATCH = 24
"""Interruptions of one session."""
BROKEN_IN_A_ROW = 6
"""So many say that it is not the odd one: the run ends with what it has."""
OUT = ROOT / "benchmarks" / "out" / "bargein.jsonl"

BARS = {
    "silence_p50_ms": at_most(250),
    "silence_p95_ms": at_most(350),
    "mouth_closed_p95_ms": at_most(400),
    "taken_for_nothing": at_most(ROUNDS // 50),
    "heard_afterwards": at_most(0),
    "seen_afterwards": at_most(0),
    "broken": at_most(ROUNDS // 50),
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
SEEN_S = 0.12
"""The same for pictures: they leave 30 ms after their slot and have to be decoded."""
TOLD_S = 0.1
"""A turn's first sound may come this long before the word that it speaks: they go different ways."""
BRIGHT = 80
"""Mean luma of a pattern that shows loud sound: 235 at −20 dBFS, 16 in silence, its number aside."""
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
    number: int
    face: str
    stage: str
    silence_ms: float | None
    mouth_ms: float | None
    afterwards: int = 0
    """Sound of the old turn came after it was silent."""
    afterwards_ms: list[int] = field(default_factory=list)
    """Arrivals of audible packets after the silence, against the word that the next turn speaks."""
    seen: int | None = None
    """Bright pictures that came after it was silent; None with another face than the pattern, and where none was bright
    before: that would be no witness."""
    seen_ms: list[int] = field(default_factory=list)
    """Their arrivals after the last audible packet."""
    words_off: int | None = None
    """None where the turn was not interrupted."""
    broken: str = ""
    """Why there are no figures."""


def aperture(picture: ReceivedPicture, models: FaceModels) -> float:
    rgb = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p").to_ndarray(format="rgb24")
    faces = models.find(rgb)
    if not faces:
        return float("nan")
    p = faces[0].landmarks[:, :2]
    gap = np.mean([np.linalg.norm(p[u] - p[v]) for u, v in zip(UPPER, LOWER, strict=True)])
    return float(gap / np.linalg.norm(p[EYES[0]] - p[EYES[1]]))


def brightness(picture: ReceivedPicture) -> float:
    return float(picture.i420[: picture.i420.shape[0] * 2 // 3].mean())


def audible(pcm: Pcm) -> bool:
    return bool(np.abs(pcm.astype(np.int32)).max(initial=0) > AUDIBLE)


def first_audible(pcm: Pcm) -> int | None:
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > AUDIBLE)
    return int(loud[0]) if len(loud) else None


class Bench:
    def __init__(
        self, url: str, person: Person, times: list[tuple[float, float]], said: Sequence[Pcm], face: str
    ) -> None:
        self.url, self.person, self.times, self.said, self.face = url, person, times, said, face
        self.models = FaceModels(MODELS) if face == "puppet" and FaceModels.present(MODELS) else None
        self.rest = self.wide = 0.0

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
        # The stages go round within each face, what is said with every round.
        person, stage = self.person, STAGES[(number // PATTERN_EVERY + number) % len(STAGES)]
        choice = random.Random(7000 + number)
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
        await asyncio.sleep(choice.uniform(*begins[stage]))
        onset = await person.say(self.said[number // len(STAGES) % len(SAID)])
        with contextlib.suppress(TimeoutError):
            await person.until(lambda: person.ours("interrupted", onset), 8.0)
        await person.finished()
        await asyncio.sleep(0.3)
        cut = person.ours("interrupted", onset)
        again = min(
            [at for at, d in person.told if at > onset and d["t"] == "state" and d["state"] == "speaking"]
            or [onset + 2.2]
        )
        again = max(again, onset + 0.4)
        last = person.last_audible(onset, min(again, onset + 2.0))
        result = Trial(number, self.face, stage, None if last is None else 1000 * (last - onset), None)
        if cut:
            stop = onset + 0.1 if last is None else last
            late = [at for at, pcm in list(person.heard) if stop + FADED_S <= at < again and audible(pcm)]
            result.afterwards_ms = [round(1000 * (at - again)) for at in late]
            result.afterwards = int(any(at < again - TOLD_S for at in late))
            if self.face == "pattern":
                bright = [p.arrived for p in list(person.seen) if p.arrived < again and brightness(p) > BRIGHT]
                if any(began < at < stop + SEEN_S for at in bright):
                    result.seen_ms = [round(1000 * (at - stop)) for at in bright if at >= stop + SEEN_S]
                    result.seen = len(result.seen_ms)
            result.words_off = self._words_off(began, stop, cut[0]["heard_text"])
        result.mouth_ms = await asyncio.to_thread(self._mouth_ms, onset, again)
        await hush(self.url, person)
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
        pictures = [p for p in list(self.person.seen) if onset - 0.1 <= p.arrived < min(again, onset + 2.0)]
        limit = self.rest + CLOSED_SHARE * (self.wide - self.rest)
        open_at = [p.arrived for p in pictures if aperture(p, self.models) > limit]
        if not open_at or open_at[-1] < onset:
            return None
        return 1000 * (open_at[-1] + 0.04 - onset)


async def _batch(url: str, face: str, numbers: Sequence[int], times: list[tuple[float, float]]) -> list[Trial]:
    """Some interruptions in one session. What breaks ends it, and is the last of what is returned."""
    done: list[Trial] = []
    said = [spoken("rms", "-t", text) for text in SAID]
    try:
        async with calling(url, pictures=True) as person:
            bench = Bench(url, person, times, said, face)
            await bench.measure_mouth()
            for number in numbers:
                async with asyncio.timeout(90):
                    done.append(await bench.trial(number))
                _keep(done[-1])
    except Exception as error:  # a session that ended, an answer that never came: the next one may fare better
        number = numbers[len(done)]
        done.append(Trial(number, face, "", None, None, broken=f"{type(error).__name__}: {error}"))
        _keep(done[-1])
    return done


def _keep(trial: Trial) -> None:
    with OUT.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(trial)) + "\n")
    print(f"bargein {trial.number + 1}/{ROUNDS}: {asdict(trial)}", file=sys.stderr, flush=True)


def _kept() -> list[Trial]:
    """What an earlier run has measured, where this one goes on from it."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    if not os.environ.get("BENCH_RESUME") or not OUT.is_file():
        OUT.write_text("", encoding="utf-8")
        return []
    return [Trial(**json.loads(line)) for line in OUT.read_text(encoding="utf-8").splitlines()]


async def _rounds(url: str, face: str, numbers: Sequence[int], times: list[tuple[float, float]]) -> list[Trial]:
    done: list[Trial] = []
    while left := [n for n in numbers if n not in {trial.number for trial in done}]:
        done += await _batch(url, face, left[:BATCH], times)
        if len(done) >= BROKEN_IN_A_ROW and all(trial.broken for trial in done[-BROKEN_IN_A_ROW:]):
            break
    return done


async def _words() -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory() as directory:
        return await words(Path(directory))


def figures_of(trials: Sequence[Trial]) -> dict[str, Any]:
    broken = sum(1 for t in trials if t.broken)
    trials = [t for t in trials if not t.broken]
    cut = [t for t in trials if t.words_off is not None]
    silence = [t.silence_ms for t in cut if t.silence_ms is not None]
    mouth = [t.mouth_ms for t in cut if t.mouth_ms is not None]
    off = [t.words_off for t in trials if t.words_off is not None]
    figures: dict[str, Any] = {
        "interruptions": len(trials),
        "taken_for_nothing": len(trials) - len(cut),
        "heard_afterwards": sum(t.afterwards for t in trials),
        "seen_afterwards": sum(1 for t in trials if t.seen),
        "seen_judged": sum(1 for t in trials if t.seen is not None),
        "broken": broken,
        "heard_text_right_share": sum(1 for words_off in off if words_off <= 1) / max(1, len(off)),
    }
    if silence:
        figures |= {"silence_p50_ms": percentile(silence, 0.5), "silence_p95_ms": percentile(silence, 0.95)}
    if mouth:
        figures |= {"mouth_closed_p50_ms": percentile(mouth, 0.5), "mouth_closed_p95_ms": percentile(mouth, 0.95)}
    return figures


def run() -> dict[str, Any]:
    if shutil.which("flite") is None:
        raise Skipped("flite is not installed; it is the person's voice")
    times = asyncio.run(_words())
    trials = _kept()
    todo = sorted(set(range(ROUNDS)) - {trial.number for trial in trials if not trial.broken})
    trials = [trial for trial in trials if trial.number not in todo]
    patterns = [n for n in todo if n % PATTERN_EVERY == PATTERN_EVERY - 1]
    for face, numbers in (("puppet", [n for n in todo if n not in patterns]), ("pattern", patterns)):
        if numbers:
            with serving("--stt", "pocketsphinx", "--face", face) as server:
                trials += asyncio.run(_rounds(server.url, face, numbers, times))
    return figures_of(trials)
