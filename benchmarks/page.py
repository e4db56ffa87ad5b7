"""The page in Chromium on the server's own machine: pictures decoded with the loop talking, freezes, and how soon after
Start the first one is seen."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from typing import Any

from client.api import Api

from . import at_least, at_most, equals
from ._browser import chromium, opened
from ._peers import keep_talking
from ._server import QUICK, serving

STARTS = 3 if QUICK else 8
SECONDS = 15 if QUICK else 60
SETTLE_S = 3.0
LOOK_S = 1.0
"""From the page's being loaded to the click: nobody finds the button faster."""
BARS = {
    "codec": equals("video/VP9"),
    "fps": at_least(24.5),
    "first_frame_ms": at_most(300),
    "freezes": at_most(0),
}


async def run() -> dict[str, Any]:
    with serving() as server:
        async with chromium() as browser:
            starts = []
            for _ in range(STARTS):
                async with opened(browser, server.url) as tab:
                    await asyncio.sleep(LOOK_S)
                    await tab.start()
                    starts.append(await tab.first_frame_ms())
            async with opened(browser, server.url) as tab, Api(server.url, None) as api:
                await tab.start()
                session = await tab.session_id()
                end = time.monotonic() + SETTLE_S + SECONDS
                talking = asyncio.create_task(keep_talking(api, session, end))
                await asyncio.sleep(SETTLE_S)
                before = await tab.inbound("video")
                asked = await talking
                after = await tab.inbound("video")
                sound = await tab.inbound("audio")
    seconds = (after["timestamp"] - before["timestamp"]) / 1000
    return {
        "first_frame_ms": statistics.median(starts),
        "first_frame_worst_ms": max(starts),
        "codec": after["codec"],
        "decoder": after.get("decoderImplementation", ""),
        "size": f"{after['frameWidth']}×{after['frameHeight']}",
        "seconds": seconds,
        "turns": asked,
        "fps": (after["framesDecoded"] - before["framesDecoded"]) / seconds,
        "freezes": after["freezeCount"] - before["freezeCount"],
        "frozen_s": after["totalFreezesDuration"] - before["totalFreezesDuration"],
        "kbps": (after["bytesReceived"] - before["bytesReceived"]) * 8 / 1000 / seconds,
        "nack": after["nackCount"],
        "pli": after["pliCount"],
        "concealed_ms": sound["concealedSamples"] / 48,
        "load": os.getloadavg()[0],
    }
