"""Sound, condition, clips and stitching against the golden vectors."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ditto.audio import features
from ditto.audio.chunks import Chunks, frames_of
from ditto.motion import blinks, clips, schedule, stitching, vector
from ditto.motion.condition import Condition, emotion_rows
from ditto.source import Source, SourceFrame, source

from .golden import GOLDEN

D = GOLDEN.rule
TOL = GOLDEN.manifest["tolerances_fp32"]


def load(file: str) -> Any:
    return GOLDEN.vectors(file)


def facts(file: str) -> Any:
    """Array → what the manifest says of it, for those that the directory has."""
    vectors = load(file)
    return {name: vectors.entries.get(name, {}) for name in vectors}


class StubEncoder:
    """The stand-in for HuBERT of the golden set (§14.1)."""

    def encode(self, windows: Any) -> Any:
        out = []
        for chunk in windows.astype(np.float64):
            rows = (len(chunk) - 80) // 320
            means = np.array([chunk[320 * j : 320 * j + 400].mean() + 0.001 * j for j in range(rows)])
            out.append(means[:, None] * (1 + np.arange(1024) / 1024)[None])
        return np.stack(out).astype(np.float32)


def synthetic(frames: list[dict[str, Any]], window: int = 1) -> Source:
    return source(
        [
            SourceFrame(
                {k: f[k] for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")}, f["eye_open"], f["eye_ball"]
            )
            for f in frames
        ],
        window,
    )


def stored(arrays: dict[str, Any], prefix: str, window: int = 1) -> Source:
    n = len(arrays[f"{prefix}_pitch"])
    names = ("scale", "pitch", "yaw", "roll", "t", "exp", "kp", "eye_open", "eye_ball")
    return synthetic(
        [{k: arrays[f"{prefix}_{k}"][i : i + 1] for k in names if f"{prefix}_{k}" in arrays} for i in range(n)], window
    )


AUDIO = sorted({k.split("_num_chunks")[0] for k in facts("audio") if "_num_chunks" in k})


@pytest.mark.parametrize("case", AUDIO)
def test_golden_audio(case: str) -> None:
    g = load("audio")
    match = re.fullmatch(r"cs(\d+)-(\d+)-(\d+)_n(\d+)", case)
    assert match
    *pcf, n = (int(v) for v in match.groups())
    chunks, sound = Chunks(*pcf), D.uniform(f"audio/wave{n}", (n,), -0.5, 0.5)
    windows = chunks.published_windows(n)
    assert [windows, chunks.window, frames_of(n)] == g[f"{case}_num_chunks_splitlen_numframes"].tolist()
    cut = features.WindowCutter(chunks).of(np.concatenate([np.zeros(640 * chunks.past, np.float32), sound]), windows)
    np.testing.assert_allclose([float(w.astype(np.float64).sum()) for w in cut], g[f"{case}_chunk_sums"], atol=1e-3)
    for name, make in (("online", features.online), ("offline", features.offline)):
        got = make(StubEncoder(), sound, chunks)[:, [0, 511, 1023]]
        np.testing.assert_allclose(got, g[f"{case}_{name}_feat"], atol=TOL["audio"]["abs"], rtol=0)


@pytest.mark.parametrize("name", sorted(k for k in facts("audio") if k.startswith("silence_prefill")))
def test_golden_audio_silence(name: str) -> None:
    want = load("audio")[name]
    got = features.silence(StubEncoder(), int(name.rsplit("_", 1)[1]))
    assert len(got) == len(want)
    np.testing.assert_allclose(got[:, [0, -1]], want, atol=TOL["audio"]["abs"], rtol=0)


CONDITIONS = [k for k, f in facts("condition").items() if "frames=" in f.get("note", "")]


@pytest.mark.parametrize("case", CONDITIONS)
def test_golden_condition(case: str) -> None:
    g = load("condition")
    match = re.fullmatch(
        r"source n=(\d+), emo=(.*), eye_f0_mode=(\w+), frames=(\d+), idx=(-?\d+)", facts("condition")[case]["note"]
    )
    assert match
    n, emo, f0, frames, index = int(match[1]), match[2], match[3] == "True", int(match[4]), int(match[5])
    emotions = emotion_rows(g["emo_arr"] if emo.startswith("U(") else json.loads(emo))
    own = stored(g, f"src{n}")
    np.testing.assert_array_equal(own.kp, g[f"src{n}_sc"])
    feat = np.arange(frames, dtype=np.float32)[:, None] + np.zeros((1, 1024), np.float32)
    rows = Condition(own, emotions, f0).rows(feat, index)
    assert rows.shape == (frames, 1103)
    np.testing.assert_allclose(rows[:, 1024:], g[case], atol=TOL["condition"]["abs"], rtol=0)


def test_golden_condition_mirror() -> None:
    g = load("condition")
    for key in (k for k in g if k.startswith("mirror_index_size")):
        size = int(key.removeprefix("mirror_index_size"))
        assert [vector.mirror(i, size) for i in range(len(g[key]))] == g[key].tolist()


SEQUENCES = [k for k, f in facts("audio2motion").items() if "overlap_v2=" in f.get("note", "")]


@pytest.mark.parametrize("case", SEQUENCES)
def test_golden_audio2motion(case: str) -> None:
    g, tag = load("audio2motion"), case.removesuffix("_res")
    note = facts("audio2motion")[case]["note"]
    told = dict(re.findall(r"(\w+)=(\[[^\]]*\]|[\w.-]+)", note))
    dim = None if told["fix_kp_cond_dim"] == "None" else tuple(json.loads(told["fix_kp_cond_dim"]))
    how = clips.Fusing(
        int(told["overlap_v2"]), told["online"] == "True", int(told["smo_k_d"]), int(told["fix_kp_cond"]), dim
    )
    columns = [0, 1, 66, 67, 133, 199, 201, 202, 203, 233, 264]
    rest = g["s_kp_cond"]
    sequence, poses = clips.begin(rest), []
    for i in range(int(told["clips"])):
        clip = D.normal(f"stub/{tag}/{i}", (1, 80, 265), 0.2)[0]
        sequence = clips.add(sequence, clip, rest, how)
        poses.append(sequence.pose[columns])
    tol = TOL["audio2motion"]["abs"]
    np.testing.assert_allclose(sequence.motion[:, columns], g[case], atol=tol, rtol=0)
    np.testing.assert_allclose(poses, g[f"{tag}_kp_cond"], atol=tol, rtol=0)
    if f"{tag}_final_smo" in g:
        final = clips.whole(sequence.motion, len(g[f"{tag}_final_smo"]), how)
        np.testing.assert_allclose(final[:, columns], g[f"{tag}_final_smo"], atol=tol, rtol=0)


def test_golden_audio2motion_vectors() -> None:
    g = load("audio2motion")
    own = {k: g[f"xs_{k}"] for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")}
    np.testing.assert_array_equal(vector.join(own), g["s_kp_cond"])
    clipped = vector.clip(D.normal("a2m/clip_in", (1, 5, 265), 0.3)[0], g["vmm"])
    for i, row in enumerate(clipped):
        for name, value in vector.split(row).items():
            np.testing.assert_allclose(value, g[f"clip_{name}"][i], atol=1e-5, rtol=0)
    names = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
    for name in names:
        smoothed = vector.smooth(g[f"vidsrc_{name}"], 13)
        np.testing.assert_allclose(smoothed, g[f"vidsmo13_{name}"], atol=TOL["audio2motion"]["abs"] * 2, rtol=0)


def test_golden_schedule() -> None:
    g = load("lmdm")
    np.testing.assert_allclose(schedule.alphas(), g["alphas_cumprod"], rtol=1e-5, atol=1e-9)
    for key in (k for k in g if re.fullmatch(r"steps\d+_times", k)):
        count = int(key[5:].split("_")[0])
        times = schedule.times(count)
        assert times == g[key].tolist()
        got = np.array([schedule.weights(a, b) for a, b in pairwise(times[:-1])]).reshape(-1, 3)
        np.testing.assert_allclose(got[:, 0], g[f"steps{count}_alpha_next_sqrt"], atol=1e-5)
        np.testing.assert_allclose(got[:, 1], g[f"steps{count}_sigma"], atol=1e-4)
        np.testing.assert_allclose(got[:, 2], np.nan_to_num(g[f"steps{count}_c"]), atol=5e-4)


def stitch_net(x_s: Any, x_d: Any) -> Any:
    """The stitching network with the golden weights, in numpy."""
    x = np.concatenate([x_s.reshape(len(x_s), -1), x_d.reshape(len(x_d), -1)], axis=1)
    for i in (0, 2, 4, 6):
        x = x @ _WEIGHTS[f"mlp.{i}.weight"].T + _WEIGHTS[f"mlp.{i}.bias"]
        x = np.maximum(x, 0) if i < 6 else x
    out = x_d + x[:, :63].reshape(-1, 21, 3)
    out[:, :, :2] += x[:, None, 63:]
    return out.astype(np.float32)


_SHAPES = {}
for _i, (_a, _b) in zip((0, 2, 4, 6), ((126, 128), (128, 128), (128, 64), (64, 65)), strict=True):
    _SHAPES |= {f"mlp.{_i}.weight": (_b, _a), f"mlp.{_i}.bias": (_b,)}
_WEIGHTS = dict(D.weights("stitch_network", _SHAPES))

CASES = load("motion_stitch").json("cases_json")


@pytest.mark.parametrize("case", CASES)
def test_golden_motion_stitch(case: str) -> None:
    g, facts_ = load("motion_stitch"), CASES[case]
    own = stored(g, "img" if facts_["image"] else "vid")
    told = dict(facts_["kwargs"])
    keys = told.get("use_d_keys")
    blink = g["delta_eye_arr"] if told.get("delta_eye_arr") else None
    length = told.get("N_d", -1)
    put = stitching.Stitching(
        own,
        stitch_net if told.get("flag_stitching", True) else None,
        keys=tuple(keys) if isinstance(keys, list) else keys,
        drive_eye=told.get("drive_eye"),
        relative=told.get("relative_d", True),
        blink=blink,
        blink_index=None
        if blink is None
        else blinks.blinks(length if length > 0 else blinks.PERIOD, len(blink), told.get("delta_eye_open_n", -1)),
        fade=told.get("fade_type", ""),
        fade_keys=tuple(told.get("fade_out_keys", ("exp",))),
        overall=told.get("overall_ctrl_info", {}),
        ratio=stitching.size_ratio(stored(g, "ch") if told.get("ch_info") else None, own),
    )
    state, got, sources = stitching.StitchState(), [], []
    for i, row in enumerate(g["xd_seq"]):
        state, x_s, x_d = put.frame(state, vector.split(row), i, facts_["ctrl"].get(str(i), {}))
        got.append(x_d[0])
        sources.append(x_s[0])
    tol = TOL["motion_stitch"]["x_d_rel_max"]
    assert f"{case}_x_d" in g
    g.check(f"{case}_x_d", np.stack(got), rel_max=tol)
    g.check(f"{case}_x_s", np.stack(sources), rel_max=tol)


def test_golden_motion_stitch_parts() -> None:
    g, tol = load("motion_stitch"), TOL["motion_stitch"]["abs"]
    np.testing.assert_allclose(vector.degrees(g["logits"]), g["degrees"], atol=tol * 10, rtol=1e-5)
    np.testing.assert_allclose(vector.rotation(*g["pyr_deg"].T), g["rotmat"], atol=tol)
    for prefix in ("img", "vid"):
        own = stored(g, prefix)
        got = np.concatenate([vector.transform(f.info) for f in own.frames])
        np.testing.assert_allclose(got, g[f"{prefix}_x_s"], atol=tol)
    for key, fact in facts("motion_stitch").items():
        if match := re.fullmatch(r"_blink\(N=(\d+), n=(\d+), open=(.*)\)", fact.get("note", "")):
            assert blinks.blinks(int(match[1]), int(match[2]), json.loads(match[3])).tolist() == g[key].tolist()
