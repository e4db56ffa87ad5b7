"""A program that speaks with espeak-ng: requests on stdin, sound and times on stdout (`avatar.speak.wire`).

espeak-ng is licensed under the GPL, version 3 or later. This is the one module that loads its library, it runs as a
process of its own, and nothing else of the server is imported into it.

    python -m avatar.speak.espeak_worker
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from typing import Any

from .wire import Port, Request

_RETRIEVAL_SYNCHRONOUS = 2
"""AUDIO_OUTPUT_SYNCHRONOUS of speak_lib.h: `espeak_Synth` calls back with sound and returns when all is said."""
_PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 1, 2, 0x8000
_WORD, _END, _PHONEME = 1, 5, 7
_UTF8, _POS_CHARACTER = 1, 1
_BUFFER_MS = 60


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def _load() -> tuple[ctypes.CDLL, bytes | None]:
    """The library of the espeakng-loader wheel, else the system's, and where its data lies (None: where it knows)."""
    try:
        import espeakng_loader
    except ImportError:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise OSError("espeak-ng is not installed: pip install espeakng-loader") from None
        return ctypes.CDLL(name), None
    return ctypes.CDLL(espeakng_loader.get_library_path()), os.fsencode(espeakng_loader.get_data_path())


class Espeak:
    """The library, initialised, and the job in hand."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._library, data = _load()
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._library.espeak_ListVoices.argtypes = [ctypes.c_void_p]
        self.rate = self._library.espeak_Initialize(
            _RETRIEVAL_SYNCHRONOUS, _BUFFER_MS, data, _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
        )
        if self.rate <= 0:
            raise OSError("espeak-ng found no data files.")
        self._callback = _CALLBACK(self._heard)  # kept: the library holds a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""
        self._job = 0
        self._begin(0)

    def voices(self) -> list[list[str]]:
        """[BCP 47 tag, name to ask for it by] of each voice."""
        listed = self._library.espeak_ListVoices(None)
        found: list[list[str]] = []
        index = 0
        while listed[index]:
            # `languages` is a priority byte and a NUL-terminated tag, repeated; the first is the voice's own.
            tag = (listed[index].contents.languages or b"")[1:].decode("ascii", "replace")
            file = (listed[index].contents.identifier or b"").decode("utf-8", "replace")
            if tag and file:
                found.append([tag, file])
            index += 1
        return found

    def speak(self, job: int, request: Request) -> None:
        voice = str(request["voice"])
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice named {voice}")
            self._voice = voice
        # Control characters are commands to espeak-ng, and NUL ends its text: each becomes a space, which keeps
        # the positions that the events report.
        text = "".join(c if c.isprintable() or c == "\n" else " " for c in str(request["text"]))
        encoded = text.encode("utf-8", "replace")
        self._begin(job)
        status = self._library.espeak_Synth(
            ctypes.c_char_p(encoded), len(encoded) + 1, 0, _POS_CHARACTER, 0, _UTF8, None, None
        )
        if status != 0:
            raise RuntimeError(f"espeak-ng reports error {status}")
        self._flush(self._total)

    def _begin(self, job: int) -> None:
        self._job = job
        self._total = 0
        self._sound: list[bytes] = []
        self._words: list[list[int]] = []
        self._phones: list[list[Any]] = []

    def _heard(self, samples: Any, count: int, events: Any) -> int:
        """Called by the library with each 60 ms of sound and the events in it; returning 1 stops it."""
        if self._port.cancelled(self._job):
            return 1
        try:
            if samples and count > 0:
                self._sound.append(ctypes.string_at(samples, 2 * count))
                self._total += count
            index = 0
            while events[index].type != 0:
                self._event(events[index])
                index += 1
        except Exception as error:  # nothing may travel up through the C frames
            sys.stderr.write(f"espeak worker: {error!r}\n")
            return 1
        return 0

    def _event(self, event: _Event) -> None:
        if event.type == _WORD:
            if self._words:
                self._words[-1][3] = min(self._words[-1][3], event.sample)
            begin = event.text_position - 1
            self._words.append([begin, begin + event.length, event.sample, sys.maxsize])
        elif event.type == _PHONEME:
            raw = ctypes.string_at(ctypes.addressof(event) + _Event.id.offset, 8).split(b"\0")[0]
            ipa = raw.decode("utf-8", "ignore")
            if ipa.startswith("("):  # "(en)": a switch of language, not a sound
                return
            self._phones.append([ipa.replace(".", ""), event.sample, sys.maxsize])
            if not ipa and self._words:  # a pause ends the word before it
                self._words[-1][3] = min(self._words[-1][3], event.sample)
        elif event.type == _END:
            self._flush(event.sample)

    def _flush(self, end: int) -> None:
        """Sends a phrase: its marks are complete now, so they go ahead of its sound."""
        end = min(end, self._total)
        for here, after in zip(self._phones, self._phones[1:], strict=False):
            here[2] = after[1]
        for row, column in [(row, 2) for row in self._phones[-1:]] + [(row, 3) for row in self._words]:
            row[column] = min(row[column], end)
        self._port.marks(
            self._job,
            words=[row for row in self._words if row[3] > row[2]],
            phones=[row for row in self._phones if row[2] > row[1]],
        )
        if self._sound:
            self._port.audio(self._job, b"".join(self._sound))
        self._sound, self._words, self._phones = [], [], []


def main() -> None:
    port = Port()
    try:
        espeak = Espeak(port)
    except OSError as error:
        port.fail(str(error))
        raise SystemExit(1) from None
    port.hello(rate=espeak.rate, voices=espeak.voices())
    port.serve(espeak.speak)


if __name__ == "__main__":
    main()
