"""A program that speaks with Piper voices: requests on stdin, sound and times on stdout (`avatar.speak.wire`).

piper-tts is licensed under the GPL, version 3. This is the one module that imports it, it runs as a process of its
own, and nothing of it is imported into the server.

    python -m avatar.speak.piper_worker
"""

from __future__ import annotations

import difflib
import json
import os
import re
import unicodedata
from collections import OrderedDict
from pathlib import Path
from typing import Any

from .onnx_output import has_output, outputs_of, with_output
from .wire import Port, Request

MAX_LOADED = 4
"""Voices kept in memory, 60 to 120 MB each."""
_THREADS = max(1, (os.cpu_count() or 2) // 2)
"""The other half of the machine draws the face."""
_TOKEN = re.compile(r"\S*[^\W_]\S*")
_DENSE = re.compile("[\u3041-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
"""Scripts without spaces: their words are not found."""
_STRESS = ("ˈ", "ˌ")


class Piper:
    """The voices that were asked for, loaded."""

    def __init__(self, port: Port) -> None:
        import piper

        self._piper: Any = piper
        self._port = port
        self._voices: OrderedDict[str, Any] = OrderedDict()

    def speak(self, job: int, request: Request) -> None:
        voice = self._voice(str(request["voice"]))
        text = str(request["text"])
        # Its level is set by the server, once for the voice: a peak for each sentence would make whispers shout.
        config = self._piper.SynthesisConfig(normalize_audio=False)
        spans, ends = _tokens(voice, text)
        at = sounded = 0
        for sentence in voice.synthesize(text, syn_config=config, include_alignments=True):
            if self._port.cancelled(job):
                return
            phones = _phones(sentence.phoneme_alignments or [], at)
            sounding = [phone for phone in phones if phone[0]]
            words: list[list[int]] = []
            for index, span in enumerate(spans):
                own = sounding[max(0, (ends[index - 1] if index else 0) - sounded) : max(0, ends[index] - sounded)]
                if own:
                    words.append([*span, own[0][1], own[-1][2]])
            self._port.marks(job, words=words, phones=phones)
            self._port.audio(job, sentence.audio_int16_bytes)
            at += len(sentence.audio_float_array)
            sounded += len(sounding)

    def _voice(self, path: str) -> Any:
        if path in self._voices:
            self._voices.move_to_end(path)
            return self._voices[path]
        import onnxruntime

        model = Path(path).read_bytes()
        lengths = outputs_of(model, "Ceil")  # of each phoneme, in frames: VITS has one such node
        if len(lengths) == 1 and not has_output(model, lengths[0]):
            model = with_output(model, lengths[0])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        settings = json.loads(Path(path + ".json").read_text(encoding="utf-8"))
        voice = self._piper.PiperVoice(session=session, config=self._piper.PiperConfig.from_dict(settings))
        self._voices[path] = voice
        while len(self._voices) > MAX_LOADED:
            self._voices.popitem(last=False)
        return voice


def _tokens(voice: Any, text: str) -> tuple[list[tuple[int, int]], list[int]]:
    """The words of `text`, and for each the number of sounding phonemes up to its end.

    The front end says neither: it reads "3.14" as four words and "I am" as one. So each word's phonemes alone are
    matched with those of the whole.
    """
    if _DENSE.search(text):
        return [], []
    spans = [(match.start(), match.end()) for match in _TOKEN.finditer(text)]
    alone = [_sounding(voice.phonemize(text[begin:end])) for begin, end in spans]
    expected = [symbol for symbols in alone for symbol in symbols]
    actual = _sounding(voice.phonemize(text))
    matcher = difflib.SequenceMatcher(a=expected, b=actual, autojunk=False)
    places = [0.0] * (len(expected) + 1)
    for _, a0, a1, b0, b1 in matcher.get_opcodes():
        for index in range(a0, a1):
            places[index + 1] = b0 + (b1 - b0) * (index + 1 - a0) / (a1 - a0)
    ends: list[int] = []
    count = 0
    for symbols in alone:
        count += len(symbols)
        ends.append(round(places[count]))
    if ends:
        ends[-1] = len(actual)
    return spans, ends


def _sounding(sentences: list[list[str]]) -> list[str]:
    return [
        s for sentence in sentences for s in sentence if s[0].isalpha() and s not in _STRESS and not _is_modifier(s)
    ]


def _phones(alignments: list[Any], at: int) -> list[list[Any]]:
    """[IPA, first sample, one past the last] of a sentence whose sound starts at sample `at`."""
    phones: list[list[Any]] = []
    stress, stress_from = "", at
    for alignment in alignments:
        symbol, start = alignment.phoneme, at
        at += int(alignment.num_samples)
        if symbol in _STRESS:  # belongs to the phoneme that follows
            stress, stress_from = symbol, start
        elif symbol == " " or _is_modifier(symbol):  # no sound of its own: its time goes to the one before
            if phones:
                phones[-1][2] = at
                phones[-1][0] += symbol if symbol != " " and phones[-1][0] else ""
        elif symbol[0].isalpha():
            phones.append([stress + symbol, stress_from if stress else start, at])
            stress = ""
        else:
            phones.append(["", start, at])
    return phones


def _is_modifier(symbol: str) -> bool:
    """ː and the like."""
    return symbol not in _STRESS and all(unicodedata.category(c) in ("Lm", "Mn", "Sk") for c in symbol)


def main() -> None:
    port = Port()
    try:
        engine = Piper(port)
    except ImportError as error:
        port.fail(f"{error}")
        raise SystemExit(1) from None
    port.hello()
    port.serve(engine.speak)


if __name__ == "__main__":
    main()
