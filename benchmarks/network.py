"""Ours and Google's own WebRTC stack on the same impaired links, side by side.

For each case our sender and the yardstick's (libwebrtc by the `wrtc` package) get the same pictures and sound at 512 ×
512, 25 fps and 750 kbit/s; the receiver is libwebrtc both times, as in a browser. Between them lies a link of our own
(`_link`), 60 ms of round trip in all cases.

The A/V offset is that of what is played: each picture and each piece of sound is dated when libwebrtc hands it on to be
shown or heard, after its buffers and its synchronisation by sender reports, and told by its content.

    python -m benchmarks network                 every case for 60 s, about 20 minutes
    NETWORK_CASES=loss_5,cap_350 NETWORK_SECONDS=30 python -m benchmarks network
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import Figure, Skipped, at_most, between
from . import _marks as marks
from ._environment import Unavailable, interpreter
from ._head import clip

ROOT = Path(__file__).resolve().parent.parent
KBPS = 750
DELAY_S = 0.03
SECONDS = float(os.environ.get("NETWORK_SECONDS", "60"))
WARM_S = 5.0
"""Clean, before the impairment begins."""
SETTLE_S = 5.0
"""After a change of the cap, before its rate is judged."""


@dataclass(frozen=True, slots=True)
class Case:
    """What happens to the link: moments as shares of the time after `WARM_S`, and what is set on the way forth; `both`
    is set on the way back as well."""

    forth: tuple[tuple[float, dict[str, Any]], ...] = ()
    both: dict[str, Any] = field(default_factory=dict)
    caps: tuple[tuple[float, float, int], ...] = ()
    """Stretches with a cap that ought to be filled: from, to, kbit/s."""
    outage: tuple[float, float] | None = None
    """Share of the time, seconds."""


CASES: dict[str, Case] = {
    "clean": Case(),
    "loss_2": Case(both={"loss": 0.02}),
    "loss_5": Case(both={"loss": 0.05}),
    "loss_10": Case(both={"loss": 0.10}),
    "cap_560": Case(forth=((0.0, {"rate": 560_000}),), caps=((0.0, 1.0, 560),)),
    "cap_350": Case(forth=((0.0, {"rate": 350_000}),), caps=((0.0, 1.0, 350),)),
    "outage": Case(outage=(0.4, 1.0)),
    "moving": Case(
        forth=((0.0, {"rate": 1_000_000}), (1 / 3, {"rate": 300_000}), (2 / 3, {"rate": 1_000_000})),
        caps=((1 / 3, 2 / 3, 300),),
    ),
}


@dataclass(slots=True)
class Result:
    """What one sender achieved in one case."""

    frozen_s: float
    psnr_db: float
    fps: float
    gaps_s: float
    """Sound: audible silence in a hum that is never silent."""
    concealed_s: float
    offset_p95_ms: float
    """Of sound against picture as they are played."""
    offset_p50_ms: float
    playout_p95_ms: float
    """The same by libwebrtc's own playout times."""
    rate_kbps: list[float]
    """What got through in each stretch with a cap."""
    mean_kbps: float
    cpu: float
    """Share of a core, of the whole process but for drawing the pictures and the sound."""
    cpu_drawing: float
    cpu_encoder: float
    """Of it by threads other than the loop's, which is the picture's encoder in ours."""


def yardstick() -> str:
    """The interpreter of an environment that has the yardstick, made if need be; the server never installs it."""
    try:
        return str(interpreter("yardstick"))
    except Unavailable as error:
        raise Skipped(str(error)) from None


def able() -> bool:
    return os.geteuid() == 0 and Path("/dev/net/tun").exists() and shutil.which("ip") is not None


class Process:
    """A child that speaks JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self, value: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")

    async def hear(self, patience_s: float = 30.0) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(patience_s):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("A part of the benchmark has ended early.")
        return json.loads(line)

    async def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def child(*command: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    child = Process(process)
    try:
        yield child
    finally:
        await child.end()


async def one(case: Case, ours: bool, picture_file: Path, codec: str) -> Result:
    """Runs one sender through one case."""
    left, right = f"ours{os.getpid()}l", f"ours{os.getpid()}r"
    python = yardstick()
    inside = ["ip", "netns", "exec"]
    sender = [sys.executable, "-m", "benchmarks._ours"] if ours else [python, "-m", "benchmarks._yardstick"]
    kbps = [str(KBPS), codec] if ours else [str(KBPS)]
    async with (
        child("nice", "-n", "-5", sys.executable, "-m", "benchmarks._link", left, right) as link,
        contextlib.AsyncExitStack() as stack,
    ):
        await link.hear()
        base = {"delay": DELAY_S}
        link.tell({"forth": base, "back": base})
        source = await stack.enter_async_context(child(*inside, left, *sender, str(picture_file), *kbps))
        watcher = await stack.enter_async_context(
            child(*inside, right, python, "-m", "benchmarks._watcher", str(picture_file), codec)
        )
        source.tell(await watcher.hear())
        watcher.tell(await source.hear())
        zero = (await source.hear())["zero"]
        end = zero + WARM_S + SECONDS
        watcher.tell({"zero": zero, "until": end})
        counts: list[tuple[float, int]] = []

        async def count() -> None:
            while True:
                report = await link.hear()
                counts.append((report["at"] - zero, report["bytes"]))

        counting = asyncio.create_task(count())
        await impair(case, link, zero)
        figures = await watcher.hear(SECONDS + 60)
        source.tell({"end": True})
        used = await source.hear()
        counting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await counting
    if directory := os.environ.get("NETWORK_TRACE"):
        name = f"{'ours' if ours else 'theirs'}-{next(k for k, v in CASES.items() if v is case)}.json"
        (Path(directory) / name).write_text(json.dumps({"figures": figures, "used": used, "counts": counts}))
    return judge(case, figures, counts, used)


async def impair(case: Case, link: Process, zero: float) -> None:
    changes: list[tuple[float, dict[str, Any]]] = [(0.0, {"forth": case.both, "back": case.both})]
    changes += [(at * SECONDS, {"forth": change}) for at, change in case.forth]
    if case.outage:
        at, length = case.outage
        gone, back = {"rate": 0}, {"rate": None}
        changes.append((at * SECONDS, {"forth": gone, "back": gone}))
        changes.append((at * SECONDS + length, {"forth": back, "back": back}))
    for at, change in sorted(changes, key=lambda item: item[0]):
        await asyncio.sleep(zero + WARM_S + at - time.monotonic())
        link.tell(change)


def frozen(times: list[float], end: float) -> float:
    """Seconds of freezes: gaps longer than both three average intervals and the average plus 150 ms, as libwebrtc
    counts them, with the one at the end."""
    total = 0.0
    recent: list[float] = []
    for before, now in zip(times, [*times[1:], end], strict=True):
        gap = now - before
        average = statistics.fmean(recent[-30:]) if recent else 0.04
        if gap > max(3 * average, average + 0.15):
            total += gap
        else:
            recent.append(gap)
    return total


def offsets(figures: dict[str, Any], ignore: tuple[float, float]) -> list[float]:
    """Seconds by which sound comes after its picture at each whistle; near `ignore` none are taken."""
    shown = {n: t - n / marks.FPS for t, n in figures["shown"] if 0 <= t - n / marks.FPS < 3}
    found = []
    for t, lag in figures["whistles"]:
        second = round(t - lag)
        picture = next(
            (shown[n] for d in (0, 1, -1, 2, -2, 3, -3, 4, -4) if (n := second * marks.FPS + d) in shown), None
        )
        if picture is not None and not ignore[0] <= second <= ignore[1]:
            difference = lag - picture
            found.append((difference + 0.5) % 1.0 - 0.5)
    return found


def judge(case: Case, figures: dict[str, Any], counts: list[tuple[float, int]], used: dict[str, Any]) -> Result:
    end = WARM_S + SECONDS
    times = [t for t, _ in figures["shown"] if t <= end]
    if not times:
        raise RuntimeError("Not one picture has been received.")
    gone = (-1.0, -1.0)
    if case.outage:
        begin = WARM_S + case.outage[0] * SECONDS
        gone = (begin - 1, begin + case.outage[1] + 5)
    skew = offsets(figures, gone)
    off = [abs(value) * 1000 for value in skew]
    lags = [abs(v) for t, v in figures["playout_lag"] if t > 2 and not gone[0] <= t <= gone[1]]
    rates = []
    for begin, stop, _ in case.caps:
        first, last = WARM_S + begin * SECONDS + SETTLE_S, WARM_S + stop * SECONDS
        rates.append(sum(b for t, b in counts if first <= t < last) * 8 / 1000 / (last - first))
    sound = figures["stats"].get("audio", {})
    return Result(
        frozen_s=frozen(times, end),
        psnr_db=statistics.fmean(v for t, v in figures["psnr"] if t > WARM_S),
        fps=len([t for t in times if t > WARM_S]) / SECONDS,
        gaps_s=len([t for t in figures["quiet"] if 1.0 < t <= end]) * 0.01,
        concealed_s=sound.get("concealed_samples", 0) / marks.RATE,
        offset_p95_ms=float(np.percentile(off, 95)) if off else float("nan"),
        offset_p50_ms=1000 * statistics.median(skew) if skew else float("nan"),
        playout_p95_ms=float(np.percentile(lags, 95)) if lags else float("nan"),
        rate_kbps=rates,
        mean_kbps=sum(b for t, b in counts if WARM_S < t < end) * 8 / 1000 / SECONDS,
        cpu=(used["cpu_s"] - used["drawing_s"]) / used["wall_s"],
        cpu_drawing=used["drawing_s"] / used["wall_s"],
        cpu_encoder=used.get("encoder_s", float("nan")) / used["wall_s"],
    )


def side_by_side(name: str, case: Case, ours: Result, theirs: Result) -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"{name}_frozen_s": Figure(ours.frozen_s, at_most(round(1.2 * theirs.frozen_s + 0.3, 3))),
        f"{name}_psnr_db": Figure(ours.psnr_db, between(round(theirs.psnr_db - 1, 2), 99.0)),
        f"{name}_sound_gaps_s": Figure(ours.gaps_s, at_most(round(theirs.gaps_s, 3))),
        f"{name}_av_offset_p95_ms": Figure(ours.offset_p95_ms, at_most(40)),
    }
    for n, (_, _, kbps) in enumerate(case.caps):
        figures[f"{name}_rate_over_cap"] = Figure(ours.rate_kbps[n] / kbps, between(0.85, 1.15))
        figures[f"{name}_yardstick_rate_over_cap"] = theirs.rate_kbps[n] / kbps
    figures[f"{name}_yardstick_av_offset_p95_ms"] = theirs.offset_p95_ms
    if name == "clean":
        figures["cpu_of_a_core"] = Figure(ours.cpu, at_most(0.08))
        figures["cpu_over_yardstick"] = Figure(ours.cpu / theirs.cpu, at_most(1.3))
        figures["cpu_of_the_encoder"] = ours.cpu_encoder
        figures["cpu_of_drawing"] = f"{ours.cpu_drawing:.4f} / {theirs.cpu_drawing:.4f}"
    for who, result in (("ours", ours), ("yardstick", theirs)):
        figures |= {
            f"{name}_{who}": f"frozen {result.frozen_s:.2f} s, {result.psnr_db:.1f} dB, {result.fps:.1f} fps, "
            f"gaps {result.gaps_s:.2f} s, concealed {result.concealed_s:.2f} s, offset {result.offset_p50_ms:.0f} "
            f"(p95 {result.offset_p95_ms:.0f}), playout p95 {result.playout_p95_ms:.0f} ms, "
            f"{result.mean_kbps:.0f} kbit/s, cpu {result.cpu:.3f}"
        }
    return figures


async def run() -> dict[str, Any]:
    if not able():
        raise Skipped("network namespaces and a TUN device are needed, and so is root")
    yardstick()
    codec = os.environ.get("NETWORK_CODEC", "vp9")
    wanted = os.environ.get("NETWORK_CASES", ",".join(CASES)).split(",")
    only = os.environ.get("NETWORK_ONLY", "")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "clip.i420"
        np.stack(list(clip(250, marks.SIZE))).tofile(pictures)
        for name in wanted:
            case = CASES[name]
            both = [await one(case, who == "ours", pictures, codec) for who in ("ours", "theirs") if only in ("", who)]
            ours, theirs = both[0], both[-1]
            figures |= side_by_side(name, case, ours, theirs)
            print(name, *(figures[f"{name}_{who}"] for who in ("ours", "yardstick")), sep="\n  ", file=sys.stderr)
            if case.caps:
                print("  rates", ours.rate_kbps, theirs.rate_kbps, file=sys.stderr)
    return figures
