"""Ends of connections: nothing is left behind, and a client that vanishes is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from typing import Any

import psutil
import pytest

from avatar.clock import MediaClock
from avatar.play import connection
from avatar.play.peer import Peer
from avatar.play.receive import ClientPeer
from tests.play.offers import line, offer
from tests.play.pairs import TONE, connected


def sockets() -> int:
    return sum("socket" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is(fd))


def _is(fd: str) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}") or os.path.islink(f"/proc/self/fd/{fd}")


async def cycle() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        pair.client.send_text("hello")
        pair.client.send_microphone(0, TONE)
        await pair.show(
            sound=lambda tick: TONE, until=lambda: bool(pair.pictures and pair.sounds and pair.to_peer and pair.chunks)
        )


async def settle() -> set[asyncio.Task[Any]]:
    for _ in range(20):
        await asyncio.sleep(0.02)
    return asyncio.all_tasks()


async def _cycles(count: int) -> None:
    await cycle()
    tasks, open_sockets, threads = await settle(), sockets(), threading.active_count()
    for _ in range(count):
        await cycle()
    assert await settle() == tasks
    assert sockets() == open_sockets
    assert threading.active_count() <= threads + 2  # the shared pools may have grown by a worker


async def test_ten_connections_leave_nothing() -> None:
    await _cycles(10)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_hundred_connections_leave_nothing() -> None:
    await _cycles(20)
    gc.collect()
    before = psutil.Process().memory_info().rss
    await _cycles(100)
    gc.collect()
    from avatar.play import memory

    memory._trim()
    assert psutil.Process().memory_info().rss - before < 20e6


async def test_closing_is_heard_on_the_other_side_at_once() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)
        await pair.peer.close()
        await asyncio.wait_for(pair.client.closed.wait(), 5)
    async with connected() as pair:
        await pair.client.close()
        await asyncio.wait_for(pair.peer.closed.wait(), 5)
        pair.peer.send_picture(0, None)
        pair.peer.send_sound(0, TONE)
        pair.peer.send_text("too late")
        assert pair.peer.stats()["connection"] == "closed"


async def test_closing_twice_and_before_anything() -> None:
    peer = Peer(MediaClock())
    await asyncio.gather(peer.close(), peer.close())
    await peer.close()
    assert peer.closed.is_set()
    assert [chunk async for chunk in peer.microphone()] == []
    assert [text async for text in peer.texts()] == []
    waiting = Peer(MediaClock())
    await waiting.answer(offer(line("audio", "0"), line("video", "1"), line("application", "2")))
    await waiting.close()
    client = ClientPeer()
    await client.offer()
    await client.close()


async def test_a_close_ends_although_every_task_was_cancelled() -> None:
    """As a loop does with what is left when it stops."""
    ended = []
    with contextlib.suppress(asyncio.CancelledError):  # what closes was cancelled as well
        async with connected() as pair:
            await pair.show(until=lambda: len(pair.pictures) >= 3)
            closing = asyncio.create_task(pair.peer._connection.close())
            await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {asyncio.current_task(), closing}:
                task.cancel()
            for peer in (pair.peer, pair.client):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait_for(peer.close(), 10)
                ended.append(peer)
    assert len(ended) == 2


async def test_rounds_of_ice_that_come_to_nothing_leave_nothing() -> None:
    before = sockets()
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)
        for round_no in range(4):  # nobody answers these checks
            await pair.peer.restart(f"round{round_no}", "p" * 22, [])
        await asyncio.sleep(0)
        await pair.peer.restart("last", "p" * 22, [])
    await settle()
    assert sockets() == before


def cut(peer: Peer | ClientPeer) -> None:
    """Its packets reach nobody any more, and it hears none: the machine is gone."""
    for protocol in peer._connection.ice._connection._protocols:
        protocol.transport.sendto = lambda *args: None
        protocol.datagram_received = lambda *args: None


async def test_a_client_that_vanishes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_S", 0.5)
    monkeypatch.setattr(connection, "LOST_S", 2.0)
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)
        cut(pair.client)
        await asyncio.wait_for(pair.peer.closed.wait(), 20)


async def test_a_client_that_is_only_quiet_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_S", 0.2)
    monkeypatch.setattr(connection, "LOST_S", 1.0)
    monkeypatch.setattr(connection, "_PROBE_S", 0.3)
    async with connected(ClientPeer(video=False, audio=False)) as pair:
        sctp = pair.client._connection.sctp
        assert sctp is not None
        await asyncio.sleep(4.0)  # several times what a dead one is given
        assert not pair.peer.closed.is_set()
        pair.client.send_text("still here")
        await pair.until(lambda: pair.to_peer == ["still here"])


async def test_the_encoder_is_freed_with_the_connection() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 3)
        broadcast: Any = pair.peer._broadcast
        assert broadcast.pictures("vp9")._encoder is not None
        assert broadcast.sound._encoder is not None
    assert broadcast.pictures("vp9")._encoder is None
    assert broadcast.sound._encoder is None
