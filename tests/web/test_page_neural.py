"""The page in front of the neural face, with test weights: the whole service from a checkpoint's files on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checkpoints.fetch import ENTRIES, HERE, FetchError, fetch
from tests.absent import absent, needs
from tests.web.browser import Server
from tests.web.visit import Visit

REMEMBERED = 'localStorage.setItem("avatar.tunables", JSON.stringify({ frame_scale: 0.125, sampling_timesteps: 2 }));'


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The online configuration and the data root."""
    for package in ("torch", "onnx"):
        needs(package)
    from ditto.layout import Kind
    from ditto.testweights import write

    return write(tmp_path_factory.mktemp("checkpoint"), Kind.PYTORCH, "tiny", lambda line: None)


@pytest.mark.timeout(300)
async def test_a_checkpoint_becomes_a_face_that_talks(
    checkpoint: tuple[Path, Path], visit: Visit, own_server: Callable[..., Server], tmp_path: Path
) -> None:
    try:
        fetch(next(entry for entry in ENTRIES if entry.name == "face"))
    except FetchError as error:
        absent(f"the face models cannot be had: {error}")
    data = tmp_path / "data"
    data.mkdir()
    (data / "face").symlink_to(HERE / "face")
    config, root = checkpoint
    server = own_server(
        "--face", "ditto", "--cfg_pkl", str(config), "--data_root", str(root), "--data_dir", str(data),
        "--max-sessions", "1",
    )  # fmt: skip
    face = server.get("/config")["engines"]["face"]
    assert face["name"] == "ditto" and root.name in face["note"], face

    # Small pictures and few steps: the processor of a test machine draws a few of them in a second.
    await visit.open(server, before=REMEMBERED)
    await visit.call()
    seen = await visit.until(lambda s: s["stats"] and (s["stats"]["video"] or {}).get("frames", 0) > 5, "frames come")
    assert seen["stats"]["video"]["width"] == server.portrait_width() * 0.125
    await visit.greeted()
    await visit.type("Hello")
    seen = await visit.until(lambda s: len(s["turns"]) == 2, "the turn ended")
    assert seen["turns"][-1]["reply_text"] and not seen["turns"][-1].get("error")
    assert "face_first_frame" in seen["turns"][-1]
