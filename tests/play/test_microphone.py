"""The way of the user's voice: unbroken, in mono, dated in samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avatar.play.receive import ClientPeer
from tests.play.pairs import TONE, Pair, connected


async def speak(pair: Pair, ticks: range) -> None:
    """Sends a tone when it is due, as a microphone does."""
    began = time.monotonic() - ticks.start * 0.02
    for tick in ticks:
        await asyncio.sleep(began + tick * 0.02 - time.monotonic())
        pair.client.send_microphone(tick, TONE)


def intercept(pair: Pair, act: Callable[[int, Any, Callable[[Any], Any]], Any]) -> None:
    """Every packet of the microphone goes through `act(n, packet, send)`."""
    mouth: Any = pair.client._mouth
    real = mouth._send_packet
    count = 0

    def send(packet: Any) -> None:
        nonlocal count
        count += 1
        act(count - 1, packet, real)

    mouth._send_packet = send


def heard(pair: Pair) -> np.ndarray:
    """All chunks as one stream, which must have no gap."""
    position = 0
    for chunk in pair.chunks:
        assert (chunk.start, chunk.rate, len(chunk.pcm)) == (position, 48_000, 960)
        position = chunk.end
    return np.concatenate([chunk.pcm for chunk in pair.chunks]).astype(float)


def loudness(pcm: np.ndarray) -> np.ndarray:
    """RMS of each 20 ms."""
    return np.asarray(np.sqrt(np.mean(pcm.reshape(-1, 960) ** 2, axis=1)))


async def test_the_voice_arrives_whole() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        assert pair.peer.has_microphone
        await speak(pair, range(60))
        await pair.until(lambda: len(pair.chunks) >= 60)
        pcm = heard(pair)[10 * 960 : 60 * 960]
        spectrum = np.abs(np.fft.rfft(pcm))
        assert abs(spectrum.argmax() * 48_000 / len(pcm) - 1000) < 25
        assert loudness(pcm).min() > 3000


def without_copies(offer: str) -> str:
    """As from a client that knows no redundant packets."""
    rows = [row for row in offer.splitlines() if not row.startswith(("a=rtpmap:63 ", "a=fmtp:63 "))]
    return "\r\n".join(row.removesuffix(" 63") if row.startswith("m=audio") else row for row in rows) + "\r\n"


async def test_lost_packets_come_with_the_next_ones() -> None:
    def lose(n: int, packet: Any, send: Callable[[Any], Any]) -> None:
        if n % 8 != 7:
            send(packet)

    async with connected(ClientPeer(microphone=True)) as pair:
        intercept(pair, lose)
        await speak(pair, range(80))
        await pair.until(lambda: len(pair.chunks) >= 70)
        stats = pair.peer.stats()["microphone"]
        assert stats["codec"] == "red"
        assert stats["concealed_ms"] == stats["malformed"] == 0
        assert stats["recovered"] == stats["packets_lost"] >= 7
        quiet = np.flatnonzero(loudness(heard(pair)[10 * 960 : 70 * 960]) < 3000)
        assert len(quiet) <= stats["filled_ms"] / 20


async def test_redundant_packets_that_cannot_be_read_are_counted_and_lost() -> None:
    def spoil(n: int, packet: Any, send: Callable[[Any], Any]) -> None:
        if n == 20:
            packet.payload = b"\xff" * 40
        send(packet)

    async with connected(ClientPeer(microphone=True)) as pair:
        intercept(pair, spoil)
        await speak(pair, range(40))
        await pair.until(lambda: len(pair.chunks) >= 40)
        stats = pair.peer.stats()["microphone"]
        assert (stats["malformed"], stats["recovered"], stats["concealed_ms"]) == (1, 1, 0)


async def test_lost_packets_are_bridged_and_leave_no_lag() -> None:
    def lose(n: int, packet: Any, send: Callable[[Any], Any]) -> None:
        if n not in (20, 40, 41):
            send(packet)

    async with connected(ClientPeer(microphone=True), offer=without_copies) as pair:
        mouth: Any = pair.client._mouth
        mouth.resends = False
        intercept(pair, lose)
        await speak(pair, range(80))
        await pair.until(lambda: len(pair.chunks) >= 80)
        pcm = heard(pair)
        stats = pair.peer.stats()["microphone"]
        assert stats["concealed_ms"] == 60
        assert stats["packets_lost"] == 3
        quiet = np.flatnonzero(loudness(pcm[10 * 960 : 80 * 960]) < 500)
        filled = stats["filled_ms"] / 20  # while this machine itself had no time to send
        assert len(quiet) <= filled  # concealed, not silent
        assert len(pair.chunks) <= 81 + filled  # every packet took its own place, none was added


@pytest.mark.parametrize("offer", [without_copies, str])
async def test_lost_packets_that_no_copy_repairs_are_asked_for(offer: Callable[[str], str]) -> None:
    lost: set[int] = set()

    def lose(n: int, packet: Any, send: Callable[[Any], Any]) -> None:
        tick = (packet.timestamp - origin) % 2**32 // 960
        if tick % 12 in (5, 6) and tick not in lost:
            lost.add(tick)
        else:
            send(packet)

    async with connected(ClientPeer(microphone=True), offer=offer) as pair:
        mouth: Any = pair.client._mouth
        origin = mouth.rtp_origin
        intercept(pair, lose)
        await speak(pair, range(80))
        await pair.until(lambda: len(pair.chunks) >= 80)
        stats = pair.peer.stats()["microphone"]
        assert len(lost) == 14
        assert mouth.retransmitted >= 7
        assert stats["concealed_ms"] <= 20 * stats["late"]  # what came when this machine had let it wait too long
        assert stats["malformed"] == 0
        quiet = np.flatnonzero(loudness(heard(pair)[10 * 960 : 70 * 960]) < 3000)
        assert len(quiet) <= (stats["filled_ms"] + stats["concealed_ms"]) / 20


async def test_packets_that_overtake_each_other_are_put_in_order() -> None:
    kept: list[Any] = []

    def swap(n: int, packet: Any, send: Callable[[Any], Any]) -> None:
        if n % 10 == 5:
            kept.append(packet)
            return
        send(packet)
        while kept:
            send(kept.pop())
        if n % 10 == 7:
            send(packet)  # twice

    async with connected(ClientPeer(microphone=True)) as pair:
        intercept(pair, swap)
        await speak(pair, range(60))
        await pair.until(lambda: len(pair.chunks) >= 50)
        stats = pair.peer.stats()["microphone"]
        quiet = np.flatnonzero(loudness(heard(pair)[10 * 960 : 50 * 960]) < 3000)
        assert len(quiet) <= stats["filled_ms"] / 20  # only while this machine itself had no time to send
        assert stats["packets_lost"] == 0
        assert stats["packets_received"] >= 50
        assert stats["concealed_ms"] <= 20 * stats["late"]


async def test_time_goes_on_while_the_microphone_is_still() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        await speak(pair, range(20))
        await pair.until(lambda: len(pair.chunks) >= 20)
        await pair.until(lambda: len(pair.chunks) >= 70)  # a second of nothing
        pcm = heard(pair)
        assert np.all(pcm[25 * 960 :] == 0)
        await speak(pair, range(20, 40))
        count = len(pair.chunks)
        await pair.until(lambda: loudness(heard(pair))[count - 10 :].max() > 3000)
        assert pair.peer.stats()["microphone"]["filled_ms"] >= 900


async def test_the_stream_ends_with_the_connection() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        await speak(pair, range(10))
        await pair.until(lambda: len(pair.chunks) >= 10)
        await pair.client.close()
        await asyncio.wait_for(pair.peer.closed.wait(), 10)
        await asyncio.wait_for(asyncio.gather(*pair.readers), 5)


async def test_a_listener_that_does_not_come_costs_no_memory() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        for reader in pair.readers:
            reader.cancel()
        await asyncio.wait(pair.readers)
        pair.readers = []
        microphone = pair.peer._microphone
        for _ in range(700):
            microphone._append(TONE)
        assert len(microphone._chunks) == 500
        assert microphone.dropped == 200
        first = await anext(pair.peer.microphone())
        assert first.start == 200 * 960
