"""Ways to a peer: relays, ports, public addresses, servers that are silent."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from aiortc.sdp import candidate_from_sdp

from avatar.clock import MediaClock
from avatar.errors import AtCapacity
from avatar.play import gather
from avatar.play.gather import IceServer, Network
from avatar.play.peer import Peer
from avatar.play.receive import ClientPeer
from tests.absent import absent
from tests.play.offers import line, offer
from tests.play.pairs import connected
from tests.play.relay import Relay, coturn
from tests.play.test_close import sockets

OFFER = offer(line("audio", "0"), line("video", "1"))


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    if shutil.which("turnserver") is None:
        absent("coturn is not installed: sudo apt install coturn")
    with coturn(tmp_path_factory.mktemp("coturn")) as relay:
        yield relay


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_client_that_only_reaches_a_relay(
    relay: Relay, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(relay.certificate))
    client = ClientPeer(ice_servers=[relay.server(transport)], network=Network(relay_only=True))
    async with connected(client) as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3 and len(pair.sounds) >= 3)
        offered = str(client._connection.localDescription.sdp)
        assert "typ relay" in offered and "typ host" not in offered
        client.send_text("through the relay")
        await pair.until(lambda: pair.to_peer == ["through the relay"])
        assert client._connection.ice.relayed  # type: ignore[union-attr]


async def test_the_server_itself_behind_a_relay(relay: Relay) -> None:
    """Its relay comes after the answer, and is told by trickle."""
    peer = Peer(MediaClock(), ice_servers=[relay.server("udp")])
    client = ClientPeer()
    try:
        answer = await peer.answer(await client.offer())
        assert "typ relay" not in answer, "nobody waits for the relay"
        agent: Any = peer._connection.ice._connection  # type: ignore[union-attr]
        for protocol in agent._protocols:  # a firewall: no packet comes or goes but over the relay
            protocol.transport.sendto = lambda *args: None
            protocol.datagram_received = lambda *args: None
        await client.accept(answer)
        await until(lambda: not peer.candidates()[1])
        relayed = [c for c in peer.candidates()[0] if "typ relay" in c]
        assert len(relayed) == 1
        ice: Any = client._connection.ice
        await ice.addRemoteCandidate(candidate_from_sdp(relayed[0].removeprefix("candidate:")))
        await asyncio.wait_for(asyncio.gather(peer.connected.wait(), client.connected.wait()), 20)
        assert peer.stats()["relayed"] is True
    finally:
        await client.close()
        await peer.close()


async def test_a_wrong_secret_opens_no_relay(relay: Relay) -> None:
    peer = Peer(MediaClock(), ice_servers=[relay.server("udp", "another secret")])
    await peer.answer(OFFER)
    await until(lambda: not peer.candidates()[1])
    assert not [c for c in peer.candidates()[0] if "relay" in c]
    await peer.close()


async def test_silent_servers_hold_up_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        servers = [
            IceServer((f"stun:127.0.0.1:{port}", "stun:nowhere.invalid")),
            IceServer((f"turn:127.0.0.1:{port}",), "user", "password"),
        ]
        peer = Peer(MediaClock(), ice_servers=servers)
        answer = await peer.answer(OFFER)
        assert "typ host" in answer
        assert peer.candidates()[1], "they are still being waited for"
        began = time.monotonic()
        await peer.close()
        assert time.monotonic() - began < gather.SERVER_S / 2, "and nobody waits for them at the end"


async def test_a_relay_that_falls_silent_holds_up_no_goodbye(relay: Relay) -> None:
    peer = Peer(MediaClock(), ice_servers=[relay.server("udp")])
    await peer.answer(OFFER)
    await until(lambda: any("typ relay" in candidate for candidate in peer.candidates()[0]))
    (coturn_process,) = (p for p in psutil.Process().children() if p.name() == "turnserver")
    open_sockets = sockets()
    coturn_process.suspend()
    try:
        async with asyncio.timeout(20):  # its answer would be waited for for a minute
            await peer.close()
        await until(lambda: not gather._leaving)
        assert sockets() < open_sockets
    finally:
        coturn_process.resume()


async def test_ports_stay_in_their_range_and_run_out_with_a_word() -> None:
    first = free_ports(2)
    network = Network(ports=(first, first + 1))
    addresses = len(gather.host_addresses())
    peers = [Peer(MediaClock(), network=network) for _ in range(3)]
    try:
        for peer in peers[:2]:
            await peer.answer(OFFER)
            ports = [int(c.split()[5]) for c in peer.candidates()[0]]
            assert len(ports) == addresses
            assert set(ports) <= {first, first + 1}
        with pytest.raises(AtCapacity, match=f"from {first} to {first + 1}"):
            await peers[2].answer(OFFER)
    finally:
        for peer in peers:
            await peer.close()
    again = Peer(MediaClock(), network=network)
    await again.answer(OFFER)
    await again.close()


async def test_without_a_port_on_every_address_none_is_kept() -> None:
    first = free_ports(1)
    addresses = gather.host_addresses()
    if len(addresses) < 2:
        pytest.skip("this machine has one address")
    families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
    with socket.socket(families[-1], socket.SOCK_DGRAM) as other:
        other.bind((addresses[-1], first))
        with pytest.raises(AtCapacity):
            await gather.Agent((), Network(ports=(first, first))).gather_candidates()
        with socket.socket(families[0], socket.SOCK_DGRAM) as free:
            free.bind((addresses[0], first))


async def test_a_forwarded_address_is_told_with_the_port_behind_it() -> None:
    first = free_ports(4)
    peer = Peer(MediaClock(), network=Network(ports=(first, first + 3), public=("203.0.113.7", "2001:db8::7")))
    answer = await peer.answer(OFFER)
    candidates = [c.split() for c in peer.candidates()[0]]
    public = [c for c in candidates if c[4] == "203.0.113.7"]
    assert len(public) == 1 and "203.0.113.7" in answer
    assert public[0][7] == "srflx"
    behind = next(c for c in candidates if c[4] == (gather.default_address() or "127.0.0.1"))
    assert public[0][5] == behind[5] and public[0][9] == behind[4]
    await peer.close()


async def test_ipv6_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    six = [address for address in gather.host_addresses() if ":" in address]
    if not six:
        pytest.skip("this machine has no IPv6 address")
    monkeypatch.setattr(gather, "host_addresses", lambda: six)
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)
        path = next(iter(pair.peer._connection.ice._connection._nominated.values()))  # type: ignore[union-attr]
        assert ":" in path.local_addr[0] and ":" in path.remote_addr[0]


async def test_a_machine_without_any_network_talks_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    assert gather.host_addresses() == ["127.0.0.1"]
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody uses, below those that the system hands out."""
    for first in random.sample(range(20_000, 30_000, count), 100):
        with contextlib.ExitStack() as held:
            try:
                for address in gather.host_addresses():
                    for port in range(first, first + count):
                        family = socket.AF_INET6 if ":" in address else socket.AF_INET
                        held.enter_context(socket.socket(family, socket.SOCK_DGRAM)).bind((address, port))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
