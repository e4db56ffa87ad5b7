"""The contract of `TTS`, kept by every engine: the real ones, and an endpoint over real HTTP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from avatar.errors import NotReady
from avatar.seams import TTS
from avatar.speak.cache import CachingTTS
from avatar.speak.endpoint_find import endpoint
from avatar.speak.engines import choose_tts, voices
from avatar.speak.espeak import espeak
from avatar.speak.flite import flite
from avatar.speak.openjtalk import openjtalk
from avatar.speak.piper import piper
from avatar.speak.shape import TARGET_DBFS, active_level, as_samples
from tests.speak.voice_checks import Spoken, clause, keeps_the_contract, say

STUB = Path(__file__).parents[1] / "fixtures" / "piper"

ENGLISH = "Hello there, my friend. How is the **weather** at 10:30?"
JAPANESE = "こんにちは、元気ですか。今日は10:30にPythonを学びます。"
ALPHABET = [
    *map(chr, range(32, 127)),
    *"あいっんャー漢字東京々〇、。！？「」…・１Ａ①㍿ｱﾞヴéßøŁ–“’€½²Ω→★♪ﷺ한ж\u0627ไ",
    *("\n", "\u0301", "\u200d", "\ud800", "\U0001d400", "😀", "3.14", "http://a.b/c", "[[a]]", "\x01", "``"),
]
SAMPLES = {"en": ENGLISH, "ja": JAPANESE, "zh": "你好，世界。今天是2024年5月1日。"}


async def hum(request: web.Request) -> web.StreamResponse:
    """A speech server that hums for as long as the text is, in pieces of odd size."""
    text = (await request.json())["input"]
    time = np.arange(int(24_000 * (0.4 + 0.05 * len(text)))) / 24_000
    sound = (9_000 * np.sin(2 * np.pi * 200 * time) * (np.sin(2 * np.pi * 3 * time) > -0.8)).astype("<i2")
    data = bytes(2 * 4_800) + sound.tobytes() + bytes(2 * 12_000)
    response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
    await response.prepare(request)
    for begin in range(0, len(data), 4_999):
        await response.write(data[begin : begin + 4_999])
    return response


async def humming() -> tuple[TTS, Callable[[], Awaitable[None]]]:
    app = web.Application()
    app.router.add_post("/v1/audio/speech", hum)
    app.router.add_get("/v1/models", lambda request: web.json_response({"data": [{"id": "kokoro"}]}))
    server = TestServer(app)
    await server.start_server()
    return await endpoint(f"{server.make_url('/v1')}", {}), server.close


async def _espeak() -> TTS:
    return await espeak()


async def _flite() -> TTS:
    try:
        return await flite()
    except NotReady as error:
        pytest.skip(error.message)


async def _openjtalk() -> TTS:
    return openjtalk()


async def _piper() -> TTS:
    return piper(STUB)


async def _auto() -> TTS:
    return await choose_tts("auto", Path("no such directory"))


async def _cached() -> TTS:
    return CachingTTS(await espeak())


ENGINES: dict[str, tuple[Callable[[], Awaitable[TTS]], list[str], bool]] = {
    # name: (how to build it, languages, whether it knows word times)
    "espeak": (_espeak, ["en", "zh"], True),
    "flite": (_flite, ["en"], True),
    "openjtalk": (_openjtalk, ["ja"], True),
    "piper": (_piper, ["en"], True),
    "endpoint": (_espeak, ["en", "ja", "zh"], False),
    "auto": (_auto, ["en", "ja", "zh"], True),
    "cached": (_cached, ["en"], True),
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Case:
    tts: TTS
    languages: list[str]
    timed: bool

    @property
    def language(self) -> str:
        return self.languages[0]

    @property
    def text(self) -> str:
        return SAMPLES[self.language]


@asynccontextmanager
async def built(name: str) -> AsyncIterator[TTS]:
    if name == "endpoint":
        tts, stop = await humming()
    else:
        tts, stop = await ENGINES[name][0](), None
    try:
        yield tts
    finally:
        await tts.close()
        if stop is not None:
            await stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(ENGINES))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """One engine for all its tests, as one serves all sessions."""
    _, languages, timed = ENGINES[request.param]
    async with built(request.param) as tts:
        yield Case(tts, languages, timed)


async def test_every_language_keeps_the_contract(case: Case) -> None:
    await case.tts.warm()
    assert case.tts.choice.role == "tts" and case.tts.choice.name
    for language in case.languages:
        spoken = await say(case.tts, SAMPLES[language], language)
        keeps_the_contract(spoken, SAMPLES[language])
        assert spoken.seconds > 1
        assert bool(spoken.words) == bool(spoken.phones) == case.timed


async def test_every_voice_has_the_same_loudness(case: Case) -> None:
    for language in case.languages:
        spoken = await say(case.tts, SAMPLES[language], language)
        level = active_level(as_samples(spoken.pcm), spoken.rate)
        assert level == pytest.approx(TARGET_DBFS, abs=2.5)


async def test_left_early_then_used_again(case: Case) -> None:
    for _ in range(3):
        async with aclosing(case.tts.speak(clause(case.text * 5, case.language), None)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                assert chunk.start == 0
                break
    keeps_the_contract(await say(case.tts, case.text, case.language), case.text)


async def test_cancelled_then_used_again(case: Case) -> None:
    await case.tts.warm()
    for delay in (0.0, 0.002, 0.02):
        task = asyncio.create_task(say(case.tts, case.text * 5, case.language))
        await asyncio.sleep(delay)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
    keeps_the_contract(await say(case.tts, case.text, case.language), case.text)


async def test_two_sessions_at_once(case: Case) -> None:
    other = case.text + " " + case.text

    async def session(own: str) -> list[Spoken]:
        return [await say(case.tts, own, case.language) for _ in range(3)]

    one, two = await asyncio.gather(session(case.text), session(other))
    for spoken in one:
        keeps_the_contract(spoken, case.text)
    for spoken in two:
        keeps_the_contract(spoken, other)
        assert spoken.seconds > one[0].seconds


async def test_nothing_to_say_is_no_sound(case: Case) -> None:
    for silent in ("😀", "```\ncode\n```", "...", "「」", " "):
        assert (await say(case.tts, silent, case.language)).chunks == []


async def test_hostile_text_harms_nobody(case: Case) -> None:
    for hostile in (
        "a\x00b\x01\x1b",
        "<speak>&lt;</speak>",
        "\ud800x",
        "ー" * 300,
        "%n%s",
        "z" * 1500,
        "\u061f\u202eabc",
        "1" * 60,
    ):
        await say(case.tts, hostile, case.language)
    keeps_the_contract(await say(case.tts, case.text, case.language), case.text)


async def test_random_text_never_ends_an_engine(case: Case) -> None:
    """Native code behind text from anywhere: nothing that a model may write ends a worker."""
    dice = random.Random(5)
    starts = getattr(getattr(case.tts, "worker", None), "starts", 0)
    for _ in range(25):
        written = "".join(dice.choices(ALPHABET, k=dice.choice((1, 2, 5, 20, 80))))
        spoken = await say(case.tts, written, case.language)
        position = 0
        for chunk in spoken.chunks:
            assert chunk.start == position
            position = chunk.end
        assert all(0 <= p.start < p.end <= position for p in spoken.phones)
    assert getattr(getattr(case.tts, "worker", None), "starts", 0) == starts


@pytest.mark.parametrize("name", list(ENGINES))
async def test_closing_twice_is_harmless(name: str) -> None:
    async with built(name) as tts:
        await say(tts, SAMPLES[ENGINES[name][1][0]], ENGINES[name][1][0])
        await tts.close()


async def test_the_config_lists_voices(case: Case) -> None:
    for voice in voices(case.tts)[:3]:
        assert set(voice) == {"name", "language", "engine"}
        if voice["language"].startswith(case.language):
            keeps_the_contract(await say(case.tts, case.text, case.language, voice=voice["name"]), case.text)
