"""Word and phoneme times are where the sound is: each engine's own way of knowing them."""

from __future__ import annotations

import os
import shutil
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from avatar.errors import NotReady
from avatar.speak.flite import flite
from avatar.speak.hts_durations import Durations
from avatar.speak.onnx_output import has_output, outputs_of, with_output
from avatar.speak.openjtalk import openjtalk
from avatar.speak.piper import piper
from tests.speak.voice_checks import Spoken, clause, keeps_the_contract, say

STUB = Path(__file__).parents[1] / "fixtures" / "piper"


def words(spoken: Spoken) -> list[str]:
    return [word.text for word in spoken.words]


def test_hts_durations_are_the_engines_own() -> None:
    import pyopenjtalk

    durations = Durations(Path(os.fsdecode(pyopenjtalk.DEFAULT_HTS_VOICE)))
    for text in (
        "こんにちは。",
        "きゃっと、ヴァイオリンを弾いた！",
        "2024年5月1日、3.14と1000円です。",
        "ー、っ、ん。",
    ):
        labels = pyopenjtalk.make_label(pyopenjtalk.run_frontend(text))
        sound, rate = pyopenjtalk.synthesize(labels)
        assert rate == durations.rate
        assert sum(durations.samples(label) for label in labels) == len(sound)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"[GLOBAL]\n[DATA]\n", b"SAMPLING_FREQUENCY:48000\n[DATA]\nxyz"])
def test_a_file_that_is_no_voice(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.htsvoice"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="HTS voice"):
        Durations(path)


async def test_japanese_words_and_phones() -> None:
    tts = openjtalk()
    text = "今日はいい天気ですね。10:30に散歩へ行きましょう！"
    try:
        spoken = await say(tts, text, "ja")
    finally:
        await tts.close()
    keeps_the_contract(spoken, text)
    assert words(spoken) == ["今日は", "いい", "天気ですね。", "10:30に", "散歩へ", "行きましょう！"]
    assert [phone.ipa for phone in spoken.phones][:9] == ["kʲ", "ˈo", "o", "w", "a", "i", "ˈi", "t", "ˈe"]
    pause = next(phone for phone in spoken.phones if not phone.ipa)
    before, after = spoken.words[2], spoken.words[3]
    assert before.end <= pause.start + 1 and pause.end <= after.start + 1
    assert spoken.rms(pause.start + 2_400, pause.end - 2_400) < 0.01
    assert all(spoken.rms(p.start, p.end) > 0.01 for p in spoken.phones if p.ipa.strip("ˈ") in ("a", "e", "o"))


async def test_lips_close_for_the_sound_that_follows() -> None:
    tts = openjtalk()
    try:
        spoken = await say(tts, "こんばんは、いっぱい。", "ja")
    finally:
        await tts.close()
    assert "".join(phone.ipa.strip("ˈ") or " " for phone in spoken.phones) == "kombaɴwa ippai "


async def test_japanese_reads_latin_and_numbers() -> None:
    tts = openjtalk()
    try:
        for text in ("PythonでAIを3.14倍に。", "GitHubの価格は1,000円、50%オフ！", "ＡＢＣ１２３", "A", "12:00"):
            keeps_the_contract(await say(tts, text, "ja"), text)
    finally:
        await tts.close()


async def test_a_long_clause_is_heard_before_it_is_computed() -> None:
    """The first phrase comes out alone, while later ones are still to be spoken."""
    tts = openjtalk()
    text = "はい、" + "とても長い文です、" * 30
    try:
        async with aclosing(tts.speak(clause(text, "ja"), None)) as chunks:
            first = await anext(chunks)
        assert first.start == 0
        assert [phone.ipa for phone in first.phones] == ["h", "ˈa", "i"]
    finally:
        await tts.close()


async def test_english_words_and_phones_of_flite() -> None:
    try:
        tts = await flite()
    except NotReady as error:
        pytest.skip(error.message)
    text = "Hello there, Ann. It's “10:30” – fine?"
    try:
        spoken = await say(tts, text)
    finally:
        await tts.close()
    keeps_the_contract(spoken, text)
    assert words(spoken) == ["Hello ", "there, ", "Ann. ", "It's ", "“10:30” – ", "fine?"]
    assert [phone.ipa for phone in spoken.phones][:4] == ["h", "ə", "l", "ˈˈoʊ"]
    assert all(spoken.rms(p.start, p.end) > 0.01 for p in spoken.phones if p.ipa.strip("ˈ") in ("oʊ", "æ", "aɪ", "ɛ"))


async def test_piper_tells_times_for_voices_that_were_published_without() -> None:
    """The stub hums in vowels and consonants and is silent in pauses, so its times can be heard."""
    model = (STUB / "stub.onnx").read_bytes()
    assert outputs_of(model, "Ceil") == ["w_ceil"] and not has_output(model, "w_ceil")
    tts = piper(STUB)
    text = "Hello there, I am Ann. It costs 3.14!"
    try:
        spoken = await say(tts, text)
    finally:
        await tts.close()
    keeps_the_contract(spoken, text)
    assert words(spoken) == ["Hello ", "there, ", "I ", "am ", "Ann. ", "It ", "costs ", "3.14!"]
    pauses = [p for p in spoken.phones if not p.ipa and p.end - p.start > 1_000]
    assert len(pauses) >= 2
    edge = 200  # samples: the hum begins and ends anywhere in its wave
    for phone in spoken.phones[:-2]:
        loud = spoken.rms(phone.start + edge, phone.end - edge)
        assert loud > 0.05 if phone.ipa else loud < 0.05, phone


def test_an_output_is_added_to_a_model() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = (STUB / "stub.onnx").read_bytes()
    patched = with_output(model, "w_ceil")
    assert has_output(patched, "w_ceil")
    session = onnxruntime.InferenceSession(patched, providers=["CPUExecutionProvider"])
    ids = np.array([[1, 14, 2]], np.int64)
    audio, frames = session.run(
        None, {"input": ids, "input_lengths": np.array([3]), "scales": np.array([0.6, 1.0, 0.8], np.float32)}
    )
    assert audio.size == int(frames.sum()) * 256


@pytest.mark.parametrize("data", [b"\xff" * 20, b"\x3a\xff\xff\xff\xff\x0f", b"\x0b", b"\x3a\x05ab"])
def test_garbage_is_no_model(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"ONNX|short"):
        outputs_of(data, "Ceil")


async def test_a_torn_model_is_told_and_the_worker_lives(tmp_path: Path) -> None:
    shutil.copytree(STUB, tmp_path, dirs_exist_ok=True)
    (tmp_path / "torn.onnx").write_bytes((STUB / "stub.onnx").read_bytes()[:2_000])
    shutil.copy(STUB / "stub.onnx.json", tmp_path / "torn.onnx.json")
    tts = piper(tmp_path)
    try:
        assert (await say(tts, "Hello there.", voice="piper-stub")).seconds > 0.5
        with pytest.raises(Exception, match="Piper cannot speak"):
            await say(tts, "Hello there.", voice="piper-torn")
        assert (await say(tts, "Hello there.", voice="piper-stub")).seconds > 0.5
        assert tts.worker.starts == 1
    finally:
        await tts.close()
