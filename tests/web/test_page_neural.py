"""The page in front of the neural face, with test weights: the whole service from a checkpoint's files on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints.fetch import ENTRIES, HERE, FetchError, fetch
from tests.absent import absent, needs
from tests.web.browser import Server
from tests.web.visit import Visit

REMEMBERED = 'localStorage.setItem("avatar.tunables", JSON.stringify({ frame_scale: 0.125, sampling_timesteps: 2 }));'

NEW: dict[str, Any] = {
    "frame_scale": 0.15, "fps": 10, "sampling_timesteps": 3, "chunk_config": [2, 3, 2], "bitrate_kbps": 300,
    "language": "en", "voice": None, "instructions": "Be brief.",
}  # fmt: skip
"""Values that a processor of a test machine can bear, and those that no range or list names."""


def another(name: str, spec: dict[str, Any], server: Server) -> Any:
    """A value of a tunable that is not its default."""
    if name in NEW:
        return NEW[name]
    if name == "avatar":
        return next(row["avatar"] for row in server.get("/config")["avatars"] if row["avatar"] != spec["default"])
    if spec["type"] == "boolean":
        return not spec["default"]
    if spec["choices"]:
        return next(choice for choice in spec["choices"] if choice != spec["default"])
    return round((spec["max"] * 3 + spec["min"]) / 4, 2)


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

    # Every tunable that can be changed in a session, and then another turn with all of them.
    session, table = seen["sessionId"], server.get("/config")["tunables"]
    for name, spec in table.items():
        if not spec["live"]:
            continue
        value = another(name, spec, server)
        answer = await visit.page.request.patch(f"{server.url}/sessions/{session}", data={name: value})
        assert answer.status == 200, await answer.text()
        effective = (await answer.json())["session"]
        # A machine that is too slow asks for fewer pictures than it is allowed.
        assert effective[name] == value or (name == "fps" and effective[name] < value), effective
    across = 2 * round(server.portrait_width() * NEW["frame_scale"] / 2)
    await visit.until(lambda s: s["stats"]["video"]["width"] == across, "pictures of the new size")
    await visit.type("Hello again")
    seen = await visit.until(lambda s: len(s["turns"]) == 3, "the turn with all tunables changed ended")
    assert seen["turns"][-1]["reply_text"] and not seen["turns"][-1].get("error")
    assert server.get("/config")["engines"]["face"]["name"] == "ditto"
