"""The receiver of the network benchmark: libwebrtc, as in every browser, for our sender and the yardstick alike.

Run by the yardstick's interpreter. Prints its offer, reads the answer, watches for as long as it is told, prints its
figures; one JSON object a line.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import _marks as marks

webrtc: Any = importlib.import_module("webrtc")
QUIET = 0.004
"""RMS of a sample, of 1: the hum is ten times as loud."""


class Watcher:
    def __init__(self, clip: Path) -> None:
        self._clip = np.memmap(clip, np.uint8, "r").reshape(-1, marks.SIZE * 3 // 2, marks.SIZE)
        self.shown: list[tuple[float, int]] = []
        """When a picture was handed on, monotonic seconds, and its number."""
        self.heard: list[tuple[float, bytes]] = []
        self.psnr: list[tuple[float, float]] = []
        self.sizes: set[int] = set()
        self._todo: queue.Queue[tuple[float, int, Any] | None] = queue.Queue()
        self._judge = threading.Thread(target=self._measure, daemon=True)
        self._judge.start()

    async def pictures(self, track: Any) -> None:
        init = webrtc.MediaStreamTrackProcessorInit(track, 50)
        async for frame in webrtc.MediaStreamTrackProcessor(init).readable:
            now = time.monotonic()
            width, height = frame.coded_width, frame.coded_height
            data = bytearray(frame.allocation_size())
            await frame.copy_to(data)
            frame.close()
            luma = np.frombuffer(data, np.uint8, width * height).reshape(height, width)
            number = marks.number(luma)
            self.shown.append((now, number))
            self.sizes.add(width)
            if len(self.shown) % 3 == 0:
                self._todo.put((now, number, luma))

    def _measure(self) -> None:
        while (item := self._todo.get()) is not None:
            now, number, luma = item
            count = len(self._clip)
            place = number % (2 * count - 2)
            source = self._clip[place if place < count else 2 * count - 2 - place]
            self.psnr.append((now, marks.psnr(marks.enlarged(luma), source)))

    async def sounds(self, track: Any) -> None:
        init = webrtc.MediaStreamTrackProcessorInit(track, 200)
        async for data in webrtc.MediaStreamTrackProcessor(init).readable:
            now = time.monotonic()
            buffer = bytearray(data.number_of_frames * data.number_of_channels * 2)
            data.copy_to(buffer, webrtc.AudioDataCopyToOptions(plane_index=0, format="s16"))
            samples = np.frombuffer(buffer, np.int16).reshape(-1, data.number_of_channels)[:, 0]
            assert data.sample_rate == marks.RATE
            data.close()
            self.heard.append((now, samples.tobytes()))

    def close(self) -> None:
        self._todo.put(None)
        self._judge.join()

    def figures(self, zero: float) -> dict[str, Any]:
        """`zero` is the monotonic moment at which picture 0 and the first sample were due."""
        chunks = [np.frombuffer(data, np.int16) for _, data in self.heard]
        rms = [float(np.sqrt(np.mean(np.square(chunk / 32768)))) for chunk in chunks]
        quiet = [(t, level < QUIET) for (t, _), level in zip(self.heard, rms, strict=True)]
        starts = np.cumsum([0, *map(len, chunks)])
        ends = np.asarray([t for t, _ in self.heard])
        whole = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
        sound = []
        for first in marks.whistles(whole):
            chunk = int(np.searchsorted(starts, first, "right")) - 1
            near = slice(max(0, chunk - 25), chunk + 25)
            base = float(np.median(ends[near] - starts[:-1][near] / marks.RATE))
            lag = base + first / marks.RATE - zero
            sound.append((lag, lag % 1.0))
        return {
            "shown": [(round(t - zero, 4), n) for t, n in self.shown],
            "quiet": [round(t - zero, 3) for t, silent in quiet if silent],
            "whistles": [(round(t, 4), round(lag, 4)) for t, lag in sound],
            "psnr": [(round(t - zero, 3), round(value, 2)) for t, value in self.psnr],
            "sizes": sorted(self.sizes),
        }


async def main(clip: Path, codec: str) -> None:
    pc = webrtc.RTCPeerConnection()
    watcher = Watcher(clip)
    tasks = []

    def on_track(event: Any) -> None:
        work = watcher.pictures if event.track.kind == "video" else watcher.sounds
        tasks.append(asyncio.ensure_future(work(event.track)))

    pc.on("track", on_track)
    pc.add_transceiver("audio", webrtc.RTCRtpTransceiverInit(direction="recvonly"))
    line = pc.add_transceiver("video", webrtc.RTCRtpTransceiverInit(direction="recvonly"))
    able = webrtc.RTCRtpReceiver.get_capabilities("video").codecs
    repairs = ("video/rtx", "video/red", "video/ulpfec")
    line.set_codec_preferences(
        [c for c in able if c.mime_type.lower() == f"video/{codec}"] + [c for c in able if c.mime_type in repairs]
    )
    await pc.set_local_description(await pc.create_offer())
    while pc.ice_gathering_state != "complete":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    print(json.dumps({"sdp": pc.local_description.sdp}), flush=True)
    loop = asyncio.get_running_loop()
    answer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    await pc.set_remote_description(webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer["sdp"]))
    order = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    stats: dict[str, Any] = {}
    lags = []
    while time.monotonic() < order["until"]:
        await asyncio.sleep(0.5)
        stats = inbound(await pc.get_stats())
        playout = [stats.get(kind, {}).get("estimated_playout_timestamp") for kind in ("audio", "video")]
        if None not in playout:
            lags.append((round(time.monotonic() - order["zero"], 2), round(playout[1] - playout[0], 2)))
    for task in tasks:
        task.cancel()
    watcher.close()
    print(json.dumps(watcher.figures(order["zero"]) | {"stats": stats, "playout_lag": lags}), flush=True)
    pc.close()


def inbound(report: Any) -> dict[str, Any]:
    """The inbound streams' numbers by kind."""
    found = {}
    for entry in report.values():
        if getattr(entry, "type", "") == "inbound-rtp":
            values = {k: getattr(entry, k, None) for k in vars(entry)} if hasattr(entry, "__dict__") else dict(entry)
            found[str(entry.kind)] = {k: v for k, v in values.items() if isinstance(v, int | float)}
    return found


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
