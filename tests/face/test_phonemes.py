"""Voice to lips through the real stage: the phonemes of every voice that knows them move the puppet's mouth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from avatar.errors import NotReady
from avatar.face.avatars import AvatarStore
from avatar.face.puppet import PuppetFace
from avatar.face.stage import Stage
from avatar.seams import TTS
from avatar.speak.espeak import espeak
from avatar.speak.flite import flite
from avatar.speak.openjtalk import openjtalk
from avatar.speak.piper import piper
from avatar.tunables import Tunables
from avatar.types import AudioChunk, Clause, Slice
from puppet.coefficients import MOUTH, Coefficients
from puppet.training.measure import reference, width
from puppet.visemes import aperture, classes
from tests.absent import absent
from tests.speak.voice_checks import Spoken, clause, say

STUB = Path(__file__).parents[1] / "fixtures" / "piper"


@dataclass
class Paper:
    """A rig that draws nothing and keeps every pose."""

    width: int = 64
    height: int = 64
    poses: list[Coefficients] = field(default_factory=list)

    def open(self) -> Paper:
        return self

    def draw(self, coefficients: Coefficients, scale: float) -> np.ndarray:
        self.poses.append(coefficients)
        return np.zeros((96, 64), np.uint8)

    @property
    def mouths(self) -> np.ndarray:
        """Shape (pictures, 7)."""
        return np.array([[getattr(pose, name) for name in MOUTH] for pose in self.poses], np.float32)


async def _espeak() -> TTS:
    return await espeak()


async def _flite() -> TTS:
    return await flite()


async def _openjtalk() -> TTS:
    return openjtalk()


async def _piper() -> TTS:
    return piper(STUB)


ENGLISH = "My brother Bob bought a big brown umbrella."
ENGINES: dict[str, tuple[Callable[[], Awaitable[TTS]], str, str]] = {
    "espeak": (_espeak, ENGLISH, "en"),
    "flite": (_flite, ENGLISH, "en"),
    "openjtalk": (_openjtalk, "まもなく番組が始まります。", "ja"),
    "piper": (_piper, ENGLISH, "en"),
}


async def replayed(chunks: Sequence[AudioChunk]) -> AsyncIterator[AudioChunk]:
    for chunk in chunks:
        yield chunk


def mute(spoken: Spoken) -> list[AudioChunk]:
    """The same sound from a voice that knows nothing of its phonemes."""
    return [replace(chunk, phones=()) for chunk in spoken.chunks]


async def perform(tmp_path: Path, clauses: Sequence[tuple[Clause, Sequence[AudioChunk]]]) -> tuple[Paper, list[int]]:
    """Every clause in turn on one stage, as a session plays them; the poses, and how many each clause took."""
    face, paper, counts = PuppetFace(AvatarStore(tmp_path, tmp_path), "for the test"), Paper(), []
    with ThreadPoolExecutor(1) as pool:
        stage = Stage(face, paper, Tunables(fps=25), 1, pool)
        for what, chunks in clauses:
            slices: list[Slice] = [piece async for piece in stage.perform(what, replayed(chunks))]
            counts.append(len(slices))
        await stage.close()
    assert len(paper.poses) == sum(counts)
    return paper, counts


async def spoken_by(name: str) -> tuple[Spoken, str, str]:
    build, text, language = ENGINES[name]
    try:
        tts = await build()
    except NotReady as error:
        absent(error.message)
    try:
        return await say(tts, text, language), text, language
    finally:
        await tts.close()


def steps(mouths: np.ndarray) -> np.ndarray:
    """How much is seen to move from picture to picture: lips apart, lips wide."""
    return np.maximum(np.abs(np.diff(aperture(mouths))), np.abs(np.diff(width(mouths))))


@pytest.mark.parametrize("name", list(ENGINES))
async def test_the_phonemes_of_each_voice_move_the_lips(name: str, tmp_path: Path) -> None:
    spoken, text, language = await spoken_by(name)
    what = clause(text, language)
    phones = [(p.start / spoken.rate, p.end / spoken.rate, p.ipa) for p in spoken.phones]
    paper, _ = await perform(tmp_path / "known", [(what, spoken.chunks)])
    deaf, _ = await perform(tmp_path / "heard", [(what, mute(spoken))])
    truth = reference([*phones, (phones[-1][1], 10.0, "")], len(paper.poses))

    def fits(mouths: np.ndarray) -> float:
        return float(np.corrcoef(aperture(mouths), aperture(truth))[0, 1])

    assert fits(paper.mouths) > 0.95
    assert fits(deaf.mouths) < fits(paper.mouths) - 0.02  # the sound alone does not tell as much
    closures = [p for p in phones if "P" in classes(p[2])]
    assert len(closures) >= (6 if language == "en" else 4)
    for start, end, ipa in closures:
        least = aperture(paper.mouths)[int(start / 0.04) : int(np.ceil(end / 0.04))].min()
        assert least < 0.15, f"the lips of {ipa} at {start:.2f} s stay open"


async def test_numerals_move_the_lips_as_the_words_they_are_read_as(tmp_path: Path) -> None:
    tts = await espeak()
    try:
        spoken = await say(tts, "Call 555-0199 at 10:30, or pay €1,234.50 by 4/7.")
    finally:
        await tts.close()
    phones = [(p.start / spoken.rate, p.end / spoken.rate, p.ipa) for p in spoken.phones]
    paper, counts = await perform(tmp_path, [(clause("numbers"), spoken.chunks)])
    truth = reference([*phones, (phones[-1][1], 60.0, "")], counts[0])
    assert sum(end - start for start, end, ipa in phones if ipa) > 4
    assert np.corrcoef(aperture(paper.mouths), aperture(truth))[0, 1] > 0.95


async def test_voices_with_and_without_phonemes_take_turns_without_a_jump(tmp_path: Path) -> None:
    """Known, unknown, known: at the borders the mouth moves no more than it does inside of either source."""
    spoken, text, language = await spoken_by("espeak")
    turns = [
        (Clause(text, index, "turn", language), chunks)
        for index, chunks in enumerate((spoken.chunks, mute(spoken), spoken.chunks, mute(spoken)))
    ]
    paper, counts = await perform(tmp_path / "turns", turns)
    alone = [(await perform(tmp_path / str(i), [turn]))[0].mouths for i, turn in enumerate(turns[:2])]
    most = max(steps(mouths).max() for mouths in alone)
    borders = np.cumsum(counts)[:-1]
    for border in borders:
        assert steps(paper.mouths[border - 4 : border + 4]).max() <= most + 0.02
    # Each source has its say: known clauses alike, heard ones alike, and the two not the same.
    parts = np.split(aperture(paper.mouths), borders)
    assert np.corrcoef(parts[0], parts[2])[0, 1] > 0.98
    assert np.corrcoef(parts[1], parts[3])[0, 1] > 0.9
    assert np.abs(parts[0] - parts[1]).mean() > 3 * np.abs(parts[0] - parts[2]).mean()


async def test_phonemes_that_stop_in_a_clause_hand_over_to_the_sound(tmp_path: Path) -> None:
    """The marks of a clause's middle are lost: no jump where they stop, none where they begin again."""
    spoken, text, language = await spoken_by("espeak")
    third = len(spoken.pcm) // 3
    gap = [replace(c, phones=tuple(p for p in c.phones if not third <= p.start < 2 * third)) for c in spoken.chunks]
    what = clause(text, language)
    paper, _ = await perform(tmp_path / "gap", [(what, gap)])
    known, _ = await perform(tmp_path / "known", [(what, spoken.chunks)])
    heard, _ = await perform(tmp_path / "heard", [(what, mute(spoken))])
    most = max(steps(m.mouths).max() for m in (known, heard))
    assert steps(paper.mouths).max() <= most + 0.02
    begin = third * 25 // spoken.rate
    np.testing.assert_allclose(paper.mouths[: begin - 6], known.mouths[: begin - 6], atol=0.01)
