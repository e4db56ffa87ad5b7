"""Pictures wait for sound that the receiver holds back: by numbers, and on the wire."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters

from avatar.clock import MediaClock
from avatar.play import lips
from avatar.play.headers import Headers
from avatar.play.lips import LEAST_S, LONGER_S, SHORTER_S, Lips, PictureLine, SoundDelay
from avatar.play.peer import Peer

from .offers import line as media
from .offers import offer, sections

ELSEWHERE = 90_000.0
"""The receiver's clock, against ours."""


def drive(path: Lips, queue: Callable[[float], float], begin: float, end: float) -> list[float]:
    """Sound and pictures over a path with 30 ms of delay and a queue, in seconds by time; what each picture is to
    wait."""
    waits = []
    for tick in range(round(begin * 50), round(end * 50)):
        now = tick / 50
        arrived = ELSEWHERE + now + 0.03 + queue(now)
        path.heard(now, arrived)
        if tick % 2 == 0:
            path.next()
            waits.append(path.wait_s)
            path.seen(now, arrived + 0.04)
    return waits


def test_on_a_calm_path_nothing_is_asked_for() -> None:
    path = Lips()
    assert set(drive(path, lambda now: 0.004 * (now * 7 % 1), 0, 30)) == {0.0}
    assert path.next() is None


def test_pictures_wait_for_sound_that_a_queue_has_delayed() -> None:
    path = Lips()
    drive(path, lambda now: 0, 0, 5)
    waits = drive(path, lambda now: 0.3 if now < 6 else 0, 5, 12)
    assert max(after - before for before, after in pairwise(waits) if before) <= LONGER_S + 1e-9
    assert waits[-1] == pytest.approx(0.25, abs=0.05)  # the sound waits still; the queue has long gone
    assert min(waits[50:]) > 0.15
    value = path.next()
    assert value is not None
    assert int.from_bytes(value, "big") >> 12 == pytest.approx(25, abs=5)
    waits = drive(path, lambda now: 0, 12, 45)
    assert max(before - after for before, after in pairwise(waits) if after) <= SHORTER_S + 1e-9
    assert waits[-1] == 0
    assert min(filter(None, waits)) >= LEAST_S
    value = path.next()
    assert value is not None
    assert value == (1000).to_bytes(3, "big")  # at least 0, at most 10 s: both 0 would mean something else


def test_nothing_is_asked_of_what_was_lost() -> None:
    path = Lips()
    for n in range(100):
        path.heard(n / 50, None)
        path.seen(n / 25, None)
        assert path.next() is None


def test_a_wait_is_bounded() -> None:
    path = Lips()
    drive(path, lambda now: 0, 0, 5)
    assert max(drive(path, lambda now: 1.5 if now < 6 else 0, 5, 12)) <= lips.MOST_S


def line(lag: Callable[[float], float], seconds: float, drift: float = 0.0) -> float:
    path = PictureLine()
    for n in range(round(25 * seconds)):
        path.add(n / 25, ELSEWHERE + n / 25 * (1 + drift) + lag(n / 25))
    assert path.lag is not None
    return path.lag - ELSEWHERE


def test_pictures_are_due_where_a_line_through_them_says() -> None:
    assert line(lambda now: 0.07, 0.2) == pytest.approx(0.07, abs=0.002)
    assert line(lambda now: 0.07 + 0.02 * (now * 12.5 % 2 < 1), 30) == pytest.approx(0.08, abs=0.002)
    assert line(lambda now: 0.07, 100, drift=1e-4) == pytest.approx(0.08, abs=0.002)
    # A queue of a second is remembered for some, and a path that has become longer is believed in the end.
    assert 0.08 < line(lambda now: 0.37 if 20 < now < 21 else 0.07, 23) < 0.15
    assert line(lambda now: 0.37 if 20 < now < 21 else 0.07, 60) == pytest.approx(0.07, abs=0.01)
    assert line(lambda now: 0.37 if now > 20 else 0.07, 60) == pytest.approx(0.37, abs=0.1)


def test_pictures_begin_a_new_line_after_a_long_pause() -> None:
    path = PictureLine()
    assert path.lag is None
    for n in range(100):
        path.add(n / 25, ELSEWHERE + n / 25)
    path.add(60.0, ELSEWHERE + 60.5)
    path.add(59.0, ELSEWHERE + 60.6)  # older than the last one: no matter
    assert path.lag == pytest.approx(ELSEWHERE + 0.5)


def delays(*worst: float, calm: float = 0.6) -> SoundDelay:
    """A buffer after intervals of half a second, each with one packet as late as told, and `calm` seconds."""
    buffer = SoundDelay()
    for n, late in enumerate(worst):
        for k in range(26):
            now = (n * 26 + k) * 0.02
            buffer.add(late if k == 5 else 0.0, ELSEWHERE + now)
    for k in range(round(50 * calm)):
        buffer.add(0.0, ELSEWHERE + (len(worst) * 26 + k) * 0.02)
    return buffer


def test_sound_is_held_back_as_its_worst_packets_were_late() -> None:
    assert delays(*[0.0] * 20).seconds == pytest.approx(0.02)
    assert delays(*[0.05] * 20).seconds == pytest.approx(0.06)
    # A single bad half second counts in the beginning, and hardly after a minute.
    assert delays(*[0.0] * 9, 0.29).seconds == pytest.approx(0.3)
    once = [0.0] * 130 + [0.29]
    assert delays(*once).seconds == pytest.approx(0.29)  # what came late in the last two seconds is counted with
    assert 0.08 < delays(*once, calm=2.6).seconds < 0.2  # then what is far too much goes at once,
    assert delays(*once, calm=2.6).seconds - delays(*once, calm=3.0).seconds == pytest.approx(0.032, abs=0.005)
    assert delays(*once, calm=6).seconds == pytest.approx(0.04)  # the rest by playing faster
    assert delays(*[0.0] * 130, *[0.29] * 4).seconds == pytest.approx(0.3)
    # It is forgotten as slowly as it weighed.
    assert delays(*[0.0] * 9, 0.29, *[0.0] * 5).seconds == pytest.approx(0.3)
    assert delays(*[0.0] * 9, 0.29, *[0.0] * 30).seconds == pytest.approx(0.04)


def test_a_packet_that_is_late_now_forces_the_buffer_at_once() -> None:
    buffer = delays(*[0.0] * 10)
    buffer.add(0.21, ELSEWHERE + 100)
    buffer.add(0.0, ELSEWHERE + 100.01)
    assert buffer.seconds < 0.21
    buffer.add(0.2, ELSEWHERE + 100.02)
    assert buffer.seconds == pytest.approx(0.2)


def headers(wait_id: int, other: int) -> Headers:
    parameters = RTCRtpParameters()
    parameters.headerExtensions = [
        RTCRtpHeaderExtensionParameters(id=other, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
        RTCRtpHeaderExtensionParameters(id=wait_id, uri=lips.URI),
    ]
    extensions = Headers()
    extensions.configure(parameters)
    return extensions


@pytest.mark.parametrize(("wait_id", "other"), [(5, 4), (5, 20), (20, 200)])
def test_the_wait_is_written_into_the_header(wait_id: int, other: int) -> None:
    packet = rtp.RtpPacket(payload=b"abc")
    packet.extensions.mid = "video"
    bare = rtp.RtpPacket.parse(packet.serialize(headers(wait_id, other)), headers(wait_id, other))
    assert bare.extensions.mid == "video"
    packet.extensions.playout_delay = b"\x01\x93\xe8"
    data = packet.serialize(headers(wait_id, other))
    again = rtp.RtpPacket.parse(data, headers(wait_id, other))
    assert again.payload == b"abc"
    assert again.extensions.mid == "video"
    length = int.from_bytes(data[14:16], "big") * 4
    found = dict(rtp.unpack_header_extensions(int.from_bytes(data[12:14], "big"), data[16 : 16 + length]))
    assert found[wait_id] == b"\x01\x93\xe8"


def test_a_wait_that_was_not_agreed_on_is_not_written() -> None:
    packet = rtp.RtpPacket(payload=b"abc")
    packet.extensions.playout_delay = b"\x01\x93\xe8"
    assert packet.serialize(Headers()) == packet.serialize(rtp.HeaderExtensionsMap())


async def test_the_extension_is_agreed_on_with_a_browser() -> None:
    extension = f"a=extmap:9 {lips.URI}"
    peer = Peer(MediaClock())
    answer = await peer.answer(offer(media("audio", "0"), media("video", "1", "recvonly", extra=(extension,))))
    await peer.close()
    sound, picture = sections(answer)
    assert f"9 {lips.URI}" in picture["extmap"]
    assert lips.URI not in str(sound)
