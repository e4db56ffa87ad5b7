"""The server's settings: which source wins, and what a wrong value says."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar.errors import Invalid
from avatar.settings import load


def test_defaults_listen_on_loopback_alone() -> None:
    settings = load([], {})
    assert (settings.host, settings.port, settings.face) == ("127.0.0.1", 8000, "auto")


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "avatar.toml"
    file.write_text(
        'port = 1\nface = "pattern"\ngreeting = "hi"\nice_server = ["stun:a", "stun:b"]\n', encoding="utf-8"
    )
    settings = load(["--port", "3", "--config", str(file)], {"AVATAR_PORT": "2", "AVATAR_FACE": "puppet"})
    assert (settings.port, settings.face, settings.greeting) == (3, "puppet", "hi")
    assert settings.ice_server == ("stun:a", "stun:b")


def test_ports_and_addresses() -> None:
    settings = load(["--udp-ports", "40000-40100", "--public-ip", "203.0.113.7", "--public-ip", "[2001:db8::7]"], {})
    assert settings.udp_ports == (40000, 40100)
    assert settings.public_ip == ("203.0.113.7", "2001:db8::7")
    assert load([], {"AVATAR_UDP_PORTS": "5000"}).udp_ports == (5000, 5000)


@pytest.mark.parametrize("spelling", ["--max-sessions", "--max_sessions"])
def test_flags_are_taken_with_either_dash(spelling: str) -> None:
    assert load([spelling, "7"], {}).max_sessions == 7


@pytest.mark.parametrize(
    ("argv", "field"),
    [
        (["--port", "70000"], "port"),
        (["--port", "x"], "port"),
        (["--face", "mask"], "face"),
        (["--public-ip", "here"], "public_ip"),
        (["--udp-ports", "9-8"], "udp_ports"),
        (["--udp-ports", "0-99999"], "udp_ports"),
    ],
)
def test_wrong_values_are_told_by_name(argv: list[str], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        load(argv, {})
    assert refusal.value.field == field


def test_a_file_with_an_unknown_name_or_no_toml_is_told(tmp_path: Path) -> None:
    file = tmp_path / "avatar.toml"
    file.write_text("sharpness = 3\n", encoding="utf-8")
    with pytest.raises(Invalid, match="sharpness"):
        load(["--config", str(file)], {})
    file.write_text("port = = 3\n", encoding="utf-8")
    with pytest.raises(Invalid, match="TOML"):
        load(["--config", str(file)], {})
    with pytest.raises(Invalid, match="cannot be read"):
        load(["--config", str(tmp_path / "none.toml")], {})


def test_an_unknown_flag_ends_with_2() -> None:
    with pytest.raises(SystemExit) as end:
        load(["--sharpness", "3"], {})
    assert end.value.code == 2
