"""Sound against picture with the calibration face: on the client's recording, and in Chromium.

The server speaks bursts of a tone for five minutes. On the recording the offset is measured in the content
(`client.offset`). In Chromium libwebrtc says which moment of the sender's clock it plays on either track
(`estimatedPlayoutTimestamp`); their difference is the offset. A probe beside it compares the brightness of the pictures
shown with the loudness of the sound played: its AudioWorklet lags by a time that differs from run to run, so only its
spread is of use. Positive: the sound is late.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np

from client.offset import OffsetMeter, Spread, matched, spread

from . import at_most
from ._browser import Tab, chromium, opened
from ._server import QUICK, Served, client, serving

SECONDS = 30 if QUICK else 300
RATE = 48_000
SAMPLE_S = 0.5
SETTLE_S = 10.0
"""Browsers line the tracks up in the first seconds."""
BARS = {
    "recording_p50_ms": at_most(20),
    "recording_p95_ms": at_most(40),
    "chromium_p50_ms": at_most(20),
    "chromium_p95_ms": at_most(40),
}

PROBE = """
const WORKLET = `
registerProcessor("peaks", class extends AudioWorkletProcessor {
  block = []; begin = null; offset = 0;
  process([[samples]]) {
    if (!samples) return true;
    this.begin ??= currentTime;
    for (let i = 0; i < samples.length; i += 32) {
      let peak = 0;
      for (let k = i; k < i + 32; k++) peak = Math.max(peak, Math.abs(samples[k]));
      this.block.push(peak);
    }
    if (this.block.length >= 1500) {
      this.port.postMessage([this.begin, this.block]);
      this.block = []; this.begin = null;
    }
    return true;
  }
});`;
bench.probe = async () => {
  const video = document.querySelector("video");
  const canvas = Object.assign(document.createElement("canvas"), {width: 16, height: 16});
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const look = (now, frame) => {
    pen.drawImage(video, 0, 0, 16, 16);
    const pixels = pen.getImageData(0, 0, 16, 16).data;
    let sum = 0;
    for (let i = 1; i < pixels.length; i += 4) sum += pixels[i];
    bench.flashes.push(frame.expectedDisplayTime, sum / 256 / 255);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const context = new AudioContext({sampleRate: 48000});
  await context.resume();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], {type: "text/javascript"})));
  const node = new AudioWorkletNode(context, "peaks", {numberOfOutputs: 1});
  context.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks())).connect(node);
  const mute = new GainNode(context, {gain: 0});
  node.connect(mute).connect(context.destination);
  node.port.onmessage = ({data: [begin, block]}) => {
    const {contextTime, performanceTime} = context.getOutputTimestamp();
    bench.beeps.push([performanceTime + (begin - contextTime) * 1000, block]);
  };
};
"""


def bursts(seconds: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Bursts of a tone as long and as loud as syllables; they begin anywhere inside a slice."""
    rng = np.random.default_rng(1)
    size = round(seconds * RATE)
    envelope, at = np.zeros(size), 0
    while at < size:
        length = int(rng.uniform(0.08, 0.6) * RATE)
        envelope[at : at + length] = rng.uniform(0.02, 0.6)
        at += length + int(rng.uniform(0.05, 0.5) * RATE)
    envelope = np.convolve(envelope, np.hanning(480) / np.hanning(480).sum(), "same")
    return (envelope * np.sin(np.arange(size) * 2 * np.pi * 220 / RATE) * 32767).astype(np.int16)


def speech_file(path: Path, seconds: float = SECONDS) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bursts(seconds).tobytes())
    return path


def recorded(path: Path) -> Spread | None:
    """The offsets in a recording."""
    meter = OffsetMeter()
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(container.streams.video[0], container.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                meter.picture(frame.to_ndarray(format="yuv420p")[: frame.height], float(frame.time))
            else:
                for block in resampler.resample(frame):
                    meter.sound(block.to_ndarray()[0], float(frame.time))
    return spread(meter.offsets())


async def played(tab: Tab, server: Served, speech: bytes) -> tuple[list[float], list[float], dict[str, float]]:
    """What libwebrtc estimates and what the probe finds, offsets in ms; and how deep its jitter buffers were: Chromium
    lets the tracks drift apart by some 30 ms whenever a busy machine makes them swell."""
    await tab.start()
    session = await tab.session_id()
    await tab.page.evaluate("bench.probe()")
    await asyncio.to_thread(server.post, f"/sessions/{session}/speech", None, speech)
    end = time.monotonic() + SECONDS
    await asyncio.sleep(min(SETTLE_S, SECONDS / 3))
    estimates = []
    while time.monotonic() < end:
        rows = [row for row in await tab.stats() if row["type"] == "inbound-rtp"]
        playing = {row["kind"]: float(row.get("estimatedPlayoutTimestamp") or 0) for row in rows}
        if all(playing.get(kind) for kind in ("audio", "video")):
            estimates.append(playing["video"] - playing["audio"])
        await asyncio.sleep(SAMPLE_S)
    flashes = np.array(await tab.page.evaluate("bench.flashes")).reshape(-1, 2)
    beeps = await tab.page.evaluate("bench.beeps")
    buffers = {}
    for kind in ("audio", "video"):
        row = await tab.inbound(kind)
        buffers[f"chromium_{kind}_buffer_ms"] = (
            1000 * row["jitterBufferDelay"] / max(1, row["jitterBufferEmittedCount"])
        )
    return estimates, probed(flashes, beeps), buffers


def probed(flashes: np.ndarray[Any, np.dtype[np.float64]], beeps: list[Any]) -> list[float]:
    """Offsets of pictures shown against sound played. `flashes`: time in ms and brightness; `beeps`: stretches of
    peaks, one for every 32 samples, and their time in ms."""
    if not beeps or not len(flashes):
        return []
    origin = beeps[0][0]
    peaks = np.zeros(round(beeps[-1][0] - origin) + 2000, np.uint16)
    for begin, block in beeps:
        at = np.round(begin - origin + np.arange(len(block)) * 32_000 / RATE).astype(np.int64)
        inside = (at >= 0) & (at < len(peaks))
        np.maximum.at(peaks, at[inside], (np.array(block)[inside] * 32767).astype(np.uint16))
    return matched(flashes[:, 0] - origin, flashes[:, 1].astype(np.float32), peaks)


async def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory, serving("--face", "pattern") as server:
        speech, film = speech_file(Path(directory) / "speech.wav"), Path(directory) / "film.webm"
        report = await asyncio.to_thread(client, "--server", server.url, "--audio_path", speech, "--output", film)
        recording = await asyncio.to_thread(recorded, film)
        async with chromium() as browser, opened(browser, server.url, PROBE) as tab:
            estimates, probe, buffers = await played(tab, server, speech.read_bytes())
    found: dict[str, Any] = {"seconds": SECONDS, "load": os.getloadavg()[0], **buffers}
    live = report["av_offset_ms"]
    for name, value in (("recording", recording), ("chromium", spread(estimates)), ("probe", spread(probe))):
        if value is None:
            continue
        found[f"{name}_count"] = value.count
        if name == "probe":
            found["probe_spread_ms"] = float(np.percentile(probe, 95) - np.percentile(probe, 5))
        else:
            found |= {f"{name}_p50_ms": abs(value.p50), f"{name}_late_ms": value.p50, f"{name}_p95_ms": value.p95}
    if live["p50"] is not None:
        found |= {"report_late_ms": live["p50"], "report_p95_ms": live["p95"]}
    video = report["video"]
    return found | {
        "client_fps": video["fps"],
        "client_freezes": video["freezes"],
        "sound_gaps": report["audio"]["gaps"],
    }
