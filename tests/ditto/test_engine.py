"""The whole face on a CPU: rigs, performances, many sessions through one batcher, faults."""

from __future__ import annotations

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

from ditto.batcher import Batcher, Kind, Left
from ditto.engine import Engine
from ditto.errors import DeviceLost, OutOfMemory
from ditto.performance import Performance
from ditto.pictures import PictureCache

from .stubs import voice
from .tiny import DrawnRenderer, MiddleFinder, networks, portrait


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(networks(), MiddleFinder(), tmp_path)
    made.warm()
    yield made
    made.close()


def renderer(engine: Engine) -> DrawnRenderer:
    found = engine.networks.renderer
    assert isinstance(found, DrawnRenderer)
    return found


def pictures(performance: Performance, sound: Any) -> list[Any]:
    out = []
    for at in range(0, len(sound), 2560):
        out += performance.feed(sound[at : at + 2560])
    return out + performance.finish()


def test_a_performance_draws_every_frame(engine: Engine) -> None:
    rig = engine.rig([portrait()])
    assert (rig.width, rig.height) == (200, 240)
    p = engine.perform(rig, 1, scale=0.5)
    made = pictures(p, voice(9_000)) + [p.idle() for _ in range(5)]
    assert [m.serial for m in made] == list(range(15 + 5))
    assert {m.i420.shape for m in made} == {(180, 100)}
    p.resize(1.0)
    assert p.idle().i420.shape == (360, 200)  # type: ignore[union-attr]
    p.close()
    p.close()
    with pytest.raises(Left):
        p.feed(voice(9_000))


def test_a_video_is_played_to_and_fro(engine: Engine) -> None:
    rig = engine.rig([portrait(), portrait()[::-1].copy(), portrait()[:, ::-1].copy()])
    assert len(rig.looks) == 3
    p = engine.perform(rig, 1)
    made = pictures(p, voice(12_000))
    assert len(made) == 19


def test_a_rig_is_kept_on_disk_and_a_damaged_file_costs_nothing(engine: Engine, tmp_path: Path) -> None:
    first = engine.register([portrait()])
    (stored,) = tmp_path.glob("*.npz")
    again = engine.register([portrait()])
    np.testing.assert_array_equal(first.source.kp, again.source.kp)
    assert again.box == first.box and again.source is not first.source
    stored.write_bytes(stored.read_bytes()[:1000])
    assert engine.register([portrait()]).faces == 1


@pytest.mark.parametrize("frames", [1, 3])
def test_a_session_that_listens_costs_next_to_nothing(engine: Engine, frames: int) -> None:
    """Warps and decodes of a minute: 1,500 for who speaks; for who listens the loop once, and then none at all."""
    rig = engine.rig([np.roll(portrait(), k, axis=1) for k in range(frames)])
    drawn = []
    for seed in (1, 2):
        p = engine.perform(rig, seed, scale=0.1)
        for _ in range(2):
            before = renderer(engine).rendered
            seen = [p.idle() for _ in range(1500)]
            drawn.append(renderer(engine).rendered - before)
            assert all(picture.i420 is not None for picture in seen)
    assert 240 <= drawn[0] < 360
    assert sum(drawn[1:]) < 0.03 * 1500 * 3, "pictures of blinks that the first session did not have"


def test_an_idle_picture_of_the_cache_is_what_would_be_drawn(engine: Engine) -> None:
    rig = engine.rig([portrait()])
    one, two = (engine.perform(rig, 1, scale=0.5) for _ in range(2))
    for _ in range(300):
        one.idle()
    drawn = renderer(engine).rendered
    kept = [two.idle().i420 for _ in range(300)]
    assert renderer(engine).rendered == drawn
    anew = engine.perform(replace(rig, loops=None), 1, scale=0.5)
    for picture in kept:
        np.testing.assert_array_equal(picture, anew.idle().i420)


def test_from_kept_pictures_into_speech_and_back_nothing_jumps(engine: Engine) -> None:
    rig = engine.rig([portrait()])
    p = engine.perform(rig, 1, scale=0.1)
    for _ in range(3000):
        p.idle()
    poses: list[Any] = []
    draw = rig.persona.draw

    def noted(*told: Any) -> Any:
        poses.append(draw(*told).x_d)
        return draw(*told)

    rig.persona.draw = noted  # type: ignore[method-assign]
    before = renderer(engine).rendered
    made = [p.idle() for _ in range(40)]
    assert renderer(engine).rendered == before, "all of them kept"
    made += pictures(p, voice(20_000))
    made += [p.idle() for _ in range(60)]
    assert [m.serial for m in made] == list(range(3000, 3000 + len(made)))
    steps = np.abs(np.diff(np.stack(poses), axis=0)).max(axis=(1, 2))
    speech = steps[40 : 40 + 31]
    assert max(steps[38:42].max(), steps[69:90].max()) <= speech.max() * 1.01


def test_what_there_is_no_room_for_is_drawn_less_often(tmp_path: Path) -> None:
    """And what is kept stays: loops that are too many do not push each other out."""
    made = Engine(networks(), MiddleFinder(), tmp_path, PictureCache(most=60 * 24 * 20 * 3 // 2))
    made.warm()
    p = made.perform(made.rig([portrait()]), 1, scale=0.1)
    for _ in range(500):
        p.idle()
    before = renderer(made).rendered
    seen = [p.idle() for _ in range(240)]
    assert 40 <= renderer(made).rendered - before <= 80
    changed = [i for i, picture in enumerate(seen) if picture.i420 is not None]
    assert max(np.diff(changed)) <= 3
    made.close()


def test_a_full_cache_makes_room_only_where_nobody_looks() -> None:
    now = [0.0]
    cache = PictureCache(most=300, clock=lambda: now[0])
    assert all(cache.put(k, np.zeros((10, 10), np.uint8)) for k in "abc")
    now[0] = 20.0
    assert cache.get("a") is not None and not cache.put("d", np.zeros((10, 10), np.uint8))
    now[0] = 35.0
    assert cache.put("d", np.zeros((10, 10), np.uint8)) and cache.get("b") is None and cache.get("a") is not None
    assert not cache.put("large", np.zeros((20, 20), np.uint8))


def test_frames_that_are_not_wanted_are_not_drawn(engine: Engine) -> None:
    p = engine.perform(engine.rig([portrait()]), 1)
    p.wants = lambda serial: serial % 5 == 0
    made = pictures(p, voice(16_000))
    assert [m.serial for m in made if m.i420 is not None] == [0, 5, 10, 15, 20]
    p.cut(12)
    assert p.idle().i420 is not None


def test_a_cut_goes_back_to_what_was_shown_or_to_the_beginning(engine: Engine) -> None:
    rig = engine.rig([portrait()])
    p = engine.perform(rig, 1, scale=0.1)
    p.feed(voice(16_000))
    p.cut(-1)
    assert not p.state.past and p.idle().i420 is not None
    for _ in range(400):
        p.idle()
    p.cut(3)  # longer ago than is kept
    assert len(p.state.past) == 1 and p.idle().i420 is not None


def test_two_sessions_that_share_the_device_see_nothing_of_each_other(engine: Engine) -> None:
    rig, sound = engine.rig([portrait()]), voice(12_000)
    alone = pictures(engine.perform(rig, 5), sound)
    out: dict[int, list[Any]] = {}

    def run(seed: int) -> None:
        out[seed] = pictures(engine.perform(rig, seed), voice(12_000, 0 if seed == 5 else seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (5, 6, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close = [np.abs(a.i420.astype(int) - b.i420.astype(int)).mean() for a, b in zip(alone, out[5], strict=True)]
    assert max(close) < 0.5


def test_out_of_memory_refuses_one_and_the_others_live_on(engine: Engine) -> None:
    rig = engine.rig([portrait()])
    p = engine.perform(rig, 1)
    pictures(p, voice(5_000))
    renderer(engine).fault = OutOfMemory("There is no room on the device.")
    with pytest.raises(OutOfMemory):
        pictures(engine.perform(rig, 2), voice(9_000))
    renderer(engine).fault = None
    assert len(pictures(p, voice(9_000))) == 15
    assert engine.batcher.lost is None


def test_a_lost_device_is_told_to_everyone(engine: Engine) -> None:
    rig = engine.rig([portrait()])
    one, two = engine.perform(rig, 1), engine.perform(rig, 2)
    renderer(engine).fault = DeviceLost("The device stopped answering.")
    for p in (one, two):
        with pytest.raises(DeviceLost):
            pictures(p, voice(9_000))
    assert engine.batcher.lost is not None


# ---- the batcher by itself


class Gate:
    """Work that waits until it is let go, and tells what it was given."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.batches: list[list[Any]] = []

    def run(self, items: Any) -> list[Any]:
        self.open.wait(30)
        self.batches.append(list(items))
        return list(items)


def ask(batcher: Batcher, session: int, items: list[Any], due: float) -> tuple[threading.Thread, list[Any]]:
    out: list[Any] = []

    def run() -> None:
        try:
            out.extend(batcher.submit(session, "do", items, None, [due] * len(items)))
        except Exception as error:
            out.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, out


def waiting(batcher: Batcher, count: int) -> None:
    for _ in range(3000):
        if len(batcher._tasks) >= count:
            return
        time.sleep(0.005)
    raise AssertionError("the work never arrived")


def test_what_is_due_first_goes_first_and_shares_a_batch() -> None:
    gate = Gate()
    batcher = Batcher({"do": Kind(gate.run, 3)})
    for session in range(5):
        batcher.join(session)
    asked = [ask(batcher, 4, ["first"], 0.0)]
    for _ in range(3000):
        if not batcher._tasks and batcher._order == 1:
            break
        time.sleep(0.005)
    asked += [ask(batcher, s, [s], due) for s, due in ((0, 900.0), (1, 100.0), (2, 500.0), (3, 300.0))]
    waiting(batcher, 4)
    gate.open.set()
    for thread, _ in asked:
        thread.join(30)
    assert gate.batches == [["first"], [1, 3, 2], [0]]
    assert [out for _, out in asked] == [["first"], [0], [1], [2], [3]]
    batcher.close()


def test_a_session_that_leaves_takes_its_work_along_and_nothing_else() -> None:
    gate = Gate()
    batcher = Batcher({"do": Kind(gate.run, 8)})
    for session in (1, 2):
        batcher.join(session)
    running = ask(batcher, 1, ["running"], 0.0)
    while batcher._tasks or not batcher._order:
        time.sleep(0.005)
    left, stays = ask(batcher, 1, ["a", "b"], 1.0), ask(batcher, 2, ["c"], 1.0)
    waiting(batcher, 3)
    batcher.leave(1)
    gate.open.set()
    for thread, _ in (running, left, stays):
        thread.join(30)
    assert gate.batches == [["running"], ["c"]]
    assert isinstance(left[1][0], Left) and stays[1] == ["c"]
    with pytest.raises(Left):
        batcher.submit(1, "do", ["d"], None, [0.0])
    batcher.close()


def test_a_batch_that_does_not_fit_is_made_smaller_for_good() -> None:
    sizes = []

    def run(items: Any) -> list[Any]:
        sizes.append(len(items))
        if len(items) > 2:
            raise OutOfMemory("no room")
        return list(items)

    batcher = Batcher({"do": Kind(run, 8)})
    batcher.join(1)
    for _ in range(2):
        assert batcher.submit(1, "do", list(range(8)), None, [0.0] * 8) == list(range(8))
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 2, 2, 2, 2] or max(sizes[-4:]) == 2
    batcher.close()


def test_a_faulty_piece_fails_alone() -> None:
    def run(items: Any) -> list[Any]:
        if "bad" in items:
            raise ValueError("bad")
        return list(items)

    gate = Gate()

    def gated(items: Any) -> list[Any]:
        gate.open.wait(30)
        return run(items)

    batcher = Batcher({"do": Kind(gated, 8)})
    for session in (1, 2):
        batcher.join(session)
    good, bad = ask(batcher, 1, ["x", "y"], 0.0), ask(batcher, 2, ["bad"], 0.0)
    gate.open.set()
    good[0].join(30)
    bad[0].join(30)
    assert good[1] == ["x", "y"] and isinstance(bad[1][0], ValueError)
    batcher.close()
