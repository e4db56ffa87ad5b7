"""Many sessions through one batcher with real networks of the tiny width: HuBERT, diffusion, warp and decoder.

One session is killed while a clip of it is being made. Nothing of that may be seen by the others: their pictures are
those of a run in which nobody is killed. Batches are then put together otherwise, and a sum's last bit may fall
otherwise with them, which a picture shows as a level or two; the short test asserts that the pictures of another
session are far beyond that.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.absent import needs

needs("torch")
needs("onnx")

from ditto.audio.encoders import TransformersEncoder
from ditto.batcher import Left
from ditto.checkpoints import open_checkpoint
from ditto.config import read_config, write_config
from ditto.engine import Engine
from ditto.load import networks
from ditto.performance import Performance

from .stubs import voice
from .tiny import MiddleFinder, portrait

LEVELS = 2
"""Of 255, that a rounding may make in a picture."""
DRAWN = 4
"""One frame in so many is drawn: drawing is what takes the time."""


@pytest.fixture(scope="module")
def engine(tiny_pytorch: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    from transformers import HubertConfig, HubertModel

    out = tmp_path_factory.mktemp("eight")
    root = out / "ditto_pytorch"
    shutil.copytree(tiny_pytorch[1], root, copy_function=lambda a, b: Path(b).symlink_to(a))
    small: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 16}
    convolved: dict[str, Any] = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 4}
    HubertModel(HubertConfig(hidden_size=1024, **small, **convolved)).save_pretrained(root / "aux_models/hubert")
    config = read_config(tiny_pytorch[0])
    base = {**config.base_cfg, "hubert_cfg": {"model_path": "aux_models/hubert"}}
    write_config(out / "own.pkl", replace(config, base_cfg=base))
    loaded = networks(open_checkpoint(out / "own.pkl", root), "cpu")
    assert isinstance(loaded.encoder, TransformersEncoder)
    made = Engine(loaded, MiddleFinder())
    made.warm()
    yield made
    made.close()


class Speaker:
    """Speaks without a pause, in a thread; keeps what was drawn."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.performance: Performance = engine.perform(engine.rig([portrait()]), seed, steps=2, scale=0.25)
        self.performance.wants = lambda serial: serial % DRAWN == 0
        self.sound_seed = seed
        self.made = 0
        self.pictures: dict[int, Any] = {}
        self.left = False
        self.thread = threading.Thread(target=self._run)
        self.stop = threading.Event()
        self.most = 1 << 40
        self.sound = voice(16_000, seed)

    def _run(self) -> None:
        try:
            while not self.stop.is_set() and self.made < self.most:
                for at in range(0, len(self.sound), 3200):
                    self._keep(self.performance.feed(self.sound[at : at + 3200]))
                self._keep(self.performance.finish())
        except Left:
            self.left = True

    def _keep(self, pictures: Any) -> None:
        self.made += len(pictures)
        self.pictures |= {p.serial: p.i420.astype(np.int16) for p in pictures if p.i420 is not None}


def killed_in_a_clip(engine: Engine, victim: Speaker, monkeypatch: pytest.MonkeyPatch, clip: int) -> threading.Event:
    """Ends a session while its clip of that number is being made in the batcher's thread."""
    run, done, seen = engine.batcher._run, threading.Event(), 0

    def watched(tasks: Any) -> None:
        nonlocal seen
        seen += any(task.session == victim.performance._session and task.kind == "move" for task in tasks)
        if seen == clip and not done.is_set():
            killer = threading.Thread(target=victim.performance.close)
            killer.start()
            killer.join(60)
            done.set()
        run(tasks)

    monkeypatch.setattr(engine.batcher, "_run", watched)
    return done


def together(engine: Engine, seeds: range, most: int) -> list[Speaker]:
    speakers = [Speaker(engine, seed) for seed in seeds]
    for speaker in speakers:
        speaker.most = most
    return speakers


def finished(speakers: list[Speaker], patience_s: float = 300.0) -> None:
    for speaker in speakers:
        speaker.thread.join(patience_s)
        assert not speaker.thread.is_alive()
        speaker.performance.close()


def off(one: Speaker, other: Speaker) -> Any:
    """Greatest difference of any pixel, picture by picture of those that both have."""
    both = sorted(set(one.pictures) & set(other.pictures))
    assert both
    return np.array([np.abs(one.pictures[n] - other.pictures[n]).max() for n in both])


@pytest.mark.timeout(600)
def test_a_session_that_is_killed_in_a_clip_leaves_no_trace_on_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for kill in (False, True):
        speakers = together(engine, range(4), 25)
        with monkeypatch.context() as patched:
            done = killed_in_a_clip(engine, speakers[3], patched, 2) if kill else None
            for speaker in speakers:
                speaker.thread.start()
            finished(speakers)
            assert done is None or done.is_set()
        assert speakers[3].left is kill and engine.batcher.lost is None and not engine.batcher._tasks
        runs.append(speakers)
    calm, disturbed = runs
    assert disturbed[3].made < calm[3].made
    for before, after in zip(calm[:3], disturbed[:3], strict=True):
        assert after.made == before.made == 25 and set(after.pictures) == set(before.pictures)
        assert off(before, after).max() <= LEVELS
    # What another session draws is no rounding: a trace would show.
    assert off(calm[0], calm[1])[1:].min() > 10 * LEVELS


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_eight_sessions_share_one_device_fairly_for_a_minute(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speakers = together(engine, range(8), 1 << 40)
    done = killed_in_a_clip(engine, speakers[7], monkeypatch, 20)
    began = time.monotonic()
    for speaker in speakers:
        speaker.thread.start()
    while time.monotonic() < began + 60 or max(s.made for s in speakers) < 400:
        time.sleep(0.02)
    counts = [speaker.made for speaker in speakers]
    took = time.monotonic() - began
    for speaker in speakers:
        speaker.stop.set()
    finished(speakers)
    assert done.is_set() and speakers[7].left and engine.batcher.lost is None and not engine.batcher._tasks
    alive = counts[:7]
    unfair = (max(alive) - min(alive)) / max(alive)
    worst = 0
    for speaker in speakers[:7]:
        (alone,) = together(engine, range(speaker.sound_seed, speaker.sound_seed + 1), min(speaker.made, 400))
        alone.thread.start()
        finished([alone])
        worst = max(worst, int(off(speaker, alone).max()))
    with capsys.disabled():
        sys.stdout.write(f"\n{took:.0f} s, frames {counts}, unfair by {unfair:.1%}, at most {worst} levels off\n")
    assert unfair <= 0.05 and worst <= LEVELS
