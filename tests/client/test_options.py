from pathlib import Path

import pytest

from client.exits import Usage
from client.options import parse


def test_flags_are_taken_with_either_dash() -> None:
    for spelling in ("--sampling-timesteps", "--sampling_timesteps"):
        assert parse(["--text", "hi", spelling, "7"]).tunables == {"sampling_timesteps": 7}


def test_every_tunable_reaches_the_offer_under_the_servers_name() -> None:
    argv = "--chat hi --frame-scale 0.25 --sampling_timesteps 5 --chunk-config 2,3,2 --fps 20 --bitrate 330"
    options = parse([*argv.split(), "--codec", "h264", "--emotion", "sad", "--language", "ja"])
    assert options.tunables == {
        "frame_scale": 0.25,
        "sampling_timesteps": 5,
        "chunk_config": [2, 3, 2],
        "fps": 20,
        "bitrate_kbps": 330,
        "codec": "h264",
        "emotion": "sad",
        "language": "ja",
    }
    assert parse(["--chat", "hi", "--bitrate", "auto"]).tunables == {"bitrate_kbps": "auto"}


def test_what_is_not_given_is_left_to_the_server() -> None:
    assert parse(["--text", "hi"]).tunables == {}


@pytest.mark.parametrize(
    ("argv", "mode"),
    [(["--text", "hi"], "speak"), (["--chat", "hi"], "converse")],
)
def test_mode(argv: list[str], mode: str) -> None:
    assert parse(argv).mode == mode


@pytest.mark.parametrize(
    "argv",
    [
        ["--text", "hi", "--nonsense"],
        ["--text", "hi", "--frame-scale", "big"],
        ["--text", "hi", "--chunk-config", "2,3"],
        ["--text", "hi", "--chunk-config", "a,b,c"],
        ["--text", "hi", "--fps", "2.5"],
        ["--text", "hi", "--timeout", "0"],
        ["--text", "hi", "--timeout", "nan"],
        ["--text", "hi", "--repo", "x"],
    ],
)
def test_a_wrong_flag_is_told_on_stderr_and_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(argv)
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert argv[-1] in said.err or argv[-2] in said.err


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        ([], "--audio_path"),
        (["--output", "x.webm"], "--audio_path"),
        (["--text", "a", "--audio_path", "b.wav"], "together"),
        (["--text", "a", "--chat", "b"], "together"),
        (["--text", "  "], "--text"),
        (["--chat", ""], "--chat"),
        (["--audio_path", "nowhere.wav"], "nowhere.wav"),
        (["--mic_path", "nowhere.wav"], "nowhere.wav"),
        (["--text", "a", "--source_path", "nowhere.png"], "nowhere.png"),
        (["--text", "a", "--output", "film.avi"], ".webm"),
        (["--text", "a", "--output", "no/such/place/film.webm"], "no/such/place"),
        (["--text", "a", "--report", "no/such/place/report.json"], "no/such/place"),
        (["--text", "a", "--server", "localhost:8000"], "--server"),
        (["--text", "a", "--server", "http://"], "--server"),
        (["--text", "a", "--server", "http://x:port"], "--server"),
    ],
)
def test_what_cannot_be_carried_out_is_said_at_once(argv: list[str], word: str) -> None:
    with pytest.raises(Usage, match=word):
        parse(argv)


def test_a_portrait_has_one_name(tmp_path: Path) -> None:
    picture = tmp_path / "face.png"
    picture.write_bytes(b"x")
    with pytest.raises(Usage, match="--avatar"):
        parse(["--text", "a", "--source_path", str(picture), "--avatar", "default"])


def test_the_servers_url_needs_no_slash() -> None:
    assert parse(["--text", "a", "--server", "http://host:8123/"]).server == "http://host:8123"
