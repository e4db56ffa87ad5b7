"""The server's own recordings: sound against picture in their content, and what recording costs."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import av

from client.api import Api
from client.offset import OffsetMeter, spread

from . import Bar, at_most
from ._peers import keep_talking, viewing
from ._server import QUICK, Served, serving

SECONDS = 10 if QUICK else 60
BARS: dict[str, Bar] = {
    "webm_offset_p50_ms": at_most(20),
    "webm_offset_p95_ms": at_most(40),
    "mp4_offset_p50_ms": at_most(20),
    "mp4_offset_p95_ms": at_most(40),
}


def offsets(path: Path) -> list[float]:
    """Milliseconds by which the sound of a film is late, by its content."""
    meter = OffsetMeter()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
    with av.open(str(path)) as film:
        for frame in film.decode():
            if isinstance(frame, av.VideoFrame):
                meter.picture(frame.to_ndarray(format="yuv420p")[: frame.height], float(frame.time))
            else:
                for block in resampler.resample(frame):
                    meter.sound(block.to_ndarray()[0], float(frame.time))
    return meter.offsets()


async def film(api: Api, served: Served, folder: Path, kind: str) -> tuple[list[float], float, float]:
    """The offsets, and the processor's share before and while it is recorded."""
    async with viewing(api, codec="vp9") as viewer:
        talking = asyncio.create_task(keep_talking(api, viewer.session_id, time.monotonic() + 2 * SECONDS + 5))
        await asyncio.sleep(3)
        shares = []
        name = ""
        for recording in (False, True):
            if recording:
                path = f"/sessions/{viewer.session_id}/recording"
                name = (await asyncio.to_thread(served.post, path, {"format": kind}))["recording"]
            cpu, began = served.cpu_s(), time.monotonic()
            await asyncio.sleep(SECONDS)
            shares.append(100 * (served.cpu_s() - cpu) / (time.monotonic() - began))
        await api._ask("DELETE", f"/sessions/{viewer.session_id}/recording")
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
    return await asyncio.to_thread(offsets, folder / name), shares[0], shares[1]


async def run() -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with serving("--face", "pattern", "--recordings", str(folder)) as served:
            async with Api(served.url, None) as api:
                for kind in ("webm", "mp4"):
                    found, before, during = await film(api, served, folder, kind)
                    measured = spread(found)
                    assert measured is not None, "nothing in the film could be measured"
                    figures[f"{kind}_offset_p50_ms"] = abs(measured.p50)
                    figures[f"{kind}_offset_p95_ms"] = measured.p95
                    figures[f"{kind}_windows"] = measured.count
                    figures[f"{kind}_cpu_extra_percent"] = during - before
    return figures
