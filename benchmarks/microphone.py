"""What lost packets of the microphone cost: guessed sound, lag, and words.

The benchmark sentences, recorded and spoken by the local voices, are said by real peers of ours over a path with 60 ms
of round trip that loses packets at random, in real time, and recognised by the embedded recogniser. Three kinds of
clients:

* `client`: our own, redundant packets (RFC 2198) with up to three copies;
* `browser`: as Chromium sends, redundant packets with one copy, and again when it is asked (RFC 4585);
* `plain`: Opus alone with its in-band copies, from somebody who sends nothing again.

A busy machine delays those packets as no network does (`stalled_ms`). So what Chromium sends is carried over a path in
simulated time as well (`simulated`), which is exact and takes a minute.

    python -m benchmarks microphone
    MICROPHONE_SEEDS=10 MICROPHONE_KINDS=client BENCH_STT=whisper:tiny python -m benchmarks microphone
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avatar.clock import MediaClock
from avatar.hear.ears import Ears, SpeechContinued, SpeechEnded, SpeechStarted
from avatar.hear.engines import choose_stt
from avatar.hear.vad import Vad
from avatar.play.opus import OpusDecoder, OpusEncoder
from avatar.play.peer import Peer
from avatar.play.receive import ClientPeer
from avatar.seams import STT
from avatar.types import AudioChunk, Pcm
from tests.play.voice import carry

from . import at_least, at_most
from ._server import QUICK
from .hear import word_errors
from .turns import ENGLISH, RECORDED, recorded, synthesised

BARS = {
    "client_5_same_text_percent": at_least(100),
    "browser_5_same_text_percent": at_least(100),
    "simulated_5_same_text_percent": at_least(100),
    "simulated_lag_ms": at_most(20),
    "client_concealed_ms_per_lost_packet": at_most(20),
    "browser_concealed_ms_per_lost_packet": at_most(20),
    "plain_concealed_ms_per_lost_packet": at_most(20),
    "client_lag_ms": at_most(20),
    "browser_lag_ms": at_most(20),
    "plain_lag_ms": at_most(20),
}
KINDS = os.environ.get("MICROPHONE_KINDS", "client,browser,plain,simulated").split(",")
SEEDS = int(os.environ.get("MICROPHONE_SEEDS", "1" if QUICK else "3"))
AT_ONCE = 5
"""Calls: more of them keep two cores too busy to send in time, which is heard as losses are (`stalled_ms`)."""
LOSSES = (0.02, 0.05, 0.10)
VOICES = ("slt", "rms", "awb", "kal16")
DELAY_S = 0.03
RATE, TICK = 48_000, 960
LEAD_S, AFTER_S = 0.4, 1.6
"""Silence around each sentence."""
WARM_S = 2.0
"""Before the first: what the start of a connection loses is no word."""
END_S = 5.0
"""Of the recording, on which lag is judged."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is said."""

    pcm: Pcm
    spans: tuple[tuple[int, int], ...]
    """Samples of each sentence with its silence."""


@dataclass
class Heard:
    """What came of it."""

    pcm: Pcm
    late_s: list[float]
    """Of each packet's worth: how much later it was there than it lies in the stream."""
    stats: dict[str, Any]
    sent_s: list[float] = field(default_factory=list)
    """Of each packet: how much later than it was due it was sent, on a busy machine."""
    texts: list[str] = field(default_factory=list)


async def script() -> Script:
    lines = [recorded(path) for path in RECORDED] + await synthesised(ENGLISH[:5] if QUICK else ENGLISH, "en", VOICES)
    parts = [np.zeros(round(WARM_S * RATE), np.int16)]
    spans = []
    for line in lines:
        begin = sum(map(len, parts))
        parts += [np.zeros(round(LEAD_S * RATE), np.int16), line.pcm, np.zeros(round(AFTER_S * RATE), np.int16)]
        spans.append((begin, begin + sum(map(len, parts[-3:]))))
    whole = np.concatenate(parts)
    return Script(whole[: len(whole) // TICK * TICK], tuple(spans))


def impair(transport: Any, loss: float, seed: int) -> None:
    """What this DTLS transport sends is late, and some of it is lost once the first seconds are over."""
    chance, loop, real = random.Random(seed), asyncio.get_running_loop(), transport.post
    begin = time.monotonic() + WARM_S / 2

    def arrive(data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it may be closed by then
            real(data)

    def post(data: bytes) -> None:
        if time.monotonic() < begin or chance.random() >= loss:
            loop.call_later(DELAY_S, arrive, data)

    async def send(data: bytes) -> None:
        post(data)

    transport.post, transport._send_rtp = post, send


def plain(offer: str) -> str:
    """The offer without redundant packets."""
    rows = [row for row in offer.splitlines() if not row.startswith(("a=rtpmap:63 ", "a=fmtp:63 "))]
    return "\r\n".join(row.removesuffix(" 63") if row.startswith("m=audio") else row for row in rows) + "\r\n"


async def say(kind: str, said: Script, loss: float, seed: int) -> Heard:
    peer, client = Peer(MediaClock()), ClientPeer(microphone=True, video=False, data=False)
    chunks: list[AudioChunk] = []
    late: list[float] = []
    sent: list[float] = []
    try:
        offer = await client.offer()
        await client.accept(await peer.answer(plain(offer) if kind == "plain" else offer))
        async with asyncio.timeout(60):
            await asyncio.gather(peer.connected.wait(), client.connected.wait())
        mouth, ear = client._mouth, peer._ear
        assert mouth is not None and ear is not None
        if kind == "browser":
            mouth.most_copies = 1
        mouth.resends = kind != "plain"
        impair(mouth.transport, loss, seed)
        impair(ear.transport, loss, seed + 1)
        began = time.monotonic() + 0.1

        async def listen() -> None:
            async for chunk in peer.microphone():
                chunks.append(chunk)
                late.append(time.monotonic() - began - chunk.start / RATE)

        listening = asyncio.create_task(listen())
        for tick in range(len(said.pcm) // TICK):
            await asyncio.sleep(began + tick * TICK / RATE - time.monotonic())
            sent.append(time.monotonic() - began - tick * TICK / RATE)
            client.send_microphone(tick, said.pcm[tick * TICK : (tick + 1) * TICK])
        await asyncio.sleep(0.5)
        stats = peer.stats()["microphone"]
    finally:
        await client.close()
        await peer.close()
    await listening
    return Heard(np.concatenate([chunk.pcm for chunk in chunks]), late, stats, sent)


async def text(engine: STT, pcm: Pcm) -> str:
    """What the ears and the recogniser make of it."""
    ears, stream, found = Ears(Vad.load()()), engine.open("en"), []
    for at in range(0, len(pcm) - TICK + 1, TICK):
        for event in ears.hear(AudioChunk(pcm[at : at + TICK], RATE, at)):
            if isinstance(event, SpeechStarted | SpeechContinued):
                await stream.feed(event.chunk)
            elif isinstance(event, SpeechEnded):
                found.append((await stream.finish()).text)
                stream = engine.open("en")
    await stream.close()
    return " ".join(found)


async def read(engine: STT, said: Script, heard: Heard, clean: Heard | None) -> None:
    """Recognises each sentence; one that came to the sample as on the clean path has its text."""
    for n, (begin, end) in enumerate(said.spans):
        if clean is not None and np.array_equal(heard.pcm[begin:end], clean.pcm[begin:end]):
            heard.texts.append(clean.texts[n])
        else:
            heard.texts.append(await text(engine, heard.pcm[begin:end]))


def place(heard: Heard, said: Script) -> int:
    """The sample of the recording at which the end of what was said begins: later than in the script by silence that
    was put in, earlier by what is missing."""
    length = round(END_S * RATE)
    end, pcm = said.pcm[-length:].astype(float), heard.pcm.astype(float)
    size = 1 << (len(pcm) + length).bit_length()
    product = np.fft.irfft(np.fft.rfft(pcm, size) * np.conj(np.fft.rfft(end, size)), size)[: len(pcm) - length + 1]
    energy = np.cumsum(np.r_[0.0, pcm**2])
    loudness = energy[length:] - energy[:-length]
    return int(np.argmax(product / np.sqrt(loudness + loudness.max() / 100)))


def end_late_s(heard: Heard, said: Script) -> float:
    """How much later the end of what was said is there than it was sent, on the median."""
    begin, count = place(heard, said), round(END_S * RATE / TICK)
    first, shift = len(said.pcm) // TICK - count, (begin - (len(said.pcm) - count * TICK)) / RATE
    chunks = [min((begin + n * TICK) // TICK, len(heard.late_s) - 1) for n in range(count)]
    return statistics.median(heard.late_s[chunk] + shift - heard.sent_s[first + n] for n, chunk in enumerate(chunks))


def lag_ms(heard: Heard, clean: Heard, said: Script) -> float:
    """How much longer than on the clean path the end of what was said was on its way."""
    return 1000 * (end_late_s(heard, said) - end_late_s(clean, said))


def summed(kind: str, said: Script, clean: Heard, runs: dict[tuple[float, int], Heard]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for loss in sorted({loss for loss, _ in runs}):
        some = [heard for (at, _), heard in runs.items() if at == loss]
        same = [sum(a == b for a, b in zip(h.texts, clean.texts, strict=True)) for h in some]
        words = sum(word_errors(a, b) for h in some for a, b in zip(clean.texts, h.texts, strict=True))
        name = f"{kind}_{loss * 100:g}"
        figures[f"{name}_same_text_percent"] = 100 * sum(same) / len(said.spans) / len(some)
        figures[f"{name}_same_text"] = ", ".join(f"{n}/{len(said.spans)}" for n in same)
        figures[f"{name}_words_differ"] = f"{words}/{sum(len(t.split()) for t in clean.texts) * len(some)}"
        figures[f"{name}_concealed_ms"] = statistics.fmean(h.stats["concealed_ms"] for h in some)
        figures[f"{name}_lost"] = statistics.fmean(h.stats["packets_lost"] for h in some)
        figures[f"{name}_repaired"] = statistics.fmean(h.stats["repaired"] for h in some)
        figures[f"{name}_recovered"] = statistics.fmean(h.stats["recovered"] for h in some)
    every = list(runs.values())
    figures[f"{kind}_stalled_ms"] = max(h.stats["filled_ms"] for h in (clean, *every))
    figures[f"{kind}_concealed_ms_per_lost_packet"] = max(
        h.stats["concealed_ms"] / max(1, h.stats["packets_lost"]) for h in every
    )
    figures[f"{kind}_lag_ms"] = max((lag_ms(h, clean, said) for h in every), key=abs)
    return figures


def batched(items: list[tuple[float, int]], size: int) -> list[list[tuple[float, int]]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


async def measure(kind: str, said: Script, engine: STT) -> dict[str, Any]:
    cases = [(loss, seed) for loss in LOSSES for seed in range(SEEDS)]
    clean, *lossy = [
        heard
        for some in batched([(0.0, 0), *cases], AT_ONCE)
        for heard in await asyncio.gather(*(say(kind, said, loss, 10 * seed + 1) for loss, seed in some))
    ]
    for heard in (clean, *lossy):
        await read(engine, said, heard, None if heard is clean else clean)
    figures = summed(kind, said, clean, dict(zip(cases, lossy, strict=True)))
    print(kind, figures, sep="\n  ", file=sys.stderr)
    return figures


def simulate(packets: list[bytes], loss: float, seed: int) -> Heard:
    """As Chromium sends, in simulated time."""
    taken, decoder = carry(packets, loss, seed, copies=1), OpusDecoder()
    parts = [
        decoder.decode(piece.data) if piece.kind == "packet" else decoder.conceal(piece.samples, piece.data)
        for piece in taken.pieces
    ]
    decoder.close()
    stats = {"concealed_ms": taken.concealed_ms, "asked": taken.asked, "answered": taken.answered}
    return Heard(np.concatenate(parts), taken.late_s, stats)


async def measure_simulated(said: Script, engine: STT) -> dict[str, Any]:
    encoder = OpusEncoder()
    packets = [encoder.encode(said.pcm[at : at + TICK]) for at in range(0, len(said.pcm), TICK)]
    encoder.close()
    clean = simulate(packets, 0.0, 0)
    await read(engine, said, clean, None)
    figures: dict[str, Any] = {}
    lags = []
    for loss in LOSSES:
        some = [simulate(packets, loss, seed) for seed in range(2 * SEEDS)]
        for heard in some:
            await read(engine, said, heard, clean)
            lags.append(1000 * (min(heard.late_s[-250:]) - min(clean.late_s[-250:])))
        same = [sum(a == b for a, b in zip(h.texts, clean.texts, strict=True)) for h in some]
        name = f"simulated_{loss * 100:g}"
        figures[f"{name}_same_text_percent"] = 100 * sum(same) / len(said.spans) / len(some)
        figures[f"{name}_same_text"] = ", ".join(f"{n}/{len(said.spans)}" for n in same)
        figures[f"{name}_concealed_ms"] = max(h.stats["concealed_ms"] for h in some)
        figures[f"{name}_longest_wait_ms"] = 1000 * (max(max(h.late_s) for h in some) - DELAY_S)
    figures["simulated_lag_ms"] = max(lags, key=abs)
    print("simulated", figures, sep="\n  ", file=sys.stderr)
    return figures


async def run() -> dict[str, Any]:
    said = await script()
    figures: dict[str, Any] = {"sentences": len(said.spans)}
    with tempfile.TemporaryDirectory() as scratch:
        engine = await choose_stt(os.environ.get("BENCH_STT", "pocketsphinx"), Path(scratch))
        await engine.warm()
        try:
            for kind in KINDS:
                measured = measure_simulated(said, engine) if kind == "simulated" else measure(kind, said, engine)
                figures |= await measured
        finally:
            await engine.close()
    return figures
