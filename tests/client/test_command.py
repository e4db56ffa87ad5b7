"""The command as a user runs it, against a server of its own: what it writes, prints and returns."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import ROOT, Client, Server, status
from tests.client.performances import RATE, lag, speech, watch

QUESTION = ROOT / "tests/hear/speech/time.flac"
PORTRAIT = ROOT / "tests/portrait/pictures/astronaut.jpg"
PATTERN_P50_MS = 20


def voiced_s(track: np.ndarray) -> float:
    """Seconds in which something sounds. A busy server may pause between slices, yet it never drops sound."""
    size = len(track) // 480 * 480
    return float((np.abs(track[:size].astype(int)).reshape(-1, 480).max(axis=1) > 400).mean() * size / RATE)


def test_a_recording_is_spoken_recorded_and_reported(client: Client, spoken: Path, tmp_path: Path) -> None:
    ended = client.run("--audio_path", spoken, "--output", tmp_path / "film.webm", "--report", "-")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)  # standard output holds the report alone
    assert (report["codec"], report["width"], report["height"]) == ("vp9", 512, 512)
    assert report["session"]["mode"] == "speak"
    assert report["duration_s"] > 6
    assert report["video"]["frames"] > 50
    assert report["video"]["kbps"] > 10
    assert report["audio"]["kbps"] > 5
    marks = [report["connect_ms"][name] for name in ("offer", "ice", "dtls", "first_audio", "first_frame")]
    assert marks == sorted(marks)
    assert abs(report["av_offset_ms"]["p50"]) <= PATTERN_P50_MS
    (turn,) = report["turns"]
    assert turn["kind"] == "speech"
    assert turn["first_audio_received_ms"] >= turn["first_sent"]

    film = watch(tmp_path / "film.webm")
    assert film.codecs == ["vp9", "opus"]
    assert film.offset is not None
    assert abs(film.offset.p50) <= PATTERN_P50_MS
    assert voiced_s(film.tracks[0]) == pytest.approx(voiced_s(speech(6)), rel=0.15)
    assert film.times[-1] == pytest.approx(len(film.tracks[0]) / RATE, abs=0.1)


def test_the_server_learns_what_the_client_measures(client: Client, server: Server) -> None:
    running = client.begin("--text", "This is a sentence, and another one after it, for as long as it takes. " * 3)
    session = session_of(running)
    told: dict[str, float] = {}
    while not told.get("frames") and running.poll() is None:
        time.sleep(0.2)
        try:
            with urllib.request.urlopen(f"{server.url}/sessions/{session}") as response:
                told = (json.load(response)["quality"]["now"] or {}).get("client", told)
        except urllib.error.HTTPError:
            break  # it is over
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert told["frames"] > 0
    assert told["kbps"] > 5
    assert told["loss"] == 0


def test_a_text_is_spoken_into_an_mp4(client: Client, tmp_path: Path) -> None:
    ended = client.run("--text", "Good morning.", "--output", tmp_path / "film.mp4", "--report", tmp_path / "r.json")
    assert ended.code == 0, ended.err
    assert ended.out == ""
    assert "avatar: Good morning." in ended.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["turns"][0]["reply_text"] == "Good morning."
    film = watch(tmp_path / "film.mp4")
    assert film.codecs == ["h264", "aac"]
    assert np.abs(film.tracks[0].astype(int)).max() > 3000


STAGES = (
    "endpoint",
    "stt_final",
    "llm_first_token",
    "first_clause",
    "tts_first_audio",
    "face_first_frame",
    "first_sent",
)


def check_waterfall(turn: dict[str, Any], server: Server) -> None:
    """The report, the log and the metrics tell the same of the one spoken turn that this server has had."""
    assert {"turn_id", "user_text", "reply_text", "heard_text", "interrupted", "cached", "engines"} <= set(turn)
    assert set(turn["engines"]) == {"stt", "llm", "tts", "face"}
    times = [turn[stage] for stage in STAGES]
    assert times == sorted(times) and times[0] > 0, "each stage follows the one before it"
    received = turn.pop("first_audio_received_ms")
    assert received >= turn["first_sent"]
    lines = [line.split(" turn: ", 1)[1] for line in server.log.read_text().splitlines() if " turn: {" in line]
    assert turn in [json.loads(line) for line in lines], "the log has the same record"
    counted = metrics(server)
    for stage in STAGES:
        spoken = [r[stage] for r in map(json.loads, lines) if r[stage] is not None]
        assert counted[f'avatar_turn_stage_seconds_count{{stage="{stage}"}}'] == len(spoken)
        total = counted[f'avatar_turn_stage_seconds_sum{{stage="{stage}"}}']
        assert total == pytest.approx(sum(spoken) / 1000, abs=0.001)


def metrics(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.url}/metrics") as response:
        rows = [line.rsplit(" ", 1) for line in response.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


def test_a_spoken_question_is_answered_and_both_voices_are_recorded(client: Client, tmp_path: Path) -> None:
    ended = client.run("--mic_path", QUESTION, "--output", tmp_path / "talk.webm", "--report", tmp_path / "r.json")
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "r.json").read_text())
    (turn,) = report["turns"]
    assert turn["user_text"]
    assert turn["reply_text"]
    check_waterfall(turn, client.server)
    voice, microphone = watch(tmp_path / "talk.webm").tracks
    original = sound(QUESTION)
    assert len(microphone) == pytest.approx(len(voice), abs=RATE // 20)
    at = lag(microphone, original, limit=5 * RATE)
    assert at > 0
    assert np.corrcoef(microphone[at : at + len(original)], original)[0, 1] > 0.95
    asked = at + np.flatnonzero(np.abs(original) > 600)[-1]
    answered = np.flatnonzero(np.abs(voice.astype(int)) > 600)
    assert answered[0] > asked  # the answer comes after the question, on one clock


def test_a_typed_line_is_answered(client: Client) -> None:
    ended = client.run("--chat", "What time is it?", "--codec", "h264", "--report", "-")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["codec"] == report["session"]["codec"] == "h264"
    (turn,) = report["turns"]
    assert turn["user_text"] == "What time is it?"
    assert turn["llm_first_token"] is not None


def test_a_portrait_is_uploaded_and_used(client: Client) -> None:
    if not (ROOT / "checkpoints" / "face").is_dir():
        pytest.skip("the face models have not been fetched")
    ended = client.run("--text", "Hello.", "--source_path", PORTRAIT, "--report", "-")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["session"]["avatar"] != "default"


def test_tunables_reach_the_session(client: Client) -> None:
    ended = client.run(
        *("--text", "Hello.", "--frame-scale", "0.25", "--fps", "20", "--chunk-config", "2,3,2"),
        *("--sampling_timesteps", "5", "--bitrate", "400", "--emotion", "surprise", "--report", "-"),
    )
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    wanted = {"frame_scale": 0.25, "fps": 20, "chunk_config": [2, 3, 2], "sampling_timesteps": 5, "bitrate_kbps": 400}
    wanted |= {"emotion": "surprise"}
    assert {name: report["session"][name] for name in wanted} == wanted
    assert (report["width"], report["height"]) == (256, 256)


def test_the_size_may_change_while_recording(client: Client, spoken: Path, tmp_path: Path) -> None:
    process = client.begin("--audio_path", spoken, "--output", tmp_path / "film.webm", "--report", tmp_path / "r.json")
    session = session_of(process)
    assert process.stderr is not None
    while "speaking" not in process.stderr.readline():
        pass
    change = urllib.request.Request(
        f"{client.server.url}/sessions/{session}", json.dumps({"frame_scale": 0.25, "fps": 20}).encode(), method="PATCH"
    )
    with urllib.request.urlopen(change):
        pass
    process.communicate(timeout=100)
    assert process.returncode == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["width"] == 256
    assert report["session"]["frame_scale"] == 0.25
    assert abs(report["av_offset_ms"]["p50"]) <= PATTERN_P50_MS
    film = watch(tmp_path / "film.webm")
    assert film.sizes == {(512, 512)}
    assert film.times[-1] == pytest.approx(len(film.tracks[0]) / RATE, abs=0.1)


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--text", "Hello.", "--frame-scale", "7"], "frame_scale"),
        (["--text", "Hello.", "--codec", "mpeg2"], "codec"),
        (["--text", "Hello.", "--emotion", "grumpy"], "surprise"),
        (["--text", "Hello.", "--avatar", "nobody"], "nobody"),
        (["--audio_path", str(ROOT / "README.md")], "sound"),
        (["--text", "Hello.", "--source_path", str(ROOT / "README.md")], "picture"),
    ],
)
def test_a_refusal_is_passed_on_in_the_servers_words(client: Client, argv: list[str], word: str) -> None:
    ended = client.run(*argv, "--report", "-")
    assert ended.code == 4
    assert word in ended.err
    assert "Traceback" not in ended.err


def test_a_file_over_the_limit_is_refused(client: Client, tmp_path: Path) -> None:
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(101_000_000)
    ended = client.run("--audio_path", tmp_path / "huge.wav")
    assert ended.code == 4, ended.err
    assert "100 MB" in ended.err


def test_usage_is_2_and_touches_no_server(client: Client) -> None:
    assert client.run("--text", "Hello.", "--frobnicate").code == 2
    ended = client.run()
    assert ended.code == 2
    assert "--audio_path" in ended.err
    silent = client.run("--mic_path", ROOT / "README.md")
    assert silent.code == 2
    assert "README.md" in silent.err


def test_no_server_is_5() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "streaming_client.py", "--server", "http://localhost:9", "--text", "Hello."],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 5
    assert "http://localhost:9" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_timeout_is_3_and_leaves_a_recording_and_no_session(client: Client, spoken: Path, tmp_path: Path) -> None:
    ended = client.run("--audio_path", spoken, "--timeout", "3", "--output", tmp_path / "f.webm", "--report", "-")
    assert ended.code == 3
    report = json.loads(ended.out)
    assert watch(tmp_path / "f.webm").times
    assert status(f"{client.server.url}/sessions/{report['session_id']}") == 404


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_recording_and_ends_the_session(
    client: Client, spoken: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = client.begin("--audio_path", spoken, "--output", tmp_path / "film.webm", "--report", "-")
    session = session_of(process)
    assert process.stderr is not None
    while "speaking" not in process.stderr.readline():
        pass
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert json.loads(out)["session_id"] == session
    film = watch(tmp_path / "film.webm")
    assert film.times
    assert film.tracks
    assert status(f"{client.server.url}/sessions/{session}") == 404


def test_a_server_that_dies_is_5(own_server: Callable[..., Server], spoken: Path, tmp_path: Path) -> None:
    server = own_server()
    process = Client(server).begin("--audio_path", spoken, "--output", tmp_path / "film.mkv")
    session_of(process)
    while not (film := tmp_path / "film.mkv").exists() or film.stat().st_size < 20_000:  # it has been received
        assert process.poll() is None
        time.sleep(0.05)
    server.kill()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 5
    assert "lost" in err
    assert watch(film).times


def test_a_token_is_asked_for_and_found(own_server: Callable[..., Server]) -> None:
    server = own_server("--auth-token", "secret")
    refused = Client(server).run("--text", "Hello.")
    assert refused.code == 4
    assert "--token" in refused.err
    assert Client(server).run("--text", "Hello.", "--token", "wrong").code == 4
    assert Client(server, {"AVATAR_TOKEN": "secret"}).run("--text", "Hello.").code == 0


def test_a_token_that_the_server_made_is_found_on_the_same_machine(own_server: Callable[..., Server]) -> None:
    server = own_server("--host", "0.0.0.0")
    server.url = server.url.replace("0.0.0.0", "localhost")
    assert Client(server).run("--text", "Hello.").code == 0
    assert Client(server, {"XDG_STATE_HOME": "/nowhere"}).run("--text", "Hello.").code == 4


def session_of(process: subprocess.Popen[str]) -> str:
    """The session's id, which the client prints once it is connected."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.fullmatch(r"session (\w+)\n", line):
            return found[1]
    raise AssertionError("the client never connected")


def sound(path: Path) -> np.ndarray:
    from client.microphone import decode

    return np.concatenate(list(decode(path)))
