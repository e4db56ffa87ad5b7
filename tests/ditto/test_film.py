"""`render`, and the encoders of sound that it reads."""

from __future__ import annotations

import argparse
import re
import struct
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.absent import needs

needs("torch")

from ditto import cli_render, film
from ditto.audio.chunks import Chunks
from ditto.audio.encoders import TransformersEncoder, load_encoder
from ditto.audio.features import pool
from ditto.engine import Engine
from ditto.motion.options import Options

from .stubs import voice
from .tiny import MiddleFinder, networks, portrait


def asked(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli_render.arguments(parser)
    return parser.parse_args(argv)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(networks(), MiddleFinder())
    made.warm()
    yield made
    made.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "face.png"), portrait())
    with wave.open(str(tmp_path / "voice.wav"), "wb") as out:
        out.setnchannels(2)
        out.setframerate(8000)
        out.setsampwidth(2)
        mono = (voice(8_100) * 20000).astype("<i2")
        out.writeframes(np.stack([mono, mono], 1).tobytes())
    return tmp_path


@pytest.mark.parametrize(
    "extra", [[], ["--online"], ["--online", "--early", "--chunk-config", "2,3,2", "--preset", "warm"]]
)
def test_8_khz_stereo_and_a_portrait_become_a_film(engine: Engine, files: Path, extra: list[str]) -> None:
    out = files / "out.webm"
    told = ["--source_path", files / "face.png", "--audio-path", files / "voice.wav", "--output_path", out]
    args = asked([str(a) for a in [*told, "--sampling_timesteps", "2", *extra]])
    assert film.film(engine, args) == 26  # 8,100 samples at 8 kHz are 25.3 frames
    with av.open(str(out)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 26
        video = made.streams.video[0]
        assert (video.width, video.height) == (200, 240)


def test_the_same_seed_is_the_same_film(engine: Engine) -> None:
    rig, sound = engine.rig([portrait()]), (voice(9_000) * 20000).astype(np.int16)
    one, two, other = (list(film.offline(engine, rig, sound, seed, 2)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)) and len(one) == 15
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("given", "wanted"), [({}, 50), ({"sampling_timesteps": 3}, 3), ({"online_mode": True}, 50)])
def test_a_whole_recording_takes_the_steps_of_the_configuration(given: dict[str, Any], wanted: int) -> None:
    made = networks()
    took: list[int] = []

    class Counting:
        def sample(self, conditions: Any, poses: Any, starts: Any, noises: Any) -> Any:
            took.append(len(noises) + 1)
            return starts

    offline = replace(made, options=Options.of(given), sampler=Counting())  # type: ignore[arg-type]
    engine = Engine(offline, MiddleFinder())
    try:
        rig = engine.rig([portrait()])
        took.clear()
        assert len(list(film.offline(engine, rig, (voice(3_000) * 20000).astype(np.int16), 1, None))) == 5
    finally:
        engine.close()
    assert took == [wanted]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--output_path", "film.avi"], ".mp4"),
        (["--output_path", "nowhere/film.mp4"], "no directory"),
        (["--sampling_timesteps", "0"], "1 to 50"),
        (["--audio_path", "nothing.wav"], "nothing.wav"),
        (["--online", "--chunk_config", "10,10,1"], "5 to 20 frames"),
        (["--online", "--valid_clip_len", "0"], "1 to 40 frames"),
        (["--online", "--emotion", "hungry"], "hungry"),
    ],
)
def test_what_cannot_be_filmed_is_said_in_words(
    files: Path, change: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    told = ["--source_path", "face.png", "--audio_path", "voice.wav", "--output_path", "film.mp4", *change]
    with pytest.raises(ValueError, match=re.escape(words)):
        cli_render.check(asked(told))


@pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_sound_that_is_none_is_said_in_words(engine: Engine, files: Path, content: bytes) -> None:
    (files / "voice.wav").write_bytes(content)
    with pytest.raises((ValueError, OSError), match=r"voice\.wav|Invalid|End of file"):
        film.read_sound(files / "voice.wav", 16_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("kind", "bits"), [("<f4", 32), ("<f8", 64)])
def test_samples_that_are_no_numbers_are_said_in_words(tmp_path: Path, kind: str, bits: int, bad: float) -> None:
    data = voice(8_000).astype(kind)
    path = tmp_path / "voice.wav"

    def written() -> Path:
        form = struct.pack("<HHIIHH", 3, 1, 16_000, 16_000 * bits // 8, bits // 8, bits)
        body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", data.nbytes)
        path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + data.nbytes) + body + data.tobytes())
        return path

    assert len(film.read_sound(written(), 16_000)) == 8_000
    data[5_000] = bad
    with pytest.raises(ValueError, match=r"voice\.wav.*no numbers"):
        film.read_sound(written(), 16_000)


def test_hubert_through_transformers(tmp_path: Path) -> None:
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(
        hidden_size=1024,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=8,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=4,
    )
    HubertModel(config).save_pretrained(tmp_path, safe_serialization=True)
    encoder = load_encoder(tmp_path)
    assert isinstance(encoder, TransformersEncoder)
    for chunks in (Chunks(), Chunks(2, 3, 2), Chunks(10, 8, 2)):
        window = voice(chunks.window)
        rows = encoder.encode(np.stack([window, window]))
        assert rows.shape == (2, 2 * chunks.total, 1024) and pool(rows[0], chunks).shape == (chunks.current, 1024)
    with pytest.raises(ValueError, match=r"config\.json"):
        load_encoder(tmp_path / "nothing")
    HubertModel(HubertConfig(**{**config.to_dict(), "hidden_size": 32})).save_pretrained(tmp_path / "small")
    with pytest.raises(ValueError, match="1024"):
        load_encoder(tmp_path / "small")


@pytest.mark.parametrize("batch_axis", [True, False])
def test_hubert_as_the_published_file(tmp_path: Path, batch_axis: bool) -> None:
    onnx: Any = needs("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kernel = np.random.default_rng(0).normal(0, 0.05, (1024, 1, 400)).astype(np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "one"], ["wave"]),
        helper.make_node("Conv", ["wave", "kernel"], ["rows"], strides=[320]),
        helper.make_node("Transpose", ["rows"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["turned", "shape"], ["encoding_out"]),
    ]
    shape = np.array([1, -1, 1024] if batch_axis else [-1, 1024])
    graph = helper.make_graph(
        nodes,
        "hubert",
        [helper.make_tensor_value_info("input_values", 1, [1, "L"])],
        [helper.make_tensor_value_info("encoding_out", 1, None)],
        [
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(shape, "shape"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "h.onnx")
    encoder = load_encoder(tmp_path / "h.onnx")
    window = voice(Chunks().window)
    rows = encoder.encode(np.stack([window, window * 0]))
    assert rows.shape == (2, 20, 1024) and not rows[1].any()
    np.testing.assert_allclose(rows[0, 3, 5], window[960:1360] @ kernel[5, 0], rtol=1e-3, atol=1e-4)
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"broken\.onnx"):
        load_encoder(tmp_path / "broken.onnx")
