"""A clause that was spoken before moves as it did then, without being listened to again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from avatar.face.motions import Motions
from avatar.face.puppet import PuppetPerformance
from avatar.face.stage import Stage
from avatar.tunables import Tunables
from avatar.types import AudioChunk, Choice, Clause, Pcm
from puppet.actor import Actor
from puppet.coefficients import MOUTH
from tests.hear.sounds import clip


def mouths(actor: Actor, sound: Pcm, step: int) -> list[list[float]]:
    poses = [pose for at in range(0, len(sound), step) for pose in actor.feed(sound[at : at + step])]
    return [[getattr(pose, name) for name in MOUTH] for pose in [*poses, *actor.finish()]]


def test_recited_lips_are_the_same_for_any_chunking() -> None:
    sound = clip("hello")
    first = Actor(1)
    heard = mouths(first, sound, 5000)
    for step in (640, 1777, len(sound)):
        again = Actor(2)
        again.recite(first.spoken)
        assert mouths(again, sound, step) == heard
        assert len(heard) == -(-len(sound) // 640)
        assert len(mouths(again, clip("yes"), 640)) == -(-len(clip("yes")) // 640), "the next speech is listened to"


def test_a_cut_ends_the_recital() -> None:
    actor = Actor(1)
    mouths(actor, clip("hello"), 4000)
    lips = actor.spoken
    actor.recite(lips)
    actor.feed(clip("hello")[:6400])
    actor.cut(actor.made - 3)
    assert [pose.jaw for pose in [actor.idle() for _ in range(10)]][-1] == 0
    assert len(mouths(actor, clip("yes"), 640)) == -(-len(clip("yes")) // 640)


def test_the_memory_is_bounded_and_knows_its_sound() -> None:
    motions = Motions(max_clauses=3, max_frames=80)
    sounds = [np.zeros(5, np.int16) for _ in range(5)]
    for sound in sounds:
        motions.keep("puppet", sound, [0] * 10)
    assert [motions.recall("puppet", sound) is not None for sound in sounds] == [False, False, True, True, True]
    assert motions.recall("puppet", sounds[4].copy()) is None and motions.recall("ditto", sounds[4]) is None
    motions.keep("puppet", np.zeros(5, np.int16), [0] * 11)
    assert motions.frames == 30, "a long clause is not kept: it would drive out many short ones"


def test_the_stage_recalls_what_the_voice_had_in_memory(monkeypatch: object) -> None:
    import puppet

    rig = puppet.load_rig("default")

    class Face:
        choice = Choice("face", "puppet", "for the test")
        rate = 16_000
        ignores: frozenset[str] = frozenset()

        def perform(self, rig: object, tunables: Tunables, seed: int) -> PuppetPerformance:
            return PuppetPerformance(rig, tunables, seed)  # type: ignore[arg-type]

    chunks = [AudioChunk(clip("yes"), 16_000, 0)]

    async def sound() -> AsyncIterator[AudioChunk]:
        for chunk in chunks:
            yield chunk

    async def run() -> list[int]:
        motions = Motions()
        recalled: list[int] = []
        with ThreadPoolExecutor(1) as pool:
            stage = Stage(Face(), rig, Tunables(frame_scale=0.1), 1, pool, motions=motions)  # type: ignore[arg-type]
            for turn in range(3):
                said = Clause("yes", 0, str(turn))
                slices = [p async for p in stage.perform(said, sound(), on_recall=lambda: recalled.append(1))]
                assert len(slices) == -(-len(clip("yes")) // 640)
            assert (motions.hits, motions.misses) == (2, 1)
        return recalled

    assert asyncio.run(run()) == [1, 1]
