"""What is told of speech as it is sent: a caption where a clause begins, each word where it begins."""

from __future__ import annotations

from collections.abc import Iterator

from .clock import AUDIO_RATE, SLOT_S
from .events import Caption, Event, Spoken
from .play.playout import Playout
from .types import Slice


def captions(piece: Slice, slot: int, playout: Playout) -> Iterator[Event]:
    """The events of a slice that was sent just now, in media seconds of the tracks."""
    if piece.turn_id is None:
        return
    origin = slot * SLOT_S - piece.start / AUDIO_RATE
    if piece.clause_start:
        end = origin + playout.length_s(piece.clause)
        heard = playout.heard().text if piece.start else None
        yield Caption(piece.turn_id, piece.text, round(slot * SLOT_S, 3), round(end, 3), heard)
    for word in playout.spoken(piece):
        start, end = (round(origin + sample / AUDIO_RATE, 3) for sample in (word.start, word.end))
        yield Spoken(piece.turn_id, word.text, start, end)
