"""Recordings that the server makes from what it sends."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from avatar.events import Caption, Interrupted, Spoken
from avatar.recording import Captions
from avatar.serve import films
from client.offset import OffsetMeter, spread
from tests.serve.conftest import serving

TEXT = "This is recorded. Every word of it, and every picture, as it was sent."


def watch(path: Path) -> tuple[OffsetMeter, dict[str, Any]]:
    """Everything in a file, decoded."""
    meter = OffsetMeter()
    seen: dict[str, Any] = {"pictures": 0, "samples": 0, "loud": 0}
    with av.open(str(path)) as container:
        seen["codecs"] = [stream.codec_context.name for stream in container.streams]
        seen["duration_s"] = float(container.duration or 0) / av.time_base
        seen["keys"] = []
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                seen["pictures"] += 1
                seen["size"] = (frame.width, frame.height)
                height = frame.height
                meter.picture(frame.to_ndarray(format="yuv420p")[:height], float(frame.time))
            else:
                at = float(frame.time)
                for block in resampler.resample(frame):
                    pcm = block.to_ndarray()[0]
                    seen["samples"] += len(pcm)
                    seen["loud"] += int((abs(pcm.astype(int)) > 1000).any())
                    meter.sound(pcm, at)
    return meter, seen


@pytest.mark.parametrize(("kind", "codec"), [("webm", "vp9"), ("mp4", "h264"), ("webm", "av1")])
async def test_a_recording_holds_what_was_sent(tmp_path: Path, kind: str, codec: str) -> None:
    folder = tmp_path / "films"
    async with serving(data_dir=tmp_path, recordings=folder) as service:
        await service.ready()
        async with service.call(mode="speak", codec=codec) as call:
            source = service.state.sessions.get(call.id).broadcast.pictures(codec)
            before = source.encoded
            status, begun = await service.ask("POST", f"/sessions/{call.id}/recording", json={"format": kind})
            assert status == 201 and begun["codec"] == codec
            status, error = await service.ask("POST", f"/sessions/{call.id}/recording")
            assert status == 409 and error["error"]["code"] == "recording"
            await service.ask("POST", f"/sessions/{call.id}/say", json={"text": TEXT})
            await call.until(lambda: call.ours("turn"))
            assert service.state.sessions.get(call.id).broadcast.codecs == [codec], "nothing is encoded twice"
            status, film = await service.ask("DELETE", f"/sessions/{call.id}/recording")
            assert status == 200 and film["duration_s"] > 3
            status, error = await service.ask("DELETE", f"/sessions/{call.id}/recording")
            assert status == 409 and error["error"]["code"] == "no_recording"

            meter, seen = await asyncio.to_thread(watch, folder / film["recording"])
            encoded = source.encoded - before
            assert encoded - 20 < seen["pictures"] <= encoded + 1, "all from the first key frame on"
            assert seen["samples"] / 48_000 == pytest.approx(film["duration_s"], rel=0.1)
            assert seen["loud"] > 50
            measured = spread(meter.offsets())
            if seen["pictures"] > 15 * film["duration_s"]:  # else the machine was too busy to measure anything by them
                assert measured is not None and abs(measured.p50) < 40

            vtt = (folder / film["captions"]).read_text()
            assert vtt.startswith("WEBVTT\n")
            assert "This is recorded." in vtt and re.search(r"00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}", vtt)
            listed = (await service.ask("GET", "/recordings"))[1]["recordings"]
            assert {row["name"] for row in listed} == {film["recording"], film["captions"]}
            async with service.http.get(f"{service.url}/recordings/{film['recording']}") as response:
                assert response.content_type == f"video/{kind}"
                assert len(await response.read()) == film["bytes"]
            assert (await service.ask("DELETE", f"/recordings/{film['recording']}"))[0] == 204
            assert (await service.ask("GET", f"/recordings/{film['recording']}"))[0] == 404


async def test_a_recording_ends_with_its_session(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    async with serving(data_dir=tmp_path, recordings=folder) as service:
        await service.ready()
        async with service.call(mode="speak") as call:
            await service.ask("POST", f"/sessions/{call.id}/recording")
            session = service.state.sessions.get(call.id)
            while (session.camera.seconds or 0) < 0.5:
                await asyncio.sleep(0.05)
            await service.ask("DELETE", f"/sessions/{call.id}")
        films = [path for path in folder.iterdir() if path.suffix == ".webm"]
        assert len(films) == 1
        assert watch(films[0])[1]["pictures"] > 0


async def test_what_is_refused(tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path) as service:
        status, body = await service.ask("GET", "/recordings")
        assert status == 403 and body["error"]["code"] == "recording_disabled"
    (tmp_path / "secret.txt").write_text("secret")
    async with serving(data_dir=tmp_path, recordings=tmp_path / "films") as service:
        assert (await service.ask("GET", "/recordings"))[1] == {"recordings": []}
        for name in ("..%2Fsecret.txt", "secret.txt", "0123456789abcdef-01234567.webm"):
            assert (await service.ask("GET", f"/recordings/{name}"))[0] == 404
        assert (await service.ask("POST", "/sessions/nobody/recording"))[0] == 404
        await service.ready()
        async with service.call(mode="speak") as call:
            status, body = await service.ask("POST", f"/sessions/{call.id}/recording", json={"format": "avi"})
            assert status == 422 and body["error"]["field"] == "format"


def test_captions_end_when_they_are_cut_and_escape_what_vtt_reads() -> None:
    captions = Captions()
    captions.take(Caption("a", "One & <two>\n\nthree", 10.0, 13.0), 10.0)
    captions.take(Caption("a", "four **and** more: 2 * 3 * 4", 12.5, 14.0), 12.5)
    captions.take(Interrupted("a", "", 1.0, 0.0), 13.25)
    captions.take(Caption("b", "five", 20.0, 30.0), 20.0)
    assert captions.vtt(9.0, 12.0).splitlines() == [
        "WEBVTT",
        "",
        "00:00:01.000 --> 00:00:03.500",
        "One &amp; &lt;two&gt; three",
        "",
        "00:00:03.500 --> 00:00:04.250",
        "four <i>and</i> more: 2 * 3 * 4",
        "",
        "00:00:11.000 --> 00:00:12.000",
        "five",
    ]


def test_captions_of_a_clause_that_was_held_say_what_was_said() -> None:
    captions = Captions()
    captions.take(Caption("a", "one two three", 10.0, 13.0), 10.0)
    captions.take(Spoken("a", "one", 10.0, 10.5), 10.0)
    captions.take(Spoken("a", "two", 10.5, 11.0), 10.5)
    captions.take(Caption("a", "two three", 40.0, 42.0, "one"), 40.0)
    captions.take(Spoken("a", "two", 40.0, 40.5), 40.0)
    captions.take(Caption("a", "two three", 50.0, 52.0, "one"), 50.0)
    assert captions.vtt(10.0, 100.0).splitlines()[2:] == [
        "00:00:00.000 --> 00:00:01.000",
        "one",
        "",
        "00:00:40.000 --> 00:00:42.000",
        "two three",
    ]


@pytest.mark.parametrize("kind", ["webm", "mp4"])
async def test_a_full_disk_costs_the_recording_and_nothing_else(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "secrets", SimpleNamespace(token_hex=lambda count: "0" * 8))
    async with serving(data_dir=tmp_path, recordings=tmp_path) as service:
        await service.ready()
        async with service.call(mode="speak") as call:
            (tmp_path / f"{call.id}-00000000.{kind}").symlink_to("/dev/full")
            status, _ = await service.ask("POST", f"/sessions/{call.id}/recording", json={"format": kind})
            assert status == 201
            await call.until(lambda: "No space left" in str(call.frames), 60)
            assert (await service.ask("GET", f"/sessions/{call.id}"))[1]["recording"] is None
            status, body = await service.ask("DELETE", f"/sessions/{call.id}/recording")
            assert status == 409 and body["error"]["code"] == "recording_failed"
            assert (await service.ask("DELETE", f"/sessions/{call.id}/recording"))[1]["error"]["code"] == "no_recording"
            await service.ask("POST", f"/sessions/{call.id}/say", json={"text": "Go on."})
            await call.until(lambda: call.ours("turn"))


async def test_a_disk_that_is_full_at_the_end_leaves_what_there_is(tmp_path: Path) -> None:
    """Captions have no place any more: the film stays, and the session ends in order."""
    async with serving(data_dir=tmp_path, recordings=tmp_path) as service:
        await service.ready()
        async with service.call(mode="speak") as call:
            _, begun = await service.ask("POST", f"/sessions/{call.id}/recording")
            film = tmp_path / begun["recording"]
            film.with_suffix(".vtt").symlink_to("/dev/full")
            session = service.state.sessions.get(call.id)
            status, body = await service.ask("DELETE", f"/recordings/{film.name}")
            assert status == 409 and "running" in body["error"]["message"]
            while (session.camera.seconds or 0) < 0.5:
                await asyncio.sleep(0.05)
            status, body = await service.ask("DELETE", f"/sessions/{call.id}/recording")
            assert status == 409 and body["error"]["recording"] == film.name
            assert "No space left" in body["error"]["message"]
            assert watch(film)[1]["pictures"] > 0

            _, begun = await service.ask("POST", f"/sessions/{call.id}/recording")
            while (session.camera.seconds or 0) < 0.5:
                await asyncio.sleep(0.05)
            (tmp_path / begun["recording"]).unlink()  # by whoever tidies up
            await service.ask("DELETE", f"/sessions/{call.id}")
            assert session.peer is not None
            assert session.peer.stats()["connection"] == "closed"
