"""Offers of every shape, and what is no offer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatar.clock import MediaClock
from avatar.errors import BadRequest
from avatar.play import offer as offers
from avatar.play.peer import Peer
from avatar.play.receive import ClientPeer
from tests.play.offers import direction, line, offer, sections
from tests.play.pairs import TONE, connected


async def answer(sdp: str, codec: str = "vp9") -> tuple[Peer, list[dict[str, list[str]]]]:
    peer = Peer(MediaClock(), codec=codec)
    try:
        text = await peer.answer(sdp)
    finally:
        await peer.close()
    assert text.endswith("\r\n")
    return peer, sections(text)


async def test_vp9_is_profile_0_whatever_stands_first() -> None:
    peer, [video] = await answer(offer(line("video", "0", "recvonly")))
    assert peer.codec == "vp9"
    assert video["m"][3:] == ["98", "99"]
    assert video["rtpmap"] == ["98 VP9/90000", "99 rtx/90000"]
    assert video["fmtp"] == ["98 profile-id=0", "99 apt=98"]
    assert set(video["rtcp-fb"]) == {"98 nack", "98 nack pli", "98 ccm fir", "98 goog-remb", "98 transport-cc"}
    assert direction(video) == "sendonly"
    assert video["candidate"]
    assert "end-of-candidates" in video


@pytest.mark.parametrize(
    ("wish", "offered", "sent", "types"),
    [
        ("vp9", (96, 97, 100, 101, 108, 109), "vp8", ["96", "97"]),
        ("vp9", (116, 104, 108, 109, 96), "h264", ["108", "109"]),
        ("h264", (96, 98, 99, 104, 108), "h264", ["108"]),
        ("h264", (96, 98, 99, 104, 116), "vp9", ["98", "99"]),
        ("vp8", (98, 96), "vp8", ["96"]),
        ("av1", (45, 46, 96, 98), "av1", ["45", "46"]),
        ("vp9", (45, 46, 96), "vp8", ["96"]),
        ("vp9", (45, 46), "av1", ["45", "46"]),
    ],
)
async def test_what_is_sent_is_what_both_know(wish: str, offered: tuple[int, ...], sent: str, types: list[str]) -> None:
    peer, [video] = await answer(offer(line("video", "0", "recvonly", only=offered)), wish)
    assert peer.codec == sent
    assert video["m"][3:] == types


@pytest.mark.parametrize("first", ["audio", "video", "application"])
async def test_the_answer_follows_the_order_of_the_offer(first: str) -> None:
    kinds = sorted(("audio", "video", "application"), key=lambda kind: kind != first)
    peer, answered = await answer(offer(*(line(kind, f"m{n}") for n, kind in enumerate(kinds))))
    assert [section["m"][0] for section in answered] == kinds
    assert [section["mid"] for section in answered] == [["m0"], ["m1"], ["m2"]]
    assert all(section["candidate"] and section["m"][1] != "0" for section in answered)
    assert (peer.has_audio, peer.has_video, peer.has_data, peer.has_microphone) == (True, True, True, True)
    assert len({section["ice-ufrag"][0] for section in answered}) == 1


@pytest.mark.parametrize(
    ("offered", "answered", "audio", "microphone"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("recvonly", "sendonly", True, False),
        ("sendonly", "recvonly", False, True),
    ],
)
async def test_sound_by_direction(offered: str, answered: str, audio: bool, microphone: bool) -> None:
    peer, [section] = await answer(offer(line("audio", "0", offered)))
    assert direction(section) == answered
    assert (peer.has_audio, peer.has_microphone, peer.has_video, peer.codec) == (audio, microphone, False, "")
    if microphone:  # it is asked for with copies of its own, so Opus needs none
        assert section["m"][3:] == ["63", "111"]
        assert section["rtpmap"] == ["63 red/48000/2", "111 opus/48000/2"]
        assert section["fmtp"] == ["63 111/111", "111 minptime=10"]  # no stereo=1: the client's voice in mono
    else:
        assert section["rtpmap"] == ["111 opus/48000/2"]


@pytest.mark.parametrize(
    ("offered", "named", "answered"),
    [
        ("sendrecv", (111,), []),
        ("recvonly", (111,), ["111 transport-cc"]),
        ("sendrecv", (111, 63), ["63 transport-cc", "111 transport-cc"]),
    ],
)
async def test_arrivals_of_a_voice_are_told_to_clients_that_ask_for_them_with_redundant_packets(
    offered: str, named: tuple[int, ...], answered: list[str]
) -> None:
    extra = ("a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",)
    extra += tuple(f"a=rtcp-fb:{pt} transport-cc" for pt in named)
    peer, [section] = await answer(offer(line("audio", "0", offered, extra=extra)))
    assert section.get("rtcp-fb", []) == answered
    assert len(section["extmap"]) == 2  # what we send is numbered all the same
    ear: Any = peer._ear
    assert ear.tells_arrivals is bool(answered)


@pytest.mark.parametrize("red", ["", "a=fmtp:63 9/9", "a=fmtp:63 111", "a=fmtp:63 111/9", "a=fmtp:63 x=111/111"])
async def test_redundant_packets_of_something_else_are_not_taken(red: str) -> None:
    _, [section] = await answer(offer(line("audio", "0")).replace("a=fmtp:63 111/111", red or "a=x"))
    assert section["rtpmap"] == ["111 opus/48000/2"]
    assert section["fmtp"] == ["111 minptime=10;useinbandfec=1"]


async def test_the_microphone_never_pauses_though_what_it_hears_may() -> None:
    sdp = offer(line("audio", "0")).replace("useinbandfec=1", "useinbandfec=1;usedtx=1")
    assert "usedtx=1" in sdp
    peer, [section] = await answer(sdp)
    assert section["fmtp"] == ["63 111/111", "111 minptime=10"]
    sender: Any = peer._sound
    assert sender.dtx


async def test_who_only_watches_is_not_asked_for_redundant_packets() -> None:
    peer = Peer(MediaClock(), watches=True)
    [section] = sections(await peer.answer(offer(line("audio", "0"))))
    await peer.close()
    assert section["rtpmap"] == ["111 opus/48000/2"]


async def test_microphone_and_sound_on_lines_of_their_own() -> None:
    peer, answered = await answer(offer(line("audio", "mic", "sendonly"), line("audio", "ear", "recvonly")))
    assert [direction(section) for section in answered] == ["recvonly", "sendonly"]
    assert peer.has_audio
    assert peer.has_microphone


async def test_cameras_and_screens_are_answered_inactive() -> None:
    """The Pipecat client's offer: microphone, camera, screen, data."""
    lines = [line("audio", "0"), line("video", "1"), line("video", "2"), line("application", "3")]
    peer, answered = await answer(offer(*lines))
    assert [direction(section) for section in answered[:3]] == ["sendrecv", "sendonly", "inactive"]
    assert [section["m"][1] != "0" for section in answered] == [True] * 4
    assert peer.codec == "vp9"
    peer, answered = await answer(offer(line("video", "camera", "sendonly"), line("video", "ours", "recvonly")))
    assert [direction(section) for section in answered] == ["inactive", "sendonly"]


async def test_what_cannot_be_answered_is_rejected_alone() -> None:
    lines = [
        line("video", "a", only=(100, 101)),  # VP9 profile 2 alone
        line("audio", "b", only=(0, 9)),  # no Opus
        line("audio", "c"),
        line("video", "d", port=0),  # stopped by the client
        ["m=text 9 RTP/AVP 96", "a=mid:e", "a=sendrecv"],
    ]
    peer = Peer(MediaClock())
    text = await peer.answer(offer(*lines))
    await peer.close()
    answered = sections(text)
    assert [section["m"][1] == "0" for section in answered] == [True, True, False, True, True]
    assert "a=group:BUNDLE c\r\n" in text
    assert direction(answered[2]) == "sendrecv"


async def test_lines_that_live_in_the_bundle_only() -> None:
    """RFC 8843 §6: port 0, and no transport of their own."""
    lines = [line("audio", "0"), line("video", "1", port=0, transport=False, extra=("a=bundle-only",))]
    peer, answered = await answer(offer(*lines))
    assert peer.has_video
    assert answered[1]["m"][1] != "0"


async def test_a_line_outside_the_bundle_is_rejected() -> None:
    _, answered = await answer(offer(line("audio", "0"), line("video", "1"), bundle="0"))
    assert [section["m"][1] == "0" for section in answered] == [False, True]


async def test_mdns_names_and_the_end_of_candidates_are_no_hindrance() -> None:
    hidden = (
        "a=candidate:1 1 udp 2113937151 0c7a3a1c-2f0b-4a57-9d4b-6f1f0d3ac111.local 54321 typ host generation 0",
        "a=end-of-candidates",
    )
    peer = Peer(MediaClock())
    await peer.answer(offer(line("audio", "0", extra=hidden)))
    assert peer._connection.ice.getRemoteCandidates() == []
    await peer.close()


GOOD = offer(line("audio", "0"), line("video", "1", "recvonly"), line("application", "2"))


@pytest.mark.parametrize(
    "sdp",
    [
        "",
        "hello",
        "v=0",
        "v=0\r\n",
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
        "\0" * 1000,
        GOOD.replace("m=audio 9", "m=audio x"),
        GOOD.replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111"),
        GOOD.replace("a=fmtp:98", "a=fmtp:77"),
        GOOD.replace("a=setup:actpass", "a=setup:nonsense"),
        GOOD.replace("a=fingerprint:", "a=fingerprin:"),
        GOOD.replace("a=ice-ufrag:", "a=ice-ufra:"),
        GOOD.replace("a=ice-ufrag:Ab1/", "a=ice-ufrag:ä"),
        GOOD.replace("a=rtcp-mux", "a=rtcp-mu").replace("m=application 9 UDP", "m=application 9 TLS"),
        GOOD.replace("a=mid:1", "a=mid:0"),
        offer(line("audio", "0"), line("video", "1"), bundle=""),
        offer(line("video", "0", only=(100, 101))),
        offer(line("video", "0", "sendonly")),
        offer(line("audio", "0", "inactive")),
        offer(line("audio", "0", only=(0,))),
        offer(*(line("video", str(n)) for n in range(40))),
    ],
    ids=range(21),
)
async def test_bad_offers_get_a_sentence(sdp: str) -> None:
    peer = Peer(MediaClock())
    with pytest.raises(BadRequest) as caught:
        await peer.answer(sdp)
    assert caught.value.code == "bad_sdp"
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 300
    await peer.close()


_ROWS = GOOD.split("\r\n")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(_ROWS) - 1),
            st.sampled_from(["drop", "double", "cut", "swap", "noise"]),
            st.integers(0, 200),
            st.text(max_size=10),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_damaged_offers_are_planned_or_refused(damage: list[tuple[int, str, int, str]]) -> None:
    rows = list(_ROWS)
    for position, kind, number, noise in damage:
        at = position % max(1, len(rows))
        row = rows[at] if rows else ""
        match kind:
            case "drop":
                del rows[at : at + 1]
            case "double":
                rows.insert(at, row)
            case "cut":
                rows[at : at + 1] = [row[: number % (len(row) + 1)]]
            case "swap":
                rows.insert(number % (len(rows) + 1), row)
            case "noise":
                rows[at : at + 1] = [row[: number % (len(row) + 1)] + noise + row[number % (len(row) + 1) :]]
    try:
        plan = offers.plan("\r\n".join(rows), "vp9", {})
    except BadRequest as error:
        assert error.code == "bad_sdp"
    else:
        assert any(plan_line.role != "none" for plan_line in plan.lines)


@settings(max_examples=200)
@given(st.text(max_size=400))
def test_noise_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        offers.plan("v=0\r\n" + text, "vp9", {})


async def test_a_bad_offer_leaves_a_live_connection_alone() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 5)
        with pytest.raises(BadRequest):
            await pair.peer.answer("v=0\r\nnothing")
        with pytest.raises(BadRequest):
            await pair.peer.answer(offer(line("video", "0", only=(45, 46))))
        count = len(pair.pictures)
        await pair.show(until=lambda: len(pair.pictures) >= count + 10)
        pair.client.send_microphone(0, TONE)
        await pair.until(lambda: len(pair.chunks) >= 1)


@pytest.mark.parametrize(
    "wanted", [{"video": False}, {"audio": False}, {"data": False}, {"audio": False, "microphone": True}]
)
async def test_clients_that_want_less_get_that(wanted: dict[str, bool]) -> None:
    async with connected(ClientPeer(**wanted)) as pair:
        await pair.show(
            sound=lambda tick: TONE,
            until=lambda: (
                (len(pair.pictures) >= 5 or not pair.peer.has_video)
                and (len(pair.sounds) >= 5 or not pair.peer.has_audio)
            ),
        )
        assert pair.peer.has_video == wanted.get("video", True)
        assert pair.peer.has_audio == wanted.get("audio", True)
        assert pair.peer.has_data == wanted.get("data", True)
        assert pair.peer.has_microphone == wanted.get("microphone", False)


async def test_video_first_connects() -> None:
    async with connected(ClientPeer(video_first=True)) as pair:
        await pair.show(sound=lambda tick: TONE, until=lambda: len(pair.pictures) >= 5 and len(pair.sounds) >= 5)


async def test_candidates_are_checked() -> None:
    peer = Peer(MediaClock())
    good = "candidate:1 1 udp 2113937151 192.0.2.7 54321 typ host generation 0 ufrag Ab1/"
    with pytest.raises(BadRequest):
        await peer.add_candidate(good, "0", 0)  # no offer yet
    await peer.answer(GOOD)
    await peer.add_candidate(None, None, None)
    await peer.add_candidate("", "0", 0)
    await peer.add_candidate(good, "0", 0)
    await peer.add_candidate("a=" + good.replace(".7", ".8"), None, None)
    await peer.add_candidate(good.replace("192.0.2.7", "0c7a3a1c-2f0b-4a57.local"), "0", 0)
    await peer.add_candidate(good.replace("192.0.2.7", "2001:db8::7"), "0", 0)
    await peer.add_candidate(good.replace("udp", "tcp"), "0", 0)
    known = {candidate.ip for candidate in peer._connection.ice.getRemoteCandidates()}
    assert known == {"192.0.2.7", "192.0.2.8", "2001:db8::7"}
    for bad in ("candidate", "candidate:1 1 udp x 192.0.2.7 1 typ host", "x" * 10_000, "candidate:" + "9 " * 9):
        with pytest.raises(BadRequest) as caught:
            await peer.add_candidate(bad, "0", 0)
        assert caught.value.code == "bad_candidate"
    with pytest.raises(BadRequest):
        await peer.add_candidate(good, None, -1)
    for n in range(1000):
        await peer.add_candidate(good.replace("54321", str(1024 + n)), "0", 0)
    assert len(peer._connection.ice.getRemoteCandidates()) <= 256
    await peer.close()
    await peer.add_candidate(good, "0", 0)


async def test_candidates_that_come_later_connect() -> None:
    """The offer names none; they are trickled."""
    found: list[str] = []

    def hide(sdp: str) -> str:
        rows = sdp.splitlines()
        found.extend(row for row in rows if row.startswith("a=candidate"))
        return "\r\n".join(row for row in rows if "candidate" not in row) + "\r\n"

    clock = MediaClock()
    peer, client = Peer(clock), ClientPeer()
    await client.accept(hide(await peer.answer(hide(await client.offer()))))
    ours = list(found)
    assert ours
    await asyncio.sleep(0.1)
    assert not peer.connected.is_set()
    for candidate in ours[: len(ours) // 2]:
        await peer.add_candidate(candidate, "0", 0)
    await asyncio.wait_for(peer.connected.wait(), 20)
    await client.close()
    await peer.close()
