"""How soon the avatar answers, as the user hears it: typed lines, and forty spoken turns.

English with the embedded engines, spoken by the local voices and recorded; Japanese with a scripted recogniser, for
there is none without a download. The figure of a spoken turn is taken on the client's two-channel recording: the last
audible sample of the user's voice to the first audible sample of the reply. The server's own waterfall stands beside
it: what of the wait was the decision that the turn is over, what the engines', and what was left for the loop itself.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from avatar.face.stage import Resampler
from avatar.speak.engines import choose_tts

from . import Bar, at_least, at_most
from ._pauses import HELD_OUT, part, speaker
from ._scripted import Script, endpoint
from ._server import QUICK, ROOT, Served, client, percentile, serving

BARS: dict[str, Bar] = {
    "spoken_turns": at_least(6 if QUICK else 38),
    "spoken_p50_ms": at_most(800),
    "spoken_p95_ms": at_most(1300),
    "own_p95_ms": at_most(80),
    "waterfall_gap_p50_ms": at_most(20),
    "wasted_token_percent": at_most(40),
    "paused_wasted_token_percent": at_most(40),
}
RECORDED = sorted((ROOT / "tests" / "hear" / "speech").glob("*.flac"))
LINES = ("What time is it?", "What can you do?", "Hello!", "How do I connect a real language model?", "Thank you.")
ENGLISH = tuple(
    """What time is it now? | Tell me a joke. | What is the date today? | What is seven times eight? | Who are you?
    Good morning. | How are you today? | Can you help me? | My name is Robert. | What is my name?
    What is twenty plus five? | Do you like music? | Where do you live? | Please say hello to my friend. | Goodbye.
    """.replace("\n", "|").split("|")[:-1]
)
JAPANESE = tuple(
    """今何時ですか。 | 今日は何日ですか。 | 明日は何曜日ですか。 | こんにちは。 | お元気ですか。
    冗談を言ってください。 | 七かける八はいくつですか。 | あなたは誰ですか。 | 私の名前は太郎です。
    私の名前は何ですか。 | おはようございます。 | 手伝ってくれますか。 | 二十足す五はいくつですか。
    音楽は好きですか。 | どこに住んでいますか。 | ありがとうございます。 | 今日は何曜日ですか。
    東京の天気はどうですか。 | 本を読むのが好きです。 | さようなら。
    """.replace("\n", "|").split("|")[:-1]
)
PAUSED = 2 if QUICK else 4
"""Speakers of six turns with pauses inside their sentences, for what is drafted in vain."""
SESSION = 5
"""Turns of one session."""
ANSWER_S = 13.0
"""Silence after each line: the responder's longest answer."""
RATE = 48_000
VOICE_PEAK = 0.03
"""Share of a track's loudest sample above which there surely is a voice."""
END_SHARE = 0.03
"""Share of a voice's loud windows of 5 ms above which another one still belongs to it: the release of a final stop
does, a room does not."""
NOISE_SHARE = 4.0
"""Times the room's noise that such a window must be at least: 12 dB."""
END_S = 0.25
"""After the last sample of a sure voice its true end is looked for: a stop is closed for up to 0.15 s."""
REPLY_DBFS = -50.0
"""The avatar's track is silent but for the avatar; the server's own word for silence is the same."""
STAGES = (
    "endpoint",
    "stt_final",
    "llm_first_token",
    "first_clause",
    "tts_first_audio",
    "face_first_frame",
    "first_sent",
)

SAME_TURN_MS = 100.0

Pcm = np.ndarray[Any, np.dtype[np.int16]]


@dataclass(frozen=True, slots=True)
class Line:
    """What the user says in a turn."""

    text: str
    pcm: Pcm
    """48 kHz, without silence around it."""


@dataclass
class Measured:
    """One answered turn."""

    wait_ms: float
    """On the recording."""
    record: dict[str, Any]

    @property
    def engines_ms(self) -> float:
        """What the turn waited for recognition, language model, voice and face."""
        at = [self.record.get(stage) for stage in STAGES[:-1]]
        known = [value for value in at if value is not None]
        return known[-1] - known[0] if known else 0.0

    @property
    def own_ms(self) -> float:
        """What is left: the path of the sound both ways, queues, codecs, the wait for a slot."""
        return self.wait_ms - float(self.record["endpoint"]) - self.engines_ms


def tracks(path: Path) -> list[Pcm]:
    """The audio tracks of a recording, 48 kHz mono from the file's start."""
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    found = []
    for index in range(count):
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            blocks = [b.to_ndarray()[0] for f in container.decode(audio=index) for b in resampler.resample(f)]
        found.append(np.concatenate(blocks))
    return found


def audible(track: Pcm) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Indices of the samples that belong to a voice."""
    magnitude = np.abs(track.astype(np.int32))
    return np.flatnonzero(magnitude > max(300, VOICE_PEAK * int(magnitude.max(initial=0))))


def voice_end(track: Pcm, begin: int, end: int) -> int:
    """One past the last sample of a line that is sure to be a voice from `begin` to `end`."""
    step = RATE // 200

    def windows(first: int, last: int) -> np.ndarray[Any, Any]:
        pcm = track[first : first + (last - first) // step * step].astype(np.float64)
        return np.asarray(np.sqrt((pcm.reshape(-1, step) ** 2).mean(axis=1)))

    line, room = windows(begin, end), windows(end + 2 * round(END_S * RATE), end + 6 * round(END_S * RATE))
    limit = END_SHARE * float(np.percentile(line, 95)) if len(line) else 0.0
    noise = NOISE_SHARE * float(np.median(room)) if len(room) else 0.0
    after = np.flatnonzero(windows(end, end + round(END_S * RATE)) > max(limit, noise))
    return end + (int(after[-1]) + 1) * step if len(after) else end


def waits_ms(path: Path) -> list[float | None]:
    """For each line of the user's, from its last audible sample to the avatar's first one before the next line; None
    where there was no answer."""
    voice, microphone = tracks(path)
    sure = audible(microphone)
    if not len(sure):
        return []
    said = np.flatnonzero(np.abs(voice.astype(np.int32)) > 32768 * 10 ** (REPLY_DBFS / 20))
    breaks = np.flatnonzero(np.diff(sure) > (ANSWER_S - 3) * RATE)
    lines = zip([int(sure[0]), *sure[breaks + 1].tolist()], [*sure[breaks].tolist(), int(sure[-1])], strict=True)
    ends = [voice_end(microphone, begin, end + 1) for begin, end in lines]
    begins = [*sure[breaks + 1].tolist(), 1 << 62]
    found: list[float | None] = []
    for end, following in zip(ends, begins, strict=True):
        after = said[(said > end) & (said < following)]
        found.append(float(after[0] - end) * 1000 / RATE if len(after) else None)
    return found


def recorded(path: Path) -> Line:
    with av.open(str(path)) as file:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        blocks = [b.to_ndarray()[0] for f in file.decode(audio=0) for b in resampler.resample(f)]
    pcm = np.concatenate(blocks)
    loud = audible(pcm)
    return Line(path.stem, pcm[loud[0] : loud[-1] + 1])


async def synthesised(texts: Sequence[str], language: str, voices: Sequence[str]) -> list[Line]:
    tts = await choose_tts("auto", ROOT / "checkpoints")
    await tts.warm()
    lines = []
    try:
        for i, text in enumerate(line.strip() for line in texts):
            pcm = await part(tts, voices[i % len(voices)], language, text)
            to_48k = Resampler(16_000, RATE)
            lines.append(Line(text, np.concatenate([to_48k.feed(pcm), to_48k.flush()])))
    finally:
        await tts.close()
    return lines


def microphone(lines: Sequence[Line], path: Path) -> None:
    """The lines one after the other over a quiet room, each with time for its answer."""
    rng = np.random.default_rng(5)
    parts = [np.zeros(RATE, np.int16)]
    for line in lines:
        parts += [line.pcm, np.zeros(round(ANSWER_S * RATE), np.int16)]
    sound = np.concatenate(parts)
    room = rng.standard_normal(len(sound)) * 32768 * 10 ** (-66 / 20)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.clip(sound + room, -32768, 32767).astype("<i2").tobytes())


def converse(server: Served, lines: Sequence[Line], directory: Path, *flags: str) -> tuple[list[Measured], int]:
    """One session. Returns its turns, and how many lines were not answered as one turn each."""
    sound, film = directory / "microphone.wav", directory / "talk.mkv"
    microphone(lines, sound)
    try:
        report = client("--server", server.url, "--mic_path", sound, "--output", film, "--timeout", "300", *flags)
    except RuntimeError as error:  # a session that is lost costs its lines
        print(f"turns: a session was lost: {error}", file=sys.stderr, flush=True)
        return [], len(lines)
    waits = waits_ms(film)
    records = [r for r in report["turns"] if r["kind"] == "user" and r["first_sent"] is not None]
    pairs = [Measured(wait, record) for wait, record in paired(waits, records)]
    for pair in pairs:
        print(
            f"turns: {pair.wait_ms:.0f} ms, {pair.own_ms:.0f} of them own: {pair.record}", file=sys.stderr, flush=True
        )
    return pairs, len(lines) - len(pairs)


def paired(waits: Sequence[float | None], records: Sequence[dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
    """The answered lines with their records. Where a line became two turns, or none, the order and the figures tell
    which belong together: a record that says another wait than the recording belongs to nobody."""
    if len(waits) == len(records):
        return [(wait, record) for wait, record in zip(waits, records, strict=True) if wait is not None]
    left, found = list(records), []
    for wait in waits:
        for i, record in enumerate(left):
            said = record["first_audio_received_ms"]
            if wait is not None and said is not None and abs(wait - said) < SAME_TURN_MS:
                found.append((wait, record))
                del left[: i + 1]
                break
    return found


@dataclass
class Tokens:
    """What servers have paid for replies, and for drafts that nobody wanted."""

    used: float = 0.0
    wasted: float = 0.0

    def account(self, server: Served) -> None:
        gauges = server.gauges()
        self.used += gauges["avatar_llm_tokens_used"]
        self.wasted += gauges["avatar_llm_tokens_wasted"]

    @property
    def percent(self) -> float:
        return 100 * self.wasted / max(1.0, self.used)


async def hesitant() -> list[list[Line]]:
    """The turns of people who pause inside their sentences, each with what is left of its silence."""
    tts = await choose_tts("auto", ROOT / "checkpoints")
    await tts.warm()
    people = []
    try:
        for i, seed in enumerate(HELD_OUT.seeds["en"][:PAUSED]):
            voice, moved = HELD_OUT.voices["en"][i % len(HELD_OUT.voices["en"])]
            person = await speaker(tts, voice, "en", HELD_OUT.sentences["en"], seed, moved)
            lines = []
            for turn in person.turns:
                to_48k = Resampler(16_000, RATE)
                pcm = np.concatenate([to_48k.feed(turn.pcm[: turn.end]), to_48k.flush()])
                lines.append(Line(turn.texts[-1], pcm))
            people.append(lines)
    finally:
        await tts.close()
    return people


def paused(directory: Path) -> dict[str, Any]:
    """What is drafted in vain when people pause inside their sentences."""
    tokens = Tokens()
    sound = directory / "paused.wav"
    turns = 0
    with serving() as server:
        for lines in asyncio.run(hesitant()):
            microphone(lines, sound)
            report = client("--server", server.url, "--mic_path", sound, "--timeout", "300")
            turns += sum(1 for r in report["turns"] if r["kind"] == "user")
        tokens.account(server)
    return {"paused_turns": turns, "paused_wasted_token_percent": tokens.percent}


def spoken(directory: Path) -> tuple[dict[str, list[Measured]], dict[str, Any]]:
    """All spoken turns by language, and figures of the servers: engines, lines that went wrong, tokens in vain."""
    found: dict[str, list[Measured]] = {"en": [], "ja": []}
    wrong, tokens = 0, Tokens()
    voices = ("flite-rms", "flite-slt", "flite-awb")
    english = asyncio.run(synthesised(ENGLISH, "en", voices)) + [recorded(path) for path in RECORDED]
    japanese = asyncio.run(synthesised(JAPANESE, "ja", ("openjtalk-mei",)))
    if QUICK:
        english, japanese = english[:SESSION], japanese[:SESSION]
    with serving() as server:
        for at in range(0, len(english), SESSION):
            turns, lost = converse(server, english[at : at + SESSION], directory)
            found["en"] += turns
            wrong += lost
        engines = server.get("/ready")["engines"]
        tokens.account(server)
    for at in range(0, len(japanese), SESSION):
        lines = japanese[at : at + SESSION]
        script = Script([(line.text, line.pcm[::3]) for line in lines])
        with endpoint(script) as url, serving("--stt", url) as server:
            turns, lost = converse(server, lines, directory)
            found["ja"] += turns
            wrong += lost
            tokens.account(server)
    figures: dict[str, Any] = {role: engine for role, engine in engines.items() if role != "vad"}
    return found, figures | {"spoken_lost": wrong, "wasted_token_percent": tokens.percent}


def run() -> dict[str, Any]:
    typed: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        with serving() as server:
            for _ in range(1 if QUICK else 4):
                for line in LINES:
                    report = client("--server", server.url, "--chat", line)
                    typed += [t["first_audio_received_ms"] for t in report["turns"] if t["first_audio_received_ms"]]
        found, figures = spoken(Path(name))
        figures |= paused(Path(name))
    turns = [turn for some in found.values() for turn in some]
    waits = {"typed": typed, "spoken": [t.wait_ms for t in turns]}
    waits |= {f"spoken_{language}": [t.wait_ms for t in some] for language, some in found.items()}
    for kind, values in waits.items():
        figures[f"{kind}_turns"] = len(values)
        if values:
            figures[f"{kind}_p50_ms"] = statistics.median(values)
            figures[f"{kind}_p95_ms"] = percentile(values, 0.95)
    if turns:
        figures["own_p50_ms"] = statistics.median(t.own_ms for t in turns)
        figures["own_p95_ms"] = percentile([t.own_ms for t in turns], 0.95)
        # The recording against the waterfall: what the stages leave unexplained.
        gaps = [abs(t.wait_ms - t.record["first_audio_received_ms"]) for t in turns]
        figures["waterfall_gap_p50_ms"] = statistics.median(gaps)
        figures["waterfall_gap_p95_ms"] = percentile(gaps, 0.95)
        figures["speculated_turns"] = sum(1 for t in turns if t.record["ahead_ms"])
    for stage in STAGES:
        reached = [t.record[stage] for t in turns if t.record.get(stage) is not None]
        if reached:
            figures[f"{stage}_ms"] = statistics.median(reached)
    return figures
