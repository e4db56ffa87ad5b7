"""A lost connection and the way back to the same session."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avatar import presence
from avatar.play import connection, receive
from avatar.play.gather import Network
from avatar.play.ladder import RUNGS
from avatar.play.receive import ClientPeer
from client.options import Options
from client.progress import Progress
from client.run import Run
from tests.absent import absent
from tests.play.relay import coturn
from tests.play.test_close import cut
from tests.play.test_connecting import free_ports
from tests.serve.conftest import Call, Service, serving

TEXT = "One two three four five six seven eight nine ten eleven twelve."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_S", 0.3)
    monkeypatch.setattr(connection, "LOST_S", 1.2)
    monkeypatch.setattr(connection, "_PROBE_S", 0.3)


async def until(service: Service, call: Call, connection: str) -> dict[str, Any]:
    for _ in range(400):
        status, body = await service.ask("GET", f"/sessions/{call.id}")
        if status == 404 and connection == "gone":
            return {}
        if status == 200 and body["connection"] == connection:
            return dict(body)
        await asyncio.sleep(0.05)
    raise AssertionError(f"it was never {connection}: {body}")


def waits(session: Any) -> bool:
    return bool(session.playout.paused)


async def going(session: Any) -> None:
    async with asyncio.timeout(20):
        while waits(session):
            await asyncio.sleep(0.02)


async def come_back(call: Call, *, greets: bool = True) -> Call:
    """A new connection on the same session."""
    fresh = Call(call.service, ClientPeer())
    fresh.reading = asyncio.create_task(fresh._read())
    offer = {"type": "offer", "sdp": await fresh.peer.offer(), "session_id": call.id}
    status, fresh.answer = await call.service.ask("POST", "/webrtc/offer", json=offer)
    assert status == 200 and fresh.id == call.id
    await fresh.peer.accept(fresh.answer["sdp"])
    await asyncio.wait_for(fresh.peer.connected.wait(), 20)
    if greets:
        fresh.send("client-ready")
    return fresh


async def test_speech_goes_on_where_the_connection_was_lost(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        call.send("client-ready")
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": TEXT})
        heard = []
        async with asyncio.timeout(30):
            async for sound in call.peer.sounds():
                if np.abs(sound.pcm.astype(int)).max() > 1000:
                    heard.append(sound)
                if len(heard) > 40:
                    break
        session = service.state.sessions.get(call.id)
        cut(call.peer)
        state = await until(service, call, "lost")
        assert state["state"] == "speaking"
        played = session.playout.heard().seconds
        await asyncio.sleep(0.5)
        assert session.playout.heard().seconds == played, "nothing is said to nobody"
        assert session.playout.paused
        status, body = await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Then.", "interrupt": False})
        assert status == 202

        before = session.peer
        fresh = await come_back(call)
        shown = session.effective()
        await going(session)
        before.on_rung(RUNGS[-1])
        before.on_doubt(0.0)
        assert session.effective() == shown, "the old connection's path still told what the new one carries"
        assert not waits(session), "the old connection has paused the speech"
        caption = (await fresh.until(lambda: fresh.ours("caption")))[0]
        assert caption["text"] in TEXT, "what is being said is told again"
        turns = await fresh.until(lambda: fresh.ours("turn")[1:] and fresh.ours("turn"))
        assert [turn["interrupted"] for turn in turns] == [False, False]
        assert turns[0]["heard_text"] == TEXT
        assert turns[1]["turn_id"] == body["turn_id"]
        again = await loud_seconds(fresh.peer)
        assert again > 0.5 * (caption["end_s"] - caption["start_s"])
        await fresh.peer.close()
        await fresh.reading


async def loud_seconds(peer: ClientPeer) -> float:
    """Seconds of voice that have been received."""
    await peer.close()
    return sum([0.02 async for sound in peer.sounds() if np.abs(sound.pcm.astype(int)).max() > 300])


async def test_what_was_told_meanwhile_is_told_again(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        call.send("client-ready")
        await call.until(lambda: "bot-ready" in call.types())
        cut(call.peer)
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Hello", "as": "user"})
        await until(service, call, "lost")
        fresh = await come_back(call)
        turn = (await fresh.until(lambda: fresh.ours("turn")))[0]
        assert turn["user_text"] == "Hello"
        kinds = fresh.types()
        assert kinds[0] == "bot-ready"
        assert kinds.index("user-transcription") > 0
        await fresh.peer.close()
        await fresh.reading


async def test_a_client_that_never_says_that_it_is_ready_is_told_as_well(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        cut(call.peer)
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Hello", "as": "user"})
        await until(service, call, "lost")
        fresh = await come_back(call, greets=False)
        turn = (await fresh.until(lambda: fresh.ours("turn")))[0]
        assert turn["user_text"] == "Hello"
        await fresh.peer.close()
        await fresh.reading


async def test_a_short_outage_is_ridden_out_on_the_same_connection(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOST_S", 20.0)
    await service.ready()
    async with service.call(mode="speak") as call:
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": TEXT})
        await call.until(lambda: "bot-started-speaking" in call.types())
        session = service.state.sessions.get(call.id)
        protocols = call.peer._connection.ice._connection._protocols  # type: ignore[union-attr]
        saved = [(p, p.transport.sendto, p.datagram_received) for p in protocols]
        cut(call.peer)
        await until(service, call, "doubtful")
        assert session.playout.paused
        for protocol, sendto, received in saved:
            protocol.transport.sendto, protocol.datagram_received = sendto, received
        await until(service, call, "connected")
        assert not session.playout.paused
        turn = (await call.until(lambda: call.ours("turn")))[0]
        assert turn["heard_text"] == TEXT and not turn["interrupted"]


async def test_the_last_words_of_a_turn_are_said_again(service: Service) -> None:
    """The turn was over at the server when its client was found to be gone."""
    await service.ready()
    async with service.call(mode="speak") as call:
        call.send("client-ready")
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "One two."})
        caption = (await call.until(lambda: call.ours("turn") and call.ours("caption")))[0]
        session = service.state.sessions.get(call.id)
        count = len(call.frames)
        assert session.clock.epoch is not None
        session.playout.pause(session.clock.epoch + caption["start_s"])
        assert session.playout.queued
        session.playout.resume()
        later = await call.until(
            lambda: "bot-stopped-speaking" in call.types()[count:] and session.state == "idle" and call.types()[count:]
        )
        assert later.index("bot-started-speaking") < later.index("bot-stopped-speaking")

        # A turn that comes while nobody is there takes its place.
        session.playout.pause(session.clock.epoch + session.clock.media_s() - 0.3)
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Three."})
        session.playout.resume()
        turns = await call.until(lambda: call.ours("turn")[1:] and call.ours("turn"))
        assert turns[1]["heard_text"] == "Three." and not turns[1]["error"]


async def test_offers_at_one_moment_leave_one_connection(service: Service) -> None:
    """A client that is impatient asks again before it was answered."""
    await service.ready()
    async with service.call(mode="speak") as call:
        peers = [ClientPeer() for _ in range(3)]
        offers = [{"type": "offer", "sdp": await peer.offer(), "session_id": call.id} for peer in peers]
        answers = await asyncio.gather(*(service.ask("POST", "/webrtc/offer", json=offer) for offer in offers))
        assert [(status, body["session_id"]) for status, body in answers] == [(200, call.id)] * 3
        session = service.state.sessions.get(call.id)
        assert [len(source._takers) for source in session.broadcast._pictures.values()] == [1]
        assert len(session.broadcast.sound._takers) == 1
        for peer in peers:
            await peer.close()


async def test_who_tries_to_come_back_may_try_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first new connection came to nothing: the session waits on."""
    await service.ready()
    async with service.call(mode="speak") as call:
        monkeypatch.setattr(presence, "CONNECT_S", 0.2)
        vain = ClientPeer()
        offer = {"type": "offer", "sdp": await vain.offer(), "session_id": call.id}
        assert (await service.ask("POST", "/webrtc/offer", json=offer))[0] == 200
        await asyncio.sleep(1.0)
        await vain.close()
        assert (await service.ask("GET", f"/sessions/{call.id}"))[1]["connection"] == "connecting"
        monkeypatch.setattr(presence, "RESUME_S", 0.2)
        fresh = await come_back(call)
        await until(service, call, "connected")
        await fresh.peer.close()
        await fresh.reading


async def test_coming_back_needs_no_port_but_the_lost_one(tmp_path: Path) -> None:
    first = free_ports(1)
    async with serving(data_dir=tmp_path, udp_ports=(first, first)) as service:
        await service.ready()
        async with service.call(mode="speak") as call:
            other = {"type": "offer", "sdp": await ClientPeer().offer()}
            status, body = await service.ask("POST", "/webrtc/offer", json=other)
            assert status == 503 and body["error"]["code"] == "no_udp_port"
            cut(call.peer)
            await until(service, call, "lost")
            fresh = await come_back(call)
            await fresh.peer.close()
            await fresh.reading


async def test_the_command_line_client_comes_back_over_a_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came by the direct way, which is barred by now."""
    if shutil.which("turnserver") is None:
        absent("coturn is not installed: sudo apt install coturn")
    with coturn(tmp_path) as relay:
        async with serving(data_dir=tmp_path, ice_server=(relay.url("udp"),), turn_secret=relay.secret) as service:
            await service.ready()
            run = Run(Options(server=service.url, text=TEXT, output=tmp_path / "film.webm"), Progress())
            running = asyncio.create_task(run.go())
            async with asyncio.timeout(30):
                while not (run._media.sound.last_audible or running.done()):
                    await asyncio.sleep(0.02)
            peer = run._peer
            assert peer is not None and peer._peer._connection.ice.relayed is False  # type: ignore[union-attr]
            monkeypatch.setattr(receive, "Network", lambda: Network(relay_only=True))
            cut(peer._peer)
            async with asyncio.timeout(60):
                await running
            assert run._peer is not peer
            (turn,) = run._talk.turns.values()
            assert turn["heard_text"] == TEXT and not turn["interrupted"]


async def test_nobody_comes_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "RESUME_S", 1.0)
    await service.ready()
    async with service.call() as call:
        cut(call.peer)
        await until(service, call, "lost")
        assert len(service.state.sessions) == 1, "its place is kept"
        await until(service, call, "gone")
        assert len(service.state.sessions) == 0


async def test_the_command_line_client_comes_back(service: Service, tmp_path: Path) -> None:
    await service.ready()
    options = Options(server=service.url, text=TEXT, output=tmp_path / "film.webm")
    run = Run(options, Progress())
    running = asyncio.create_task(run.go())
    async with asyncio.timeout(30):
        while not (run._media.sound.last_audible or running.done()):
            await asyncio.sleep(0.02)
    peer = run._peer
    assert peer is not None
    cut(peer._peer)
    async with asyncio.timeout(40):
        await running
    assert run._peer is not peer and run._peer is not None
    assert run._peer.session_id == peer.session_id
    turns = list(run._talk.turns.values())
    assert turns[0]["heard_text"] == TEXT and not turns[0]["interrupted"]
    with av.open(str(tmp_path / "film.webm")) as film:
        assert float(film.duration or 0) / av.time_base > 4
