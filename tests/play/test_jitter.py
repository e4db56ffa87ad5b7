"""Sound packets put in order: nothing is kept back, gaps are bridged to the sample."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avatar.play.jitter import MAX_WAIT_S, MIN_WAIT_S, Piece, SoundBuffer
from avatar.play.opus import PACKET_SAMPLES, OpusDecoder, OpusEncoder, duration

_encoder = OpusEncoder()
_tone = (6000 * np.sin(np.arange(PACKET_SAMPLES) * 2 * np.pi * 10 / PACKET_SAMPLES)).astype(np.int16)
PACKET = [_encoder.encode(_tone) for _ in range(3)][-1]
TICK = PACKET_SAMPLES / 48_000


def feed(buffer: SoundBuffer, order: list[int], *, now: float = 0.0) -> list[Piece]:
    pieces = []
    for n in order:
        buffer.add(n, n * PACKET_SAMPLES, PACKET, now)
        pieces += buffer.pop(now)
    return pieces


def test_packets_in_order_are_handed_on_at_once() -> None:
    buffer = SoundBuffer()
    for n in range(50):
        [piece] = feed(buffer, [n], now=n * TICK)
        assert (piece.kind, piece.timestamp, piece.samples) == ("packet", n * PACKET_SAMPLES, PACKET_SAMPLES)
        assert buffer.deadline is None


def test_one_lost_packet_costs_one_packet_of_guessing_and_no_lag() -> None:
    buffer = SoundBuffer()
    handed: list[tuple[str, float]] = []
    events = [n for n in range(20) if n != 10]
    for n in events:
        now = n * TICK
        while (deadline := buffer.deadline) is not None and deadline <= now:
            handed += [(p.kind, deadline) for p in buffer.pop(deadline)]
        handed += [(p.kind, now) for p in feed(buffer, [n], now=now)]
    kinds = [kind for kind, _ in handed]
    assert kinds == ["packet"] * 10 + ["lost"] + ["packet"] * 9
    assert handed[-1][1] == 19 * TICK  # the last packet was not kept back
    assert buffer.lost == 1


def test_what_follows_a_lost_packet_comes_with_it() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0, 1, 3])
    lost, packet = buffer.pop(1.0)
    assert (lost.kind, lost.timestamp, lost.samples, lost.data) == ("lost", 2 * 960, 960, PACKET)
    assert packet.kind == "packet"


@given(st.integers(0, 2**32), st.sets(st.integers(1, 98), max_size=30))
def test_the_samples_are_gapless_whatever_is_lost_or_swapped(seed: int, lost: set[int]) -> None:
    dice = random.Random(seed)
    events = sorted((n * TICK + dice.choice([0, 0, 0, 0.01, 0.025, 0.05]), n) for n in range(100) if n not in lost)
    events += [(moment + 0.001, n) for moment, n in events[::7]]
    buffer = SoundBuffer()
    pieces: list[Piece] = []
    for now, n in sorted(events):
        while (deadline := buffer.deadline) is not None and deadline <= now:
            pieces += buffer.pop(deadline)
        buffer.add(n, n * PACKET_SAMPLES, PACKET, now)
        pieces += buffer.pop(now)
    pieces += buffer.pop(100.0)
    position = pieces[0].timestamp
    for piece in pieces:
        assert piece.timestamp == position
        position += piece.samples
    assert position == 100 * PACKET_SAMPLES
    assert MIN_WAIT_S <= buffer.wait_s <= MAX_WAIT_S


def test_the_wait_grows_with_late_packets_and_shrinks_again() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0, 2])
    buffer.pop(1.0)
    buffer.add(1, PACKET_SAMPLES, PACKET, 1.0)
    assert buffer.late == 1
    grown = buffer.wait_s
    assert grown > MIN_WAIT_S
    feed(buffer, list(range(3, 3000)), now=1.0)
    assert buffer.wait_s == MIN_WAIT_S


def test_a_sender_that_paused_is_silence_not_loss() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0])
    buffer.add(1, 20 * PACKET_SAMPLES, PACKET, 0.4)
    silence, packet = buffer.pop(0.4)
    assert (silence.kind, silence.timestamp, silence.samples) == ("silence", PACKET_SAMPLES, 19 * PACKET_SAMPLES)
    assert packet.kind == "packet"
    assert buffer.lost == 0


def test_silence_that_was_put_in_is_not_put_in_again() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0])
    buffer.skip(10 * PACKET_SAMPLES)
    buffer.add(1, 11 * PACKET_SAMPLES, PACKET, 1.0)  # the pause was real
    assert [p.kind for p in buffer.pop(1.0)] == ["packet"]
    buffer.skip(5 * PACKET_SAMPLES)
    buffer.add(2, 12 * PACKET_SAMPLES, PACKET, 2.0)  # the packets were only late: nothing of them is thrown away
    assert [p.kind for p in buffer.pop(2.0)] == ["packet"]


def test_a_jump_of_the_sender_is_a_new_start() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0, 1])
    buffer.add(40_000, 10**9, PACKET, 1.0)
    assert [(p.kind, p.timestamp) for p in buffer.pop(1.0)] == [("packet", 10**9)]


@given(st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 2**33), st.binary(max_size=8)), max_size=100))
def test_noise_is_harmless(noise: list[tuple[int, int, bytes]]) -> None:
    buffer = SoundBuffer()
    for n, (sequence, timestamp, data) in enumerate(noise):
        buffer.add(sequence, timestamp, data, n * 0.01)
        for piece in buffer.pop(n * 0.01):
            assert 0 < piece.samples <= 2 * 48_000


@given(st.binary(max_size=200))
def test_no_packet_breaks_the_decoder(data: bytes) -> None:
    decoder = OpusDecoder()
    try:
        pcm = decoder.decode(data)
    except ValueError:
        pcm = decoder.conceal(PACKET_SAMPLES)
        assert len(pcm) == PACKET_SAMPLES
    else:
        assert len(pcm) == duration(data)
    decoder.close()
    decoder.close()


def test_sound_survives_coding_and_loss() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    tone = (8000 * np.sin(np.arange(50 * PACKET_SAMPLES) * 2 * np.pi * 440 / 48_000)).astype(np.int16)
    packets = [encoder.encode(tone[n * 960 : (n + 1) * 960]) for n in range(50)]
    assert 20_000 < sum(map(len, packets)) * 8 < 40_000  # bit/s
    pcm = np.concatenate(
        [decoder.conceal(960, packets[n + 1]) if n == 30 else decoder.decode(p) for n, p in enumerate(packets)]
    )
    assert len(pcm) == len(tone)
    spectrum = np.abs(np.fft.rfft(pcm[10 * 960 :].astype(float)))
    assert abs(spectrum.argmax() * 48_000 / (40 * 960) - 440) < 2
    guessed = pcm[30 * 960 + 312 : 31 * 960].astype(float)
    assert np.sqrt(np.mean(guessed**2)) > 1000  # concealed with something like the tone, not with silence
