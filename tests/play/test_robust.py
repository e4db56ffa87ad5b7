"""Malformed packets over a live connection: dropped, and nothing else happens."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from aiortc import rtp

from avatar.errors import Invalid
from avatar.play.peer import IceServer
from avatar.play.receive import ClientPeer
from tests.play.pairs import TONE, connected


def malformed(seed: int, ssrcs: list[int]) -> bytes:
    """Something that begins like RTP or RTCP and goes on as it likes."""
    dice = random.Random(seed)
    if seed % 2:
        head = struct.pack(
            "!BBHLL", 0x80 | dice.randrange(64), dice.randrange(128), seed % 65536, 0, dice.choice(ssrcs)
        )
        return head + dice.randbytes(dice.randrange(60))
    kind = dice.choice([200, 201, 202, 203, 204, 205, 206, 207])
    length = dice.randrange(12)
    body = struct.pack("!LL", dice.choice(ssrcs), dice.choice(ssrcs)) + dice.randbytes(4 * length)
    if kind == 206:
        body = body[:8] + b"REMB" + body[12:]
    return struct.pack("!BBH", 0x80 | dice.randrange(64), kind, len(body) // 4) + body


async def test_malformed_packets_are_dropped() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)
        server: Any = pair.peer._connection.dtls
        client: Any = pair.client._connection.dtls
        sender: Any = pair.peer._picture
        ssrcs = [0, 1, sender._ssrc, sender._rtx_ssrc, pair.peer._sound._ssrc]  # type: ignore[union-attr]
        for seed in range(3000):
            data = malformed(seed, ssrcs)
            for side in (server, client):
                if rtp.is_rtcp(data):
                    await side._handle_rtcp_data(data)
                else:
                    await side._handle_rtp_data(data, 0)
        for seed in range(500):
            await server._data_receiver._handle_data(random.Random(seed).randbytes(seed % 90))
        assert not pair.peer.closed.is_set()
        assert not pair.client.closed.is_set()
        count = len(pair.sounds)
        await pair.show(sound=lambda tick: TONE, until=lambda: len(pair.sounds) >= count + 20)
        pair.client.send_text("still here")
        await pair.until(lambda: "still here" in pair.to_peer)


@pytest.mark.parametrize("url", ["", "http://example.org", "stun:", "turn:host?transport=pigeon:1:2", "stun:a:b:c"])
def test_ice_servers_are_checked(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        IceServer((url,))
    assert caught.value.field == "ice_server"


def test_usual_ice_servers_are_taken() -> None:
    assert IceServer(("stun:stun.example.org:3478", "turns:turn.example.org?transport=tcp"), "user", "secret").username
