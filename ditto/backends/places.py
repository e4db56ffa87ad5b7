"""Put-back on the host, and how many of its constants are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from . import putback
from .looks import I420, Array, Job

SIZES = 2
"""Placements kept of one source frame: sessions that share an avatar may ask for different picture sizes."""


class Places:
    """What put-back keeps of one source frame, by picture size."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def get(self, size: tuple[int, int], make: Callable[[], Any]) -> Any:
        if size not in self._kept:
            self._kept[size] = make()
            while len(self._kept) > SIZES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(size)
        return self._kept[size]


def put(face: Array, job: Job, places: Places) -> I420:
    """A face [512,512,3] in its picture, on the host."""
    size = job.size()
    place: putback.PutBack = places.get(size, lambda: putback.put_back(job.prepared.look, *size))
    return putback.as_i420(face, place)
