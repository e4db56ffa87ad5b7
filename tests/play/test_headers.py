"""Our packing of RTP header extensions against aiortc's."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import rtp

from avatar.play import feedback
from avatar.play.headers import Headers

URIS = (
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    feedback.URI,
)


def parameters(ids: dict[str, int]) -> Any:
    return SimpleNamespace(headerExtensions=[SimpleNamespace(uri=uri, id=n) for uri, n in ids.items()])


@pytest.mark.parametrize("first", [1, 11, 12, 40])
@pytest.mark.parametrize("known", [combo for n in range(5) for combo in itertools.combinations(URIS, n)])
def test_they_are_aiortcs(first: int, known: tuple[str, ...]) -> None:
    ids = {uri: n for n, uri in enumerate(known, first)}
    ours, theirs = Headers(), rtp.HeaderExtensionsMap()
    for each in (ours, theirs):
        each.configure(parameters(ids))
    for mid in (None, "0", "audio", "ゑゑゑゑゑ", "😀" * 5, "a name that is longer than sixteen characters"):
        for present in itertools.product((False, True), repeat=3):
            values = rtp.HeaderExtensions(mid=mid)
            if present[0]:
                values.abs_send_time = 0xABCDEF
            if present[1]:
                values.audio_level = (True, 97)
            if present[2]:
                values.transport_sequence_number = 0xFEDC
            assert ours.set(values) == theirs.set(values)
            packet = rtp.RtpPacket(payload_type=96, sequence_number=5, payload=b"abc")
            packet.extensions = values
            assert packet.serialize(ours) == packet.serialize(theirs)
    values = rtp.HeaderExtensions(mid="1", transmission_offset=5, abs_send_time=1, transport_sequence_number=0)
    assert ours.set(values) == theirs.set(values)
