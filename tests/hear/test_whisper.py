"""faster-whisper's own code on the tiny generated model: what is decoded when, and what becomes of it."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avatar.errors import EngineError, NotReady
from avatar.hear import whisper_models
from avatar.hear.language import LANGUAGE_UNAVAILABLE
from avatar.hear.whisper import Whisper
from avatar.hear.whisper_decode import Model, WhisperOptions
from avatar.seams import STTStream
from avatar.types import AudioChunk, Pcm, Transcript
from tests.hear.sounds import WHISPER_SAYS, clip, recognise, silence


@pytest.fixture
async def engine(whisper_model: Path, tmp_path: Path) -> AsyncIterator[Whisper]:
    engine = Whisper(tmp_path, directory=whisper_model)
    await engine.warm()
    yield engine
    await engine.close()


class Spy:
    """Notes every decode of the real model, and holds it back while `gate` is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lengths: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        decode = Model.decode

        def spied(model: Model, pcm: Pcm, language: str) -> Transcript:
            self.lengths.append(len(pcm))
            assert self.gate.wait(60)
            return decode(model, pcm, language)

        monkeypatch.setattr(Model, "decode", spied)


@pytest.fixture
def spy(engine: Whisper, monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


async def play(stream: STTStream, pcm: Pcm) -> list[str]:
    """Feeds the sound in frames of 32 ms, and a frame of nothing at the end to collect what has become ready."""
    partials = []
    for at in range(0, len(pcm), 512):
        partials.append(await stream.feed(AudioChunk(pcm[at : at + 512], 16_000, at)))
    return [partial for partial in partials if partial is not None]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("language", ["auto", "en", "ja", "ja-JP", "zh"])
async def test_speech_becomes_text(engine: Whisper, language: str) -> None:
    transcript, _ = await recognise(engine, clip("hello"), language)
    assert transcript.text == WHISPER_SAYS
    assert transcript.language == ("en" if language == "auto" else language[:2])


async def test_the_choice_says_what_it_is(engine: Whisper, whisper_model: Path) -> None:
    assert engine.choice.name == f"whisper:{whisper_model}"
    assert engine.choice.role == "stt"


async def test_silence_is_not_given_to_whisper(engine: Whisper, spy: Spy) -> None:
    transcript, partials = await recognise(engine, silence(3, 16_000))
    assert (transcript.text, partials, spy.lengths) == ("", [], [])


async def test_an_unknown_language_is_an_error_not_nonsense(engine: Whisper) -> None:
    with pytest.raises(EngineError) as caught:
        await recognise(engine, clip("yes"), "tlh")
    assert caught.value.code == LANGUAGE_UNAVAILABLE


async def test_the_pause_decides_and_the_end_costs_nothing(engine: Whisper, spy: Spy) -> None:
    stream = engine.open("en")
    await play(stream, clip("yes"))
    before = len(spy.lengths)
    await play(stream, silence(0.55, 16_000))
    await until(lambda: len(spy.lengths) == before + 1)
    in_the_pause = list(spy.lengths)
    assert (await stream.finish()).text == WHISPER_SAYS
    assert spy.lengths == in_the_pause
    assert in_the_pause[-1] >= len(clip("yes"))


async def test_going_on_after_a_pause_decodes_everything(engine: Whisper, spy: Spy) -> None:
    stream = engine.open("en")
    await play(stream, np.concatenate([clip("yes"), silence(0.4, 16_000)]))
    await until(lambda: len(spy.lengths) == 1)
    sound = clip("thanks")
    await play(stream, sound[: len(sound) * 2 // 3])
    await stream.finish()
    assert spy.lengths[-1] == len(clip("yes")) + 6_400 + len(sound) * 2 // 3


async def test_partials_come_every_second_and_are_shown_once(engine: Whisper, spy: Spy) -> None:
    stream = engine.open("en")
    voice = np.concatenate([clip("hello")[3_000:46_000]] * 2)
    shown: list[str] = []
    for at in range(0, len(voice), 1_600):
        shown += await play(stream, voice[at : at + 1_600])
        await asyncio.sleep(0.03)
    await stream.finish()
    assert shown == [WHISPER_SAYS]
    assert len(spy.lengths) >= 3
    assert all(b - a >= 16_000 for a, b in pairwise(spy.lengths[:-1]))


async def test_a_slow_machine_makes_no_partials(
    whisper_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = WhisperOptions(partial_budget_s=0.0, pause_budget_s=0.0)
    engine = Whisper(tmp_path, directory=whisper_model, options=options)
    await engine.warm()
    spy = Spy(monkeypatch)
    transcript, partials = await recognise(engine, np.concatenate([clip("hello"), silence(0.6, 16_000)]))
    assert (transcript.text, partials, len(spy.lengths)) == (WHISPER_SAYS, [], 1)
    await engine.close()


async def test_a_running_partial_does_not_hold_up_the_end(
    engine: Whisper, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy.gate.clear()
    stream = engine.open("en")
    await play(stream, clip("hello")[:20_000])
    await until(lambda: len(spy.lengths) == 1)  # the partial runs, and hangs
    with monkeypatch.context() as patch:
        patch.setattr(Model, "decode", lambda *_: Transcript("the whole", "en"))
        await play(stream, clip("hello")[20_000:])
        assert (await stream.finish()).text == "the whole"
    spy.gate.set()


async def test_cancelled_while_finishing(engine: Whisper, spy: Spy) -> None:
    spy.gate.clear()
    stream = engine.open("en")
    await play(stream, clip("yes"))
    finishing = asyncio.create_task(stream.finish())
    await until(lambda: bool(spy.lengths))
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    await stream.close()
    spy.gate.set()
    assert (await recognise(engine, clip("hello")))[0].text == WHISPER_SAYS


async def test_closing_twice_and_after_the_end_is_harmless(engine: Whisper) -> None:
    stream = engine.open("en")
    await play(stream, clip("yes"))
    await stream.finish()
    await stream.close()
    await stream.close()
    assert await stream.feed(AudioChunk(clip("yes"), 16_000, 0)) is None
    assert (await stream.finish()).text == ""


async def test_many_users_at_once(engine: Whisper) -> None:
    heard = await asyncio.gather(*(recognise(engine, clip(name)) for name in ("hello", "yes", "time", "thanks")))
    assert [transcript.text for transcript, _ in heard] == [WHISPER_SAYS] * 4


async def test_a_failing_decode_is_reported_in_words(engine: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Transcript:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Model, "decode", fail)
    with pytest.raises(EngineError, match="out of memory"):
        await recognise(engine, clip("hello"))
    monkeypatch.undo()
    assert (await recognise(engine, clip("hello")))[0].text == WHISPER_SAYS


async def test_thirty_seconds_are_one_window(engine: Whisper) -> None:
    transcript, _ = await recognise(engine, np.tile(clip("hello"), 10)[: 28 * 16_000])
    # Once for each stretch that was decided in a pause.
    assert transcript.text and not transcript.text.replace(WHISPER_SAYS, "").strip()


async def test_before_it_is_warm_it_says_so(whisper_model: Path, tmp_path: Path) -> None:
    engine = Whisper(tmp_path, directory=whisper_model)
    with pytest.raises(EngineError, match="loading"):
        engine.open("en")
    await engine.close()


async def test_a_broken_model_is_reported_in_words(whisper_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(whisper_model, broken)
    (broken / "model.bin").write_bytes((broken / "model.bin").read_bytes()[:1000])
    engine = Whisper(tmp_path, directory=broken)
    with pytest.raises(NotReady, match="cannot be loaded"):
        await engine.warm()
    await engine.close()


@pytest.mark.parametrize(
    ("present", "seconds_of_tiny", "expected"),
    [
        (["tiny"], 0.1, "tiny"),
        (["tiny", "base"], 0.1, "base"),
        (["tiny", "base"], 0.4, "tiny"),
        (["tiny", "base", "small"], 0.05, "small"),
        (["small"], 0.4, "small"),
    ],
)
async def test_the_largest_size_that_is_fast_enough_is_picked(
    *,
    whisper_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
    present: list[str],
    seconds_of_tiny: float,
    expected: str,
) -> None:
    for name in present:
        shutil.copytree(whisper_model, tmp_path / "whisper" / name)
    loaded: list[str] = []
    load = Model.__init__

    def noted(model: Model, directory: Path, *rest: object) -> None:
        loaded.append(directory.name)
        load(model, directory, *rest)  # type: ignore[arg-type]

    def measured(model: Model, goal_s: float = 0.0) -> float:
        model.expect(seconds_of_tiny * whisper_models.SIZES[loaded[-1]].cost)
        return model.seconds

    monkeypatch.setattr(Model, "__init__", noted)
    monkeypatch.setattr(Model, "measure", measured)
    engine = Whisper(tmp_path)
    await engine.warm()
    assert engine.choice.name == f"whisper:{expected}"
    assert "s per utterance" in engine.choice.why
    assert ("takes about" in engine.choice.note) == (present == ["small"])
    assert ("smallest" in engine.choice.note) == (expected == "tiny")
    await engine.close()


def test_the_fixture_is_what_its_script_makes(whisper_model: Path, tmp_path: Path) -> None:
    from tools.make_whisper_fixture import SENTENCE, write

    assert SENTENCE == WHISPER_SAYS
    write(tmp_path)
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (whisper_model / made.name).read_bytes(), made.name


async def test_only_what_is_undecided_is_decoded_at_the_end(engine: Whisper, spy: Spy) -> None:
    stream = engine.open("en")
    long = np.concatenate([clip("hello"), clip("weather"), clip("hello")])
    assert len(long) > 6.5 * 16_000
    await play(stream, np.concatenate([long, silence(0.25, 16_000)]))
    assert (await stream.guess()) is not None  # the pause: everything so far is known
    await play(stream, np.concatenate([clip("time"), silence(0.25, 16_000)]))
    text = (await stream.finish()).text
    assert text == f"{WHISPER_SAYS} {WHISPER_SAYS}"
    assert spy.lengths[-1] < len(clip("time")) + 16_000
    assert max(spy.lengths) >= len(long)
