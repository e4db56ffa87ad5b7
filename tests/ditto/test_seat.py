"""The neural face in the service: the seam, a real session over WebRTC, a device that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestServer

from tests.absent import needs

needs("torch")

from avatar.errors import EngineError, Invalid
from avatar.face import engines as face_engines
from avatar.face.avatars import AvatarStore
from avatar.face.ditto import DittoFace, manner_of
from avatar.serve.app import build
from avatar.serve.state import STATE
from avatar.settings import Settings
from avatar.tunables import Tunables, update
from ditto.controls import PRESETS
from ditto.engine import Engine
from ditto.errors import DeviceLost, OutOfMemory
from tests.serve.conftest import WHISPER, Service

from .stubs import voice
from .tiny import DrawnRenderer, MiddleFinder, networks


def tiny_engine(settings: Any = None) -> Engine:
    return Engine(networks(), MiddleFinder())


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[DittoFace]:
    made = DittoFace(AvatarStore(tmp_path / "avatars", tmp_path), "asked for", tiny_engine)
    await made.warm()
    yield made
    await made.close()


def pcm(samples: int) -> Any:
    return (voice(samples) * 20000).astype(np.int16)


async def test_the_neural_face_keeps_the_promises_of_the_seam(face: DittoFace) -> None:
    rig = await face.rig("default")
    assert rig is await face.rig("default") and (rig.width, rig.height) == (1024, 1024)
    actor = face.perform(rig, Tunables(frame_scale=0.125), seed=1)
    serials: list[int] = []

    def work() -> None:
        for samples in (0, 1, 640, 3203, 12 * 640):
            sound = pcm(samples)
            frames = [f for i in range(0, samples, 501) for f in actor.feed(sound[i : i + 501])] + actor.finish()
            assert len(frames) == -(-samples // 640)
            serials.extend(f.serial for f in frames)
            serials.append(actor.idle().serial)
        actor.feed(pcm(20_000))
        actor.cut(serials[-1])
        after = actor.idle()
        assert after.i420 is not None and after.i420.shape == (192, 128) and after.serial > serials[-1]
        actor.tune(
            Tunables(frame_scale=0.25, sampling_timesteps=3, preset="lively", gaze_x=5.0, chunk_config=(2, 3, 2))
        )
        assert actor.idle().i420.shape == (384, 256)  # type: ignore[union-attr]
        assert len(actor.feed(pcm(6400)) + actor.finish()) == 10
        actor.close()

    await asyncio.to_thread(work)
    assert serials == sorted(set(serials))


async def test_everything_that_is_live_changes_within_a_speech(face: DittoFace) -> None:
    """Chunks, steps, size and manner told between two pieces of one speech: every frame comes, in its place."""
    rig = await face.rig("default")
    started = Tunables(frame_scale=0.125, chunk_config=(5, 10, 3), sampling_timesteps=2)
    actor = face.perform(rig, started, seed=1)

    def work() -> None:
        frames = actor.feed(pcm(20_000))
        changed = replace(started, frame_scale=0.25, chunk_config=(2, 3, 2), sampling_timesteps=3, head_yaw=9.0)
        actor.tune(changed)
        before = len(frames)
        frames += actor.feed(pcm(12_000))
        state = actor._acting.state  # type: ignore[attr-defined]
        assert (state.speech.pace.chunks.current, state.steps) == (3, 3) and state.past[-1].manner.head_yaw > 0
        frames += actor.finish()
        assert [f.serial for f in frames] == list(range(50))
        sizes = [f.i420.shape for f in frames]
        assert sizes == [(192, 128)] * before + [(384, 256)] * (50 - before) and 0 < before < 50

    await asyncio.to_thread(work)
    actor.close()


def test_what_is_set_wins_over_a_preset_whenever_either_was_set() -> None:
    def carried(*changes: dict[str, Any]) -> dict[str, Any]:
        tunables = Tunables()
        for change in changes:
            tunables = update(tunables, change)
        return asdict(manner_of(tunables))

    lively, calm = asdict(PRESETS["lively"]), asdict(PRESETS["calm"])
    assert carried({"preset": "lively"}) == lively
    # Set together, before and after; also at the value that is nobody's default but the table's.
    own = {"intensity": 1.0, "emotion": "neutral", "blink_rate": 15.0}
    for order in ([own | {"preset": "lively"}], [own, {"preset": "lively"}], [{"preset": "lively"}, own]):
        assert carried(*order) == lively | own
    # A preset that comes later replaces the earlier one's values and no others.
    assert carried({"preset": "lively"}, {"gaze_x": 4.0}, {"preset": "calm"}) == calm | {"gaze_x": 4.0}
    assert carried({"preset": "lively"}, own, {"preset": "natural"}) == asdict(PRESETS["natural"]) | own
    # And null gives a value back.
    assert carried(own | {"preset": "lively"}, dict.fromkeys(own)) == lively


@pytest.mark.parametrize("config", [(1, 1, 1), (10, 20, 10)])
async def test_chunks_that_it_cannot_do_are_refused_by_name(face: DittoFace, config: tuple[int, int, int]) -> None:
    with pytest.raises(Invalid, match="5 to 20") as caught:
        face.check(Tunables(chunk_config=config))
    assert caught.value.field == "chunk_config"


async def test_a_lost_device_hands_over_to_the_puppet(face: DittoFace) -> None:
    rig = await face.rig("default")
    one, two = (face.perform(rig, Tunables(frame_scale=0.125), seed=s) for s in (1, 2))
    before = await asyncio.to_thread(one.idle)
    renderer = face.engine.networks.renderer
    assert isinstance(renderer, DrawnRenderer)
    renderer.fault = DeviceLost("CUDA error: an illegal memory access was encountered")

    def work() -> None:
        with pytest.raises(EngineError, match="puppet"):
            for _ in range(10):
                one.feed(pcm(3200))
        one.cut(before.serial)
        for p in (one, two):
            frames = p.feed(pcm(3200)) + p.finish()
            assert len(frames) == 5 and all(f.i420 is not None for f in frames)
        assert one.idle().serial > before.serial

    await asyncio.to_thread(work)
    assert face.lost and face.choice.name == "puppet" and "device" in face.choice.why
    assert "sampling_timesteps" in face.ignores
    third = face.perform(await face.rig("amara"), Tunables(frame_scale=0.125), seed=3)
    assert (await asyncio.to_thread(third.idle)).i420 is not None


async def test_no_memory_for_a_portrait_refuses_that_session_alone(face: DittoFace) -> None:
    rig = await face.rig("default")
    actor = face.perform(rig, Tunables(frame_scale=0.125), seed=1)
    renderer: Any = face.engine.networks.renderer
    prepare = renderer.prepare

    def full(look: Any) -> Any:
        raise OutOfMemory("The device has no room for one more avatar.")

    renderer.prepare = full
    with pytest.raises(Exception, match="no room") as caught:
        await face.rig("ren")
    assert getattr(caught.value, "status", 0) == 503
    renderer.prepare = prepare
    assert (await asyncio.to_thread(actor.idle)).i420 is not None
    assert (await face.rig("ren")).width == 1024


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    for name in ("cfg.pkl", "data"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(face_engines, "load_engine", tiny_engine)
    monkeypatch.setattr(face_engines, "ditto_missing", lambda *_: "")
    settings = Settings(
        face="ditto",
        cfg_pkl=str(tmp_path / "cfg.pkl"),
        data_root=str(tmp_path / "data"),
        stt=f"whisper:{WHISPER}",
        tts="flite",
        llm="responder",
        data_dir=tmp_path,
        max_sessions=4,
    )
    app = build(settings)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Service(str(server.make_url("")).rstrip("/"), http, app[STATE])


@pytest.mark.timeout(180)
async def test_a_conversation_with_the_neural_face(service: Service) -> None:
    await service.ready()
    status, config = await service.ask("GET", "/config")
    assert status == 200 and config["engines"]["face"]["name"] == "ditto" and config["ignored"] == []
    async with service.call(mode="speak", frame_scale=0.125, chunk_config=[2, 3, 2], preset="warm") as call:
        status, body = await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Hello there, how are you?"})
        assert status == 202
        for changes in ({"sampling_timesteps": 2}, {"frame_scale": 0.25}, {"gaze_x": 4.5, "preset": "lively"}):
            status, _ = await service.ask("PATCH", f"/sessions/{call.id}", json=changes)
            assert status == 200
        status, refused = await service.ask("PATCH", f"/sessions/{call.id}", json={"chunk_config": [1, 1, 1]})
        assert status == 422 and refused["error"]["field"] == "chunk_config"

        async def turn() -> Any:
            while True:
                _, seen = await service.ask("GET", f"/sessions/{call.id}")
                if seen["turns"] and seen["state"] != "speaking":
                    return seen
                await asyncio.sleep(0.1)

        seen = await asyncio.wait_for(turn(), 60)
        assert seen["turns"][-1]["turn_id"] == body["turn_id"] and not seen["turns"][-1].get("error")
        assert "face_first_frame" in seen["turns"][-1]
        status, _ = await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "A long one. " * 20})
        await asyncio.sleep(1.0)
        status, stopped = await service.ask("POST", f"/sessions/{call.id}/interrupt")
        assert status == 200 and "heard_s" in stopped
    assert service.state.engines.face.choice.name == "ditto"
