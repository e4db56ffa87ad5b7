"""A program of its own: one pocketsphinx decoder, driven over its standard input and output.

The decoder's C code holds Python's interpreter lock for tens of milliseconds at a time, which would stop the server's
media clock; here it stops nobody. Started by `sphinx_pool.py` as a script, so it imports nothing of the project.

Messages, both ways: one byte of kind, the utterance's number and the payload's length (little-endian uint32 each), the
payload. In: S start, A sound (int16 mono at 16 kHz), F finish, X drop. Out: R ready (once), P newest partial text,
T final text, D dropped. The program ends when its input does.
"""

from __future__ import annotations

import os
import queue
import signal
import struct
import sys
import threading
from typing import Any, BinaryIO

HEADER = struct.Struct("<cII")
_BLOCK = 3_200
"""Bytes decoded in one go (100 ms), so that a drop is noticed soon even when a long backlog came in one message."""


def _read(stream: BinaryIO, inbox: queue.Queue[tuple[bytes, int, bytes]], dropped: set[int]) -> None:
    """Drops overtake the sound that waits before them."""
    while len(header := stream.read(HEADER.size)) == HEADER.size:
        kind, number, length = HEADER.unpack(header)
        payload = stream.read(length)
        if kind == b"X":
            dropped.add(number)
        inbox.put((kind, number, payload))
    os._exit(0)


def _serve(decoder: Any, source: BinaryIO, sink: BinaryIO) -> None:
    inbox: queue.Queue[tuple[bytes, int, bytes]] = queue.Queue()
    dropped: set[int] = set()
    initial_means = decoder.get_cmn(False)
    running = False
    partial = ""

    def send(kind: bytes, number: int, text: str = "") -> None:
        payload = text.encode()
        sink.write(HEADER.pack(kind, number, len(payload)) + payload)
        sink.flush()

    def text() -> str:
        hypothesis = decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    def stop() -> None:
        nonlocal running
        if running:
            decoder.end_utt()
            # Another speaker, another microphone: nothing of this one's level and colour may stay.
            decoder.set_cmn(initial_means)
            running = False

    threading.Thread(target=_read, args=(source, inbox, dropped), daemon=True).start()
    send(b"R", 0)
    while True:
        kind, number, payload = inbox.get()
        if kind == b"X":
            stop()
            dropped.discard(number)
            send(b"D", number)
        elif number in dropped:
            continue
        elif kind == b"S":
            decoder.start_utt()
            running, partial = True, ""
        elif kind == b"A":
            for at in range(0, len(payload), _BLOCK):
                if number in dropped:
                    break
                decoder.process_raw(payload[at : at + _BLOCK], False, False)
            if (newest := text()) != partial:
                partial = newest
                send(b"P", number, partial)
        elif kind == b"F":
            stop()
            send(b"T", number, text())


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle; it closes our input
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    from pocketsphinx import Decoder

    _serve(Decoder(samprate=16_000, loglevel="FATAL"), source, sink)


if __name__ == "__main__":
    main()
