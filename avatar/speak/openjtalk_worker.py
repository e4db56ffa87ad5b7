"""A program that speaks Japanese with Open JTalk: requests on stdin, sound and times on stdout (`avatar.speak.wire`).

A process of its own keeps its dictionary (180 MB) and its C code out of the server. The voice "Mei" is by the MMDAgent
project team, Nagoya Institute of Technology, CC BY 3.0.

    python -m avatar.speak.openjtalk_worker
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from .hts_durations import Durations
from .wire import Port, Request

_IPA = {
    "a": "a", "i": "i", "u": "ɯ", "e": "e", "o": "o",
    "A": "ḁ", "I": "i̥", "U": "ɯ̥", "E": "e̥", "O": "o̥",
    "N": "ɴ", "cl": "ʔ", "pau": "", "sil": "",
    "k": "k", "ky": "kʲ", "kw": "kʷ", "g": "ɡ", "gy": "ɡʲ", "gw": "ɡʷ",
    "s": "s", "sh": "ɕ", "z": "z", "j": "dʑ", "t": "t", "ty": "tʲ", "ts": "ts", "ch": "tɕ", "d": "d", "dy": "dʲ",
    "n": "n", "ny": "ɲ", "h": "h", "hy": "ç", "f": "ɸ", "b": "b", "by": "bʲ", "p": "p", "py": "pʲ",
    "m": "m", "my": "mʲ", "y": "j", "r": "ɾ", "ry": "ɾʲ", "w": "w", "v": "v",
}  # fmt: skip
"""Open JTalk's phonemes; capital vowels are devoiced."""
_CONSONANTS = frozenset("pbtdkɡszɕɸhç")
_VOICED = frozenset("aiueo")
_ACCENT = re.compile(r"/A:(-?\d+)\+(\d+)\+\d+/.*/F:(\d+)_(\d+)#\w+_\w+@(\w+)")
"""Of a label: the mora's distance from the accented one and its place; of its phrase moras, accent and place."""
_NASALS = ((frozenset("pbm"), "m"), (frozenset("tdnɾzɲ"), "n"), (frozenset("kɡ"), "ŋ"))
_JOINED = frozenset({"助詞", "助動詞", "記号"})
"""Particles, auxiliaries and marks belong to the word before them: captions and interruptions go by what is said in
one piece."""


class OpenJTalk:
    """The front end, the synthesiser and the duration model."""

    def __init__(self, port: Port) -> None:
        import pyopenjtalk

        self._jtalk: Any = pyopenjtalk
        self._port = port
        self._durations = Durations(Path(os.fsdecode(pyopenjtalk.DEFAULT_HTS_VOICE)))
        self.rate = self._durations.rate

    def speak(self, job: int, request: Request) -> None:
        text = str(request["text"])
        features, morphs = self._jtalk.run_frontend_detailed(text)
        labels = self._jtalk.make_label(features)
        if not labels:
            return
        phones: list[list[Any]] = []
        at = 0
        for label in labels:
            length = self._durations.samples(label)
            phones.append([_phone(label), at, at + length])
            at += length
        try:
            mapping = self._jtalk.make_phoneme_mapping(features, morphs=morphs, caller_text=text)
        except ValueError as error:  # a rare text that it cannot trace: the sound matters more than the word times
            sys.stderr.write(f"open jtalk: {error}\n")
            mapping = []
        names = [name for name, _, _ in phones]
        stressed = _stressed(labels, names)
        sounds = [
            [("ˈ" if index in stressed else "") + _ipa(names, index), start, end]
            for index, (_, start, end) in enumerate(phones)
        ]
        self._port.marks(job, words=_words(mapping, phones), phones=sounds)
        # Phrase by phrase: a pause is silence, so nothing is heard of the seam, and the first phrase sounds
        # while the next is computed.
        for begin, end in _phrases(names):
            if self._port.cancelled(job):
                return
            sound, _ = self._jtalk.synthesize(labels[begin:end])
            self._port.audio(job, sound.clip(-32768, 32767).astype("<i2").tobytes())


def _phone(label: str) -> str:
    return label.split("-", 1)[1].split("+", 1)[0]


def _ipa(names: list[str], index: int) -> str:
    """っ and ん are said with the lips and tongue of the sound that follows: いっぱい, こんばんは."""
    name = names[index]
    following = _IPA.get(names[index + 1], "") if index + 1 < len(names) else ""
    if name == "cl" and following[:1] in _CONSONANTS:
        return following
    if name == "N":
        return next((nasal for sounds, nasal in _NASALS if following[:1] in sounds), "ɴ")
    return _IPA.get(name, name)


def _stressed(labels: list[str], names: list[str]) -> set[int]:
    """The vowel of each accent phrase at which its pitch is highest: that of the accented mora, after which the voice
    falls, or in a phrase that stays high the first one from the second mora on."""
    found: set[int] = set()
    phrase: tuple[str, ...] = ()
    done, at = False, 0
    for index, label in enumerate(labels):
        match = _ACCENT.search(label)
        if match is None:
            phrase = ()
            continue
        to_accent, mora, length, accent, place = match.groups()
        if (length, accent, place) != phrase or (mora == "1" and at > 1):
            phrase, done = (length, accent, place), False
        at = int(mora)
        high = at >= min(2, int(length)) if accent in ("0", length) else to_accent == "0"
        if high and not done and names[index] in _VOICED:
            found.add(index)
            done = True
    return found


def _phrases(names: list[str]) -> list[tuple[int, int]]:
    """Spans of labels, each ending with a pause."""
    ends = [index + 1 for index, name in enumerate(names) if name == "pau"]
    if not ends or ends[-1] != len(names):
        ends.append(len(names))
    return list(zip([0, *ends], ends, strict=False))


def _words(mapping: list[Any], phones: list[list[Any]]) -> list[list[int]]:
    """Morphemes, joined to words, with the time of their phonemes."""
    sounding = [phone for phone in phones if phone[0] not in ("sil", "pau")]
    words: list[list[int]] = []
    at = 0
    previous_number = False
    for entry in mapping:
        count = sum(name not in ("sil", "pau") for name in entry["phonemes"])
        own = sounding[at : at + count]
        at += count
        begin, end = entry["char_span"]
        number = entry["pos_group1"] == "数"
        joined = entry["pos"] in _JOINED or entry["pos_group1"] == "接尾" or (number and previous_number)
        if words and (joined or not own or end <= words[-1][1]):
            words[-1][1] = max(words[-1][1], end)
            if own:
                words[-1][3] = own[-1][2]
        elif own and end > begin:
            words.append([begin, end, own[0][1], own[-1][2]])
        previous_number = number or (previous_number and entry["pos_group1"] == "接尾" and entry["surface"] == "．")
    return words


def main() -> None:
    port = Port()
    try:
        engine = OpenJTalk(port)
    except (ImportError, OSError, ValueError) as error:
        port.fail(f"{error}")
        raise SystemExit(1) from None
    port.hello(rate=engine.rate)
    port.serve(engine.speak)


if __name__ == "__main__":
    main()
