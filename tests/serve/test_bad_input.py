"""Bad input: each kind gets its status and a sentence to act on, and the server is none the worse."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from avatar.play.receive import ClientPeer
from tests.serve.conftest import Service, serving


@pytest.fixture(autouse=True)
async def unharmed(service: Service, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """After every insult: no traceback in the log, no session left, and the next offer works."""
    caplog.set_level(logging.WARNING)
    yield
    assert not [record for record in caplog.records if record.exc_info], caplog.text
    for _ in range(100):  # a client's goodbye takes a moment
        if not len(service.state.sessions):
            break
        await asyncio.sleep(0.05)
    assert len(service.state.sessions) == 0
    async with service.call(mode="speak"):
        pass


def refused(answer: tuple[int, Any], status: int, code: str | None = None, field: str | None = None) -> None:
    got, body = answer
    assert got == status, body
    error = body["error"]
    assert error["message"].endswith(".") and len(error["message"]) > 10
    if code is not None:
        assert error["code"] == code
    if field is not None:
        assert error["field"] == field


async def offer(**extra: Any) -> dict[str, Any]:
    peer = ClientPeer()
    sdp = await peer.offer()
    await peer.close()
    return {"type": "offer", "sdp": sdp, **extra}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"offer"', b"\xff\xfe{}", b"{" * 100_000, b'{"a":' * 5_000, b"1" * 5_000],
    ids=["empty", "half", "list", "null", "text", "not utf-8", "braces", "deep", "digits"],
)
@pytest.mark.parametrize("path", ["/webrtc/offer"])
async def test_what_is_no_json_is_400(service: Service, path: str, data: bytes) -> None:
    refused(await service.ask("POST", path, data=data), 400, "bad_json")


@pytest.mark.parametrize(
    "sdp",
    [
        None,
        "",
        7,
        "hello",
        "v=0\r\n",
        "v=0\r\nm=audio\r\n",
        "\x00" * 1000,
        "v=0\r\n" + "a=x\r\n" * 1000,
        "v=0\r\nm=video 9 X 1\r\n",
    ],
)
async def test_sdp_garbage_is_400(service: Service, sdp: Any) -> None:
    refused(await service.ask("POST", "/webrtc/offer", json={"type": "offer", "sdp": sdp}), 400, "bad_sdp")
    refused(await service.ask("POST", "/webrtc/offer", json={"sdp": sdp}), 400, "bad_sdp")


async def test_mangled_sdp_never_breaks_the_server(service: Service) -> None:
    good = (await offer())["sdp"]
    for cut in range(0, len(good), 97):
        for text in (good[:cut], good[cut:], good[:cut] + "\x00" + good[cut:], good.replace("UDP", "Ü", cut % 3)):
            status, body = await service.ask("POST", "/webrtc/offer", json={"type": "offer", "sdp": text})
            assert status in (200, 400), body
            if status == 200:
                await service.ask("DELETE", f"/sessions/{body['session_id']}")


@pytest.mark.parametrize(
    ("session", "field"),
    [
        ({"frame_scale": 0}, "frame_scale"),
        ({"frame_scale": "big"}, "frame_scale"),
        ({"fps": 2.5}, "fps"),
        ({"sampling_timesteps": True}, "sampling_timesteps"),
        ({"chunk_config": [3, 5]}, "chunk_config"),
        ({"codec": "h265"}, "codec"),
        ({"sharpness": 3}, "sharpness"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
async def test_wrong_tunables_are_422_by_name(service: Service, session: Any, field: str, nested: bool) -> None:
    body = await offer(**({"session": session} if nested else session))
    refused(await service.ask("POST", "/webrtc/offer", json=body), 422, field=field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
async def test_numbers_that_are_none_are_422(service: Service, number: str) -> None:
    body = json.dumps(await offer(frame_scale=12345)).replace("12345", number)
    refused(await service.ask("POST", "/webrtc/offer", data=body), 422, field="frame_scale")


async def test_unknown_avatars_and_sessions_are_404(service: Service) -> None:
    body = await offer(session={"avatar": "../../etc/passwd"})
    refused(await service.ask("POST", "/webrtc/offer", json=body), 404)
    for method, path in [
        ("GET", "/sessions/nope"),
        ("PATCH", "/sessions/nope"),
        ("POST", "/sessions/nope/say"),
        ("POST", "/sessions/nope/speech"),
        ("POST", "/sessions/nope/interrupt"),
        ("GET", "/avatars/nope.jpg"),
        ("GET", "/nothing"),
        ("GET", "/web/../streaming_server.py"),
        ("GET", "/web/%2e%2e/streaming_server.py"),
    ]:
        refused(await service.ask(method, path), 404)
    answer = await service.ask("PATCH", "/webrtc/offer", json={"session_id": "nope", "candidates": []})
    refused(answer, 404, "no_such_session")
    assert (await service.ask("DELETE", "/sessions/nope"))[0] == 204


async def test_wrong_methods_are_405(service: Service) -> None:
    refused(await service.ask("GET", "/webrtc/offer"), 405)
    refused(await service.ask("PUT", "/config"), 405)


async def test_bodies_over_their_limit_are_413(service: Service) -> None:
    refused(await service.ask("POST", "/webrtc/offer", data=b" " * 1_000_001), 413)
    await service.ready()
    async with service.call() as call:
        path = f"/sessions/{call.id}"
        refused(await service.ask("POST", f"{path}/say", json={"text": "a" * 100_000}), 413, field="text")
        refused(await service.ask("POST", f"{path}/speech", data=_endless(101_000_000)), 413)
    refused(
        await service.ask("POST", "/avatars", data=_endless(20_000_001), headers={"Content-Type": "image/png"}), 413
    )


async def _endless(size: int) -> AsyncIterator[bytes]:
    """A chunked upload: its length is not announced."""
    while size > 0:
        yield bytes(min(size, 1_000_000))
        size -= 1_000_000


async def test_what_is_said_is_checked(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        path = f"/sessions/{call.id}/say"
        refused(await service.ask("POST", path, data=b"{"), 400, "bad_json")
        refused(await service.ask("POST", path, json={}), 422, field="text")
        refused(await service.ask("POST", path, json={"text": "  "}), 422, field="text")
        refused(await service.ask("POST", path, json={"text": 3}), 422, field="text")
        refused(await service.ask("POST", path, json={"text": "a", "as": "dog"}), 422, field="as")
        refused(await service.ask("POST", path, json={"text": "a", "interrupt": "yes"}), 422, field="interrupt")
        refused(await service.ask("POST", path, json={"text": "a", "loud": True}), 422, field="loud")
        refused(await service.ask("POST", f"/sessions/{call.id}/speech", data=b"no sound"), 415)
        refused(await service.ask("PATCH", f"/sessions/{call.id}", json={"avatar": "nobody"}), 404)
        refused(
            await service.ask("PATCH", f"/sessions/{call.id}", json={"voice": "nobody"}), 422, "unknown_voice", "voice"
        )


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"just some text", "text/plain", 415),
        (b"just some text", "image/png", 415),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png", 415),
        (b"PK\x03\x04" + bytes(1000), "application/octet-stream", 415),
        (b"", "image/jpeg", 415),
    ],
)
async def test_what_is_no_picture_is_415(service: Service, data: bytes, kind: str, status: int) -> None:
    refused(await service.ask("POST", "/avatars", data=data, headers={"Content-Type": kind}), status)


async def test_a_form_that_makes_no_sense_is_400(service: Service) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=abc"}
    for data in (
        b"--abc\r\ngarbage",
        b"--abc\r\n\xff: \x00\r\n\r\nx\r\n--abc--",
        b"",
        b"--abc--",
        b"--abc\r\n" + b"a" * 99_999,
    ):
        refused(await service.ask("POST", "/avatars", data=data, headers=form), 400, "bad_form")
    refused(await service.ask("POST", "/avatars", data=b"x", headers={"Content-Type": "multipart/form-data"}), 400)


async def test_host_and_origin_that_make_no_sense_are_403(service: Service) -> None:
    refused(await service.ask("GET", "/config", headers={"Host": "[::1"}), 403)
    for origin in ("http://[", "null", "http://", "x"):
        refused(await service.ask("GET", "/config", headers={"Origin": origin}), 403)


async def test_candidates_are_checked(service: Service) -> None:
    async with service.call() as call:
        body: dict[str, Any] = {"session_id": call.id, "candidates": [{"candidate": "", "sdpMid": "0"}]}
        assert (await service.ask("PATCH", "/webrtc/offer", json=body))[0] == 200
        for item in [3, {"candidate": 3}, {"candidate": "nonsense"}, {"candidate": "", "sdpMLineIndex": "0"}]:
            status, answer = await service.ask("PATCH", "/webrtc/offer", json=body | {"candidates": [item]})
            assert status in (400, 422) and answer["error"]["message"], item
        refused(await service.ask("PATCH", "/webrtc/offer", json={"candidates": []}), 422, field="session_id")
        refused(await service.ask("PATCH", "/webrtc/offer", json=body | {"candidates": {}}), 422, field="candidates")
        mdns = "candidate:1 1 UDP 2122260223 0a1b2c3d-0000-1111-2222-333344445555.local 50000 typ host"
        assert (await service.ask("PATCH", "/webrtc/offer", json=body | {"candidates": [{"candidate": mdns}]}))[
            0
        ] == 200


async def test_frames_that_make_no_sense_are_survived(service: Service) -> None:
    await service.ready()
    async with service.call() as call:
        for text in [
            "ping: 12",
            "{",
            "[]",
            '{"label":"rtvi-ai","type":"client-message","id":"a","data":[]}',
            "x" * 200_000,
        ]:
            call.peer.send_text(text)
        call.send("no-such-type")
        call.send("send-text", {"content": ""})
        call.send("send-text", {"content": "y" * 20_000})
        call.send("client-message", {"t": "session.update", "d": {"frame_scale": 10**400}}, "f0")
        call.send("client-message", {"t": "session.update", "d": {"instructions": "a\ud800b"}}, "f2")
        call.send("client-message", {"t": "fly"}, "f1")
        await call.until(lambda: [f for f in call.frames if f["type"] == "server-response" and f["id"] == "f2"])
        await call.until(lambda: [f for f in call.frames if f["type"] == "error-response" and f["id"] == "f1"])
        call.send("send-text", {"content": "Hello"})
        await call.until(lambda: call.ours("turn"))


@pytest.mark.parametrize(
    "shape",
    [{"video": False}, {"audio": False}, {"data": False}, {"microphone": True}],
    ids=["no video", "no audio", "no data channel", "microphone"],
)
async def test_offers_of_any_shape_are_served(service: Service, shape: dict[str, bool]) -> None:
    await service.ready()
    async with service.call(ClientPeer(**shape), mode="speak") as call:
        assert (await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Hi."}))[0] == 202
        for _ in range(200):
            turns = (await service.ask("GET", f"/sessions/{call.id}"))[1]["turns"]
            if turns:
                break
            await asyncio.sleep(0.05)
        assert turns[0]["heard_text"] == "Hi."


async def test_a_client_that_never_connects_frees_its_place(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.presence.CONNECT_S", 0.5)
    status, body = await service.ask("POST", "/webrtc/offer", json=await offer())
    assert status == 200
    for _ in range(100):
        if (await service.ask("GET", f"/sessions/{body['session_id']}"))[0] == 404:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the session is still there")


async def test_engines_that_still_load_are_told_and_an_offer_waits_for_none(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path) as fresh:
        status, body = await fresh.ask("GET", "/ready")
        assert status == 503 and body["error"]["code"] == "not_ready" and body["missing"]
        assert (await fresh.ask("GET", "/health"))[0] == 200
        assert (await fresh.ask("GET", "/config"))[0] == 200
        async with fresh.call(mode="speak") as call:
            assert call.answer["session_id"]
            assert (await fresh.ask("GET", f"/sessions/{call.id}"))[0] == 200
        await fresh.ready()
        assert (await fresh.ask("GET", "/ready"))[0] == 200
