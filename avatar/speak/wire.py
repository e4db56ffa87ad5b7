"""The pipe between the server and a voice worker: framed messages over stdin and stdout.

A worker is a program of its own (a licence boundary for the GPL engines, a crash boundary for all of them), so this
module is the only thing that both sides share, and it needs nothing but the standard library.

A frame is a header of 9 bytes, little endian (kind: u8, job: u32, length: u32), then `length` bytes of payload.

| kind | direction | payload |
|---|---|---|
| `SPEAK` | to the worker | JSON object: the request |
| `CANCEL` | to the worker | nothing: drop the job |
| `HELLO` | from the worker | JSON object: what the engine is and which voices it has; job 0 |
| `MARKS` | from the worker | JSON object: word and phoneme times; they precede the audio that carries them |
| `AUDIO` | from the worker | mono 16-bit little-endian PCM |
| `END` | from the worker | nothing: the job is done, or was cancelled |
| `FAIL` | from the worker | UTF-8 text: why the job (or, as job 0, the start) failed, as a sentence |
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

HEADER = struct.Struct("<BII")
SPEAK, CANCEL, HELLO, MARKS, AUDIO, END, FAIL = range(1, 8)
MAX_FRAME = 1 << 24
"""Bytes: six minutes of 22 kHz sound; a longer frame can only be garbage."""

Request = dict[str, Any]


def pack(kind: int, job: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, job, len(payload)) + payload


def pack_json(kind: int, job: int, value: object) -> bytes:
    return pack(kind, job, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


class Port:
    """The worker's end. A thread reads requests, so that a cancellation arrives while a job is being spoken."""

    def __init__(self) -> None:
        # The protocol gets a private copy of stdout; what a library prints there goes to stderr instead.
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._jobs: queue.SimpleQueue[tuple[int, Request]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._waiting: set[int] = set()
        self._lock = threading.Lock()

    def hello(self, **about: object) -> None:
        """Says what the engine is and begins to take jobs."""
        self._send(pack_json(HELLO, 0, about))
        threading.Thread(target=self._read, name="wire", daemon=True).start()

    def fail(self, message: str, job: int = 0) -> None:
        self._send(pack(FAIL, job, message.encode()))

    def marks(self, job: int, *, words: list[list[int]], phones: list[list[Any]]) -> None:
        """`words`: [first character, one past the last, first sample, one past the last]; `phones`: [IPA, first
        sample, one past the last]. Characters count in the request's text, samples from the start of the job."""
        if words or phones:
            self._send(pack_json(MARKS, job, {"words": words, "phones": phones}))

    def audio(self, job: int, pcm: bytes) -> None:
        for begin in range(0, len(pcm), MAX_FRAME):
            self._send(pack(AUDIO, job, pcm[begin : begin + MAX_FRAME]))

    def cancelled(self, job: int) -> bool:
        return job in self._cancelled

    def serve(self, speak: Callable[[int, Request], None]) -> None:
        """Does the jobs in their order, for ever: the process ends with its stdin."""
        for job, request in self._requests():
            if not self.cancelled(job):
                try:
                    speak(job, request)
                except (BrokenPipeError, KeyboardInterrupt):
                    os._exit(0)
                except Exception as error:
                    self.fail(f"{type(error).__name__}: {error}", job)
            with self._lock:
                self._waiting.discard(job)
                self._cancelled.discard(job)
            self._send(pack(END, job))

    def _requests(self) -> Iterator[tuple[int, Request]]:
        while True:
            yield self._jobs.get()

    def _send(self, frame: bytes) -> None:
        try:
            self._out.write(frame)
            self._out.flush()
        except BrokenPipeError:
            os._exit(0)  # the server is gone

    def _read(self) -> None:
        source = sys.stdin.buffer
        while True:
            head = source.read(HEADER.size)
            if len(head) < HEADER.size:
                os._exit(0)  # the server is gone
            kind, job, length = HEADER.unpack(head)
            payload = source.read(length)
            with self._lock:
                if kind == SPEAK:
                    self._waiting.add(job)
                    self._jobs.put((job, json.loads(payload)))
                elif kind == CANCEL and job in self._waiting:
                    self._cancelled.add(job)
