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


def packet(n: int) -> bytes:
    """A packet that says which one it is."""
    return PACKET + bytes((n,))


def redundant(buffer: SoundBuffer, sequence: int, n: int, copies: int, now: float) -> list[Piece]:
    """Packet `n` of the sound, under a sequence number of its own, with copies of those before it."""
    for back in range(1, min(copies, n) + 1):
        buffer.mend(sequence, n * PACKET_SAMPLES, back * PACKET_SAMPLES, packet(n - back), now)
    buffer.add(sequence, n * PACKET_SAMPLES, packet(n), now)
    return buffer.pop(now)


def test_a_lost_packet_comes_with_the_next_one() -> None:
    buffer = SoundBuffer()
    pieces = [piece for n in range(10) if n != 5 for piece in redundant(buffer, n, n, 1, n * TICK)]
    assert [(piece.kind, piece.data) for piece in pieces] == [("packet", packet(n)) for n in range(10)]
    assert (buffer.lost, buffer.recovered, buffer.duplicates, buffer.late) == (0, 1, 0, 0)
    assert buffer.deadline is None


def test_two_copies_repair_two_losses_in_a_row_and_one_copy_one_of_them() -> None:
    for copies, kinds in ((2, ["packet"] * 5), (1, ["packet", "packet", "lost", "packet", "packet"])):
        buffer = SoundBuffer()
        pieces = [piece for n in (0, 1, 4) for piece in redundant(buffer, n, n, copies, n * TICK)]
        pieces += buffer.pop(1.0)
        assert [piece.kind for piece in pieces] == kinds
        assert [piece.timestamp for piece in pieces] == [n * PACKET_SAMPLES for n in range(5)]
        assert buffer.recovered == copies


def test_a_packet_that_its_copy_overtook_is_neither_late_nor_lost() -> None:
    buffer = SoundBuffer()
    for n in (0, 2, 1, 1, 3):
        redundant(buffer, n, n, 1, 0.0)
    assert (buffer.recovered, buffer.late, buffer.duplicates, buffer.wait_s) == (0, 0, 1, MIN_WAIT_S)


def test_what_comes_twice_is_no_sign_of_jitter() -> None:
    buffer = SoundBuffer()
    for n in range(10):
        feed(buffer, [n, n], now=n * TICK)
        feed(buffer, [max(0, n - 3)], now=n * TICK)
    assert (buffer.duplicates, buffer.late, buffer.wait_s) == (20, 0, MIN_WAIT_S)
    feed(buffer, [11])
    buffer.pop(1.0)
    feed(buffer, [10, 10], now=1.0)
    assert (buffer.duplicates, buffer.late) == (20, 2)


def test_no_copy_is_handed_on_beside_its_packet() -> None:
    for late in (False, True):  # packet 2 waits for packet 1 when its copy comes, or comes after it
        buffer = SoundBuffer()
        pieces = redundant(buffer, 0, 0, 0, 0.0)
        if not late:
            pieces += redundant(buffer, 2, 2, 0, 0.04)
        pieces += redundant(buffer, 4, 3, 1, 0.05)  # padding 3 is lost
        if late:
            pieces += redundant(buffer, 2, 2, 0, 0.055)
        pieces += buffer.pop(1.0)
        assert [p.timestamp for p in pieces] == [n * PACKET_SAMPLES for n in range(4)]
        assert [p.data[-1] for p in pieces if p.kind == "packet"] == [0, 2, 3]


def test_padding_takes_sequence_numbers_but_no_time() -> None:
    buffer = SoundBuffer()
    pieces = redundant(buffer, 0, 0, 1, 0.0)
    buffer.add(1, 0, b"", 0.0)
    pieces += redundant(buffer, 2, 1, 1, TICK)
    pieces += redundant(buffer, 5, 2, 1, 2 * TICK)  # padding was lost before it: nobody waits for that
    assert [piece.data for piece in pieces] == [packet(n) for n in range(3)]
    buffer.add(7, 3 * PACKET_SAMPLES, b"", 3 * TICK)  # behind packet 6, which is lost
    assert buffer.pop(3 * TICK) == []
    assert buffer.deadline is None
    pieces = redundant(buffer, 8, 4, 1, 4 * TICK)
    assert [piece.data for piece in pieces] == [packet(3), packet(4)]
    assert (buffer.lost, buffer.recovered) == (0, 1)


@given(st.integers(0, 2**32), st.sets(st.integers(1, 98), max_size=30), st.integers(0, 3), st.booleans())
def test_the_right_packets_are_handed_on_whatever_is_lost_or_padded(
    seed: int, lost: set[int], copies: int, padded: bool
) -> None:
    dice = random.Random(seed)
    buffer = SoundBuffer()
    pieces: list[Piece] = []
    sequence = 0
    for n in range(100):
        now = n * TICK
        while (deadline := buffer.deadline) is not None and deadline <= now:
            pieces += buffer.pop(deadline)
        if n not in lost:
            pieces += redundant(buffer, sequence, n, copies, now)
        sequence += 1
        while padded and dice.random() < 0.3:
            if dice.random() < 0.8:
                buffer.add(sequence, n * PACKET_SAMPLES, b"", now)
                pieces += buffer.pop(now)
            sequence += 1
    pieces += buffer.pop(100.0)
    position = 0
    for piece in pieces:
        assert piece.timestamp == position
        if piece.kind == "packet":
            assert piece.data == packet(position // PACKET_SAMPLES)
        position += piece.samples
    assert position == 100 * PACKET_SAMPLES
    handed = {piece.timestamp // PACKET_SAMPLES for piece in pieces if piece.kind == "packet"}
    beyond = {n for n in lost if not any(n + back not in lost for back in range(1, copies + 1))}
    assert handed == set(range(100)) - beyond
    assert buffer.recovered == len(lost - beyond)


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


def test_lost_packets_are_told_and_waited_for() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0, 1, 4])
    assert buffer.missing() == [2, 3]
    buffer.expect(2, 0.2)
    buffer.expect(3, 0.2)
    assert buffer.deadline == 0.2
    assert not feed(buffer, [5], now=0.15)
    assert [piece.timestamp // 960 for piece in feed(buffer, [2, 3], now=0.16)] == [2, 3, 4, 5]
    assert (buffer.lost, buffer.late, buffer.missing()) == (0, 0, [])


def test_what_does_not_come_is_bridged_when_its_time_is_over_and_is_no_sign_of_jitter_when_it_comes() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0, 1, 3])
    buffer.expect(2, 0.2)
    assert [piece.kind for piece in buffer.pop(0.2)] == ["lost", "packet"]
    assert not feed(buffer, [2], now=0.3)
    assert (buffer.lost, buffer.late, buffer.wait_s) == (1, 1, MIN_WAIT_S)


def test_lost_padding_and_silence_put_in_are_not_missed() -> None:
    buffer = SoundBuffer()
    feed(buffer, [0])
    buffer.add(3, 960, PACKET, 0.0)  # 1 and 2 were padding
    assert buffer.missing() == []
    buffer.add(5, 3 * 960, PACKET, 0.0)
    assert buffer.missing() == [4]
    buffer.pop(0.0)
    buffer.skip(960)
    assert buffer.missing() == []
