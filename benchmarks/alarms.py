"""Noises that must not end the avatar's turn: coughs, clicks, listening sounds, and its own voice.

Each is played into the microphone of a real session while the avatar speaks, with the recogniser that a user would get
without any download (pocketsphinx). Coughs and clicks are synthetic; listening sounds are said by flite's voices; the
own echo is what the peer receives, 20 to 200 ms later, 20 dB quieter and in a room.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import urllib.request
from typing import Any

import numpy as np

from . import Skipped, at_least, at_most
from ._duplex import RATE, TICK, Pcm, Person, calling, clip, spoken
from ._server import QUICK, serving

BARS = {"ended_turns": at_most(3), "words_lost": at_most(0), "real_words_heard": at_least(4), "broken": at_most(2)}
EVENTS = 3 if QUICK else 25
"""Of each kind."""
TEXT = (
    "Let me tell you a rather long story about a lighthouse by the sea. Its keeper rises early, climbs all of the "
    "stairs and looks at the water. Ships pass far away, and gulls cry above the roof. In the evening the lamp is lit, "
    "and its beam goes round and round until the morning comes. Then the keeper sleeps, and dreams of the open sea."
)
LISTENING = (
    ("-p", "pau ah hh ah pau"),
    ("-p", "pau m m hh m m pau"),
    ("-t", "yeah"),
    ("-t", "okay"),
    ("-t", "right"),
    ("-t", "I see"),
    ("-t", "oh"),
    ("-t", "really"),
    ("-t", "yes"),
)
VOICES = ("slt", "rms")
BUFFER = 2 * TICK
"""A loudspeaker's own: so late may packets come without a hole. It is part of the delay."""
REAL = ("thanks", "weather", "hello", "time")


def cough(rng: np.random.Generator) -> Pcm:
    """One to three bursts: an explosion, turbulence through a vocal tract, a little voice."""
    parts = []
    for _ in range(rng.integers(1, 4)):
        n = int(RATE * rng.uniform(0.18, 0.4))
        t = np.arange(n) / RATE
        f = np.fft.rfftfreq(n, 1 / RATE)
        formants = ((1.0, rng.uniform(350, 600), 150), (0.8, rng.uniform(1000, 1700), 250), (0.4, 2800, 500))
        tract = sum(a / (1 + ((f - c) / b) ** 2) for a, c, b in formants) + 0.02
        air = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * tract, n)
        pitch = rng.uniform(150, 300) * (1 - 0.3 * t / t[-1])
        buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE))
        voice = np.fft.irfft(np.fft.rfft(buzz) * tract, n) * np.exp(-(((t - 0.12) / 0.06) ** 2)) * rng.uniform(0, 1.5)
        shape = np.where(t < 0.02, t / 0.02, np.exp(-(t - 0.02) / rng.uniform(0.05, 0.1)))
        burst = air / np.abs(air).max() * shape + 0.4 * voice / max(1e-9, np.abs(voice).max())
        parts += [burst / np.abs(burst).max() * rng.uniform(4000, 16000), np.zeros(int(RATE * rng.uniform(0.08, 0.25)))]
    return np.concatenate(parts).astype(np.int16)


def click(rng: np.random.Generator) -> Pcm:
    """A few knocks, as of keys or a cup."""
    parts = []
    for _ in range(rng.integers(1, 6)):
        n = int(RATE * rng.uniform(0.005, 0.03))
        knock = rng.standard_normal(n) * np.exp(-np.arange(n) / (n / 5)) * rng.uniform(5000, 25000)
        parts += [knock, np.zeros(int(RATE * rng.uniform(0.03, 0.3)))]
    return np.clip(np.concatenate(parts), -32768, 32767).astype(np.int16)


class Loudspeaker:
    """What the microphone hears of the avatar for a while: late, quieter, in a room."""

    def __init__(self, person: Person, rng: np.random.Generator) -> None:
        self._person = person
        self._delay = round(rng.uniform(0.02, 0.2) * RATE)
        self._at: int | None = None
        """Where the loudspeaker is in what came: it plays on evenly, however unevenly packets come."""
        self._ticks = round(rng.uniform(0.4, 1.2) * RATE / TICK)
        t = np.arange(round(0.25 * RATE)) / RATE
        tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / rng.uniform(0.25, 0.5)) * (t > 0.002)
        tail *= np.sqrt(0.5 / (tail**2).sum())
        tail[0] = 1.0
        self._room = np.fft.rfft(tail * 0.1, 1 << 15)
        self._span = len(t) + TICK
        self.over = asyncio.Event()

    def __call__(self, tick: int) -> np.ndarray[Any, Any] | None:
        if self._ticks <= 0:
            self.over.set()
            return None
        self._ticks -= 1
        if self._at is None:
            self._at = self._person.sounded - min(self._delay, BUFFER)
        self._at += TICK
        newest = self._person.sounded
        end = self._at - self._delay + min(self._delay, BUFFER)
        packets = list(self._person.heard)[-((newest - end + self._span) // TICK + 2) :]
        sound = np.concatenate([pcm for _, pcm in packets])
        dry = sound[max(0, len(sound) - (newest - end) - self._span) : len(sound) - max(0, newest - end)]
        dry = np.pad(dry, (0, max(0, end - newest)))[-self._span :]
        dry = np.pad(dry, (self._span - len(dry), 0))
        return np.fft.irfft(np.fft.rfft(dry, 1 << 15) * self._room, 1 << 15)[self._span - TICK : self._span]


async def _speaking(person: Person) -> float:
    """The avatar begins its story, if it does not tell it already; returns since when."""
    since = person.told[-1][0] if person.told else 0.0
    states = person.ours("state")
    if not states or states[-1]["state"] != "speaking":
        await person.api.say(person.session_id, TEXT, "avatar")
        await person.until(lambda: person.ours("caption", since))
        await asyncio.sleep(0.6)
    return since


async def _event(person: Person, kind: str, event: int, rng: np.random.Generator, wait_s: float) -> list[str]:
    """One noise over the story; what was told of it."""
    await _speaking(person)
    await asyncio.sleep(wait_s)
    mark = len(person.told)
    if kind == "echo":
        speaker = Loudspeaker(person, rng)
        person.echo = speaker
        await speaker.over.wait()
    else:
        noise = {"cough": cough, "click": click}.get(kind)
        word = LISTENING[event % len(LISTENING)]
        await person.say(noise(rng) if noise else await asyncio.to_thread(spoken, VOICES[event % 2], *word))
        await person.finished()
    await asyncio.sleep(2.2)
    return [data["t"] for _, data in person.told[mark:]]


async def _measure(url: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    ended = lost = broken = 0
    choice = random.Random(1)
    rng = np.random.default_rng(1)
    async with calling(url) as person:
        for kind in ("cough", "click", "listening", "echo"):
            stopped = holds = 0
            for event in range(EVENTS):
                wait_s = choice.uniform(0.1, 0.6)
                try:
                    told = await _event(person, kind, event, rng, wait_s)
                except TimeoutError:  # the story did not begin: this one is lost, and told
                    broken += 1
                    continue
                stopped += "interrupted" in told
                holds += "held" in told
                if "interrupted" in told:  # whatever it answers is not the story
                    await hush(url, person)
                print(
                    f"alarms: {kind} {event + 1}/{EVENTS}, ended {stopped}, held {holds}", file=sys.stderr, flush=True
                )
            figures[f"{kind}_ended_turns"] = stopped
            figures[f"{kind}_paused_turns"] = holds
            ended += stopped
        await hush(url, person)
        lost = sum(
            1 for turn in person.ours("turn") if not turn["interrupted"] and turn["heard_text"] != turn["reply_text"]
        )
        heard = 0
        for name in REAL:
            await _speaking(person)
            mark = len(person.told)
            await person.say(clip(name))
            await person.finished()
            await asyncio.sleep(2.2)
            heard += "interrupted" in [data["t"] for _, data in person.told[mark:]]
            await hush(url, person)
    figures |= {"events": 4 * EVENTS - broken, "broken": broken}
    return figures | {"ended_turns": ended, "words_lost": lost, "real_words_heard": heard}


async def hush(url: str, person: Person) -> None:
    """Ends whatever is being said."""
    request = urllib.request.Request(f"{url}/sessions/{person.session_id}/interrupt", b"", method="POST")
    await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=20).read())
    await asyncio.sleep(0.5)


def run() -> dict[str, Any]:
    if shutil.which("flite") is None:
        raise Skipped("flite is not installed; it says the listening sounds")
    with serving("--stt", "pocketsphinx", "--face", "pattern") as server:
        return asyncio.run(_measure(server.url))
