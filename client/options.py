"""The command line, parsed and checked before anything is connected."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from .exits import Usage

SUFFIXES = (".webm", ".mkv", ".mp4")


@dataclass(frozen=True, slots=True)
class Options:
    """One run of the client."""

    server: str = "http://localhost:8000"
    """Base URL without a trailing slash."""
    audio_path: Path | None = None
    text: str | None = None
    chat: str | None = None
    mic_path: Path | None = None
    source_path: Path | None = None
    tunables: dict[str, Any] = field(default_factory=dict)
    """What the offer asks for; the server judges the values."""
    token: str | None = None
    timeout_s: float | None = None
    output: Path | None = None
    report: str | None = None
    """A path, or "-" for standard output."""
    verbose: bool = False

    @property
    def mode(self) -> Literal["speak", "converse"]:
        return "speak" if self.audio_path is not None or self.text is not None else "converse"


def _triple(text: str) -> list[int]:
    parts = [int(part) for part in text.split(",")]
    if len(parts) != 3:
        raise ValueError
    return parts


def _bitrate(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError
    return seconds


def _typed(convert: Callable[[str], Any], what: str) -> Callable[[str], Any]:
    """`convert` with a message that says what was wanted."""

    def parse(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None

    return parse


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="streaming_client.py",
        description="Connects to the avatar server as a real WebRTC peer: makes it speak or talks with it, records "
        "what comes back and measures it.",
        epilog="Exit codes: 0 done, 2 usage, 3 timeout, 4 refused by the server, 5 no connection or it was lost, "
        "130 interrupted.",
        allow_abbrev=False,
    )

    def flag(group: Any, name: str, metavar: str, text: str, **more: Any) -> None:
        spellings = sorted({f"--{name.replace('_', '-')}", f"--{name}"})
        group.add_argument(*spellings, dest=name, metavar=metavar, help=text, **more)

    made.add_argument("--server", default="http://localhost:8000", metavar="URL", help="default %(default)s")
    what = made.add_argument_group("what happens (at least one)")
    flag(what, "audio_path", "FILE", "the avatar speaks this recording (any format PyAV reads)", type=Path)
    flag(what, "text", "STR", "the avatar speaks this text")
    flag(what, "chat", "STR", "sent as the user's turn: the avatar answers it")
    flag(what, "mic_path", "FILE", "played into the session as the user's microphone, in real time", type=Path)
    flag(what, "source_path", "FILE", "portrait to upload and use", type=Path)
    tunables = made.add_argument_group("tunables of the session (the server checks the ranges)")
    flag(tunables, "frame_scale", "X", "picture size, 0.1 to 1", type=_typed(float, "a number"))
    flag(tunables, "sampling_timesteps", "N", "steps of the neural face, 1 to 50", type=_typed(int, "a whole number"))
    flag(tunables, "chunk_config", "H,C,L", "history, chunk, look-ahead in frames", type=_typed(_triple, "like 2,3,2"))
    flag(tunables, "fps", "N", "picture rate, 5 to 30", type=_typed(int, "a whole number"))
    flag(tunables, "bitrate", "KBPS", "ceiling of the video's rate, or auto", type=_typed(_bitrate, "a whole number"))
    flag(tunables, "codec", "NAME", "preferred video codec: vp9, av1, h264 or vp8")
    flag(tunables, "avatar", "ID", "a portrait that the server knows already")
    flag(
        tunables, "emotion", "NAME", "mood of the face: neutral, happy, sad, angry, fear, disgust, surprise or contempt"
    )
    flag(tunables, "voice", "NAME", "voice of the speech engine")
    flag(tunables, "language", "TAG", "language of the conversation, such as en or ja")
    flag(tunables, "instructions", "STR", "what the language model is told about its role")
    made.add_argument("--token", help="bearer token (else AVATAR_TOKEN, else the local server's file)")
    made.add_argument("--timeout", metavar="S", type=_typed(_seconds, "a time in seconds"), help="give up after this")
    made.add_argument("--output", metavar="FILE", type=Path, help="recording: " + ", ".join(SUFFIXES))
    made.add_argument("--report", metavar="FILE", help="measurements as JSON; - prints them")
    made.add_argument("-v", "--verbose", action="store_true", help="log what happens underneath")
    return made


_TUNABLES = {"bitrate": "bitrate_kbps"} | {
    name: name
    for name in (
        "frame_scale",
        "sampling_timesteps",
        "chunk_config",
        "fps",
        "codec",
        "avatar",
        "emotion",
        "voice",
        "language",
        "instructions",
    )
}


def _readable(path: Path | None, flag: str) -> None:
    if path is None:
        return
    if not path.is_file():
        raise Usage(f"{flag}: there is no file {path}.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise Usage(f"{flag}: {path} cannot be read: {error.strerror}.") from None


def _writable(path: Path | None, flag: str) -> None:
    if path is not None and not path.absolute().parent.is_dir():
        raise Usage(f"{flag}: there is no directory {path.absolute().parent}.")


def _server(url: str) -> str:
    parts = urlsplit(url)
    try:
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        sound = False
    if not sound or parts.query or parts.fragment:
        raise Usage(f"--server: {url!r} is not a URL such as http://localhost:8000.")
    return url.rstrip("/")


def check(options: Options) -> Options:
    """`options`, when they can be carried out together. Raises `Usage`."""
    speaks = [f for f, v in (("--audio_path", options.audio_path), ("--text", options.text)) if v is not None]
    talks = [f for f, v in (("--mic_path", options.mic_path), ("--chat", options.chat)) if v is not None]
    if not speaks + talks:
        raise Usage("Say what is to happen: --audio_path, --text, --chat or --mic_path.")
    if len(speaks) == 2 or (speaks and talks):
        raise Usage(f"{' and '.join(speaks + talks)} do not go together: one speaks, the other converses or repeats.")
    for name, text in (("--text", options.text), ("--chat", options.chat)):
        if text is not None and not text.strip():
            raise Usage(f"{name} is empty.")
    if options.source_path is not None and "avatar" in options.tunables:
        raise Usage("--source_path and --avatar do not go together: each names the portrait.")
    for path, name in (
        (options.audio_path, "--audio_path"),
        (options.mic_path, "--mic_path"),
        (options.source_path, "--source_path"),
    ):
        _readable(path, name)
    if options.output is not None and options.output.suffix.lower() not in SUFFIXES:
        raise Usage(f"--output: {options.output} ends in none of {', '.join(SUFFIXES)}.")
    _writable(options.output, "--output")
    if options.report not in (None, "-"):
        _writable(Path(options.report), "--report")
    return options


def parse(argv: Sequence[str] | None = None) -> Options:
    """The options of `argv`. A wrong flag exits with 2 (argparse's way), a wrong combination raises `Usage`."""
    args = vars(parser().parse_args(argv))
    tunables = {tunable: args.pop(name) for name, tunable in _TUNABLES.items()}
    server, timeout = _server(args.pop("server")), args.pop("timeout")
    return check(
        Options(
            server=server,
            timeout_s=timeout,
            tunables={name: value for name, value in tunables.items() if value is not None},
            **args,
        )
    )
