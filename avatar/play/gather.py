"""Where a peer can be reached: sockets from the ports that are open, the address that the world sees, relays.

aioice binds any port, knows no address but its own and lets STUN and TURN servers hold up the answer. This agent binds
within a range, tells a public address where it is given one, and asks the servers beside the checks: what they answer
joins a search that is under way (RFC 8838 §4).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import (
    CandidatePair,
    StunProtocol,
    get_host_addresses,
    relayed_candidate,
    server_reflexive_candidate,
)
from aioice.turn import UDP_SOCKET_BUFFER_SIZE
from aiortc.rtcicetransport import candidate_from_aioice, parse_stun_turn_uri
from aiortc.sdp import candidate_to_sdp

from ..errors import AtCapacity, Invalid

log = logging.getLogger(__name__)

SERVER_S = 10.0
"""What a STUN or TURN server gets to answer; nobody waits for it."""
PATIENT_S = 2.0
"""The same for an agent that must tell everything at once."""
MAX_SERVERS = 4
"""Of each kind that are asked."""
REPEAT_S = 0.05
"""Between two repetitions of a check that the other side's own checks bring about."""
GOODBYE_S = 2.0
"""A TURN server gets to confirm that a relay is given back; one that is silent forgets it by itself (RFC 8656 §7)."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server. Raises `Invalid` for a URL that is neither."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def __post_init__(self) -> None:
        for url in self.urls:
            try:
                if parse_stun_turn_uri(url).get("transport", "udp") not in ("udp", "tcp"):
                    raise ValueError
            except ValueError:
                raise Invalid(
                    f"{url!r} is no STUN or TURN URL, such as stun:stun.example.org:3478.", field="ice_server"
                ) from None


@dataclass(frozen=True, slots=True)
class Network:
    """How this machine can be reached."""

    ports: tuple[int, int] | None = None
    """First and last UDP port that may be used; None: any."""
    public: tuple[str, ...] = ()
    """Addresses under which a router forwards those ports to this machine."""
    relay_only: bool = False
    """Only what a TURN server relays."""


def default_address(version: int = 4) -> str | None:
    """This machine's address towards the world, None without any. Nothing is sent."""
    family, far = (socket.AF_INET, "198.51.100.1") if version == 4 else (socket.AF_INET6, "2001:db8::1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def host_addresses() -> list[str]:
    """The addresses to listen on; those of the loopback only where there are no others."""
    found = get_host_addresses(use_ipv4=True, use_ipv6=True)
    return list(dict.fromkeys(map(str, found))) or ["127.0.0.1"]


class Agent(Connection):
    """aioice's, with our own gathering. `patient`: waits a little for the servers, for want of another way to tell of
    them later."""

    def __init__(self, servers: Sequence[IceServer], network: Network, *, patient: bool = False) -> None:
        super().__init__(ice_controlling=False)
        self._servers = servers
        self._network = network
        self._gathered = False
        self._patient = patient
        self._asking: set[asyncio.Task[None]] = set()
        self._repeated: dict[int, float] = {}

    @property
    def gathering(self) -> bool:
        """Servers still may answer."""
        return bool(self._asking)

    async def gather_candidates(self) -> None:
        """Raises `AtCapacity` when no port of the range is free."""
        if self._gathered:
            return
        self._gathered = True
        if not self._network.relay_only:
            try:
                for address in host_addresses():
                    await self._listen(address)
            except AtCapacity:
                await self._leave_ports()
                raise
            self._tell_public()
        self._ask_servers()
        if self._patient and self._asking:
            await asyncio.wait(self._asking, timeout=PATIENT_S)
        self._local_candidates_end = True

    async def _listen(self, address: str) -> None:
        try:
            protocol = await self._bind(address)
        except OSError as error:
            log.debug("No socket on %s: %s", address, error)
            return
        self._protocols.append(protocol)
        host, port = protocol.transport.get_extra_info("sockname")[:2]
        protocol.local_candidate = self._candidate("host", host, port)
        self._local_candidates.append(protocol.local_candidate)

    async def _leave_ports(self) -> None:
        """Some addresses had a port and others none: others may have use for them."""
        for protocol in self._protocols:
            await protocol.close()
        self._protocols.clear()
        self._local_candidates.clear()

    async def _bind(self, address: str) -> StunProtocol:
        loop = asyncio.get_running_loop()
        first, last = self._network.ports or (0, 0)
        ports = list(range(first, last + 1))
        random.shuffle(ports)
        for port in ports:
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: StunProtocol(self), local_addr=(address, port)
                )
            except OSError as error:
                if not port or not _taken(error):
                    raise
                continue
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_SOCKET_BUFFER_SIZE)
            return protocol
        raise AtCapacity(
            f"Every UDP port from {first} to {last} is in use; widen --udp-ports.", code="no_udp_port", retry_after_s=10
        )

    def _candidate(self, kind: str, host: str, port: int, related: tuple[str, int] | None = None) -> Candidate:
        return Candidate(
            foundation=candidate_foundation(kind, "udp", host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, kind),
            host=host,
            port=port,
            type=kind,
            related_address=related[0] if related else None,
            related_port=related[1] if related else None,
        )

    def _tell_public(self) -> None:
        """The forwarded address, with the port of the socket that the packets come to."""
        for public in self._network.public:
            version = ipaddress.ip_address(public).version
            hosts = [c for c in self._local_candidates if c.type == "host" and _version(c.host) == version]
            towards = default_address(version)
            hosts.sort(key=lambda c: c.host != towards)
            if hosts and public not in {c.host for c in hosts}:
                related = (hosts[0].host, hosts[0].port)
                self._local_candidates.append(self._candidate("srflx", public, hosts[0].port, related))

    def _ask_servers(self) -> None:
        stuns: list[dict[str, Any]] = []
        turns: list[tuple[dict[str, Any], IceServer]] = []
        for server in self._servers:
            for url in server.urls:
                parsed = parse_stun_turn_uri(url)
                if parsed["scheme"] == "stun":
                    stuns.append(parsed)
                elif parsed["scheme"] in ("turn", "turns"):
                    turns.append((parsed, server))
        for parsed in stuns[:MAX_SERVERS]:
            for protocol in [p for p in self._protocols if _version(p.local_candidate.host) == 4]:
                self._start(self._reflexive(protocol, parsed))
        if turns:
            self._start(self._relay(turns[:MAX_SERVERS]))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work, name="ICE server")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _reflexive(self, protocol: StunProtocol, server: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(SERVER_S):
                candidate, _ = await server_reflexive_candidate(protocol, (server["host"], server["port"]))
        except Exception as error:  # a name that is none, a server that is silent: the others go on
            log.debug("No answer of %s: %r", server["host"], error)
            return
        known = {(c.host, c.port) for c in self._local_candidates}
        if not self._closing and (candidate.host, candidate.port) not in known:
            self._local_candidates.append(candidate)

    async def _relay(self, servers: list[tuple[dict[str, Any], IceServer]]) -> None:
        """A relay of the first server, in their order, that answers: UDP is usually named before TCP and TLS."""
        for parsed, server in servers:
            try:
                async with asyncio.timeout(SERVER_S / len(servers)):
                    candidate, protocol = await relayed_candidate(
                        component=1,
                        hide_related_address=self._network.relay_only,
                        protocol_factory=lambda: StunProtocol(self),
                        turn_server=(parsed["host"], parsed["port"]),
                        turn_username=server.username,
                        turn_password=server.credential,
                        turn_ssl=parsed["scheme"] == "turns",
                        turn_transport=parsed["transport"],
                    )
            except Exception as error:  # as above
                log.info("No relay of %s: %r", parsed["host"], error)
                continue
            if self._closing or self._check_list_done:
                _give_back(protocol)  # it came too late to be of use
                return
            self._local_candidates.append(candidate)
            self._protocols.append(protocol)
            for remote in self._remote_candidates:
                self._pair_remote_candidate(remote)
            self.sort_check_list()
            return

    def check_incoming(self, message: Any, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """A check of ours that went out before the other side's relay let us through is lost. When theirs arrives the
        way is open, so ours is repeated at once and not half a second later (RFC 8445 §7.3.1.4)."""
        super().check_incoming(message, addr, protocol)
        for pair in self._check_list:
            if pair.protocol is protocol and pair.remote_addr == addr[:2]:
                if pair.state == CandidatePair.State.IN_PROGRESS:
                    self._repeat(pair)
                return

    def _repeat(self, pair: CandidatePair) -> None:
        now = time.monotonic()
        if now - self._repeated.get(id(pair), 0.0) < REPEAT_S:
            return
        self._repeated[id(pair)] = now
        for transaction in list(pair.protocol.transactions.values()):
            if transaction._Transaction__addr == pair.remote_addr:
                pair.protocol.send_stun(transaction._Transaction__request, pair.remote_addr)

    def post(self, data: bytes) -> None:
        """As aioice's `send`, which never waits either. Raises `ConnectionError` while no path has been found."""
        pair = self._nominated.get(1)
        if pair is None:
            raise ConnectionError("There is no path yet, or none any more.")
        pair.protocol.transport.sendto(data, pair.remote_addr)

    def candidates(self) -> list[str]:
        """What has been found so far, as `candidate` attributes."""
        return [f"candidate:{candidate_to_sdp(candidate_from_aioice(c))}" for c in self._local_candidates]

    def relayed(self) -> bool | None:
        """Whether the chosen path goes over a relay of either side; None before there is one."""
        for pair in self._nominated.values():
            return "relay" in (pair.local_candidate.type, pair.remote_candidate.type)
        return None

    async def close(self) -> None:
        self._closing = True
        for task in list(self._asking):
            task.cancel()
        if self._asking:
            await asyncio.wait(list(self._asking))
        protocols: list[StunProtocol] = self._protocols
        relays = [p for p in protocols if p.local_candidate.type == "relay"]
        for relay in relays:
            protocols.remove(relay)
        await super().close()
        for relay in relays:
            _give_back(relay)


_leaving: set[asyncio.Task[None]] = set()


def _give_back(relay: StunProtocol) -> None:
    """Ends a relay beside everything else: the server may be far away, or silent for a minute, and whoever leaves shall
    not wait for it."""
    task = asyncio.create_task(_goodbye(relay), name="relay goodbye")
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)


async def _goodbye(relay: StunProtocol) -> None:
    transport: Any = relay.transport
    try:
        async with asyncio.timeout(GOODBYE_S):
            await asyncio.shield(relay.close())
    except TimeoutError:
        transport._TurnTransport__close_task.cancel()  # closes the socket


def _version(address: str) -> int:
    return ipaddress.ip_address(address.partition("%")[0]).version


def _taken(error: OSError) -> bool:
    return error.errno in (errno.EADDRINUSE, errno.EACCES)
