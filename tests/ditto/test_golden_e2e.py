"""Whole recordings, features to key points, with the published-size diffusion network, against the golden vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ditto.audio.chunks import Chunks, frames_of
from ditto.motion import vector
from ditto.motion.options import Options
from ditto.motion.published import Recital
from tests.absent import needs

from .golden import GOLDEN
from .test_golden_motion import stitch_net, synthetic

needs("torch")

RULE = GOLDEN.rule
SHIPPED = {
    "online_mode": True,
    "fix_kp_cond": 1,
    "fix_kp_cond_dim": [0, 202],
    "fade_type": "d0",
    "fade_out_keys": ["exp"],
    "overall_ctrl_info": {"delta_pitch": 2},
    "delta_eye_open_n": [20, 30],
}
COLUMNS = [0, 1024, 1032, 1034, 1040, 1102]


class Watched:
    """The real sampler, writing down what it is asked."""

    def __init__(self) -> None:
        from ditto.motion.sampler import TorchSampler

        from .nets import network

        self.sampler = TorchSampler(network("lmdm"))
        self.conditions: list[Any] = []
        self.poses: list[Any] = []
        self.consumed: list[int] = []
        self.clips: list[Any] = []
        self.chunks = 0

    def sample(self, condition: Any, pose: Any, start: Any, noises: Any) -> Any:
        self.conditions.append(condition[0][[0, -1]][:, COLUMNS])
        self.poses.append(pose[0])
        self.consumed.append(self.chunks)
        self.clips.append(self.sampler.sample(condition, pose, start, noises))
        return self.clips[-1]


class Noise:
    def start(self, clip: int) -> Any:
        return RULE.start_noise("e2e/", clip)[0]

    def steps(self, count: int) -> Any:
        return RULE.step_noise(count)[:, 0]


def options(name: str, told: dict[str, Any]) -> Options:
    values, tag = dict(told), f"e2e/{name}"
    if values.pop("shipped", False):
        low = -0.1 - np.abs(RULE.normal(f"{tag}/vmin", (265,), 0.5))
        high = 0.1 + np.abs(RULE.normal(f"{tag}/vmax", (265,), 0.5))
        character = RULE.source(f"{tag}/ch", 1, 1.25)
        eyes = {f"{k}_lst": [f[k] for f in character] for k in ("eye_open", "eye_ball")}
        info = [{k: f[k] for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")} for f in character]
        values = {
            **SHIPPED,
            "emo": RULE.uniform(f"{tag}/emo", (600, 8)),
            "ch_info": {"x_s_info_lst": info, "sc": character[0]["kp"].reshape(-1), **eyes},
            "v_min_max_for_clip": np.stack([low, high, low, high]),
            "delta_eye_arr": RULE.normal(f"{tag}/delta_eye", (15, 63), 0.02),
            **values,
        }
    else:
        values.setdefault("online_mode", True)
    return Options.of({"sampling_timesteps": GOLDEN.manifest["ddim_steps"][0], **values})


def scenarios() -> list[Any]:
    """Those of more than eight windows take half a minute of a core each: the long test has them, and whoever points at
    a directory of their own."""
    everything = bool(os.environ.get("DITTO_GOLDEN"))
    windows = {name: len(GOLDEN.vectors("online_e2e")[f"{name}_cond_probe"]) for name in GOLDEN.scenarios}
    return [pytest.param(n, marks=() if everything or w <= 8 else pytest.mark.soak) for n, w in windows.items()]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other at barriers are slow on a machine that has other work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", scenarios())
def test_golden_online_e2e(name: str) -> None:
    g, told = GOLDEN.vectors("online_e2e"), GOLDEN.scenarios[name]
    opts = options(name, {**told["options"], "online_mode": told["mode"] == "online"})
    frames = len(g[f"{name}_src_pitch"])
    tag = told["source"]
    own = synthetic(RULE.source(tag, frames, 1.5 if frames == 1 else 1.4), opts.smo_k_s)
    count, chunks = frames_of(told["samples"]), Chunks(*told["chunk"])
    controls: dict[int, dict[str, float]] = {}
    if "ctrl_info" in told:
        span = slice(*(int(v) for v in told["ctrl_info"]["frames"].split(":")))
        slope = told["ctrl_info"]["delta_yaw_per_frame"]
        controls = {i: {"delta_yaw": slope * i} for i in range(100_000)[span]}
    watched = Watched()
    recital = Recital(opts, own, watched, Noise(), stitch_net, count, told["fade_in"], told["fade_out"], controls)
    features = RULE.normal(f"e2e/{name}/feat", (4000, 1024), 0.3)
    calls = chunks.published_windows(told["samples"])

    def fed() -> Iterator[Any]:
        for k in range(calls):
            watched.chunks += 1
            yield features[k * chunks.current : (k + 1) * chunks.current]
        # The end of the stream is no chunk.

    if told["mode"] == "online":
        silence = RULE.normal(f"e2e/{name}/silence", (opts.overlap_v2, 1024), 0.1)
        posed = list(recital.online(silence, fed()))
    else:
        watched.chunks = 0
        posed = list(recital.offline(features[:count]))
    assert len(posed) == told["expected_frames"]
    if told["mode"] == "online":
        assert [calls, count, len(posed)] == g[f"{name}_counts"].tolist()
        assert watched.consumed == g[f"{name}_chunks_consumed_per_window"].tolist()
    tol = GOLDEN.tolerance("online_e2e")
    g.check(f"{name}_motion", np.stack([p.motion for p in posed]), rel_max=tol)
    g.check(f"{name}_x_d", np.stack([p.x_d[0] for p in posed]), rel_max=tol)
    x_s = np.stack([p.x_s[0] for p in posed])
    g.check(f"{name}_x_s", x_s[: g[f"{name}_x_s"].shape[0]] if frames == 1 else x_s, rel_max=tol)
    g.check(f"{name}_cond_probe", np.stack(watched.conditions), rel_max=tol)
    poses = np.stack([*watched.poses[1:], watched.poses[-1]])
    stored = g.part(f"{name}_kp_cond", poses)
    want = g[f"{name}_kp_cond"]
    kept = len(stored) - (1 if len(poses) == len(want) else 0)  # the pose after the last clip is never asked for
    np.testing.assert_allclose(stored[:kept], want[:kept], atol=tol * g.peak(f"{name}_kp_cond"), rtol=0)
    first = (
        vector.smooth(watched.clips[0][0], opts.smo_k_d, dims=202)[0] if told["mode"] == "online" else posed[0].motion
    )
    g.check(f"{name}_d0_raw", first, rel_max=tol)
