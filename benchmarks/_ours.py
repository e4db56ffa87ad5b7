"""Our sender for the network benchmark: a `Peer` that is given the same pictures and sound as the yardstick.

Reads an offer, prints the answer, and when it is connected the moment of picture 0; sends until told to end, then
prints what it used. One JSON object a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from avatar.clock import MediaClock
from avatar.play.ladder import RUNGS, Rung
from avatar.play.peer import Peer
from avatar.types import I420

from . import _marks as marks

TRACE_TICKS = int(os.environ.get("NETWORK_TRACE_TICKS", "25")) if "NETWORK_TRACE" in os.environ else 0
"""Between looks at the sender, which cost as well; 0: none."""


def smaller(i420: I420, scale: float) -> I420:
    """As a face would draw it for a lower `frame_scale`."""
    side = 2 * round(marks.SIZE * scale / 2)
    if side == marks.SIZE:
        return i420
    half = marks.SIZE // 2
    planes = i420[: marks.SIZE], *i420[marks.SIZE :].reshape(2, half, half)
    small = [
        cv2.resize(plane, (side * len(plane) // marks.SIZE,) * 2, interpolation=cv2.INTER_AREA).reshape(-1)
        for plane in planes
    ]
    return np.concatenate(small).reshape(side * 3 // 2, side)


async def main(clip: Path, kbps: int, codec: str) -> None:
    pictures = np.memmap(clip, np.uint8, "r").reshape(-1, marks.SIZE * 3 // 2, marks.SIZE)
    loop = asyncio.get_running_loop()
    offer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    clock = MediaClock()
    peer = Peer(clock, codec=codec, bitrate_kbps=kbps)
    print(json.dumps({"sdp": await peer.answer(offer["sdp"])}), flush=True)
    await peer.connected.wait()
    end = loop.run_in_executor(None, sys.stdin.readline)
    clock.start(time.monotonic() + 0.05)
    zero = clock.due(0)
    print(json.dumps({"zero": zero}), flush=True)
    began = resource.getrusage(resource.RUSAGE_SELF)
    loop_began, drawing = time.thread_time(), 0.0
    rung = RUNGS[0]

    def limit(new: Rung) -> None:
        nonlocal rung
        rung = new

    peer.on_rung = limit
    count, tick, trace = len(pictures), 0, []
    while not end.done():
        await asyncio.sleep(zero + tick * 0.02 - time.monotonic())
        before = time.thread_time()
        if tick % 2 == 0:
            n = tick // 2
            place = n % (2 * count - 2)
            i420 = np.array(pictures[place if place < count else 2 * count - 2 - place])
            marks.stamp(i420, n)
            due = rung.fps >= marks.FPS or n * rung.fps // marks.FPS != (n - 1) * rung.fps // marks.FPS
            picture = smaller(i420, rung.scale) if due else None
        pcm = marks.sound(tick)
        drawing += time.thread_time() - before
        if tick % 2 == 0:
            peer.send_picture(tick // 2, picture)
        peer.send_sound(tick, pcm)
        if TRACE_TICKS and tick % TRACE_TICKS == 0:
            now = peer.stats()
            trace.append({"s": tick / 50} | {k: v for k, v in now.items() if isinstance(v, int | float)})
        tick += 1
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime
    loop_s = time.thread_time() - loop_began
    spent = {"cpu_s": cpu, "drawing_s": drawing, "loop_s": loop_s - drawing, "encoder_s": cpu - loop_s}
    print(json.dumps(spent | {"wall_s": time.monotonic() - zero, "trace": trace}), flush=True)
    await peer.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
