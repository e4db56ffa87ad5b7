"""Watching a session: WHEP, one encoder for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from avatar import audience
from avatar.play.receive import ClientPeer
from tests.play.offers import line
from tests.play.offers import offer as make_offer
from tests.serve.conftest import Service, serving

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


class Watcher:
    """A WHEP player."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.peer = ClientPeer(data=False)
        self.headers: Any = {}
        self.location = ""

    async def watch(self, session_id: str) -> None:
        sdp = await self.peer.offer()
        url = f"{self.service.url}/whep/{session_id}"
        async with self.service.http.post(url, data=sdp, headers=SDP) as response:
            answer = await response.text()
            assert response.status == 201, answer
            assert response.headers["Content-Type"] == "application/sdp"
            self.headers, self.location = response.headers, response.headers["Location"]
        await self.peer.accept(answer)
        await asyncio.wait_for(self.peer.connected.wait(), 20)

    async def ask(self, method: str, **request: Any) -> tuple[int, str, Any]:
        url = self.service.url + self.location
        async with self.service.http.request(method, url, **request) as response:
            return response.status, await response.text(), response.headers


@asynccontextmanager
async def watching(service: Service, session_id: str) -> AsyncIterator[Watcher]:
    watcher = Watcher(service)
    try:
        await watcher.watch(session_id)
        yield watcher
    finally:
        await watcher.peer.close()


async def pictures(peer: ClientPeer, count: int) -> list[Any]:
    found = []
    async with asyncio.timeout(30):
        async for picture in peer.pictures():
            found.append(picture)
            if len(found) == count:
                break
    return found


async def test_viewers_see_the_session_from_one_encoder(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call:
        await pictures(call.peer, 5)
        async with watching(service, call.id) as one, watching(service, call.id) as two:
            body = (await service.ask("GET", f"/sessions/{call.id}"))[1]
            assert body["viewers"] == 2
            seen = await asyncio.gather(*(pictures(peer, 30) for peer in (call.peer, one.peer, two.peer)))
            common = {p.data for p in seen[1]} & {p.data for p in seen[2]}
            assert len(common) >= 10, "the very same encoded pictures"
            assert seen[1][0].key and seen[2][0].key
            session = service.state.sessions.get(call.id)
            assert session.broadcast.codecs == ["vp9"]
            # Both get the session's own line of time, so the captions of one suit the other.
            await one.peer.close()
            for _ in range(200):
                if len(session.audience) == 1:
                    break
                await asyncio.sleep(0.05)
            assert len(session.audience) == 1
            assert (await two.ask("DELETE"))[0] == 200
            assert len(session.audience) == 0
            assert (await two.ask("DELETE"))[0] == 200
        await pictures(call.peer, 5)


async def test_a_viewer_ends_with_its_session(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call, watching(service, call.id) as watcher:
        await pictures(watcher.peer, 3)
        await service.ask("DELETE", f"/sessions/{call.id}")
        await asyncio.wait_for(watcher.peer.closed.wait(), 10)
        assert (await watcher.ask("PATCH", data="", headers=FRAGMENT))[0] == 404


async def test_candidates_trickle_and_ice_restarts(service: Service) -> None:
    await service.ready()
    async with service.call(mode="speak") as call, watching(service, call.id) as watcher:
        await pictures(watcher.peer, 3)
        etag = watcher.headers["ETag"]
        offer = str(watcher.peer._connection.localDescription.sdp)
        ufrag = next(line for line in offer.splitlines() if line.startswith("a=ice-ufrag"))
        password = next(line for line in offer.splitlines() if line.startswith("a=ice-pwd"))
        candidate = "a=candidate:1 1 udp 2130706431 192.0.2.7 4444 typ host"
        trickle = "\r\n".join([ufrag, password, "m=audio 9 RTP/AVP 0", "a=mid:0", candidate, ""])
        assert (await watcher.ask("PATCH", data=trickle, headers=FRAGMENT | {"If-Match": etag}))[0] == 204
        assert (await watcher.ask("PATCH", data=trickle, headers=FRAGMENT))[0] == 204
        assert (await watcher.ask("PATCH", data=trickle, headers=FRAGMENT | {"If-Match": '"old"'}))[0] == 412
        again = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
        status, body, headers = await watcher.ask("PATCH", data=again, headers=FRAGMENT | {"If-Match": "*"})
        assert status == 200 and headers["ETag"] != etag
        assert headers["Content-Type"].startswith("application/trickle-ice-sdpfrag")
        assert f"a=ice-ufrag:{headers['ETag'].strip(chr(34))}" in body and "a=candidate:" in body
        assert (await watcher.ask("PATCH", data="m=", headers=FRAGMENT | {"If-Match": etag}))[0] == 412


async def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setattr(audience, "VIEWERS", 1)
    await service.ready()
    offer = make_offer(line("audio", "0"), line("video", "1"))
    assert (await service.ask("POST", "/whep/nobody", data=offer, headers=SDP))[0] == 404
    async with service.call(mode="speak") as call:
        path = f"/whep/{call.id}"
        status, body = await service.ask("POST", path, json={"sdp": offer})
        assert status == 415 and body["error"]["code"] == "unsupported_media"
        assert (await service.ask("POST", path, data="v=1", headers=SDP))[0] == 400
        assert (await service.ask("POST", path, data=b"\xff\xfe", headers=SDP))[0] == 400
        assert (await service.ask("PATCH", f"{path}/nobody", data="", headers=FRAGMENT))[0] == 404
        assert (await service.ask("DELETE", f"{path}/nobody"))[0] == 200
        async with service.http.options(service.url + path) as response:
            assert (response.status, response.headers["Accept-Post"]) == (204, "application/sdp")
        async with watching(service, call.id):
            status, body = await service.ask("POST", path, data=offer, headers=SDP)
            assert status == 503 and body["error"]["code"] == "too_many_viewers"


async def test_players_on_other_sites_need_the_token(tmp_path: Any) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with (
        serving(data_dir=tmp_path) as service,
        service.http.options(f"{service.url}/whep/x", headers=origin | asked) as response,
    ):
        assert response.status == 403
    async with serving("sesame", data_dir=tmp_path) as service:
        url = f"{service.url}/whep/x"
        async with service.http.options(url, headers=origin | asked) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        async with service.http.post(url, headers=origin | SDP) as response:
            assert response.status == 401
        async with service.http.post(url, headers=origin | SDP | {"Authorization": "Bearer sesame"}) as response:
            assert response.status == 404
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
        async with service.http.get(f"{service.url}/config", headers=origin) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
