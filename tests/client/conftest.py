"""A real server and the real client, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from tests.client.performances import RATE, speech

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
"""For a server's engines on a busy machine."""


@dataclass
class Server:
    """A running `streaming_server.py`."""

    process: subprocess.Popen[str]
    url: str
    environ: dict[str, str]
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(directory: Path, *flags: str) -> Server:
    """Starts a server on a free port and waits for its engines."""
    environ = os.environ | {"XDG_STATE_HOME": str(directory), "HF_HUB_OFFLINE": "1"}
    environ.pop("AVATAR_TOKEN", None)
    argv = ["--port", "0", "--face", "pattern", "--stt", "pocketsphinx", "--llm", "responder", "--tts", "espeak"]
    command = [sys.executable, "streaming_server.py", *argv, "--data-dir", str(directory), *flags]
    with (directory / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip().split("?")[0].rstrip("/")
    deadline = time.monotonic() + WAIT_S
    while "ready: room" not in (directory / "server.log").read_text():
        assert process.poll() is None, (directory / "server.log").read_text()
        assert time.monotonic() < deadline, (directory / "server.log").read_text()
        time.sleep(0.1)
    return Server(process, url, environ, directory / "server.log")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    if (ROOT / "checkpoints" / "face").is_dir():  # what finds faces in portraits; `make test` fetches it
        (directory / "face").symlink_to(ROOT / "checkpoints" / "face")
    running = start(directory)
    yield running
    running.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers for one test alone, with flags of its own."""
    running: list[Server] = []

    def begin(*flags: str) -> Server:
        running.append(start(tmp_path, *flags))
        return running[-1]

    yield begin
    for each in running:
        each.kill()


@dataclass
class Ended:
    """What a run of the client left."""

    code: int
    out: str
    err: str


@dataclass
class Client:
    """Runs `streaming_client.py` against a server."""

    server: Server
    environ: dict[str, str] = field(default_factory=dict)

    def begin(self, *argv: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "streaming_client.py"), "--server", self.server.url, *map(str, argv)]
        return subprocess.Popen(
            command, env=self.server.environ | self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *argv: str | Path) -> Ended:
        process = self.begin(*argv)
        out, err = process.communicate(timeout=100)
        return Ended(process.returncode, out, err)


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server)


def status(url: str) -> int:
    """HTTP status of a GET."""
    try:
        with urllib.request.urlopen(url) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def write_wav(path: Path, pcm: np.ndarray, rate: int = RATE, layout: str = "mono") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of syllables as a file."""
    return write_wav(tmp_path_factory.mktemp("spoken") / "spoken.wav", speech(6))
