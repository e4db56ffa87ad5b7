"""A real browser against `Peer` alone: what it offers, decodes and renegotiates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from avatar.clock import MediaClock
from avatar.play.peer import Peer
from tests.play.pairs import TONE, show_until
from tests.web.browser import chromium_path

pytestmark = pytest.mark.browser

SCRIPT = """
window.connect = async shape => {
  const pc = window.pc = new RTCPeerConnection({bundlePolicy: shape.bundle || 'max-bundle'});
  const adders = {
    a: () => pc.addTransceiver('audio', {direction: 'recvonly'}),
    m: async () => {
      const stream = await navigator.mediaDevices.getUserMedia({audio: true});
      pc.addTransceiver(stream.getAudioTracks()[0], {direction: 'sendrecv'});
    },
    v: () => pc.addTransceiver('video', {direction: 'recvonly'}),
    c: () => pc.addTransceiver('video', {direction: 'sendrecv'}),
    d: () => {
      const channel = pc.createDataChannel('any');
      channel.onopen = () => channel.send('hello');
      channel.onmessage = event => { window.heard = event.data; };
    },
  };
  for (const line of shape.lines) await adders[line]();
  const video = document.createElement('video');
  video.autoplay = video.muted = true;
  document.body.append(video);
  pc.ontrack = event => { video.srcObject = event.streams[0]; };
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
};
window.accept = sdp => pc.setRemoteDescription({type: 'answer', sdp});
window.again = async options => {
  await pc.setLocalDescription(await pc.createOffer(options));
  return pc.localDescription.sdp;
};
window.figures = async () => {
  const found = {};
  const codecs = {};
  (await pc.getStats()).forEach(row => {
    if (row.type === 'inbound-rtp') found[row.kind] = {...row};
    if (row.type === 'codec') codecs[row.id] = `${row.mimeType} ${row.sdpFmtpLine || ''}`;
  });
  for (const row of Object.values(found)) row.codec = codecs[row.codecId];
  return found;
};
"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(),
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        context = await browser.new_context(permissions=["microphone"])
        page = await context.new_page()
        await page.add_init_script(SCRIPT)
        await page.route("**/*", lambda route: route.fulfill(body="<!doctype html><body>", content_type="text/html"))
        await page.goto("http://localhost/")  # a place that a browser trusts with a microphone
        yield page
        await browser.close()


class Call:
    """A page connected to a peer that shows and says something."""

    def __init__(self, page: Page, peer: Peer) -> None:
        self.page, self.peer = page, peer

    async def negotiate(self, offer: str) -> None:
        await self.page.evaluate("sdp => accept(sdp)", await self.peer.answer(offer))

    async def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.page.evaluate("figures()")
        return found

    async def decoded(self, count: int) -> dict[str, Any]:
        """Waits until the browser has decoded so many pictures more."""
        first = (await self.figures()).get("video", {}).get("framesDecoded", 0)
        while (now := await self.figures()).get("video", {}).get("framesDecoded", 0) < first + count:
            await asyncio.sleep(0.1)
        return now


async def call(page: Page, lines: str, codec: str = "vp9", **shape: str) -> tuple[Call, asyncio.Task[None]]:
    clock = MediaClock()
    peer = Peer(clock, codec=codec)
    made = Call(page, peer)
    await made.negotiate(await page.evaluate("shape => connect(shape)", {"lines": lines, **shape}))
    await asyncio.wait_for(peer.connected.wait(), 30)
    return made, asyncio.create_task(show_until(peer, clock, peer.closed, TONE))


@pytest.mark.parametrize(
    ("lines", "bundle"), [("mvd", "max-bundle"), ("va", "balanced"), ("dmcc", "max-bundle"), ("v", "max-compat")]
)
async def test_chromium_decodes_vp9_whatever_the_shape_of_its_offer(page: Page, lines: str, bundle: str) -> None:
    made, showing = await call(page, lines, bundle=bundle)
    figures = await made.decoded(30)
    video = figures["video"]
    assert video["codec"] == "video/VP9 profile-id=0"
    assert (video["frameWidth"], video["frameHeight"]) == (128, 128)
    assert video["keyFramesDecoded"] == made.peer.stats()["key_frames"]
    peer = made.peer
    assert (peer.has_audio, peer.has_microphone, peer.has_data) == (
        "a" in lines or "m" in lines,
        "m" in lines,
        "d" in lines,
    )
    if peer.has_audio:
        assert figures["audio"]["codec"].startswith("audio/opus")
        assert figures["audio"]["packetsReceived"] > 0
    if peer.has_microphone:
        chunks = peer.microphone()
        heard = [await asyncio.wait_for(anext(chunks), 30) for _ in range(20)]
        assert [chunk.start for chunk in heard] == [n * 960 for n in range(20)]
    if peer.has_data:
        assert await asyncio.wait_for(anext(peer.texts()), 30) == "hello"
        peer.send_text("日本語")
        await page.wait_for_function("window.heard === '日本語'")
    await page.evaluate("pc.close()")
    await asyncio.wait_for(peer.closed.wait(), 30)
    await showing
    await peer.close()


@pytest.mark.parametrize(("codec", "name"), [("av1", "video/AV1"), ("h264", "video/H264"), ("vp8", "video/VP8")])
async def test_chromium_decodes_the_other_codecs_and_repairs_them(page: Page, codec: str, name: str) -> None:
    made, showing = await call(page, "va", codec)
    await made.decoded(10)
    sender: Any = made.peer._picture
    real = sender._send_packet
    lost: list[int] = []

    def lose(packet: Any) -> int:
        if packet.ssrc == sender._ssrc and packet.sequence_number % 7 == 0:
            lost.append(packet.sequence_number)
            return 0
        size: int = real(packet)
        return size

    sender._send_packet = lose
    figures = await made.decoded(40)
    assert figures["video"]["codec"].startswith(name)
    assert lost
    assert sender.retransmitted > 0
    del sender._send_packet
    keys = figures["video"]["keyFramesDecoded"]
    made.peer.set_bitrate(200)
    figures = await made.decoded(20)
    assert figures["video"]["keyFramesDecoded"] - keys <= figures["video"]["pliCount"]
    sender.source.want_key()
    while (await made.figures())["video"]["keyFramesDecoded"] <= keys:
        await asyncio.sleep(0.1)
    await made.peer.close()
    await showing


async def test_chromium_repairs_its_microphone_by_redundant_packets(page: Page) -> None:
    made, showing = await call(page, "mvd")
    chunks = made.peer.microphone()
    ear: Any = made.peer._ear
    real = ear._handle_rtp_packet
    dropped: list[int] = []
    count = 0

    async def lose(packet: Any, arrival_time_ms: int) -> None:
        nonlocal count
        count += bool(packet.payload)  # not the padding
        if packet.payload and count % 10 == 0:
            dropped.append(packet.sequence_number)
            return
        await real(packet, arrival_time_ms)

    ear._handle_rtp_packet = lose
    loud = 0.0
    while len(dropped) < 10 or loud < 500:
        chunk = await asyncio.wait_for(anext(chunks), 30)
        loud = max(loud, float(np.sqrt(np.mean(chunk.pcm.astype(np.float64) ** 2))))
    stats = made.peer.stats()["microphone"]
    assert stats["codec"] == "red"
    assert len(dropped) - 1 <= stats["recovered"] <= len(dropped)  # of the last one the copy may not be there yet
    assert stats["concealed_ms"] == stats["malformed"] == 0
    del ear._handle_rtp_packet
    await made.peer.close()
    await showing


async def test_chromium_sends_its_microphone_again_where_two_packets_in_a_row_are_lost(page: Page) -> None:
    made, showing = await call(page, "mvd")
    chunks = made.peer.microphone()
    await asyncio.wait_for(anext(chunks), 30)
    transport: Any = made.peer._connection.ice
    real = transport._recv
    lost: set[bytes] = set()
    again: set[bytes] = set()

    async def receive() -> bytes:
        while True:
            data: bytes = await real()
            rtp = 128 <= data[0] < 192 and not 192 <= data[1] < 224  # RFC 7983, RFC 5761
            sequence = data[2:4]
            if not rtp or int.from_bytes(sequence, "big") % 20 not in (5, 6):
                return data
            if sequence in lost:
                again.add(sequence)
                return data
            lost.add(sequence)

    transport._recv = receive
    while len(again) < 3:
        await asyncio.wait_for(anext(chunks), 30)
    assert made.peer.stats()["microphone"]["nack"] >= 3
    await made.peer.close()
    await showing


async def test_chromium_restarts_ice_beneath_a_running_call(page: Page) -> None:
    made, showing = await call(page, "mvd")
    await made.decoded(10)
    before: Any = made.peer._connection.ice
    path = before._connection
    await made.negotiate(await page.evaluate("again({iceRestart: true})"))
    await made.decoded(25)
    assert before._connection is not path
    for protocol in before._connection._protocols:  # the network is gone, without a word
        protocol.transport.sendto = lambda *args: None
        protocol.datagram_received = lambda *args: None
    await made.negotiate(await page.evaluate("again({iceRestart: true})"))
    await made.decoded(25)
    assert not made.peer.closed.is_set()
    assert await page.evaluate("pc.connectionState") == "connected"
    await made.peer.close()
    await showing


async def test_chromium_renegotiates_without_its_microphone(page: Page) -> None:
    made, showing = await call(page, "mvd")
    await made.decoded(10)
    await page.evaluate("pc.getTransceivers()[0].direction = 'recvonly'")
    await made.negotiate(await page.evaluate("again({})"))
    assert not made.peer.has_microphone
    assert made.peer.has_audio
    await made.decoded(10)
    await page.evaluate("pc.getTransceivers()[0].direction = 'sendrecv'")
    await made.negotiate(await page.evaluate("again({})"))
    assert made.peer.has_microphone
    await made.decoded(10)
    await made.peer.close()
    await showing
