"""English words inside Japanese are read in katakana."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from avatar.speak.espeak import espeak
from avatar.speak.kana import CUSTOMARY, from_ipa, is_initials, parts
from avatar.speak.openjtalk import OpenJTalk, openjtalk

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[OpenJTalk]:
    pronouncing = await espeak()
    voice = openjtalk(pronouncing.british)
    yield voice
    await voice.close()
    await pronouncing.close()


@pytest.mark.parametrize(
    ("word", "kana"),
    [
        ("Python", "パイソン"),
        ("GitHub", "ギットハブ"),
        ("GitLab", "ギットラブ"),
        ("ChatGPT", "チャットジーピーティー"),
        ("framework", "フレームワーク"),
        ("pipeline", "パイプライン"),
        ("cat", "キャット"),
        ("hit", "ヒット"),
        ("dog", "ドッグ"),
        ("church", "チャーチ"),
        ("judge", "ジャッジ"),
        ("think", "シンク"),
        ("station", "ステイション"),
        ("weather", "ウェザー"),
        ("cute", "キュート"),
        ("string", "ストリング"),
        ("vision", "ヴィジョン"),
        ("API", "エーピーアイ"),
        ("XML", "XML"),
    ],
)
async def test_readings(reader: OpenJTalk, word: str, kana: str) -> None:
    assert await reader.read(word) == kana


async def test_any_word_becomes_katakana(reader: OpenJTalk) -> None:
    words = ["through", "rhythm", "zzz", "queue", "xylophone", "strengths", "psst", "don't", "naive", "yacht", "aeon"]
    for word in words:
        assert re.fullmatch("[ァ-ヺー]+", await reader.read(word)), word


async def test_without_a_reader_words_are_spelled() -> None:
    assert await openjtalk().read("zebra") == "zebra"


async def test_compounds_and_initials() -> None:
    assert parts("GitHub") == ["Git", "Hub"]
    assert parts("WebRTC") == ["Web", "RTC"]
    assert is_initials("GPU") and not is_initials("Cat")


async def test_the_table_is_katakana() -> None:
    assert all(re.fullmatch("[ァ-ヺー]+", kana) for kana in CUSTOMARY.values())


async def test_ipa() -> None:
    assert from_ipa(["k", "ˈa", "m", "ɹ", "ə"], "camera") == "キャムラ"
    assert from_ipa([]) == ""
