"""Which engine a spec gets. (Downloads: test_whisper_models; endpoints: test_remote.)"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from avatar.errors import Invalid, NotReady
from avatar.hear.engines import choose_stt
from avatar.hear.whisper import Whisper
from tests.hear.sounds import WHISPER_SAYS, clip, recognise, silence

pytestmark = pytest.mark.usefixtures("offline")


async def test_auto_without_a_model_or_network_is_pocketsphinx(tmp_path: Path) -> None:
    engine = await choose_stt("auto", tmp_path)
    assert engine.choice.role == "stt"
    assert engine.choice.name == "pocketsphinx"
    assert "no Whisper model" in engine.choice.why
    assert "English only" in engine.choice.note
    await engine.close()


async def test_auto_takes_a_model_on_disk(tmp_path: Path, whisper_model: Path) -> None:
    shutil.copytree(whisper_model, tmp_path / "whisper" / "base")
    engine = await choose_stt("auto", tmp_path)
    await engine.warm()
    assert engine.choice.name == "whisper:base"
    assert (await recognise(engine, clip("yes")))[0].text == WHISPER_SAYS
    await engine.close()


async def test_auto_falls_back_from_a_broken_model(tmp_path: Path, whisper_model: Path) -> None:
    broken = tmp_path / "whisper" / "tiny"
    shutil.copytree(whisper_model, broken)
    (broken / "model.bin").write_bytes(b"nonsense")
    engine = await choose_stt("auto", tmp_path)
    await engine.warm()
    assert engine.choice.name == "pocketsphinx"
    assert "cannot be loaded" in engine.choice.why
    await engine.close()


async def test_auto_survives_what_nobody_thought_of(
    tmp_path: Path, whisper_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def surprise(_: Whisper) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(Whisper, "warm", surprise)
    shutil.copytree(whisper_model, tmp_path / "whisper" / "tiny")
    engine = await choose_stt("auto", tmp_path)
    await engine.warm()
    assert engine.choice.name == "pocketsphinx"
    assert "surprise" in engine.choice.why
    await engine.close()


@pytest.mark.parametrize("spec", ["whisper:{model}", "whisper"])
async def test_whisper_by_directory_or_name(tmp_path: Path, whisper_model: Path, spec: str) -> None:
    shutil.copytree(whisper_model, tmp_path / "whisper" / "tiny")
    engine = await choose_stt(spec.format(model=whisper_model), tmp_path)
    await engine.warm()
    assert (await recognise(engine, clip("yes")))[0].text == WHISPER_SAYS
    await engine.close()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("whisper", "cannot be reached"),
        ("whisper:tiny", "cannot be reached"),
        ("whisper:/nowhere/at/all", "There is no directory"),
        ("whisper:{empty}", "is not a converted Whisper model"),
        ("http://127.0.0.1:9/v1", "Is it running"),
    ],
)
async def test_a_named_engine_that_is_not_there(tmp_path: Path, spec: str, words: str) -> None:
    with pytest.raises(NotReady, match=words):
        await choose_stt(spec.format(empty=tmp_path), tmp_path)


@pytest.mark.parametrize("spec", ["", "kaldi", "whisper:enormous", "ftp://host/v1", "Auto"])
async def test_a_spec_that_means_nothing(tmp_path: Path, spec: str) -> None:
    with pytest.raises(Invalid) as caught:
        await choose_stt(spec, tmp_path)
    assert caught.value.field == "stt"


@pytest.mark.parametrize("spec", ["pocketsphinx", "whisper:{model}"])
async def test_every_engine_keeps_the_contract(tmp_path: Path, whisper_model: Path, spec: str) -> None:
    engine = await choose_stt(spec.format(model=whisper_model), tmp_path)
    await engine.warm()
    await engine.warm()
    for _ in range(2):
        transcript, _ = await recognise(engine, clip("yes"))
        assert transcript.text and transcript.text == transcript.text.strip()
        assert transcript.language == "en"
    assert (await recognise(engine, silence(0.5, 16_000)))[0].text == ""
    dropped = engine.open("auto")
    await dropped.close()
    await dropped.close()
    await engine.close()
    await engine.close()
