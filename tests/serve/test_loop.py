"""The whole loop over real WebRTC: text in, speech and pictures out, interruption, the data channel, the end."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from typing import Any

import av
import cv2
import numpy as np
import pytest

from avatar.greeting import GREETINGS, greeting
from avatar.play.receive import ClientPeer
from tests.serve.conftest import Call, Service, serving

SPEECH = "This is a rather long sentence, which gives everybody enough time to say stop before it ends."


async def test_a_typed_line_is_answered_aloud_with_captions(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        call.send("client-ready", {"version": "2.1.0"}, "ready-1")
        ready = await call.until(lambda: [f for f in call.frames if f["type"] == "bot-ready"])
        assert ready[0]["id"] == "ready-1" and ready[0]["data"]["version"].startswith("2.")
        assert set(ready[0]["data"]["about"]["media"]) == {"audio_rtp", "video_rtp"}
        call.send("send-text", {"content": "Hello there"})
        turn = (await call.until(lambda: call.ours("turn")))[0]
        assert turn["user_text"] == "Hello there" and turn["reply_text"] and turn["heard_text"] == turn["reply_text"]
        await call.until(lambda: call.ours("state")[-1]["state"] == "idle")
        assert [state["state"] for state in call.ours("state")][-3:] == ["thinking", "speaking", "idle"]
        captions = call.ours("caption")
        assert " ".join(c["text"] for c in captions) == turn["reply_text"]
        assert all(a["end_s"] <= b["start_s"] + 0.2 for a, b in itertools.pairwise(captions))
        kinds = call.types()
        order = ["user-transcription", "bot-llm-text", "bot-started-speaking", "bot-tts-text", "bot-stopped-speaking"]
        positions = [kinds.index(kind) for kind in order]
        assert positions == sorted(positions)
        stages = [turn[name] for name in ("llm_first_token", "first_clause", "tts_first_audio", "first_sent")]
        assert stages == sorted(stages) and turn["endpoint"] is None
        assert (turn["engines"]["face"], turn["engines"]["llm"]) == ("pattern", "responder")
        assert turn["engines"]["tts"].startswith("espeak")


async def loudness(peer: ClientPeer, seconds: float) -> list[tuple[float, int]]:
    """Arrival time and peak of each received packet of sound for a while."""
    heard: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    async for sound in peer.sounds():
        heard.append((time.monotonic(), int(np.abs(sound.pcm.astype(int)).max())))
        if time.monotonic() > end:
            break
    return heard


async def test_what_is_said_is_heard_and_seen(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        listening = asyncio.create_task(loudness(call.peer, 4.0))
        status, body = await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "One two three."})
        assert status == 202
        turn = (await call.until(lambda: call.ours("turn")))[0]
        assert turn["turn_id"] == body["turn_id"] and turn["kind"] == "say"
        heard = await listening
        assert max(peak for _, peak in heard) > 3000
        bright = [int(p.i420[: p.i420.shape[0] * 2 // 3].mean()) async for p in _some(call.peer, 50)]
        assert len(bright) == 50
        status, snapshot = await service.ask("GET", f"/sessions/{call.id}")
        assert snapshot["turns"][0]["turn_id"] == body["turn_id"]
        assert snapshot["transport"]["codec"] == "vp9"
        assert snapshot["playout"]["starved"] == 0


async def _some(peer: ClientPeer, count: int) -> Any:
    async for picture in peer.pictures():
        yield picture
        count -= 1
        if not count:
            return


async def test_interrupting_stops_at_once_and_says_what_was_heard(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": SPEECH})
        await call.until(lambda: call.ours("caption"))
        await asyncio.sleep(1.2)
        status, done = await service.ask("POST", f"/sessions/{call.id}/interrupt")
        assert status == 200 and SPEECH.startswith(done["heard_text"]) and 0 < len(done["heard_text"]) < len(SPEECH)
        assert 0.8 < done["heard_s"] < 3
        event = (await call.until(lambda: call.ours("interrupted")))[0]
        assert event["heard_text"] == done["heard_text"] and event["stop_ms"] < 100
        turn = (await call.until(lambda: call.ours("turn")))[0]
        assert turn["interrupted"] is True and turn["heard_text"] == done["heard_text"]
        await asyncio.sleep(0.3)
        quiet = (await loudness(call.peer, 1.0))[-30:]
        assert max(peak for _, peak in quiet) < 200
        assert "bot-stopped-speaking" in call.types()
        status, again = await service.ask("POST", f"/sessions/{call.id}/interrupt")
        assert again == {"turn_id": None, "heard_text": "", "heard_s": 0.0}


async def test_a_new_say_replaces_or_waits(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        path = f"/sessions/{call.id}/say"
        await service.ask("POST", path, json={"text": SPEECH})
        await call.until(lambda: call.ours("caption"))
        await service.ask("POST", path, json={"text": "First.", "interrupt": True})
        await service.ask("POST", path, json={"text": "Second.", "interrupt": False})
        turns = await call.until(lambda: call.ours("turn")[2:] and call.ours("turn"))
        assert [turn["interrupted"] for turn in turns] == [True, False, False]
        assert [turn["heard_text"] for turn in turns[1:]] == ["First.", "Second."]


async def test_interrupting_stops_what_waits_too(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        path = f"/sessions/{call.id}/say"
        await service.ask("POST", path, json={"text": SPEECH})
        await service.ask("POST", path, json={"text": "Second.", "interrupt": False})
        await call.until(lambda: call.ours("caption"))
        await service.ask("POST", f"/sessions/{call.id}/interrupt")
        await call.until(lambda: call.ours("turn"))
        await asyncio.sleep(0.5)
        assert len(call.ours("turn")) == 1 and call.ours("state")[-1]["state"] == "idle"


async def test_too_many_waiting_turns_are_refused(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        path = f"/sessions/{call.id}/say"
        answers = [await service.ask("POST", path, json={"text": SPEECH, "interrupt": False}) for _ in range(12)]
        refused = [body for status, body in answers if status == 503]
        assert refused and refused[0]["error"]["code"] == "turns_waiting"
        assert (await service.ask("POST", path, json={"text": "Now.", "interrupt": True}))[0] == 202
        await call.until(lambda: [turn for turn in call.ours("turn") if turn["heard_text"] == "Now."])


def wav(seconds: float, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=rate)
        stream.layout = "mono"
        t = np.arange(int(seconds * rate)) / rate
        pcm = (9000 * np.sin(2 * np.pi * 300 * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


async def test_a_recording_is_spoken_whole(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        status, body = await service.ask("POST", f"/sessions/{call.id}/speech", data=wav(1.5))
        assert status == 202 and abs(body["duration_s"] - 1.5) < 0.01
        heard = await loudness(call.peer, 2.6)
        turn = (await call.until(lambda: call.ours("turn")))[0]
        assert turn["kind"] == "speech" and turn["turn_id"] == body["turn_id"]
        loud = [at for at, peak in heard if peak > 2000]
        assert 1.3 < loud[-1] - loud[0] < 1.8


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_the_greeting_is_spoken_when_asked_for(service: Service, language: str) -> None:
    async with service.call(greet=True, language=language) as call:
        turn = (await call.until(lambda: call.ours("turn")))[0]
        assert turn["kind"] == "greeting" and turn["heard_text"] == GREETINGS[language]


def test_the_greeting_follows_the_client_where_nobody_chose_one() -> None:
    assert greeting("Welcome!", "ja", "ja") == "Welcome!"
    assert greeting("", "auto", "fr-CH, ja;q=0.9, en;q=0.8") == GREETINGS["ja"]
    assert greeting("", "auto", "") == greeting("", "de", "ja") == GREETINGS["en"]


async def test_tunables_change_live_on_both_ways(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        size = [p.i420.shape[1] async for p in _some(call.peer, 3)][-1]
        call.send("client-message", {"t": "session.update", "d": {"frame_scale": 0.25}}, "u1")
        reply = await call.until(lambda: [f for f in call.frames if f["type"] == "server-response" and f["id"] == "u1"])
        assert reply[0]["data"]["d"]["frame_scale"] == 0.25
        assert call.ours("session")[-1]["frame_scale"] == 0.25
        smaller = [p.i420.shape[1] async for p in _some(call.peer, 15)][-1]
        assert smaller == size // 2
        call.send("client-message", {"t": "session.update", "d": {"frame_scale": 7}}, "u2")
        refused = await call.until(lambda: [f for f in call.frames if f["type"] == "error-response"])
        assert refused[0]["id"] == "u2" and refused[0]["data"]["detail"]["field"] == "frame_scale"
        status, body = await service.ask("PATCH", f"/sessions/{call.id}", json={"fps": 10, "interruptible": False})
        assert status == 200 and (body["session"]["fps"], body["session"]["frame_scale"]) == (10, 0.25)
        status, body = await service.ask("PATCH", f"/sessions/{call.id}", json={"fps": 12, "codec": "vp8"})
        assert status == 422 and body["error"]["field"] == "codec"
        assert (await service.ask("GET", f"/sessions/{call.id}"))[1]["session"]["fps"] == 10


async def test_a_speak_session_holds_no_conversation(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        body = {"text": "Hello", "as": "user"}
        status, error = await service.ask("POST", f"/sessions/{call.id}/say", json=body)
        assert status == 422 and error["error"]["field"] == "as"


async def gone(service: Service, call: Call) -> None:
    for _ in range(100):
        if (await service.ask("GET", f"/sessions/{call.id}"))[0] == 404:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the session is still there")


async def test_every_way_out_frees_the_place(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        assert (await service.ask("DELETE", f"/sessions/{call.id}"))[0] == 204
        assert len(service.state.sessions) == 0
        assert (await service.ask("DELETE", f"/sessions/{call.id}"))[0] == 204
        await asyncio.wait_for(call.peer.closed.wait(), 5)
    async with service.call() as call:
        call.send("disconnect-bot")
        await gone(service, call)
    async with service.call() as call:
        await call.peer.close()
        await gone(service, call)
    assert len(service.state.sessions) == 0


async def test_an_offer_that_names_a_session_goes_on_with_it(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak", fps=20) as call:
        fresh = ClientPeer()
        offer = {"type": "offer", "sdp": await fresh.offer(), "pc_id": call.id, "restart_pc": True, "requestData": {}}
        status, answer = await service.ask("POST", "/webrtc/offer", json=offer)
        assert status == 200 and answer["session_id"] == call.id and answer["session"]["fps"] == 20
        await fresh.accept(answer["sdp"])
        await asyncio.wait_for(fresh.connected.wait(), 20)
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Still here."})
        heard = await loudness(fresh, 2.0)
        assert max(peak for _, peak in heard) > 3000
        assert len(service.state.sessions) == 1
        await fresh.close()


async def test_the_house_is_full_at_its_limit(tmp_path: Any) -> None:
    async with serving(data_dir=tmp_path, max_sessions=1) as service:
        await service.ready()
        async with service.call():
            offer = {"type": "offer", "sdp": await ClientPeer().offer()}
            status, body = await service.ask("POST", "/webrtc/offer", json=offer)
            assert status == 503
            assert body["error"] | {"message": ""} == {
                "code": "at_capacity",
                "message": "",
                "retry_after_s": 10,
                "sessions": 1,
                "limit": 1,
            }
        assert "avatar_sessions_refused 1.0" in (await service.ask("GET", "/metrics"))[1]


async def test_metrics_tell_of_turns_and_stages(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Hi."})
        await call.until(lambda: call.ours("turn"))
        text = (await service.ask("GET", "/metrics"))[1]
        assert 'avatar_turns_total{failed="false",interrupted="false",kind="say"} 1.0' in text
        assert 'avatar_turn_stage_seconds_count{stage="first_sent"} 1.0' in text
        assert "avatar_sessions 1.0" in text
        hits = _metric(text, "avatar_voice_cache_hits")
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Hi."})
        turn = (await call.until(lambda: call.ours("turn")[1:]))[0]
        assert turn["cached"] == ["tts"], "the same words cost the voice nothing twice"
        assert _metric((await service.ask("GET", "/metrics"))[1], "avatar_voice_cache_hits") > hits


def _metric(text: str, name: str) -> float:
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def _small(i420: Any) -> np.ndarray[Any, Any]:
    """A picture's luma at one size: a busy machine may have sent smaller ones."""
    luma = i420[: i420.shape[0] * 2 // 3]
    return np.asarray(cv2.resize(luma, (96, 96), interpolation=cv2.INTER_AREA), int)


async def test_another_portrait_takes_the_stage_while_nobody_speaks(tmp_path: Any) -> None:
    async with serving(data_dir=tmp_path, face="puppet") as service:
        await service.ready()
        avatars = [row["avatar"] for row in (await service.ask("GET", "/avatars"))[1]["avatars"]]
        other = next(name for name in avatars if name != "default")
        async with service.call() as call:
            before = _small([p.i420 async for p in _some(call.peer, 5)][-1])
            assert (await service.ask("PATCH", f"/sessions/{call.id}", json={"avatar": other}))[0] == 200
            after = _small([p.i420 async for p in _some(call.peer, 60)][-1])
            assert np.abs(before - after).mean() > 5, "another face, not another pose"
            call.send("send-text", {"content": "Hello"})
            assert not (await call.until(lambda: call.ours("turn")))[0]["error"]


async def test_the_quality_of_both_ends_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.session.EVERY_S", 0.2)
    await service.ready()
    async with service.call(mode="speak") as call:
        digest = {"rtt_ms": 900.0, "offset_ms": 3.0, "video": {"fps": 25, "frozen_s": 0}, "audio": {"played": 1}}
        call.send("client-message", {"t": "stats", "d": digest})
        answer = await call.until(lambda: [f for f in call.frames if f["type"] == "server-response"])
        assert answer[0]["data"]["t"] == "stats"
        alarm = None
        while alarm is None:
            assert (await service.ask("POST", f"/sessions/{call.id}/stats", json=digest))[0] == 200
            await asyncio.sleep(0.1)
            # On a busy machine there may be others.
            alarm = next((alarm for alarm in call.ours("alarm") if alarm["figure"] == "rtt_ms"), None)
        assert alarm["raised"]
        quality = (await service.ask("GET", f"/sessions/{call.id}"))[1]["quality"]
        assert "rtt_ms" in [row["figure"] for row in quality["alarms"]]
        assert quality["now"]["client"]["fps"] == 25
        assert quality["now"]["encode_ms"] > 0 and quality["now"]["kbps"] > 0
        assert abs(quality["now"]["offset_ms"]) < 1000
        metrics = (await service.ask("GET", "/metrics"))[1]
        assert 'avatar_alarms_total{figure="rtt_ms"} 1.0' in metrics
        assert 'avatar_quality{end="client",figure="rtt_ms",of="worst"} 900.0' in metrics
        assert "avatar_sessions_troubled 1.0" in metrics
        status, body = await service.ask("POST", f"/sessions/{call.id}/stats", json={"rtt_ms": "slow"})
        assert status == 422 and body["error"]["field"] == "rtt_ms"


async def test_a_thin_network_gets_fewer_and_smaller_pictures_and_is_told_why(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        size = [p.i420.shape[1] async for p in _some(call.peer, 3)][-1]
        session = service.state.sessions.get(call.id)
        assert session.peer is not None
        sender: Any = session.peer._picture
        sender._path.on_estimate.clear()  # the real network here is good
        for tenth in range(200):
            sender._climb(50_000, False, 1000 + tenth / 10)
        await call.until(lambda: [m for m in call.ours("session") if m.get("reason") == "network"])
        told = [m for m in call.ours("session") if m.get("reason") == "network"]
        await call.until(lambda: call.ours("session")[-1]["fps"] == 10)
        assert told[0]["fps"] == 15
        assert call.ours("session")[-1]["frame_scale"] == 0.25
        async with asyncio.timeout(30):
            async for picture in call.peer.pictures():
                if picture.i420.shape[1] == size // 2:
                    break
        call.send("client-message", {"t": "session.update", "d": {"frame_scale": 1.0}}, "u1")
        reply = await call.until(lambda: [f for f in call.frames if f["type"] == "server-response"])
        assert reply[0]["data"]["d"]["frame_scale"] == 0.5  # of what is wished, what the network allows
        for tenth in range(2000):
            sender._climb(5_000_000, False, 2000 + tenth / 10)
        await call.until(lambda: call.ours("session")[-1]["fps"] == 25)
        assert call.ours("session")[-1]["frame_scale"] == 1.0
        for tenth in range(200):
            sender._climb(1, False, 3000 + tenth / 10)
        await call.until(lambda: "video" in call.ours("session")[-1].get("notes", {}))
