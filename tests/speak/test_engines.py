"""Which voice speaks: the choice, and the way of each clause to the engine that knows its language."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from avatar.errors import EngineError, Invalid, NotReady
from avatar.speak import engines
from avatar.speak.engines import choose_tts, voices
from avatar.speak.native import WorkerVoice
from avatar.speak.router import Router
from tests.speak.voice_checks import keeps_the_contract, say

STUB = Path(__file__).parents[1] / "fixtures" / "piper"


@pytest.fixture
async def auto(tmp_path: Path) -> AsyncIterator[Router]:
    tts = await choose_tts("auto", tmp_path)
    assert isinstance(tts, Router)
    yield tts
    await tts.close()


async def test_auto_names_who_speaks_what(auto: Router) -> None:
    await auto.warm()
    assert "Japanese: openjtalk-mei" in auto.choice.why
    assert "Chinese: espeak-cmn" in auto.choice.why
    english = "flite-slt" if shutil.which("flite") else "espeak-en-us"
    assert f"English: {english}" in auto.choice.why
    assert "robotic" in auto.choice.note


async def test_clauses_go_to_the_voice_of_their_language(auto: Router) -> None:
    japanese = await say(auto, "東京は晴れです。", "ja")
    assert japanese.rate == 48_000
    keeps_the_contract(japanese, "東京は晴れです。")
    assert (await say(auto, "北京今天晴天。", "zh")).rate == 22_050
    assert (await say(auto, "Guten Tag.", "de")).rate == 22_050


async def test_a_named_voice_speaks_its_language_and_leaves_the_others(auto: Router) -> None:
    assert (await say(auto, "Hello there.", "en", voice="espeak-en-us-male")).rate == 22_050
    assert (await say(auto, "こんにちは。", "ja", voice="espeak-en-us-male")).rate == 48_000
    with pytest.raises(EngineError, match="nobody"):
        await say(auto, "Hello.", voice="nobody")


async def test_a_piper_voice_goes_first(tmp_path: Path) -> None:
    shutil.copytree(STUB, tmp_path / "piper")
    (tmp_path / "piper" / "broken.onnx").write_bytes(b"no model")
    (tmp_path / "piper" / "broken.onnx.json").write_text("{}")
    (tmp_path / "piper" / "lonely.onnx").write_bytes(b"no model")
    tts = await choose_tts("auto", tmp_path)
    try:
        assert "English: piper-stub" in tts.choice.why
        keeps_the_contract(await say(tts, "Hello there.", "en"), "Hello there.")
        assert {"name": "piper-stub", "language": "en-US", "engine": "piper"} in voices(tts)
        assert not [voice for voice in voices(tts) if "broken" in voice["name"] or "lonely" in voice["name"]]
    finally:
        await tts.close()


async def test_an_engine_that_cannot_be_warmed_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "piper").mkdir()
    (tmp_path / "piper" / "torn.onnx").write_bytes((STUB / "stub.onnx").read_bytes()[:1_000])
    shutil.copy(STUB / "stub.onnx.json", tmp_path / "piper" / "torn.onnx.json")
    tts = await choose_tts("auto", tmp_path)
    try:
        assert "piper-torn" in tts.choice.why
        await tts.warm()
        assert "piper" not in tts.choice.why
        assert (await say(tts, "Hello there.")).seconds > 0.4
    finally:
        await tts.close()


async def test_a_broken_engine_that_was_asked_for_is_told(tmp_path: Path) -> None:
    (tmp_path / "torn.onnx").write_bytes((STUB / "stub.onnx").read_bytes()[:1_000])
    shutil.copy(STUB / "stub.onnx.json", tmp_path / "torn.onnx.json")
    tts = await choose_tts(f"piper:{tmp_path / 'torn.onnx'}", tmp_path)
    with pytest.raises(EngineError, match="Piper cannot speak"):
        await tts.warm()
    await tts.close()


async def test_named_engines(tmp_path: Path) -> None:
    for spec, expected in (
        ("espeak", "English: espeak-en-us"),
        ("openjtalk", "Japanese: openjtalk-mei"),
        (f"piper:{STUB / 'stub.onnx'}", "English: piper-stub"),
    ):
        tts = await choose_tts(spec, tmp_path)
        try:
            assert expected in tts.choice.why
            assert "asked for" in tts.choice.why
            await tts.warm()
            idle = [e for e in tts._engines if isinstance(e, WorkerVoice) and e.worker.pid is None]  # type: ignore[attr-defined]
            assert "openjtalk" in spec or [engine.engine for engine in idle] == ["openjtalk"]
            keeps_the_contract(await say(tts, "こんにちは。", "ja"), "こんにちは。")
        finally:
            await tts.close()


@pytest.mark.parametrize("spec", ["", "siri", "espeak:en", "flite:slt", "file:///etc/passwd"])
async def test_what_is_not_in_the_list(spec: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        await choose_tts(spec, tmp_path)
    assert caught.value.field == "tts"


async def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotReady, match="no Piper voice"):
        await choose_tts("piper", tmp_path)
    with pytest.raises(Invalid, match="no Piper voice at"):
        await choose_tts(f"piper:{tmp_path / 'none.onnx'}", tmp_path)
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(Invalid, match=r"needs x\.onnx\.json"):
        await choose_tts(f"piper:{tmp_path / 'x.onnx'}", tmp_path)
    for config in ("", "[]", '{"audio": {}}', '{"audio": {"sample_rate": "x"}}'):
        (tmp_path / "x.onnx.json").write_text(config)
        with pytest.raises(Invalid, match="no configuration"):
            await choose_tts(f"piper:{tmp_path / 'x.onnx'}", tmp_path)


async def test_auto_always_finds_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even on a machine without any engine there is a voice, which says what is missing."""

    async def missing(*_: object) -> None:
        raise NotReady("It is not installed.")

    def missing_now(*_: object) -> None:
        raise NotReady("It is not installed.")

    for name in ("espeak", "flite"):
        monkeypatch.setattr(engines, name, missing)
    for name in ("openjtalk", "piper"):
        monkeypatch.setattr(engines, name, missing_now)
    tts = await choose_tts("auto", tmp_path)
    assert tts.choice.name == "none"
    with pytest.raises(EngineError, match="No voice is installed"):
        await tts.warm()
    with pytest.raises(EngineError, match="No voice is installed"):
        await say(tts, "Hello.")
    await tts.close()


async def test_every_engine_recovers_from_a_crash(auto: Router) -> None:
    await auto.warm()
    for text, language in (("こんにちは。", "ja"), ("Hello there.", "en"), ("你好，世界。", "zh")):
        engine = auto._pick(None, language)
        assert isinstance(engine, WorkerVoice) and engine.worker.pid is not None
        os.kill(engine.worker.pid, signal.SIGKILL)
        keeps_the_contract(await say(auto, text, language), text)
        assert engine.worker.starts == 2
