"""Which face is chosen, and that each keeps the promises of the seam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatar.errors import Invalid, NotFound, NotReady
from avatar.face import engines
from avatar.face.avatars import AvatarStore
from avatar.face.engines import checkpoint, choose_face
from avatar.settings import Settings
from avatar.tunables import Tunables


@pytest.fixture
def avatars(tmp_path: Path) -> AvatarStore:
    return AvatarStore(tmp_path / "avatars", tmp_path)


def settings(tmp_path: Path) -> Settings:
    """No checkpoints anywhere."""
    return Settings(cfg_pkl=str(tmp_path / "none.pkl"), data_root=str(tmp_path / "none"))


async def test_without_checkpoints_auto_is_the_puppet_and_says_why(tmp_path: Path, avatars: AvatarStore) -> None:
    face = await choose_face("auto", settings(tmp_path), avatars)
    assert face.choice.name == "puppet"
    assert face.choice.role == "face"
    assert "neural face" in face.choice.why or "torch" in face.choice.why or "checkpoints" in face.choice.why
    assert "sampling_timesteps" in face.ignores


async def test_ditto_without_checkpoints_is_refused_in_words(tmp_path: Path, avatars: AvatarStore) -> None:
    with pytest.raises(NotReady, match="neural face"):
        await choose_face("ditto", settings(tmp_path), avatars)


@pytest.mark.parametrize(
    ("there", "torch", "taken"),
    [
        (["ditto_cfg", "ditto_onnx", "ditto_pytorch", "ditto_sources", "ditto_trt_Ampere_Plus"], True, "ditto_pytorch"),
        (["ditto_cfg", "ditto_onnx", "ditto_pytorch"], False, "ditto_onnx"),
        (["ditto_cfg", "ditto_trt_Ampere_Plus"], True, "ditto_trt_Ampere_Plus"),
        (["ditto_cfg"], True, "ditto_*"),
    ],
)
def test_a_star_stands_for_the_weights_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], torch: bool, taken: str
) -> None:
    for name in there:
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    for name in ("a_cfg.pkl", "a_cfg_online.pkl"):
        (tmp_path / "checkpoints/ditto_cfg" / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: object() if torch else None)
    config, root = checkpoint(Settings())
    assert (config.name, root.name) == ("a_cfg_online.pkl", taken)
    assert checkpoint(Settings(cfg_pkl="x.pkl", data_root="y")) == (Path("x.pkl"), Path("y"))


async def test_an_unknown_face_is_refused(tmp_path: Path, avatars: AvatarStore) -> None:
    with pytest.raises(Invalid, match="auto, ditto, puppet, pattern"):
        await choose_face("hologram", settings(tmp_path), avatars)


@pytest.mark.parametrize("name", ["puppet", "pattern"])
async def test_a_face_keeps_the_promises_of_the_seam(name: str, tmp_path: Path, avatars: AvatarStore) -> None:
    face = await choose_face(name, settings(tmp_path), avatars)
    await face.warm()
    assert face.rate % 25 == 0
    with pytest.raises(NotFound):
        await face.rig("nobody")
    rig = await face.rig("default")
    assert rig is await face.rig("default") or name == "pattern"
    actor = face.perform(rig, Tunables(frame_scale=0.25), seed=1)
    slot = face.rate // 25
    rng = np.random.default_rng(0)
    serials: list[int] = []
    for samples in (0, 1, slot, 5 * slot + 3, 12 * slot):
        sound = rng.normal(0, 3000, samples).astype(np.int16)
        frames = [f for i in range(0, samples, 501) for f in actor.feed(sound[i : i + 501])] + actor.finish()
        assert len(frames) == -(-samples // slot)
        assert all(f.i420 is not None and f.i420.shape == (384, 256) for f in frames)
        serials += [f.serial for f in frames] + [actor.idle(0.3).serial]
    assert serials == list(range(len(serials)))
    # Cut in the middle of a speech, twice, and used again at once.
    actor.feed(rng.normal(0, 3000, 7 * slot).astype(np.int16))
    actor.cut(serials[-1] + 2)
    actor.cut(serials[-1] + 2)
    assert actor.finish() == []
    assert len(actor.feed(np.zeros(3 * slot, np.int16)) + actor.finish()) == 3
    actor.close()
    await face.close()
