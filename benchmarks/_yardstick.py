"""The yardstick's sender: libwebrtc by the `wrtc` package, with the same pictures and sound as ours gets.

Run by the yardstick's interpreter. Reads an offer, prints the answer, and when it is connected the moment of picture 0;
sends until told to end, then prints what it used. One JSON object a line.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import _marks as marks

webrtc: Any = importlib.import_module("webrtc")


async def main(clip: Path, kbps: int) -> None:
    pictures = np.memmap(clip, np.uint8, "r").reshape(-1, marks.SIZE * 3 // 2, marks.SIZE)
    loop = asyncio.get_running_loop()
    offer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    pc = webrtc.RTCPeerConnection()
    video = webrtc.VideoTrackGenerator()
    audio = webrtc.MediaStreamTrackGenerator("audio")
    stream = webrtc.MediaStream([video.track, audio])
    await pc.set_remote_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer["sdp"]))
    pc.add_track(audio, stream)
    sender = pc.add_track(video.track, stream)
    await pc.set_local_description(await pc.create_answer())
    parameters = sender.get_parameters()
    parameters.encodings[0].max_bitrate = kbps * 1000
    await sender.set_parameters(parameters)
    while pc.ice_gathering_state != "complete":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    print(json.dumps({"sdp": pc.local_description.sdp}), flush=True)
    while pc.connection_state != "connected":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    end = loop.run_in_executor(None, sys.stdin.readline)
    zero = time.monotonic() + 0.05
    print(json.dumps({"zero": zero}), flush=True)
    began = resource.getrusage(resource.RUSAGE_SELF)
    drawing, listening = video.writable.get_writer(), audio.writable.get_writer()
    count, tick, drawing_s = len(pictures), 0, 0.0
    while not end.done():
        await asyncio.sleep(zero + tick * 0.02 - time.monotonic())
        before = time.thread_time()
        samples = marks.sound(tick).tobytes()
        if tick % 2 == 0:
            n = tick // 2
            place = n % (2 * count - 2)
            i420 = np.array(pictures[place if place < count else 2 * count - 2 - place])
            marks.stamp(i420, n)
        drawing_s += time.thread_time() - before
        if tick % 2 == 0:
            init = webrtc.VideoFrameBufferInit(
                format="I420", coded_width=marks.SIZE, coded_height=marks.SIZE, timestamp=n * 40_000
            )
            await drawing.write(webrtc.VideoFrame(i420.tobytes(), init))
        await listening.write(
            webrtc.AudioData(
                webrtc.AudioDataInit(
                    format="s16",
                    sample_rate=marks.RATE,
                    number_of_frames=marks.TICK,
                    number_of_channels=1,
                    timestamp=tick * 20_000,
                    data=samples,
                )
            )
        )
        tick += 1
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime
    print(json.dumps({"cpu_s": cpu, "drawing_s": drawing_s, "wall_s": time.monotonic() - zero}), flush=True)
    pc.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
