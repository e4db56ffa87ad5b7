"""Sound under one SSRC or the next, and a machine that stands still: the receiver in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from avatar.play import listener, microphone, receiver
from avatar.play.opus import OpusEncoder
from tests.play.pairs import TONE
from tests.play.virtual import SOUND, Loop, Time

TICK_S = 0.02
_encoder = OpusEncoder()
PACKETS = [_encoder.encode(TONE) for _ in range(8)]


class Ear:
    """A receiver, its microphone, and all that came of it."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        transport = SimpleNamespace(
            state="connected", _register_rtp_receiver=lambda *_: None, _unregister_rtp_receiver=lambda *_: None
        )
        transport.post = self._sent
        transport._send_rtp = self._reported
        self.receiver = listener.SoundReceiver(transport)
        self.receiver._set_rtcp_ssrc(9)
        self.microphone = microphone.Microphone()
        self.microphone.attach(self.receiver)

    def _sent(self, data: bytes) -> None:
        for packet in rtp.RtcpPacket.parse(data):
            self.asked += packet.lost

    async def _reported(self, data: bytes) -> None:
        pass

    async def begin(self) -> None:
        codec = RTCRtpCodecParameters(mimeType="audio/opus", clockRate=48_000, channels=2, payloadType=SOUND)
        parameters: Any = SimpleNamespace(codecs=[codec], encodings=[])
        await self.receiver.receive(parameters)

    async def hear(self, *numbers: int, ssrc: int = 1) -> None:
        for n in numbers:
            await self.receiver._handle_rtp_packet(
                rtp.RtpPacket(
                    payload_type=SOUND, sequence_number=n, timestamp=n * 960, ssrc=ssrc, payload=PACKETS[n % 8]
                ),
                0,
            )

    async def speak(self, *numbers: int, ssrc: int = 1) -> None:
        """As they come from a microphone."""
        for n in numbers:
            await self.hear(n, ssrc=ssrc)
            await asyncio.sleep(TICK_S)

    @property
    def chunks(self) -> int:
        return len(self.microphone._chunks)

    async def end(self) -> None:
        await self.receiver.stop()
        self.microphone.end()


Play = Callable[[Callable[[Ear, Time], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    time = Time()
    for module in (listener, microphone, receiver):
        monkeypatch.setattr(module, "time", time)

    def run(work: Callable[[Ear, Time], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            ear = Ear()
            await ear.begin()
            await work(ear, time)
            await ear.end()

        with asyncio.Runner(loop_factory=lambda: Loop(time)) as runner:
            runner.run(whole())

    return run


def test_answers_under_another_ssrc_leave_no_lag(play: Play) -> None:
    async def work(ear: Ear, time: Time) -> None:
        for n in range(0, 200, 10):
            await ear.speak(*range(n, n + 5), *range(n + 6, n + 9))
            await ear.hear(n + 5, ssrc=2)
            await ear.speak(n + 9)
        await ear.speak(*range(200, 230))
        assert set(ear.asked) == set(range(5, 200, 10))
        assert ear.chunks == 230  # each lost packet has its place, guessed

    play(work)


def test_another_stream_begins_and_what_was_held_back_is_not_lost(play: Play) -> None:
    async def work(ear: Ear, time: Time) -> None:
        await ear.speak(0, 1, 2, 4, 5)
        assert ear.chunks == 3
        await ear.speak(*range(1000, 1002), ssrc=2)
        assert ear.chunks == 3
        await ear.speak(1002, ssrc=2)
        assert ear.chunks == 6 + 3
        await ear.speak(6, ssrc=1)
        await ear.speak(*range(1003, 1010), ssrc=2)
        assert ear.chunks == 6 + 10

    play(work)


def test_another_stream_begins_at_once_after_a_pause(play: Play) -> None:
    async def work(ear: Ear, time: Time) -> None:
        await ear.speak(0, 1, 2)
        await asyncio.sleep(1.0)
        before = ear.chunks
        await ear.hear(1000, ssrc=2)
        assert ear.chunks == before + 1

    play(work)


def test_no_silence_is_put_in_for_a_time_in_which_this_machine_stood_still(play: Play) -> None:
    async def work(ear: Ear, time: Time) -> None:
        await ear.speak(*range(50))
        time.now += 1.0  # the loop is blocked, and what came waits in the socket
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        await ear.hear(*range(50, 100))
        await ear.speak(*range(100, 120))
        assert ear.microphone.filled == 0
        assert ear.chunks == 120

    play(work)


def test_after_a_silence_each_packet_is_handed_on_whole(play: Play) -> None:
    async def work(ear: Ear, time: Time) -> None:
        await ear.speak(*range(10))
        await asyncio.sleep(0.3771)
        await ear.speak(10, 11)
        assert ear.microphone.filled > 0.2 * 48_000
        before = ear.chunks
        await ear.hear(12)
        assert ear.chunks == before + 1
        assert ear.microphone._chunks[-1].pcm.any()
        assert len(ear.microphone._rest) == 0

    play(work)


def test_silence_is_put_in_on_a_machine_that_is_always_late(play: Play) -> None:
    async def work(ear: Ear, time: Time) -> None:
        await ear.speak(*range(50))
        for _ in range(20):
            time.now += 0.5
            await asyncio.sleep(0.001)
        assert 8.0 * 48_000 < ear.microphone.filled < 10.1 * 48_000

    play(work)
