"""Frames out of packets that were lost, swapped, doubled and repaired."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from avatar.play.assemble import ASK_AFTER_S, ASK_AGAIN_S, GIVE_UP_S, MAX_GAP, MAX_PACKETS, FrameAssembler, Packet

KEY, DELTA = b"K", b"d"


def is_key(frame: bytes) -> bool:
    return frame.startswith(KEY)


def stream(lengths: list[int], keys: set[int] | None = None, first: int = 100) -> list[Packet]:
    """Packets of frames with so many packets each; frame 0 is a key frame."""
    packets = []
    for frame, length in enumerate(lengths):
        kind = KEY if frame in ({0} if keys is None else keys) else DELTA
        for part in range(length):
            data = (kind if part == 0 else b"") + f"{frame}.{part};".encode()
            packets.append(
                Packet(first + len(packets), frame * 3600, part == length - 1, data, part == 0, 0.04 * frame)
            )
    return packets


def frames_of(packets: list[Packet]) -> list[bytes]:
    return [
        b"".join(p.data for p in packets if p.timestamp == timestamp)
        for timestamp in sorted({p.timestamp for p in packets})
    ]


def test_a_frame_is_handed_on_with_its_last_packet() -> None:
    assembler = FrameAssembler(is_key)
    packets = stream([3, 1, 2])
    handed = [[frame.data for frame in assembler.add(packet)] for packet in packets]
    whole = frames_of(packets)
    assert handed == [[], [], [whole[0]], [whole[1]], [], [whole[2]]]
    assert not assembler.requests(1.0)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(0, 2**32), st.integers(0, 12))
def test_order_and_doubles_do_not_matter(lengths: list[int], seed: int, reach: int) -> None:
    packets = stream(lengths)
    shuffled = packets + packets[::3]
    shuffled.sort(key=lambda p: p.sequence + random.Random(seed + p.sequence).uniform(0, reach))
    assembler = FrameAssembler(is_key)
    handed = [frame.data for packet in shuffled for frame in assembler.add(packet)]
    assert handed == frames_of(packets)
    assert not assembler.wants_key


def test_what_is_missing_is_asked_for_and_repaired() -> None:
    assembler = FrameAssembler(is_key)
    packets = stream([2, 3, 2])
    lost = packets[3]
    handed = [f.data for p in packets if p is not lost for f in assembler.add(p)]
    assert handed == frames_of(packets)[:1]
    assert assembler.requests(0.04) == []  # perhaps they only overtook each other
    now = 0.04 + ASK_AFTER_S + 0.001
    assert assembler.requests(now) == [lost.sequence]
    assert assembler.requests(now + 0.01) == []
    assert assembler.requests(now + ASK_AGAIN_S) == [lost.sequence]
    assert [f.data for f in assembler.add(lost)] == frames_of(packets)[1:]
    assert assembler.requests(now + 2 * ASK_AGAIN_S) == []
    assert assembler.given_up == 0


def test_what_never_comes_costs_everything_up_to_the_next_key_frame() -> None:
    assembler = FrameAssembler(is_key)
    packets = stream([2, 3, 2, 2, 1], keys={0, 3})
    lost = packets[3]
    early = [f.data for p in packets[:7] if p is not lost for f in assembler.add(p)]
    assert early == frames_of(packets)[:1]
    assert assembler.overdue(0.04 + GIVE_UP_S - 0.01) == []
    assert assembler.overdue(0.04 + GIVE_UP_S + 0.01) == []
    assert assembler.wants_key
    assert assembler.given_up == 1
    late = [f for p in packets[7:] for f in assembler.add(p)]
    assert [f.data for f in late] == frames_of(packets)[3:]
    assert [f.key for f in late] == [True, False]
    assert not assembler.wants_key
    assert assembler.skipped == 1


def test_a_key_frame_that_waits_behind_a_gap_is_used_at_once() -> None:
    assembler = FrameAssembler(is_key)
    packets = stream([2, 3, 2, 2], keys={0, 2})
    for packet in packets:
        if packet is not packets[3]:
            assembler.add(packet)
    assert [f.data for f in assembler.overdue(5.0)] == frames_of(packets)[2:]


def test_nothing_is_handed_on_before_a_key_frame() -> None:
    assembler = FrameAssembler(is_key)
    packets = stream([1, 1, 2, 1], keys={2})
    assert [f.data for p in packets for f in assembler.add(p)] == frames_of(packets)[2:]


def test_packets_swapped_at_the_very_start() -> None:
    assembler = FrameAssembler(is_key)
    packets = stream([2, 2])
    order = [packets[1], packets[0], packets[2], packets[3]]
    assert [f.data for p in order for f in assembler.add(p)] == frames_of(packets)


def test_a_long_silence_is_a_new_start() -> None:
    assembler = FrameAssembler(is_key)
    for packet in stream([2, 1]):
        assembler.add(packet)
    later = stream([1, 1], keys=set(), first=101 + 2 * MAX_GAP)
    assert [f for p in later for f in assembler.add(p)] == []
    assert assembler.wants_key
    assert len(assembler.requests(100.0)) == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 50), st.booleans(), st.booleans()), max_size=300))
def test_nothing_grows_without_bound(noise: list[tuple[int, int, bool, bool]]) -> None:
    assembler = FrameAssembler(is_key)
    for n, (sequence, timestamp, marker, start) in enumerate(noise):
        assembler.add(Packet(sequence, timestamp, marker, KEY, start, n * 0.01))
        assembler.overdue(n * 0.01)
        assert len(assembler.requests(n * 0.01)) <= MAX_GAP + MAX_PACKETS


def test_a_frame_that_never_ends_does_not_fill_the_memory() -> None:
    assembler = FrameAssembler(is_key)
    for sequence in range(3 * MAX_PACKETS):
        assert assembler.add(Packet(sequence, 0, False, KEY, sequence == 0, 0.0)) == []
        assert len(assembler._packets) <= MAX_PACKETS
