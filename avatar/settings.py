"""What the server is told at its start: flag > environment (`AVATAR_*`) > TOML file > default."""

from __future__ import annotations

import argparse
import ipaddress
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Invalid

FACES = ("auto", "ditto", "puppet", "pattern")


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's own settings, checked."""

    host: str = "127.0.0.1"
    port: int = 8000
    face: str = "auto"
    cfg_pkl: str = "checkpoints/ditto_cfg/*online.pkl"
    data_root: str = "checkpoints/ditto_*"
    """A `*` stands for what is there: of several the bundle that this installation can run."""
    ditto_backend: str = "auto"
    """One of `ditto.backends.choice.BACKENDS`; checked when the neural face is loaded."""
    ditto_engines: Path | None = None
    """Where `python -m ditto export` or `build` wrote."""
    stt: str = "auto"
    llm: str = "auto"
    tts: str = "auto"
    avatar: str = "default"
    greeting: str = ""
    """Empty: a short one in the client's language."""
    max_sessions: int = 0
    """0: measured at start."""
    ice_server: tuple[str, ...] = ()
    turn_secret: str | None = None
    public_ip: tuple[str, ...] = ()
    """Addresses under which a router forwards `udp_ports` to this machine."""
    udp_ports: tuple[int, int] | None = None
    """First and last port for media; None: any."""
    recordings: Path | None = None
    """Where sessions may be recorded; None: nowhere."""
    ssl_cert: str | None = None
    ssl_key: str | None = None
    auth_token: str | None = None
    open: bool = False
    """Off loopback and still no token."""
    data_dir: Path = Path("checkpoints")
    """Where fetched models and uploaded portraits live."""


_HELP = {
    "host": "address to listen on; off loopback a token is asked for",
    "port": "port to listen on",
    "face": "which face speaks: " + ", ".join(FACES),
    "cfg_pkl": "Ditto's configuration; * stands for what is there",
    "data_root": "Ditto's weights; * stands for what is there",
    "ditto_backend": "what draws Ditto's pictures: auto, torch, torch-graph, torch-compile, onnxruntime, tensorrt, "
    "tensorrt-rtx",
    "ditto_engines": "directory that `python -m ditto export` or `build` wrote",
    "stt": "speech recognition: auto, whisper[:size or directory], pocketsphinx, or an endpoint's base URL",
    "llm": "language model: auto, ollama[:model], llamacpp:FILE.gguf, responder, or an endpoint's base URL[#model]",
    "tts": "voice: auto, piper:FILE.onnx, openjtalk, flite, espeak, or an endpoint's base URL[#model]",
    "avatar": "portrait that sessions start with: a registered id or a file on this machine",
    "greeting": "what a session says first when it asks to be greeted (default: a short one in the client's language)",
    "max_sessions": "admission limit (default: measured at start)",
    "ice_server": "STUN or TURN URL handed to clients; repeatable",
    "turn_secret": "shared secret from which time-limited TURN credentials are made",
    "public_ip": "address under which a router forwards the UDP ports to this machine; repeatable",
    "udp_ports": "UDP ports for media, as in 40000-40100 (default: any)",
    "recordings": "directory in which sessions may be recorded (default: none are)",
    "ssl_cert": "PEM file with the certificate chain: serve HTTPS",
    "ssl_key": "PEM file with its private key (default: in the same file)",
    "auth_token": "bearer token that every route asks for",
    "open": "listen off loopback without a token (anyone who can reach the port can use it)",
    "data_dir": "directory of fetched models and uploaded portraits",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streaming_server.py",
        description="A talking-head avatar over WebRTC: it hears you, thinks, answers aloud.",
        allow_abbrev=False,
    )
    for name, text in _HELP.items():
        flags = sorted({f"--{name.replace('_', '-')}", f"--{name}"}, reverse=True)
        if name == "open":
            parser.add_argument(*flags, dest=name, action="store_true", default=None, help=text)
        elif name in ("ice_server", "public_ip"):
            metavar = "URL" if name == "ice_server" else "IP"
            parser.add_argument(*flags, dest=name, action="append", default=None, help=text, metavar=metavar)
        else:
            parser.add_argument(*flags, dest=name, default=None, help=text)
    parser.add_argument("--config", default=None, help="TOML file with the same names", metavar="FILE")
    return parser


def _whole(name: str, value: Any, low: int, high: int) -> int:
    try:
        if isinstance(value, bool | float):
            raise ValueError
        number = int(value)
    except (TypeError, ValueError):
        raise Invalid(f"{name} must be a whole number, not {value!r}.", field=name) from None
    if not low <= number <= high:
        raise Invalid(f"{name} must be from {low} to {high}, not {number}.", field=name)
    return number


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("1", "true", "yes", "on"):
        return True
    if str(value).lower() in ("0", "false", "no", "off", ""):
        return False
    raise Invalid(f"{name} must be true or false, not {value!r}.", field=name)


def _address(name: str, value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value).strip("[]")))
    except ValueError:
        raise Invalid(f"{name} must be an IP address, not {value!r}.", field=name) from None


def _ports(name: str, value: str) -> tuple[int, int]:
    first, _, last = value.partition("-")
    low = _whole(name, first.strip(), 1, 65535)
    high = _whole(name, last.strip() or first.strip(), 1, 65535)
    if low > high:
        raise Invalid(f"{name} must begin with the lower port, as in 40000-40100, not {value!r}.", field=name)
    return low, high


def _check(raw: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in _HELP:
            raise Invalid(f"There is no setting named {name!r}.", field=name)
        match name:
            case "port":
                checked[name] = _whole(name, value, 0, 65535)
            case "max_sessions":
                checked[name] = _whole(name, value, 0, 10_000)
            case "open":
                checked[name] = _flag(name, value)
            case "ice_server":
                checked[name] = tuple(value.split() if isinstance(value, str) else value)
            case "public_ip":
                checked[name] = tuple(
                    _address(name, each) for each in (value.split() if isinstance(value, str) else value)
                )
            case "udp_ports":
                checked[name] = _ports(name, str(value))
            case "data_dir" | "recordings" | "ditto_engines":
                checked[name] = Path(value).expanduser()
            case "face":
                if value not in FACES:
                    raise Invalid(f"face must be one of {', '.join(FACES)}, not {value!r}.", field=name)
                checked[name] = value
            case _:
                checked[name] = str(value)
    return checked


def load(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from flags, environment and file. A wrong flag exits with 2, a wrong value raises `Invalid`."""
    args = vars(_parser().parse_args(argv))
    path = args.pop("config") or environ.get("AVATAR_CONFIG")
    values: dict[str, Any] = {}
    if path:
        try:
            values |= _check(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise Invalid(f"The configuration file {path} cannot be read: {error.strerror}.", field="config") from None
        except tomllib.TOMLDecodeError as error:
            raise Invalid(f"The configuration file {path} is not TOML: {error}.", field="config") from None
    values |= _check({n: environ[k] for n in _HELP if (k := f"AVATAR_{n.upper()}") in environ})
    values |= _check({n: v for n, v in args.items() if v is not None})
    return Settings(**values)
