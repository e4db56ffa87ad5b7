"""The engines that speak the training corpus, each with the times of its own phonemes.

Each engine yields `Take`s: 16 kHz sound and phonemes in IPA. flite is the test engine: the shipped weights never hear
it, nor the voices in `HELD_OUT`. Of its voices the test uses awb and rms; slt and kal16 are speakers that Festival has
too, in voices of another make.
"""

from __future__ import annotations

import ctypes
import random
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..film import read_sound, resampled
from . import text
from .phonesets import CATALAN, CMU, CZECH, FINNISH, ITALIAN, JAPANESE, RUSSIAN

RATE = 16_000
HELD_OUT = frozenset(("f4", "m6", "pc_diphone", "czech_krb"))
"""Voices that are kept for tests: two of espeak-ng, two of Festival."""


@dataclass(frozen=True, slots=True)
class Take:
    """One spoken sentence."""

    engine: str
    voice: str
    pcm: npt.NDArray[np.int16]
    phones: list[tuple[float, float, str]]
    """Start and end in seconds, IPA."""


def _take(engine: str, voice: str, pcm: npt.NDArray[np.int16], phones: list[tuple[float, float, str]]) -> Take:
    loud = pcm.astype(np.float32) * (24_000 / max(1, int(np.abs(pcm.astype(np.int32)).max())))
    return Take(engine, voice, np.rint(loud).astype(np.int16), phones)


class _Value(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Value),
    )


_PHONEME_EVENT = 7
ESPEAK_LANGUAGES = {
    # espeak-ng's voice: (language of the text, weight)
    "en-us": ("en", 6),
    "en-gb-x-rp": ("en", 3),
    "en-gb-scotland": ("en", 1),
    "ja": ("ja", 3),
    "de": ("de", 2),
    "es": ("es", 2),
    "it": ("it", 1),
    "cs": ("cs", 1),
    "pl": ("pl", 1),
    "pt-br": ("pt", 1),
    "ru": ("ru", 1),
}
ESPEAK_VARIANTS = [
    *("", "m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f5"),
    *("klatt", "klatt2", "klatt3", "klatt4", "croak"),
]


def espeak(count: int, seed: int, *, variants: list[str] | None = None) -> Iterator[Take]:
    """espeak-ng through its library's phoneme events."""
    import espeakng_loader

    lib = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = lib.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0x8003)
    sound: list[npt.NDArray[np.int16]] = []
    events: list[tuple[int, str]] = []

    def heard(wav: object, samples: int, event: object) -> int:
        if samples > 0 and wav:
            sound.append(np.ctypeslib.as_array(wav, (samples,)).copy())
        i = 0
        while event[i].type:  # type: ignore[index]
            if event[i].type == _PHONEME_EVENT:  # type: ignore[index]
                events.append((event[i].sample, event[i].id.string.decode("utf-8", "ignore")))  # type: ignore[index]
            i += 1
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    callback = kind(heard)
    lib.espeak_SetSynthCallback(callback)
    rng = random.Random(seed)
    names, weights = list(ESPEAK_LANGUAGES), [w for _, w in ESPEAK_LANGUAGES.values()]
    for _ in range(count):
        name = rng.choices(names, weights)[0]
        variant = rng.choice(variants or ESPEAK_VARIANTS)
        language = ESPEAK_LANGUAGES[name][0]
        words = text.kana(rng, " ") if language == "ja" else text.say(language, rng)
        sound.clear()
        events.clear()
        if lib.espeak_SetVoiceByName(f"{name}+{variant}".encode() if variant else name.encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice {name}+{variant}")
        for parameter, value in ((1, rng.randint(125, 215)), (3, rng.randint(20, 80)), (4, rng.randint(30, 80))):
            lib.espeak_SetParameter(parameter, value, 0)
        lib.espeak_ng_SetRandSeed(ctypes.c_long(rng.getrandbits(31)))  # else its noise is the clock's
        data = words.encode() + b"\0"
        lib.espeak_Synth(data, len(data), 0, 1, 0, 1, None, None)
        lib.espeak_Synchronize()
        if not sound or not events:
            continue
        pcm = np.concatenate(sound)
        # Names are empty inside words after a switch of language: what is nothing is left to its neighbours.
        starts = [(s, ipa) for s, ipa in events if not ipa.startswith("(")]
        ends = [s for s, _ in starts[1:]] + [len(pcm)]
        phones = [(s / rate, e / rate, ipa) for (s, ipa), e in zip(starts, ends, strict=True)]
        yield _take("espeak", variant or name, resampled(pcm, rate, RATE), phones)


def flite(count: int, seed: int, *, voices: list[str]) -> Iterator[Take]:
    """flite at many rates and pitches."""
    rng = random.Random(seed)
    for _ in range(count):
        voice, words = rng.choice(voices), text.say("en", rng)
        take = flite_says(words, voice, stretch=rng.uniform(0.85, 1.3), pitch=rng.uniform(0.85, 1.2))
        if take is not None:
            yield take


FLITE_PITCH = {"kal16": 105, "awb": 120, "rms": 95, "slt": 180}
"""Hz."""


def flite_says(words: str, voice: str, *, stretch: float = 1.0, pitch: float = 1.0) -> Take | None:
    """flite's command with the end times of its segments; None where it fails on the words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.wav"
        said = subprocess.run(
            [
                *("flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}"),
                *("--setf", f"int_f0_target_mean={FLITE_PITCH[voice] * pitch:.0f}"),
                *("-t", words, "-psdur", "-o", str(path)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode or not path.exists():
            return None
        pcm = read_sound(path, RATE)
    phones, start = [], 0.0
    for name, end in re.findall(r"(\S+?):([\d.]+)", said.stdout):
        phones.append((start, float(end), CMU.get(name, "")))
        start = float(end)
    return _take("flite", voice, pcm, phones)


FESTIVAL = {
    # voice: (language of the text, phoneme names, weight)
    "ked_diphone": ("en", CMU, 4),
    "kal_diphone": ("en", CMU, 3),
    "cmu_us_slt_arctic_hts": ("en", CMU, 6),
    "lp_diphone": ("it", ITALIAN, 2),
    "pc_diphone": ("it", ITALIAN, 2),
    "czech_dita": ("cs", CZECH, 2),
    "czech_machac": ("cs", CZECH, 2),
    "czech_krb": ("cs", CZECH, 1),
    "hy_fi_mv_diphone": ("fi", FINNISH, 2),
    "suo_fi_lj_diphone": ("fi", FINNISH, 2),
    "upc_ca_ona_hts": ("es", CATALAN, 3),
    "msu_ru_nsh_clunits": ("ru", RUSSIAN, 3),
}
LATIN2, LATIN1 = ("cs",), ("it", "fi", "es", "en")
_FOLD = str.maketrans("àáâãäåèéêëìíîïòóôõöùúûüýñç", "aaaaaaeeeeiiiiooooouuuuync")
_CYRILLIC = dict(zip("абвгдезийклмнопрстуфхыэё", [*"abvgdezijklmnoprstufhye", "jo"], strict=True)) | {
    "ж": "zh",
    "ц": "c",
    "ч": "ch",
    "ш": "sh",
    "щ": "sch",
    "ю": "ju",
    "я": "ja",
    "ь": "'",
    "ъ": "",
}
BATCH = 20
"""Sentences a Festival process says: loading a voice takes longer than speaking."""


def _plain(words: str, language: str) -> str:
    """What Festival's voices can read: they know no UTF-8."""
    words = words.replace('"', "").replace("\\", "")
    if language == "ru":
        words = "".join(_CYRILLIC.get(c, c) for c in words.lower())
    elif language == "fi":
        return words
    return words.lower().translate(_FOLD).encode("ascii", "ignore").decode()


def festival(count: int, seed: int, *, voices: list[str] | None = None) -> Iterator[Take]:
    """Festival's voices, in batches; sentences that a voice stumbles over are left out."""
    rng = random.Random(seed)
    names = voices or [v for v in FESTIVAL if v not in HELD_OUT]
    for _ in range(-(-count // BATCH)):
        voice = rng.choices(names, [FESTIVAL[n][2] for n in names])[0]
        language, phoneset, _ = FESTIVAL[voice]
        with tempfile.TemporaryDirectory() as folder:
            script = [f"(voice_{voice})"]
            for i in range(BATCH):
                words = _plain(text.say(language, rng), language)
                script.append(
                    f"(Parameter.set 'Duration_Stretch {rng.uniform(0.82, 1.25):.2f})\n"
                    f'(set! u (SynthText "{words}"))\n(utt.save.wave u "{folder}/{i}.wav")\n'
                    f'(set! fo (fopen "{folder}/{i}.txt" "w"))\n'
                    '(mapcar (lambda (s) (format fo "%s %f\\n" (item.name s) (item.feat s \'end)))'
                    " (utt.relation.items u 'Segment))\n(fclose fo)"
                )
            program = Path(folder) / "say.scm"
            program.write_text("\n".join(script), encoding="latin-1", errors="ignore")
            subprocess.run(["festival", "-b", str(program)], capture_output=True, check=False, timeout=600)
            for i in range(BATCH):
                wav, names_path = Path(folder) / f"{i}.wav", Path(folder) / f"{i}.txt"
                if not wav.exists() or not names_path.exists():
                    continue
                pcm = read_sound(wav, RATE)
                phones, start = [], 0.0
                for line in names_path.read_text(encoding="latin-1").splitlines():
                    name, end = line.rsplit(" ", 1)
                    if name not in phoneset:
                        raise KeyError(f"{voice} has a phoneme {name!r} that phonesets.py does not know")
                    phones.append((start, float(end), phoneset[name]))
                    start = float(end)
                if len(phones) > 3 and len(pcm) > RATE // 2:
                    yield _take("festival", voice, pcm, phones)


DICTIONARY = "/var/lib/mecab/dic/open-jtalk/naist-jdic"


def open_jtalk(count: int, seed: int, mei: str) -> Iterator[Take]:
    """Open JTalk's command with the times of its output labels. `mei` is the path of mei_normal.htsvoice, which
    pyopenjtalk-plus carries. The all-pass constant varies the length of the vocal tract: one voice becomes many."""
    rng = random.Random(seed)
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            wav, trace = Path(folder) / "out.wav", Path(folder) / "trace.txt"
            said = subprocess.run(
                [
                    *("open_jtalk", "-x", DICTIONARY, "-m", mei, "-r", f"{rng.uniform(0.8, 1.25):.2f}"),
                    *("-fm", f"{rng.uniform(-7, 4):.1f}", "-a", f"{rng.uniform(0.50, 0.60):.3f}"),
                    *("-jm", f"{rng.uniform(0.7, 1.2):.2f}", "-ow", str(wav), "-ot", str(trace)),
                ],
                input=text.say("ja", rng).encode(),
                capture_output=True,
                check=False,
            )
            if said.returncode or not wav.exists():
                continue
            pcm = read_sound(wav, RATE)
            labels = trace.read_text(encoding="utf-8", errors="ignore").split("[Output label]")[1]
        phones = [
            (int(start) / 1e7, int(end) / 1e7, JAPANESE[name])
            for start, end, name in re.findall(r"^(\d+) (\d+) \S*?-(\S+?)\+", labels, re.MULTILINE)
        ]
        yield _take("open_jtalk", "mei", pcm, phones)


def formant(count: int, seed: int) -> Iterator[Take]:
    """This project's own formant synthesiser: any speaker, any sequence of sounds."""
    from .formant import speak

    rng = np.random.default_rng(seed)
    for _ in range(count):
        sound, phones = speak(rng)
        yield _take("formant", "any", np.rint(sound * (24_000 / np.abs(sound).max())).astype(np.int16), phones)
