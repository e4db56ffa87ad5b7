"""What a network may bring: random, truncated and bent RTP, RTCP, SDP and data-channel frames. A few thousand here,
a million each with `-m soak`, or as many as FUZZ_COUNT says. Nothing may be raised but what is promised, and nothing
may grow."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters

from avatar.errors import AvatarError
from avatar.play import av1, codecs, feedback, offer, red, vp9
from avatar.play.assemble import FrameAssembler, Packet
from avatar.play.congestion import Congestion
from avatar.play.feedback import Arrivals
from avatar.play.jitter import SoundBuffer
from avatar.play.opus import OpusDecoder, OpusEncoder
from avatar.play.receive import ClientPeer
from avatar.serve import rtvi

FEW = 4_000
MANY = int(os.environ.get("FUZZ_COUNT", "1000000"))
GROWTH_BYTES = 3_000_000


def bent(source: bytes, chance: random.Random) -> bytes:
    """Cut, stretched, with wrong bits, or nothing but noise."""
    data = bytearray(source)
    match chance.randrange(5):
        case 0:
            return chance.randbytes(chance.randrange(0, 80))
        case 1:
            del data[chance.randrange(len(data) + 1) :]
        case 2:
            at = chance.randrange(len(data) + 1)
            data[at:at] = chance.randbytes(chance.randrange(1, 20))
        case _:
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def steady(work: Callable[[int], None], count: int) -> None:
    """Runs it, and holds that the second half needs no more memory than the first left."""
    for n in range(count // 2):
        work(n)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for n in range(count // 2, count):
        work(n)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < GROWTH_BYTES


def packets(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    frame = b"\x82\x49\x83\x42" + chance.randbytes(3000)  # begins as a VP9 key frame does
    picture = 0
    while True:
        picture = (picture + 1) & 0x7FFF
        for payload in vp9.packetize(frame, picture, (64, 64) if chance.random() < 0.3 else None):
            yield "vp9", payload
        unit = b"\x0a\x04head\x32" + av1.leb128(2000) + chance.randbytes(2000)  # a sequence header and a frame
        for payload in av1.packetize(unit if chance.random() < 0.3 else unit[6:]):
            yield "av1", payload
        yield "vp8", b"\x90\x80" + chance.randbytes(40)
        yield "h264", bytes((chance.choice((24, 28, 5, 7)),)) + chance.randbytes(60)


def fuzz_rtp(count: int) -> None:
    chance = random.Random(1)
    source = packets(chance)
    assembler = FrameAssembler(lambda data: codecs.is_key("vp9", data))
    extensions = rtp.HeaderExtensionsMap()
    parameters = RTCRtpParameters()
    parameters.headerExtensions = [RTCRtpHeaderExtensionParameters(id=5, uri=feedback.URI)]
    extensions.configure(parameters)
    state = {"sequence": 0, "time": 0}

    def work(n: int) -> None:
        name, payload = next(source)
        if chance.random() < 0.6:
            payload = bent(payload, chance)
        whole = rtp.RtpPacket(payload_type=98, sequence_number=n & 0xFFFF, timestamp=n, ssrc=7, payload=payload)
        whole.extensions.transport_sequence_number = n & 0xFFFF
        try:
            rtp.RtpPacket.parse(bent(whole.serialize(extensions), chance), extensions)
        except Exception as error:  # the transport drops what aiortc's parser throws at
            assert not isinstance(error, MemoryError | RecursionError)
        try:
            data, start = codecs.depayload(name, payload)
        except (ValueError, IndexError):
            return
        codecs.is_key(name, data)
        state["sequence"] += chance.choice((1, 1, 1, 1, 2, -1, 30, -3, 700)) if n % 50 else 40_000
        state["time"] += chance.choice((0, 0, 3600, -3600, 90_000))
        packet = Packet(state["sequence"], state["time"], chance.random() < 0.3, data, start, n / 500)
        assembler.add(packet)
        if n % 20 == 0:
            assembler.overdue(n / 500)
            assembler.requests(n / 500)
        assert len(assembler._packets) <= 2048 and len(assembler._gaps) <= 2 * 2048

    steady(work, count)


def fuzz_sound(count: int) -> None:
    chance = random.Random(2)
    real = OpusEncoder().encode(np.full(960, 500, np.int16))
    buffer, decoder = SoundBuffer(), OpusDecoder()
    mixed = red.join([red.Copy(1920, real), red.Copy(960, real)], real, 111)

    def work(n: int) -> None:
        try:
            copies, own = red.parse(bent(mixed, chance) if chance.random() < 0.6 else mixed, 111)
        except ValueError:
            return
        assert len(copies) <= red.MAX_COPIES and own
        for copy in reversed(copies):
            buffer.mend(n + chance.choice((0, 0, 1, -7, 300)), n * 960, copy.offset, copy.data, n * 0.02)
        if chance.random() < 0.1:
            buffer.add(n + chance.choice((0, 1, 40, -3)), n * 960, b"", n * 0.02)
        for piece in buffer.pop(n * 0.02):
            assert 0 <= piece.samples <= 96_000
        assert len(buffer._held) <= 256 and len(buffer._handed) <= 256
        plain(n)

    def plain(n: int) -> None:
        data = real if chance.random() < 0.5 else bent(real, chance)
        at = n + chance.choice((0, 0, 0, 1, -1, -5, 60, 5000))
        buffer.add(at, at * 960 + chance.choice((0, 0, 0, 7, -100_000)), data, n * 0.02)
        for piece in buffer.pop(n * 0.02):
            assert 0 <= piece.samples <= 96_000
            if piece.kind == "lost":
                assert len(decoder.conceal(piece.samples - piece.samples % 120, piece.data)) <= piece.samples
            elif piece.kind == "packet" and n % 10 == 0:
                with contextlib.suppress(ValueError):
                    decoder.decode(piece.data)
        assert len(buffer._held) <= 256

    steady(work, count)


def fuzz_rtcp(count: int) -> None:
    chance = random.Random(3)
    path = Congestion()
    receiver = Congestion()
    receiver.arrivals.add(0, 0.0)
    spare = receiver.arrivals.report(1, 2) or b""

    def work(n: int) -> None:
        now = n / 200
        for _ in range(3):
            path.sent(1000, now)
            receiver.arrivals.add(chance.randrange(1 << 16) if chance.random() < 0.01 else path._next - 1 & 0xFFFF, now)
        if n % 100 == 0:
            receiver.arrivals = Arrivals()
        report = receiver.arrivals.report(1, 2) or spare
        good = bytes(rtp.RtcpRrPacket(ssrc=5, reports=[])) + report
        reports, rest = feedback.take(good if chance.random() < 0.3 else bent(good, chance))
        for entry in reports:
            path.take(entry, now)
        try:
            rtp.RtcpPacket.parse(rest)
        except Exception as error:  # as above
            assert not isinstance(error, MemoryError | RecursionError)
        if path.estimate is not None:
            assert 0 < path.estimate.rate <= 4_000_000
        assert len(path._sent) <= 4_001 and len(receiver.arrivals._times) <= feedback.MAX_SPAN

    steady(work, count)


def fuzz_sdp(count: int, good: str) -> None:
    chance = random.Random(4)
    lines = good.splitlines()

    def work(n: int) -> None:
        rows = list(lines)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(rows))
            match chance.randrange(4):
                case 0:
                    del rows[at]
                case 1:
                    rows.insert(at, rows[chance.randrange(len(rows))])
                case 2:
                    rows[at] = bent(rows[at].encode(), chance).decode("latin-1") if rows[at] else "\0"
                case _:
                    rows[at] = rows[at][: chance.randrange(len(rows[at]) + 1)]
        try:
            offer.plan("\r\n".join(rows) + "\r\n", chance.choice(codecs.VIDEO_CODECS), {})
        except AvatarError as error:
            assert error.status == 400

    steady(work, count)


SAID: list[dict[str, Any]] = [
    {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "2.1"}},
    {"label": "rtvi-ai", "type": "send-text", "id": "1", "data": {"content": "", "options": {"run_immediately": True}}},
    {"label": "rtvi-ai", "type": "client-message", "id": "1", "data": {"t": "session.update", "d": {"fps": 20}}},
    {"type": "signalling", "message": {"type": "renegotiate"}},
]


def fuzz_frames(count: int) -> None:
    chance = random.Random(5)
    said = [json.dumps(frame).encode() for frame in SAID]

    def work(n: int) -> None:
        frame = rtvi.decode(bent(chance.choice(said), chance).decode("utf-8", "replace"))
        assert frame is None or isinstance(frame.type, str)

    steady(work, count)


def test_rtp() -> None:
    fuzz_rtp(FEW)
    fuzz_sound(FEW)


def test_rtcp() -> None:
    fuzz_rtcp(FEW)


def test_frames_of_the_data_channel() -> None:
    fuzz_frames(FEW)


async def an_offer() -> str:
    peer = ClientPeer(microphone=True)
    try:
        return await peer.offer()
    finally:
        await peer.close()


def test_sdp() -> None:
    fuzz_sdp(FEW // 8, asyncio.run(an_offer()))


@pytest.mark.soak
@pytest.mark.parametrize("fuzz", [fuzz_rtp, fuzz_sound, fuzz_rtcp, fuzz_frames])
def test_a_million(fuzz: Callable[[int], None]) -> None:
    fuzz(MANY)


@pytest.mark.soak
def test_a_million_offers() -> None:
    fuzz_sdp(MANY, asyncio.run(an_offer()))
