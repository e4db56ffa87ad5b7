"""What is tried of a codec's library that is reached past PyAV, before it is trusted."""

from __future__ import annotations

from typing import Protocol

import av
import numpy as np

from ..clock import VIDEO_TICKS
from ..types import I420

SIZE = 64
"""Pixels each way, the least that every library takes."""
BITRATE = 200_000


class Candidate(Protocol):
    def encode(self, i420: I420, pts: int, key: bool) -> bytes | None: ...

    def set_bitrate(self, bitrate: int) -> None: ...

    def close(self) -> None: ...


def decodes(encoder: Candidate, decoder: str) -> bool:
    """Whether a few pictures of `SIZE`, encoded with a change of bitrate between them, come out of PyAV's `decoder` as
    they went in. Closes the encoder."""
    reader = av.CodecContext.create(decoder, "r")
    reader.thread_count = 1
    right = 0
    try:
        for n in range(4):
            if n == 2:
                encoder.set_bitrate(BITRATE // 2)
            picture = np.full((SIZE * 3 // 2, SIZE), 128, np.uint8)
            picture[:SIZE] = np.arange(SIZE, dtype=np.uint8) * 3 + n
            data = encoder.encode(picture, n * VIDEO_TICKS, n == 0)
            for frame in reader.decode(av.Packet(data)) if data else ():
                right += abs(float(frame.to_ndarray()[:SIZE].mean()) - float(picture[:SIZE].mean())) < 8
    finally:
        encoder.close()
    return right >= 2
