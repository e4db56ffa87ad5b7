"""The page in front of the neural face, with test weights: the whole service from a checkpoint's files on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints.fetch import ENTRIES, HERE, FetchError, fetch
from tests.absent import absent, needs
from tests.web.browser import Server
from tests.web.visit import Visit

PATIENCE_S = 300.0
"""The neural face on a processor that has other things to do draws a picture in seconds."""

FIRST: dict[str, Any] = {"frame_scale": 0.125, "fps": 5, "sampling_timesteps": 1, "chunk_config": [4, 8, 3]}
REMEMBERED = f"localStorage.setItem('avatar.tunables', '{json.dumps(FIRST)}');"

NEW: dict[str, Any] = {
    "frame_scale": 0.1, "fps": 6, "sampling_timesteps": 2, "chunk_config": [2, 4, 2], "bitrate_kbps": 300,
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


@pytest.mark.timeout(1500)
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
        "--max-sessions", "1", "--greeting", "Hello.",
    )  # fmt: skip
    face = server.get("/config")["engines"]["face"]
    assert face["name"] == "ditto" and root.name in face["note"], face

    # Few pictures, small ones and few steps.
    visit.patience_s = PATIENCE_S
    await visit.open(server, before=REMEMBERED)
    visit.page.set_default_timeout(PATIENCE_S * 1000)
    await visit.call()

    def wide(across: float) -> Any:
        return lambda s: 0 < (((s["stats"] or {}).get("video") or {}).get("width") or 0) <= across

    seen = await visit.until(wide(server.portrait_width() * FIRST["frame_scale"]), "a picture came")
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
        # A machine that is too slow asks for less than it is allowed.
        less = name in ("fps", "frame_scale", "sampling_timesteps") and effective[name] < value
        assert effective[name] == value or less, effective
    across = 2 * round(server.portrait_width() * NEW["frame_scale"] / 2)
    await visit.until(wide(across), "a picture of the new size")
    await visit.type("Hello again")
    seen = await visit.until(lambda s: len(s["turns"]) == 3, "the turn with all tunables changed ended")
    assert seen["turns"][-1]["reply_text"] and not seen["turns"][-1].get("error")
    assert server.get("/config")["engines"]["face"]["name"] == "ditto"
