"""Transport-wide feedback: the format against the draft's rules, and both ends against each other."""

from __future__ import annotations

import random
from struct import pack

import pytest

from avatar.play import feedback
from avatar.play.feedback import ArrivalClock, Arrivals


def packet(body: bytes, *, padding: int = 0) -> bytes:
    body += bytes(padding - 1) + bytes((padding,)) if padding else b""
    return pack("!BBH", 0x80 | 15 | (0x20 if padding else 0), 205, len(body) // 4) + body


HEAD = pack("!LL", 1, 2)


def test_run_length_and_small_deltas() -> None:
    body = HEAD + pack("!HH", 100, 3) + b"\x00\x00\x02" + b"\x07" + pack("!H", 1 << 13 | 3) + bytes((4, 8, 255))
    report = feedback.parse(packet(body, padding=3))
    assert (report.base, report.count) == (100, 7)
    assert report.arrivals == pytest.approx((0.129, 0.131, 0.19475))  # 2 · 64 ms, then steps of 0.25 ms


def test_vectors_with_losses_and_packets_that_were_overtaken() -> None:
    one_bit = 0x8000 | 0b10100000000000  # received, lost, received
    body = HEAD + pack("!HH", 65535, 3) + b"\x00\x00\x01\x00" + pack("!H", one_bit) + bytes((0, 4)) + bytes(2)
    assert feedback.parse(packet(body)).arrivals == pytest.approx((0.064, None, 0.065))
    two_bits = 0xC000 | 2 << 12 | 1 << 10
    body = HEAD + pack("!HH", 5, 2) + b"\x00\x00\x01\x00" + pack("!H", two_bits) + pack("!hB", -8, 2)
    assert feedback.parse(packet(body, padding=3)).arrivals == pytest.approx((0.062, 0.0625))


@pytest.mark.parametrize(
    "body",
    [
        HEAD,
        HEAD + pack("!HH", 1, 0) + bytes(8),
        HEAD + pack("!HH", 1, 60000) + bytes(8),
        HEAD + pack("!HH", 1, 40) + bytes(4) + pack("!HH", 1 << 13 | 4, 0),  # statuses of 4 packets only, then none
        HEAD + pack("!HH", 1, 2) + bytes(4) + pack("!H", 1 << 13 | 2) + bytes(2)[:0] + b"\x01\x01"[:2][:0] + bytes(2),
        HEAD + pack("!HH", 1, 2) + bytes(4) + pack("!H", 3 << 13 | 2) + bytes(2),  # a reserved status
    ],
)
def test_what_is_cut_short_or_nonsense_is_refused(body: bytes) -> None:
    whole = packet(body)
    if len(body) == 18 + 2 and body[-2:] == bytes(2):
        whole = whole[:-2]
    with pytest.raises(ValueError, match="feedback packet"):
        feedback.parse(whole)


def test_every_truncation_is_refused_or_read_without_surprise() -> None:
    arrivals = Arrivals()
    for n in range(40):
        arrivals.add(65500 + n & 0xFFFF, 10 + n * 0.013)
    whole = arrivals.report(1, 2)
    assert whole is not None
    feedback.parse(whole)
    for cut in range(len(whole)):
        with pytest.raises(ValueError, match="feedback packet"):
            feedback.parse(whole[:cut])


def test_a_report_tells_what_was_added() -> None:
    randomness = random.Random(3)
    arrivals = Arrivals()
    sequence, now, known = 65000, 3600.0, {}
    heard: dict[int, float] = {}
    clock = ArrivalClock()
    for _ in range(30):
        for _ in range(randomness.randrange(1, 60)):
            sequence += 1
            now += randomness.random() * 0.02
            if randomness.random() < 0.8:
                known[sequence] = now
                arrivals.add(sequence & 0xFFFF, now)
        compound = arrivals.report(1, 2)
        if compound is None:
            continue
        reports, rest = feedback.take(compound)
        assert (len(reports), rest) == (1, b"")
        at = sequence - (sequence - reports[0].base & 0xFFFF)
        heard |= {at + n: clock(t) for n, t in enumerate(reports[0].arrivals) if t is not None}
    assert heard.keys() == known.keys()
    offset = heard[min(heard)] - known[min(known)]
    assert all(abs(heard[n] - known[n] - offset) < 0.001 for n in known)


def test_nothing_new_no_report() -> None:
    arrivals = Arrivals()
    assert arrivals.report(1, 2) is None
    arrivals.add(7, 1.0)
    assert arrivals.report(1, 2) is not None
    assert arrivals.report(1, 2) is None


def test_it_is_taken_out_of_a_compound_and_the_rest_is_left() -> None:
    arrivals = Arrivals()
    arrivals.add(7, 1.0)
    ours = arrivals.report(1, 2)
    other = pack("!BBHL", 0x80, 201, 1, 5)
    assert ours is not None
    reports, rest = feedback.take(other + ours + other)
    assert [report.base for report in reports] == [7]
    assert rest == other + other
    assert feedback.take(b"\x80\xcd") == ([], b"\x80\xcd")


def test_arrival_times_go_on_over_the_wrap_of_their_reference() -> None:
    clock = ArrivalClock()
    before = clock(64e-3 * ((1 << 24) - 1))
    assert clock(0.064) - before == pytest.approx(0.128)
