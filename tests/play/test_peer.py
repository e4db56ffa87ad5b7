"""Two real peers: what the server shows and says is what the client gets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import numpy as np
import pytest

from avatar.play import vp9
from avatar.play.receive import ClientPeer
from tests.play.pairs import SILENCE, TONE, connected, drop_rtp, flat, picture


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


async def test_pictures_arrive_as_they_were_shown() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 25)
        assert pair.peer.codec == "vp9"
        first = pair.pictures[0]
        assert first.key
        assert [p.key for p in pair.pictures].count(True) == 1
        assert first.i420.shape == (192, 128)
        stamps = [pair.slot(p) for p in pair.pictures]
        assert stamps == sorted(set(stamps))
        exact = [(p, int(slot)) for p, slot in zip(pair.pictures, stamps, strict=True) if slot == int(slot)]
        assert len(exact) >= 10  # a machine that is busy dates others as late as they were
        for received, slot in exact:
            assert psnr(received.i420, picture(slot)) > 27
        stats = pair.peer.stats()
        assert json.loads(json.dumps(stats)) == stats
        assert (stats["codec"], stats["width"], stats["height"], stats["key_frames"]) == ("vp9", 128, 128, 1)
        assert stats["frames_sent"] == stats["frames_encoded"] >= 25
        assert stats["ice"] == "completed"
        assert stats["dtls"] == "connected"


@pytest.mark.parametrize("codec", ["vp8", "h264", "av1"])
async def test_other_codecs_when_they_are_wished_for(codec: str) -> None:
    async with connected(ClientPeer(codec=codec), codec=codec) as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 10)
        assert pair.peer.codec == codec
        assert {p.codec for p in pair.pictures} == {codec}
        assert pair.pictures[0].key
        assert psnr(pair.pictures[-1].i420[:128], pair.pictures[-1].i420[:128].mean()) < 20  # something is on it


async def test_a_codec_that_the_client_lacks_falls_back_to_vp9() -> None:
    def without(sdp: str) -> str:
        return sdp.replace(" AV1/90000", " NONE/90000")

    async with connected(codec="av1", offer=without) as pair:
        assert pair.peer.codec == "vp9"


async def test_sound_arrives_without_a_gap_and_in_mono() -> None:
    async with connected() as pair:
        await pair.show(image=lambda slot: None, sound=lambda tick: TONE, until=lambda: len(pair.sounds) >= 60)
        stamps = [sound.rtp for sound in pair.sounds]
        assert np.all(np.diff(stamps) == 960)
        pcm = np.concatenate([sound.pcm for sound in pair.sounds[10:]])
        assert len(pcm) == 960 * (len(pair.sounds) - 10)
        spectrum = np.abs(np.fft.rfft(pcm.astype(float)))
        assert abs(spectrum.argmax() * 48_000 / len(pcm) - 1000) < 20
        assert 0.5 < np.abs(pcm).max() / np.abs(TONE).max() < 1.5
        rate = sum(len(sound.data) for sound in pair.sounds) * 8 / (len(pair.sounds) * 0.02)
        assert rate < 40_000


async def test_sound_and_picture_meet_on_the_senders_clock() -> None:
    """A flash and a beep in the same slot, once a second: their distance on media timestamps (decoded sound lags its
    timestamp by 6.5 ms, and pictures are dated so)."""

    def flash(slot: int) -> np.ndarray:
        return flat(235 if slot % 25 == 0 else 16)

    def beep(tick: int) -> np.ndarray:
        return TONE if tick % 50 < 2 else SILENCE

    async with connected() as pair:
        await pair.show(6.0, image=flash, sound=beep)
        flashes = [p.seconds() for p in pair.pictures if p.i420[:128].mean() > 150]
        level = 0
        beeps = []
        for sound in pair.sounds:
            start = sound.seconds()
            loud = np.flatnonzero(np.abs(sound.pcm.astype(int)) > 2500)
            if len(loud) and not level and start is not None:
                beeps.append(start + loud[0] / 48_000)
            level = len(loud)
        assert len(flashes) >= 4
        nearest = [min((b - f for b in beeps), key=abs) for f in flashes if f is not None]
        # A machine that is held up leaves out slots; what is left out has no partner, and what is shown must meet it.
        offsets = [offset for offset in nearest if abs(offset) < 0.5]
        assert len(offsets) >= 3
        assert abs(float(np.median(offsets))) <= 0.02
        assert max(map(abs, offsets)) <= 0.04


async def test_reports_come_early_and_date_the_media_not_the_sending() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: pair.peer._picture.reports_sent >= 3)  # type: ignore[union-attr]
        epoch = pair.clock.epoch
        assert epoch is not None
        wall = time.time() - time.monotonic() + epoch
        for received in pair.pictures[5:]:
            seconds = received.seconds()
            assert seconds is not None
            slot = (seconds - wall) / 0.04
            assert abs(slot - round(slot) - 0.0065 / 0.04) < 0.1  # at its slot, plus the sound decoder's lag


async def test_lost_packets_are_sent_again() -> None:
    async with connected() as pair:
        lost = drop_rtp(pair, lambda n, payload: n % 5 == 3)
        await pair.show(image=lambda s: picture(s, 320, 320), until=lambda: len(pair.pictures) >= 60)
        server, client = pair.peer.stats(), pair.client.stats()["video"]
        assert len(lost) >= 12
        assert server["retransmitted"] >= len(lost) - 3  # the last may still be on their way
        assert server["nack"] == client["nack"] > 0
        assert client["repaired"] == server["retransmitted"]
        assert server["pli"] == client["pli"] == 0
        assert server["key_frames"] == 1
        assert np.all(np.diff([p.rtp for p in pair.pictures]) > 0)


async def test_a_picture_that_never_comes_is_answered_with_one_key_frame() -> None:
    async with connected() as pair:
        pair.peer._picture._rtx_type = None  # type: ignore[union-attr]
        lost = drop_rtp(pair, lambda n, payload: n == 30)
        await pair.show(until=lambda: sum(p.key for p in pair.pictures) >= 2)
        server, client = pair.peer.stats(), pair.client.stats()["video"]
        assert len(lost) == 1
        assert server["key_frames"] == 2
        assert server["pli"] == client["pli"] >= 1
        assert client["given_up"] == 1
        first, again = [p for p in pair.pictures if p.key]
        assert again.rtp > first.rtp
        if (slot := pair.slot(again)) == int(slot):
            assert psnr(again.i420, picture(int(slot))) > 27


async def test_a_burst_of_wishes_is_one_key_frame_and_full_intra_requests_count_too() -> None:
    from struct import pack

    from aiortc import rtp

    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 15)
        receiver = pair.client._picture
        ssrc = pair.peer._picture._ssrc  # type: ignore[union-attr]
        assert receiver is not None
        fir = pack("!LB3x", ssrc, 1)
        for _ in range(10):
            await receiver._feed_back(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_FIR, ssrc=1, media_ssrc=0, fci=fir))
            await receiver._feed_back(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc))
        await pair.show(until=lambda: sum(p.key for p in pair.pictures) >= 2)
        await pair.show(0.3)
        stats = pair.peer.stats()
        assert (stats["fir"], stats["pli"]) == (10, 10)
        assert stats["key_frames"] == 2


async def test_a_wish_is_granted_even_while_the_picture_rests() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 15)
        pair.peer._picture._want_key()  # type: ignore[union-attr]
        await pair.show(image=lambda slot: None, until=lambda: sum(p.key for p in pair.pictures) >= 2)


async def test_another_size_in_mid_stream() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 8)
        await pair.show(
            image=lambda slot: picture(slot, 192, 256),
            until=lambda: sum(p.i420.shape == (384, 192) for p in pair.pictures) >= 8,
        )
        first = next(p for p in pair.pictures if p.i420.shape == (384, 192))
        assert first.key
        descriptor_size = vp9.parse(vp9.packetize(first.data, 0, (192, 256))[0])[0].size
        assert descriptor_size == (192, 256)
        stats = pair.peer.stats()
        assert (stats["width"], stats["height"], stats["key_frames"]) == (192, 256, 2)


async def test_repeated_pictures_send_nothing() -> None:
    async with connected() as pair:
        await pair.show(2.0, image=lambda slot: picture(slot) if slot % 5 == 0 else None)
        await pair.until(lambda: len(pair.pictures) >= 8)
        assert set(np.diff([p.rtp for p in pair.pictures]) % (5 * 3600)) == {0}
        assert pair.peer.stats()["frames_offered"] <= 11


async def test_newest_wins_and_what_waited_too_long_is_not_sent() -> None:
    async with connected() as pair:
        await pair.show(until=lambda: len(pair.pictures) >= 5)
        await asyncio.sleep(0.2)  # the last of them leaves
        before = pair.peer.stats()
        slot = pair.clock.slot_at(time.monotonic())
        for n in range(5):  # all at once: the first is taken, the last waits
            pair.peer.send_picture(slot + n, picture(n))
        pair.peer.send_picture(slot - 10, picture(0))  # 400 ms late
        await pair.until(lambda: pair.peer.stats()["dropped_late"] > before["dropped_late"])
        await pair.until(lambda: pair.peer.stats()["frames_sent"] > before["frames_sent"])
        after = pair.peer.stats()
        assert after["dropped_waiting"] - before["dropped_waiting"] == 4
        assert after["frames_encoded"] - before["frames_encoded"] == 1


async def test_the_rate_is_changed_while_it_runs() -> None:
    noise = np.random.default_rng(0).integers(0, 60, (32, 192, 256), np.uint8)

    def noisy(slot: int) -> np.ndarray:
        i420 = picture(slot, 256, 256)
        i420[:192] += noise[slot % 32]
        return i420

    async with connected(bitrate_kbps=900) as pair:
        await pair.show(4.0, image=noisy)
        high, keys = (pair.peer.stats()[name] for name in ("kbps", "key_frames"))
        pair.peer.set_bitrate(150)
        await pair.show(0.4, image=noisy)  # later a busy machine's own standstill may ask for one
        assert pair.peer.stats()["key_frames"] == keys
        await pair.show(3.6, image=noisy)
        low = pair.peer.stats()["kbps"]
        assert low < high / 2
        pair.peer.set_bitrate("auto")
        assert pair.peer.stats()["target_kbps"] == 750


async def test_texts_both_ways_and_what_is_no_text_is_ignored() -> None:
    client = ClientPeer()
    client.send_text("before it was open")
    async with connected(client) as pair:
        pair.peer.send_text("also before")
        await pair.until(lambda: bool(pair.to_peer and pair.to_client))
        channel = client._texts._channels[0]
        channel.send(b"binary")
        pair.peer._texts._take("x" * 1_000_001)  # aiortc itself sends none so long
        channel.send("")
        channel.send("日本語")
        await pair.until(lambda: "日本語" in pair.to_peer)
        assert pair.to_peer == ["before it was open", "", "日本語"]
        assert pair.to_client == ["also before"]
        pair.peer.send_text("y" * 1_000_000)  # more than the client takes at once: dropped, and nothing else happens
        pair.peer.send_text("after")
        await pair.until(lambda: "after" in pair.to_client)
        assert pair.peer.stats()["texts"] == {"sent": 2, "received": 3, "dropped": 3}


async def test_texts_to_a_client_without_a_channel_are_bounded() -> None:
    async with connected(ClientPeer(data=False)) as pair:
        assert not pair.peer.has_data
        for n in range(1000):
            pair.peer.send_text(f"{n}")
        assert len(pair.peer._texts._backlog) <= 200


async def test_the_statistics_count_what_happened() -> None:
    async with connected(ClientPeer(microphone=True)) as pair:
        pair.client.send_microphone(0, TONE)
        await pair.show(2.5, sound=lambda tick: TONE)
        for tick in range(1, 51):
            pair.client.send_microphone(tick, TONE)
        await pair.until(lambda: len(pair.chunks) >= 51)
        await pair.show(1.5)

        def arrived(kind: str, sent: dict[str, Any]) -> bool:
            return bool(pair.client.stats()[kind]["packets_received"] >= sent["packets_sent"])

        # The last ones have just left.
        await pair.until(lambda: arrived("video", pair.peer.stats()) and arrived("audio", pair.peer.stats()["audio"]))
        await pair.until(lambda: pair.peer.stats()["frames_sent"] == len(pair.pictures))
        server, client = pair.peer.stats(), pair.client.stats()
        assert server["packets_sent"] == client["video"]["packets_received"]
        assert server["bytes_sent"] == client["video"]["bytes_received"]
        assert server["frames_sent"] == client["video"]["frames"] == len(pair.pictures)
        assert server["audio"]["packets_sent"] == client["audio"]["packets_received"]
        assert server["microphone"]["packets_received"] == client["microphone"]["packets_sent"] == 51
        assert server["loss"] == server["lost"] == 0
        assert 0 <= server["rtt_ms"] < 1000
        assert server["encode_ms"] > 0
        assert server["made_s"] <= server["connected_s"] <= server["first_picture_s"]
        assert server["first_sound_s"] >= server["connected_s"]
        assert client["times"]["first_picture"] >= client["times"]["dtls"]
        assert asyncio.get_running_loop().is_running()
