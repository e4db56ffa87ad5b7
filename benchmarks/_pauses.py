"""Turns with pauses inside them: synthesised by the local voices with pauses at syntactic places, and recorded.

Two sets. On `TUNING` the constants of the ears were chosen and its failures were looked at. `HELD_OUT` is for figures
alone: other sentences, other pauses, other voices (the local ones, moved up or down as a whole), other recordings, and,
of the one long corpus of a person reading, the other half of the sentences. Both were enlarged later: `FRESH` is the
part of the held-out set that was made, and first run, when the constants stood.
"""

from __future__ import annotations

import os
import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from avatar.face.stage import Resampler
from avatar.hear.ears import voice_end
from avatar.hear.endpoint import KEEP_THRESHOLD, START_THRESHOLD
from avatar.hear.vad import FRAME, Vad
from avatar.seams import TTS
from avatar.types import Clause, Pcm

RATE = 16_000
MEDIAN_S, BETWEEN, WITHIN = 0.4, 0.3, 0.45
"""Pauses inside a speaker's sentences, taken to be log-normal: the median over speakers, and the spreads of the
logarithm between speakers and within one. An assumption of this benchmark, not a measured corpus."""
SHORTEST_S, LONGEST_S = 0.2, 1.5
TURNS = 6
"""Of one speaker, one after the other: what is learnt of the first helps with the last."""
AFTER_S = 2.5
"""Silence after each turn."""
_TUNING_EN = (
    ("We have been living in this town", "for almost eleven years."),
    ("What I wanted to ask is", "whether the shop is open", "on Sunday."),
    ("After the meeting", "we could have dinner somewhere", "if you have time."),
    ("My brother", "who works at the airport", "says that all flights are late."),
    ("Do you think that", "it will snow tomorrow?"),
    ("Turn off the lights in the kitchen", "and close the window", "please."),
    ("It costs", "about twenty dollars", "I believe."),
    ("The last train to the city", "leaves at half past ten."),
    ("Tell me", "something about the history of", "this old bridge."),
    ("He said he would call me", "but he never did."),
    ("How long does it take", "to get from here to the beach?"),
    ("I need a doctor because", "my daughter has a high fever."),
)
_TUNING_JA = (
    ("この近くに", "おいしいラーメン屋は", "ありますか。"),
    ("息子の誕生日に", "自転車を買おうと思っています。"),
    ("先週から", "ずっと頭が痛くて", "よく眠れません。"),
    ("電車が遅れたので", "会議に間に合いませんでした。"),
    ("三時の予約を", "五時に変えてください。"),
    ("えっと", "名前は何と", "言いましたか。"),
    ("日本に来てから", "もう十年になります。"),
    ("大阪まで", "新幹線で", "どのくらいかかりますか。"),
)
_HELD_OUT_EN = (
    ("Could you put the blue box", "next to the door", "before Anna comes back?"),
    ("Yesterday evening", "we watched a film about", "two brothers in Iceland."),
    ("The thing is that", "my phone has been broken", "since Monday."),
    ("When I was young", "my grandmother used to bake bread", "every Saturday."),
    ("Which of these two books", "would you recommend?"),
    ("Remind me to buy", "milk, eggs and butter", "on the way home."),
    ("It was raining so hard", "that we had to stop the car."),
    ("I would rather", "stay here tonight", "and leave early in the morning."),
    ("Somebody told me", "the museum opens at nine."),
    ("What should I do", "if the battery", "gets too warm?"),
    ("My favourite part", "is the song at the end."),
    ("Well", "to be honest", "nobody has asked me that before."),
)
_HELD_OUT_JA = (
    ("昨日の夜", "友達と一緒に", "映画を見に行きました。"),
    ("この荷物を", "北海道まで送りたいのですが", "いくらになりますか。"),
    ("来月の旅行について", "少し相談してもいいですか。"),
    ("犬を飼っているので", "あまり長く", "家を空けられません。"),
    ("駅の前にある", "小さな本屋で", "買いました。"),
    ("もし明日晴れたら", "海へ行きましょう。"),
    ("新しい仕事は", "思ったより", "ずっと楽しいです。"),
    ("すみません", "この漢字は", "どう読むんですか。"),
)
_FRESH_EN = (
    ("If the weather stays like this", "we will have to cancel", "the garden party."),
    ("She told the children a story about", "a fox", "that could not find its den."),
    ("Can you find out", "when the next boat leaves?"),
    ("The reason I am calling is", "that nobody has answered my letter."),
    ("On the second floor", "there is a room", "with a view of the harbour."),
    ("I have never understood", "why people enjoy getting up so early."),
    ("Please send the red folder", "to the office in Dublin", "before noon."),
    ("Both of my sisters", "are learning to drive."),
    ("He opened the letter", "read it twice", "and began to laugh."),
    ("Is it true", "that elephants are afraid of bees?"),
)
_FRESH_JA = (
    ("昨日買った靴は", "少し小さいので", "交換したいです。"),
    ("雨が降ってきたから", "傘を貸してくれませんか。"),
    ("子供のころは", "毎年夏になると", "祖母の家に行きました。"),
    ("この機械の使い方を", "誰かに教えてもらえますか。"),
    ("駅に着いたら", "すぐに電話をください。"),
    ("来週の会議は", "水曜日の午後に", "変わりました。"),
    ("あの店のパンは", "値段は高いけれど", "とてもおいしいです。"),
    ("試験が終わるまで", "テレビは見ません。"),
)
_RECORDED = ("two_cities", "beckett")
"""Dickens and Beckett read aloud, 44 and 10 s (`python -m checkpoints.fetch speech`)."""
READER = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits")
"""Debian's festvox-ru: 620 Russian sentences of a novel, read by a person with the pauses of a reader."""
EXTRA = "BENCH_SPEECH"
"""Environment variable: further recordings for the held-out set, separated like a path."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a set is made of."""

    sentences: dict[str, tuple[tuple[str, ...], ...]]
    """By language."""
    voices: dict[str, tuple[tuple[str, float], ...]]
    """Names, and the factor by which they are moved: below 1 a larger head that speaks more slowly."""
    seeds: dict[str, tuple[int, ...]]
    half: int
    """Of the reader's sentences: 0 or 1."""
    read: tuple[int, int]
    """Which of that half."""
    recorded: tuple[str, ...] = ()
    """Names of longer recordings below the directory of fetched files."""
    extra: bool = False
    """Whether `EXTRA` belongs to it."""


TUNING = (
    Material(
        {"en": _TUNING_EN, "ja": _TUNING_JA},
        {
            "en": (("flite-slt", 1.0), ("flite-rms", 1.0), ("flite-awb", 1.0), ("flite-kal16", 1.0)),
            "ja": (("openjtalk-mei", 1.0),),
        },
        {"en": (101, 102, 103, 104, 105, 106, 107, 108), "ja": (201, 202, 203, 204)},
        0,
        (0, 60),
        recorded=_RECORDED,
    ),
    Material(
        {"en": _TUNING_EN, "ja": _TUNING_JA},
        {
            "en": (
                ("flite-slt", 1.05),
                ("flite-rms", 1.05),
                ("flite-awb", 0.95),
                ("flite-slt", 0.95),
                ("flite-rms", 0.97),
                ("flite-kal16", 1.05),
            ),
            "ja": (("openjtalk-mei", 1.0), ("openjtalk-mei", 0.95), ("openjtalk-mei", 1.05), ("openjtalk-mei", 1.0)),
        },
        {"en": tuple(range(501, 513)), "ja": tuple(range(601, 609))},
        0,
        (60, 160),
    ),
)
HELD_OUT = Material(
    {"en": _HELD_OUT_EN, "ja": _HELD_OUT_JA},
    {
        "en": (("flite-rms", 1.12), ("flite-slt", 0.9), ("flite-awb", 1.1), ("flite-rms", 0.93)),
        "ja": (("openjtalk-mei", 0.88), ("openjtalk-mei", 1.1)),
    },
    {"en": (311, 312, 313, 314), "ja": (321, 322, 323, 324)},
    1,
    (0, 60),
    extra=True,
)
FRESH = Material(
    {"en": _FRESH_EN, "ja": _FRESH_JA},
    {
        "en": (("flite-awb", 1.04), ("flite-kal16", 0.93), ("flite-slt", 1.09), ("flite-rms", 1.02)),
        "ja": (("openjtalk-mei", 0.92), ("openjtalk-mei", 1.07)),
    },
    {"en": (711, 712, 713, 714), "ja": (721, 722, 723, 724)},
    1,
    (60, 120),
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One turn of a speaker."""

    pcm: Pcm
    """16 kHz, silence after it."""
    pauses: tuple[tuple[int, int], ...]
    """The silences inside it, in samples."""
    end: int
    """One past the last sample of voice; the length of `pcm` where the turn's real end is not in it."""
    texts: tuple[str, ...]
    """What has been said by the end of each part; empty where nobody wrote it down."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Turns in their order."""

    name: str
    turns: tuple[Spoken, ...]


def voiced(pcm: Pcm) -> list[tuple[int, int]]:
    """Stretches of voice as the detector hears them."""
    vad, found, begin = Vad.load()(), [], None
    for at in range(0, len(pcm) - FRAME, FRAME):
        on = vad.probability(pcm[at : at + FRAME]) >= (START_THRESHOLD if begin is None else KEEP_THRESHOLD)
        if on and begin is None:
            begin = at
        elif not on and begin is not None:
            found.append((begin, at))
            begin = None
    return found + ([(begin, len(pcm))] if begin is not None else [])


async def part(tts: TTS, voice: str, language: str, text: str, moved: float = 1.0) -> Pcm:
    """A part of a sentence at 16 kHz, without the silence around it; `moved`: as in `Material`."""
    chunks = [chunk async for chunk in tts.speak(Clause(text, 0, "", language), voice)]
    resampler = Resampler(round(chunks[0].rate * moved), RATE)
    pcm = np.concatenate([*(resampler.feed(chunk.pcm) for chunk in chunks), resampler.flush()])
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 200)
    return pcm[loud[0] : loud[-1] + 1]


async def speaker(
    tts: TTS, voice: str, language: str, sentences: Sequence[Sequence[str]], seed: int, moved: float = 1.0
) -> Speaker:
    """One speaker with pauses of their own, over a quiet room."""
    rng = np.random.default_rng(seed)
    median = MEDIAN_S * np.exp(BETWEEN * rng.standard_normal())
    chosen = [sentences[i] for i in rng.permutation(len(sentences))[:TURNS]]
    spoken = []
    for words in chosen:
        parts = [np.zeros(RATE // 2, np.int16)]
        pauses, texts = [], []
        joint = "" if language == "ja" else " "
        comma = "、" if language == "ja" else ","
        for i, text in enumerate(words):
            last = i == len(words) - 1
            # A comma gives the voice the rising end of what goes on.
            parts.append(await part(tts, voice, language, text if last else text + comma, moved))
            texts.append(joint.join(words[: i + 1]))
            if not last:
                seconds = median * np.exp(WITHIN * rng.standard_normal())
                silence = round(RATE * float(np.clip(seconds, SHORTEST_S, LONGEST_S)))
                begin = sum(map(len, parts))
                pauses.append((begin, begin + silence))
                parts.append(np.zeros(silence, np.int16))
        end = sum(map(len, parts))
        parts.append(np.zeros(round(RATE * AFTER_S), np.int16))
        pcm = np.concatenate(parts)
        room = rng.standard_normal(len(pcm)) * 32768 * 10 ** (-65 / 20)
        pcm = np.clip(pcm + room, -32768, 32767).astype(np.int16)
        spoken.append(Spoken(pcm, tuple(pauses), end, tuple(texts)))
    return Speaker(f"{voice}-{seed}", tuple(spoken))


def _pieces(pcm: Pcm) -> Spoken | None:
    """A whole recording as one turn: half a second of silence before the voice, the usual time behind it."""
    stretches = voiced(np.concatenate([pcm, np.zeros(RATE // 2, np.int16)]))
    if not stretches:
        return None
    begin, end = stretches[0][0], min(stretches[-1][1], len(pcm))
    lead = max(0, RATE // 2 - begin)
    start = max(0, begin - RATE // 2)
    gaps = [(a[1] - start + lead, b[0] - start + lead) for a, b in pairwise(stretches)]
    sound = np.concatenate([np.zeros(lead, np.int16), pcm[start:end], np.zeros(round(RATE * AFTER_S), np.int16)])
    long = tuple((a, b) for a, b in gaps if b - a >= SHORTEST_S * RATE)
    return Spoken(sound, long, voice_end(sound, end - start + lead), ())


def reader(half: int, first: int, last: int) -> list[Speaker]:
    """Sentences of the corpus, each a turn: of what holds one sentence every second, from the first or the second on,
    and of those a stretch. Empty where the package is missing."""
    index = READER / "etc" / "txt.done.data"
    if not index.is_file():
        return []
    rows = re.findall(r'^\( (\w+) "(.*)"', index.read_text(encoding="utf-8", errors="replace"), re.M)
    single = [name for name, text in rows if not re.search(r"[.!?…]\s", text.rstrip('.!?… "'))]
    turns = []
    for name in single[half::2][first:last]:
        with wave.open(str(READER / "wav" / f"{name}.wav")) as file:
            turn = _pieces(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
        if turn is not None:
            turns.append(turn)
    return [Speaker(f"reader-{half}-{first + i}", tuple(turns[i : i + TURNS])) for i in range(0, len(turns), TURNS)]


def recordings(material: Material, data_dir: Path) -> list[Speaker]:
    """The longer recordings of a set, those that are there."""
    paths = [data_dir / "speech" / f"{name}.wav" for name in material.recorded]
    if material.extra:
        paths += [Path(name) for name in os.environ.get(EXTRA, "").split(os.pathsep) if name]
    return [recorded(path) for path in paths if path.is_file()]


def recorded(path: Path, longest_s: float = 18.0) -> Speaker:
    """A recording, cut in the middle of voice so that no piece is longer than an utterance may be; the end of what is
    read aloud is the only end of a turn in it."""
    resampler = Resampler(48_000, RATE)
    with av.open(str(path)) as file:
        to_48k = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        blocks = [b.to_ndarray()[0] for f in file.decode(audio=0) for b in to_48k.resample(f)]
    pcm = np.concatenate([resampler.feed(np.concatenate(blocks)), resampler.flush()])
    stretches = voiced(pcm)
    turns: list[Spoken] = []
    first = 0
    for i, (begin, end) in enumerate(stretches):
        final = i == len(stretches) - 1
        if not final and stretches[i + 1][1] - stretches[first][0] <= longest_s * RATE:
            continue
        inside = stretches[first : i + 1]
        start = max(0, inside[0][0] - RATE // 2)
        gaps = [(a[1] - start, b[0] - start) for a, b in pairwise(inside) if b[0] - a[1] >= SHORTEST_S * RATE]
        sound = np.concatenate([pcm[start:end], np.zeros(round(RATE * AFTER_S), np.int16)])
        turns.append(Spoken(sound, tuple(gaps), voice_end(sound, end - start) if final else len(sound), ()))
        first = i + 1
        del begin
    return Speaker(path.stem, tuple(turns))
