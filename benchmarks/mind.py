"""What the mind adds to a model's own time: a real endpoint (llama.cpp) whose 0.1 M weights take next to none."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import aiohttp

from avatar.errors import EngineError
from avatar.seams import LLM
from avatar.think.engines import choose_llm
from avatar.think.history import REPLY_TOKENS, History

from . import at_most

BARS = {
    # A clause is spoken from its first words on, so this is heard; a frame lasts 40 ms.
    "first_token_p50_ms": at_most(40),
    "responder_first_word_p50_ms": at_most(5),
    # Barge-in flushes the sound first, so this is compute given back, not silence.
    "cancel_to_idle_ms": at_most(1500),
    "auto_choice_ms": at_most(500),
}
ROUNDS = 30


async def first_piece_ms(engine: LLM, rounds: int) -> list[float]:
    """Time to the first piece over the turns of one growing conversation."""
    history = History(None)
    times = []
    for number in range(rounds):
        history.add_user(f"Question number {number}, as long as such questions are.")
        began = time.perf_counter()
        stream = engine.reply(history.messages(), max_tokens=16)
        async with aclosing(stream) as pieces:  # type: ignore[type-var]
            first = await anext(pieces)
            times.append((time.perf_counter() - began) * 1000)
            said = [first]
            with suppress(EngineError):  # it ends where it is as long as was asked for
                async for piece in pieces:
                    said.append(piece)
            history.add_assistant("".join(said))
    return times


async def cancel_to_idle_ms(engine: LLM, base: str) -> float:
    """From closing a reply until llama.cpp says that no slot works any more."""
    history = History(None)
    history.add_user("Tell me everything.")
    stream = engine.reply(history.messages(), max_tokens=8 * REPLY_TOKENS)
    async with aiohttp.ClientSession() as client:
        async with aclosing(stream) as pieces:  # type: ignore[type-var]
            await anext(pieces)
        began = time.perf_counter()
        while True:
            async with client.get(base.removesuffix("/v1") + "/slots") as response:
                if not any(slot["is_processing"] for slot in json.loads(await response.text())):
                    return (time.perf_counter() - began) * 1000
            await asyncio.sleep(0.005)


async def run() -> dict[str, Any]:
    import xllamacpp

    from tests.think.tiny_gguf import build

    began = time.perf_counter()
    await choose_llm("auto", ollama="http://127.0.0.1:9")
    figures: dict[str, Any] = {"auto_choice_ms": (time.perf_counter() - began) * 1000}

    responder = await choose_llm("responder")
    figures["responder_first_word_p50_ms"] = statistics.median(await first_piece_ms(responder, ROUNDS))

    with tempfile.TemporaryDirectory() as scratch:
        params = xllamacpp.CommonParams()
        params.model.path = str(build(Path(scratch) / "tiny.gguf"))
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.n_ctx = 8192
        params.cpuparams.n_threads = 1  # more would spin at barriers on a busy machine
        params.verbosity = -1
        server = xllamacpp.Server(params)
        base = f"{server.listening_address}/v1"
        engine = await choose_llm(base)
        try:
            began = time.perf_counter()
            await engine.warm()
            figures["warm_ms"] = (time.perf_counter() - began) * 1000
            times = await first_piece_ms(engine, ROUNDS)
            figures["first_token_p50_ms"] = statistics.median(times)
            figures["first_token_p95_ms"] = statistics.quantiles(times, n=20)[-1]
            figures["cancel_to_idle_ms"] = await cancel_to_idle_ms(engine, base)
        finally:
            await engine.close()
    return figures
