"""Everything is warm before the first turn: nothing is loaded inside one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from avatar.play.receive import ClientPeer
from tests.hear.sounds import clip
from tests.serve.conftest import serving
from tests.serve.test_voice import at_48k, play, quiet


async def test_the_first_spoken_turn_imports_nothing_and_the_greeting_is_in_memory(tmp_path: Path) -> None:
    speech = np.concatenate([quiet(0.5), at_48k(clip("hello")), quiet(1.5)])
    async with serving(data_dir=tmp_path, face="puppet") as service:
        await service.ready()
        rehearsal = service.state.engines._rehearsal
        assert rehearsal is not None
        await asyncio.wait([rehearsal])
        async with service.call(ClientPeer(microphone=True), greet=True, language="en") as call:
            greeting = (await call.until(lambda: call.ours("turn")))[0]
            assert greeting["cached"][0] == "tts"
            before = set(sys.modules)
            await play(call.peer, speech)
            # A pause in the sentence may make two turns of it on a busy machine.
            await call.until(
                lambda: [turn for turn in call.ours("turn")[1:] if turn["user_text"] and turn["heard_text"]]
            )
            loaded = {name for name in set(sys.modules) - before if not name.startswith(("tests", "_pytest"))}
            assert not loaded
