"""Ditto's weights from a hub that breaks off, changes files, lies and goes away."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from checkpoints import hub
from checkpoints.fetch import main
from checkpoints.hub import BUNDLES, REPOSITORY, HubError, fetch_bundle

PYTORCH = BUNDLES[0]
FILES = {
    "ditto_cfg/online.pkl": b"configuration",
    "ditto_pytorch/models/decoder.pth": bytes(range(256)) * 9000,
    "ditto_pytorch/aux_models/landmark203.onnx": b"landmarks" * 100,
    "ditto_onnx/decoder.onnx": b"of the other bundle",
    "ditto_trt_Ampere_Plus/decoder_fp16.engine": b"of one GPU",
    "ditto_pytorch/plugin.so": b"a program",
    "README.md": b"words",
}
WANTED = ["ditto_cfg/online.pkl", "ditto_pytorch/models/decoder.pth", "ditto_pytorch/aux_models/landmark203.onnx"]


class Hub:
    """A model hub on this machine."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.breaks: list[int] = []
        """After so many bytes the next answers end."""
        self.ranges: list[str] = []
        self.listing: Any = None
        self.status = 200
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                if hub.status != 200:
                    self.send_error(hub.status)
                elif path == f"/api/models/{REPOSITORY}/tree/main":
                    self._send(json.dumps(hub.rows()).encode())
                else:
                    self._file(path.removeprefix(f"/{REPOSITORY}/resolve/main/"))

            def _file(self, name: str) -> None:
                data = hub.files[name]
                asked = self.headers.get("Range", "")
                hub.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                end = hub.breaks.pop(0) if hub.breaks else len(data)
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                self.wfile.write(data[start : start + end])
                if end < len(data) - start:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)

            def _send(self, data: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def rows(self) -> Any:
        if self.listing is not None:
            return self.listing
        return [{"type": "directory", "path": "ditto_cfg"}, *(row(path, data) for path, data in FILES.items())]


def row(path: str, data: bytes) -> dict[str, Any]:
    if path.endswith((".pth", ".onnx")):
        return {
            "type": "file", "path": path, "size": len(data), "oid": "0" * 40,
            "lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)},
        }  # fmt: skip
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return {"type": "file", "path": path, "size": len(data), "oid": git}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{made.server.server_port}")
    monkeypatch.setattr(hub.time, "sleep", lambda _: None)
    yield made
    made.server.shutdown()
    made.server.server_close()


def there(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def test_one_bundle_and_the_configurations_come_once(served: Hub, tmp_path: Path) -> None:
    brought = fetch_bundle(PYTORCH, tmp_path)
    assert there(tmp_path) == sorted(brought.fetched) == sorted(WANTED) and not brought.unchecked
    assert all((tmp_path / path).read_bytes() == FILES[path] for path in WANTED)
    served.ranges.clear()
    again = fetch_bundle(PYTORCH, tmp_path)
    assert sorted(again.there) == sorted(WANTED) and not again.fetched and not served.ranges


def test_what_broke_off_is_gone_on_with(served: Hub, tmp_path: Path) -> None:
    served.listing = [row(WANTED[1], FILES[WANTED[1]])]
    served.breaks = [100_000, 70_000]
    fetch_bundle(PYTORCH, tmp_path)
    assert (tmp_path / WANTED[1]).read_bytes() == FILES[WANTED[1]]
    first, second, third = (int(asked[6:-1]) if asked else 0 for asked in served.ranges)
    assert first == 0 < second <= 100_000 and second < third <= 170_000


def test_a_later_command_goes_on_where_the_last_one_stopped(served: Hub, tmp_path: Path) -> None:
    served.listing = [row(WANTED[1], FILES[WANTED[1]])]
    served.breaks = [50_000] + [0] * hub.TRIES
    with pytest.raises(HubError, match=r"broke off at .* goes on from there"):
        fetch_bundle(PYTORCH, tmp_path)
    assert there(tmp_path) == [WANTED[1] + ".part"]
    served.ranges.clear()
    fetch_bundle(PYTORCH, tmp_path)
    assert served.ranges[0].startswith("bytes=") and there(tmp_path) == [WANTED[1]]


def test_a_file_that_is_not_the_listed_one_is_not_kept(served: Hub, tmp_path: Path) -> None:
    served.files[WANTED[1]] = FILES[WANTED[1]][::-1]
    with pytest.raises(HubError, match=r"decoder\.pth is not what the hub lists"):
        fetch_bundle(PYTORCH, tmp_path)
    assert WANTED[1] not in there(tmp_path) and WANTED[1] + ".part" not in there(tmp_path)


def test_a_damaged_file_is_fetched_again(served: Hub, tmp_path: Path) -> None:
    fetch_bundle(PYTORCH, tmp_path)
    (tmp_path / WANTED[0]).write_bytes(b"CONFIGURATION")
    assert fetch_bundle(PYTORCH, tmp_path).fetched == [WANTED[0]]


def test_what_cannot_be_verified_is_said(served: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served.listing = [{**row(path, FILES[path]), "oid": "", "lfs": None} for path in WANTED[:2]]
    assert main(["ditto-pytorch", "--directory", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "2 fetched" in said and f"Not verified, the hub lists no hash: {', '.join(WANTED[:2])}" in said
    assert "None is pinned" in said


@pytest.mark.parametrize("path", ["ditto_cfg/../../outside", "/ditto_cfg/root", "ditto_cfg\\..\\x", "ditto_cfg/c:x"])
def test_a_listing_cannot_name_a_place_elsewhere(served: Hub, tmp_path: Path, path: str) -> None:
    served.listing = [row(path, b"x"), row(WANTED[1], FILES[WANTED[1]])]
    fetch_bundle(PYTORCH, tmp_path / "inside")
    assert there(tmp_path) == ["inside/" + WANTED[1]]


@pytest.mark.parametrize(
    ("listing", "status", "words"),
    [
        ([], 200, "lists no ditto_pytorch"),
        ({"error": "no"}, 200, "gave no listing"),
        ([{"type": "file"}], 200, "gave no listing"),
        (None, 404, "404: it is not there"),
        (None, 503, "cannot be reached"),
    ],
)
def test_a_hub_that_has_nothing(
    served: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], listing: Any, status: int, words: str
) -> None:
    served.listing, served.status = listing, status
    assert main(["ditto-pytorch", "--directory", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Not fetched: ditto-pytorch") and words in said


def test_no_hub_and_no_room(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = type("Usage", (), {"free": 1000})
    with monkeypatch.context() as patch:
        patch.setattr(hub.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(HubError, match="GB are needed"):
            fetch_bundle(PYTORCH, tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError, match="cannot be written"):
        fetch_bundle(PYTORCH, tmp_path / "file")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="online"):
        fetch_bundle(PYTORCH, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(HubError, match="https"):
        fetch_bundle(PYTORCH, tmp_path)
