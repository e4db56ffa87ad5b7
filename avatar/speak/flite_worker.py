"""A program that speaks English with flite: requests on stdin, sound and times on stdout (`avatar.speak.wire`).

A process of its own because flite is C code that meets text from anywhere. flite and its voices are under a BSD-like
licence of Carnegie Mellon University.

    python -m avatar.speak.flite_worker
"""

from __future__ import annotations

import ctypes
import sys
import unicodedata
from typing import Any

from .wire import Port, Request

_VOICES = ("slt", "rms", "awb", "kal16")
"""Best first: statistical voices of a woman and two men, then an old diphone voice."""
_CONTINUE, _STOP = 0, -1
_CHUNK = 640
"""Samples: 40 ms at 16 kHz."""

_IPA = {
    "pau": "", "h#": "", "ssil": "", "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ",
    "ay": "aɪ", "eh": "ɛ", "er": "ɝ", "ey": "eɪ", "ih": "ɪ", "iy": "i", "ow": "oʊ", "oy": "ɔɪ", "uh": "ʊ", "uw": "u",
    "b": "b", "ch": "tʃ", "d": "d", "dh": "ð", "dx": "ɾ", "el": "l̩", "em": "m̩", "en": "n̩", "f": "f", "g": "ɡ",
    "hh": "h", "hv": "h", "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n", "nx": "n", "ng": "ŋ", "p": "p", "r": "ɹ",
    "s": "s", "sh": "ʃ", "t": "t", "th": "θ", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip
"""CMU phones."""
_VOWELS = frozenset(
    ("aa", "ae", "ah", "ao", "aw", "ax", "axr", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw")
)


class _Wave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]  # the rest is flite's own


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Wave), ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)


class _Streaming(ctypes.Structure):
    _fields_ = [
        ("min_buffsize", ctypes.c_int),
        ("asc", _CALLBACK),
        ("utt", ctypes.c_void_p),
        ("item", ctypes.c_void_p),
        ("userdata", ctypes.c_void_p),
    ]


def _library(name: str) -> ctypes.CDLL:
    # The voices look up symbols of the language's library, and that one of flite's own.
    return ctypes.CDLL(f"lib{name}.so.1", mode=ctypes.RTLD_GLOBAL)


class Flite:
    """The libraries, the voices that are installed, and the job in hand."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._flite = flite = _library("flite")
        _library("flite_usenglish")
        _library("flite_cmulex")
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        for name, result, arguments in (
            ("flite_init", ctypes.c_int, []),
            ("flite_synth_text", pointer, [text, pointer]),
            ("delete_utterance", None, [pointer]),
            ("utt_relation", pointer, [pointer, text]),
            ("relation_head", pointer, [pointer]),
            ("item_next", pointer, [pointer]),
            ("item_feat_string", text, [pointer, text]),
            ("item_feat_float", ctypes.c_float, [pointer, text]),
            ("flite_path_to_item", pointer, [pointer, text]),
            ("flite_ffeature_string", text, [pointer, text]),
            ("new_audio_streaming_info", ctypes.POINTER(_Streaming), []),
            ("audio_streaming_info_val", pointer, [pointer]),
            ("flite_feat_set", None, [pointer, text, pointer]),
        ):
            function = getattr(flite, name)
            function.restype, function.argtypes = result, arguments
        flite.flite_init()
        self._callback = _CALLBACK(self._heard)  # kept: the library holds a bare pointer to it
        streaming = flite.new_audio_streaming_info()
        streaming.contents.min_buffsize = _CHUNK
        streaming.contents.asc = self._callback
        self._voices: dict[str, int] = {}
        for name in _VOICES:
            try:
                register = getattr(_library(f"flite_cmu_us_{name}"), f"register_cmu_us_{name}")
            except (OSError, AttributeError):
                continue
            register.restype, register.argtypes = pointer, [text]
            self._voices[name] = voice = register(None)
            features = ctypes.cast(voice, ctypes.POINTER(_Voice)).contents.features
            flite.flite_feat_set(features, b"streaming_info", flite.audio_streaming_info_val(streaming))
        self._streaming = streaming
        if not self._voices:
            raise OSError("flite is installed without a voice")
        self._job = 0
        self._text = ""
        self._rate = 0
        self._marked = False

    @property
    def voices(self) -> list[str]:
        return list(self._voices)

    def speak(self, job: int, request: Request) -> None:
        self._job, self._text, self._marked = job, _ascii(str(request["text"])), False
        if not any(c.isalnum() for c in self._text):
            return  # flite has nothing to hold on to in an utterance without a word
        utterance = self._flite.flite_synth_text(self._text.encode("ascii"), self._voices[str(request["voice"])])
        if utterance:
            self._flite.delete_utterance(utterance)

    def _heard(self, wave: Any, start: int, size: int, last: int, streaming: Any) -> int:
        """Called by the library with each stretch of sound as it is made."""
        if self._port.cancelled(self._job):
            return _STOP
        try:
            if not self._marked:
                self._marked = True
                self._rate = wave.contents.sample_rate
                self._mark(self._streaming.contents.utt)
            if size > 0:
                samples = ctypes.addressof(wave.contents.samples.contents) + 2 * start
                self._port.audio(self._job, ctypes.string_at(samples, 2 * size))
        except Exception as error:  # nothing may travel up through the C frames
            sys.stderr.write(f"flite worker: {error!r}\n")
            return _STOP
        return _CONTINUE

    def _mark(self, utterance: int) -> None:
        """All times are known when the first sound is there: a statistical voice decides them before it speaks."""
        flite = self._flite
        words: list[list[int]] = []
        phones: list[list[Any]] = []
        owner = 0
        at = begin = 0
        segment = flite.relation_head(flite.utt_relation(utterance, b"Segment"))
        while segment:
            name = flite.item_feat_string(segment, b"name").decode("ascii", "replace")
            end = round(flite.item_feat_float(segment, b"end") * self._rate)
            ipa = _IPA.get(name, name)
            if name in _VOWELS:
                ipa = self._stress(segment) + ipa
            phones.append([ipa, begin, end])
            token = flite.flite_path_to_item(segment, b"R:SylStructure.parent.parent.R:Token.parent")
            if token and token == owner:
                words[-1][3] = end
            elif token:
                written = flite.item_feat_string(token, b"name").decode("ascii", "replace")
                found = self._text.find(written, at)
                if found >= 0:
                    at = found + len(written)
                    words.append([found, at, begin, end])
                    owner = token
            begin = end
            segment = flite.item_next(segment)
        self._port.marks(self._job, words=words, phones=phones)

    def _stress(self, segment: int) -> str:
        """IPA's mark of a vowel's stress: two where the voice raises its pitch, none in words of grammar."""

        def told(path: bytes) -> bytes:
            return self._flite.flite_ffeature_string(segment, b"R:SylStructure.parent." + path) or b""

        accented = told(b"accent") not in (b"", b"0")
        if not accented and (told(b"stress") != b"1" or told(b"parent.gpos") != b"content"):
            return ""
        return "ˈˈ" if accented else "ˈ"


def _ascii(text: str) -> str:
    """The text with each character replaced by at most one ASCII character: positions stay."""
    quotes = str.maketrans("‘’‚“”„–—…・、。！？，：；", "'''\"\"\"--.,,.!?,:;")
    plain = []
    for character in text.translate(quotes):
        base = unicodedata.normalize("NFKD", character)[0] if not character.isascii() else character
        plain.append(base if base.isascii() and base.isprintable() else " ")
    return "".join(plain)


def main() -> None:
    port = Port()
    try:
        flite = Flite(port)
    except (OSError, AttributeError) as error:
        port.fail(f"{error}")
        raise SystemExit(1) from None
    port.hello(rate=16000, voices=flite.voices)
    port.serve(flite.speak)


if __name__ == "__main__":
    main()
