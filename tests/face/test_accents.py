"""A real voice, its memory, the stage and the puppet: nods fall on the words that stand out, blinks where phrases end,
the first time and from memory alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import numpy as np

import puppet
from avatar.face.motions import Motions
from avatar.face.puppet import PuppetPerformance
from avatar.face.stage import Stage
from avatar.speak.cache import CachingTTS
from avatar.speak.engines import choose_tts
from avatar.tunables import Tunables
from avatar.types import Accent, AudioChunk, Choice, Clause, Frame
from puppet.coefficients import Coefficients

TEXTS = (
    "I really think that this is the best idea we have had all year, and I would like to tell you why.",
    "No, I did *not* say that. I said it was VERY unlikely, which is a different thing. Do you agree?",
    "Last summer my sister drove across the whole country in an old red van, and she never once complained.",
)


class Watched(PuppetPerformance):
    """Keeps the pose of every frame."""

    def __init__(self, tunables: Tunables, seed: int) -> None:
        super().__init__(puppet.load_rig("default"), tunables, seed)
        self.poses: list[Coefficients] = []

    def _frame(self, pose: Coefficients, serial: int) -> Frame:
        self.poses.append(pose)
        return super()._frame(pose, serial)


class Face:
    choice = Choice("face", "puppet", "for the test")
    rate = 16_000
    ignores: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.performance: Watched

    def perform(self, rig: object, tunables: Tunables, seed: int) -> PuppetPerformance:
        self.performance = Watched(tunables, seed)
        return self.performance


def share(events: list[int], marks: list[float], low: int, high: int) -> float:
    return float(np.mean([any(low <= event - mark <= high for mark in marks) for event in events]))


async def test_people_would_nod_and_blink_there() -> None:
    tts = CachingTTS(await choose_tts("espeak", Path("/nonexistent")))
    motions, accents = Motions(), list[tuple[Accent, float]]()
    nods, blinks, pictures = list[int](), list[int](), 0
    recalled = 0
    with ThreadPoolExecutor(1) as pool:
        for seed in range(8):
            face = Face()
            stage = Stage(face, None, Tunables(frame_scale=0.1, fps=5), seed, pool, motions=motions)  # type: ignore[arg-type]
            start = 0

            async def heard(text: str, start: int) -> AsyncIterator[AudioChunk]:
                async with aclosing(tts.speak(Clause(text, 0, "turn", "en"), None)) as chunks:
                    async for chunk in chunks:
                        accents.extend((a, start + a.at / chunk.rate * 25) for a in chunk.accents)
                        yield chunk

            def again() -> None:
                nonlocal recalled
                recalled += 1

            for text in TEXTS:
                async for _ in stage.perform(
                    Clause(text, 0, "turn", "en"), heard(text, pictures + start), on_recall=again
                ):
                    pass
                for _ in range(10):
                    await stage.idle(len(face.performance.poses) - 1)
                start = len(face.performance.poses)
            pitch = np.array([pose.pitch for pose in face.performance.poses])
            shut = np.array([pose.blink_left for pose in face.performance.poses]) > 0.9
            blinks += [pictures + int(i) for i in np.flatnonzero(np.diff(shut.astype(int)) == 1)]
            nods += [
                pictures + i
                for i in range(8, len(pitch) - 8)
                if pitch[i] == pitch[i - 8 : i + 9].max()
                and pitch[i] - max(pitch[i - 8 : i].min(), pitch[i + 1 : i + 9].min()) > 0.8
            ]
            pictures += len(pitch)
    await tts.close()
    assert recalled == 7 * len(TEXTS), "all but the first time the mouth moves from memory"
    assert tts.hits == 7 * len(TEXTS)
    stressed = [at for accent, at in accents if accent.kind == "stress"]
    ends = [at for accent, at in accents if accent.kind != "stress"]
    every = list(range(pictures))
    assert len(nods) > 40 and len(blinks) > 30
    assert share(nods, stressed, -3, 3) > 1.6 * share(every, stressed, -3, 3)
    assert share(blinks, ends, -2, 10) > 1.8 * share(every, ends, -2, 10)
