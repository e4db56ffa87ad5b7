"""A machine that is too slow for its face."""

from __future__ import annotations

import time
from typing import Any

import pytest

from avatar.face import pattern
from avatar.types import Frame
from tests.serve.conftest import Service

SENTENCE = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen. "


async def test_a_slow_machine_draws_fewer_pictures_and_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.ready()
    feed = pattern.PatternPerformance.feed
    picture_s = 0.2

    def slow(self: Any, *heard: Any) -> list[Frame]:
        frames = feed(self, *heard)
        time.sleep(picture_s * sum(frame.i420 is not None for frame in frames))
        return frames

    monkeypatch.setattr(pattern.PatternPerformance, "feed", slow)
    async with service.call(mode="speak") as call:

        def told() -> list[int]:
            return [m["fps"] for m in call.ours("session") if m.get("reason") == "load"]

        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": SENTENCE * 2})
        await call.until(lambda: told() and told()[-1] <= 5)
        assert "too slow" in call.ours("session")[-1]["notes"]["fps"]
        turn = (await call.until(lambda: call.ours("turn")))[-1]
        assert not turn.get("error")
        picture_s = 0.0
        await service.ask("POST", f"/sessions/{call.id}/say", json={"text": SENTENCE * 4})
        await call.until(lambda: told()[-1] > 10)
