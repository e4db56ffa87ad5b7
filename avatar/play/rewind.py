"""What was sent last and may not have arrived, so that speech can go on from there after a lost connection. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from ..types import Frame, Slice

KEPT_SLOTS = 100
"""4 s: a silent client is doubted after 3 s at most."""
PICTURE_BYTES = 16_000_000
"""Of pictures, in which all of it fits at 512 x 512 with every second picture; beyond, the oldest lose theirs."""
BACK_SLOTS = 15
"""Speech goes on from the beginning of a word that lies at most 0.6 s before the place."""


class Rewind:
    """The newest slices of speech, with the slots in which they were sent."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Slice]] = deque(maxlen=KEPT_SLOTS)
        self._bytes = 0

    def sent(self, slot: int, piece: Slice) -> None:
        if slot % 2:
            piece = _blind(piece)
        if len(self._sent) == KEPT_SLOTS:
            self._bytes -= _size(self._sent[0][1])
        self._sent.append((slot, piece))
        self._bytes += _size(piece)
        if self._bytes > PICTURE_BYTES:
            self._thin()

    def since(self, slot: int, turn_id: str | None) -> list[Slice]:
        """The slices of one turn from about `slot` on, in their order, from the beginning of a word; forgets all."""
        kept, self._sent = list(self._sent), deque(maxlen=KEPT_SLOTS)
        self._bytes = 0
        pieces = [(n, piece) for n, piece in kept if piece.turn_id == turn_id]
        first = next((i for i, (n, _) in enumerate(pieces) if n >= slot), len(pieces))
        if first == len(pieces):
            return []
        for index in range(first, max(-1, first - BACK_SLOTS), -1):
            piece = pieces[index][1]
            if piece.words or piece.clause_start:
                first = index
                break
        return [piece for _, piece in pieces[first:]]

    def clear(self) -> None:
        self._sent.clear()
        self._bytes = 0

    def _thin(self) -> None:
        for index, (slot, piece) in enumerate(self._sent):
            if self._bytes <= PICTURE_BYTES:
                return
            self._bytes -= _size(piece)
            self._sent[index] = (slot, _blind(piece))


def _blind(piece: Slice) -> Slice:
    """The same sound with the picture left as it is."""
    return replace(piece, frame=Frame(piece.frame.serial, None))


def _size(piece: Slice) -> int:
    return 0 if piece.frame.i420 is None else int(piece.frame.i420.nbytes)
