"""The voices: how soon a clause sounds, and how much of the machine speaking costs.

First sound is the median of warm clauses, from the request to the first chunk in the server; the real-time factor is
computing time over speaking time, both with everything in between: the worker's pipe, trimming and levelling. Piper is
measured with a stub of its model (its front end and plumbing alone). Also the splitter: a reply of 2,000 characters
in pieces of four.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from avatar.errors import NotReady
from avatar.seams import TTS
from avatar.speak.clauses import ClauseSplitter
from avatar.speak.espeak import espeak
from avatar.speak.flite import flite
from avatar.speak.openjtalk import openjtalk
from avatar.speak.piper import piper
from avatar.types import Clause

from . import Value

ROUNDS = 7
_STUB = Path(__file__).parents[1] / "tests" / "fixtures" / "piper"
_SHORT = {"en": "Hello, I am your avatar.", "ja": "こんにちは。", "zh": "你好，世界。"}
_LONG = {
    "en": "I can hear you, think about what you say, and answer aloud, clause by clause, while you watch my face.",
    "ja": "今日はとてもいい天気なので、午後から近くの公園まで散歩に行って、それから夕飯の買い物をしましょう。",
    "zh": "今天天气很好，我们下午去公园散步，然后一起去买晚饭要用的东西，你觉得怎么样？",
}


async def _now(build: Callable[[], TTS]) -> TTS:
    return build()


_ENGINES: dict[str, tuple[Callable[[], Awaitable[TTS]], str]] = {
    "espeak_en": (espeak, "en"),
    "espeak_zh": (espeak, "zh"),
    "flite_en": (flite, "en"),
    "openjtalk_ja": (lambda: _now(openjtalk), "ja"),
    "piper_stub_en": (lambda: _now(lambda: piper(_STUB)), "en"),
}


async def _clause(tts: TTS, text: str, language: str) -> tuple[float, float, float]:
    """Seconds to the first chunk, seconds to the last, seconds of sound."""
    began = time.perf_counter()
    first = sound = 0.0
    async with aclosing(tts.speak(Clause(text, 0, "benchmark", language), None)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            first = first or time.perf_counter() - began
            sound += chunk.seconds
    return first, time.perf_counter() - began, sound


async def _engine(name: str, build: Callable[[], Awaitable[TTS]], language: str) -> dict[str, Value]:
    began = time.perf_counter()
    tts = await build()
    try:
        await tts.warm()
        warm_s = time.perf_counter() - began
        await _clause(tts, _LONG[language], language)
        short = [await _clause(tts, _SHORT[language], language) for _ in range(ROUNDS)]
        long = [await _clause(tts, _LONG[language], language) for _ in range(ROUNDS)]
    finally:
        await tts.close()
    return {
        f"{name}_warm_ms": 1000 * warm_s,
        f"{name}_first_sound_short_ms": 1000 * statistics.median(first for first, _, _ in short),
        f"{name}_first_sound_long_ms": 1000 * statistics.median(first for first, _, _ in long),
        f"{name}_rtf": statistics.median(spent / sound for _, spent, sound in long),
    }


def _splitter() -> dict[str, Value]:
    text = (_LONG["en"] + " " + _SHORT["en"] + " ") * 15
    pieces = [text[i : i + 4] for i in range(0, len(text), 4)]
    took: list[float] = []
    for _ in range(ROUNDS):
        splitter = ClauseSplitter("benchmark")
        began = time.perf_counter()
        for piece in pieces:
            splitter.push(piece)
        splitter.finish()
        took.append(time.perf_counter() - began)
    return {"splitter_us_per_piece": 1e6 * statistics.median(took) / len(pieces)}


async def run() -> dict[str, Value]:
    figures = _splitter()
    for name, (build, language) in _ENGINES.items():
        try:
            figures |= await _engine(name, build, language)
        except NotReady as error:
            figures[f"{name}_missing"] = error.message
    return figures


if __name__ == "__main__":
    for figure, value in asyncio.run(run()).items():
        print(f"{figure:40} {value if isinstance(value, str) else round(float(value), 4)}")
