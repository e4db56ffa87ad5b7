"""Pictures of idle loops, kept: a session that listens costs a look-up a frame once the loop has been round."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from .backends.looks import I420

MOST_BYTES = 400_000_000
"""All avatars together: a whole loop of four avatars at 512 × 512."""


class PictureCache:
    """The pictures used last, up to a number of bytes. Read-only: sessions share them."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._pictures: OrderedDict[Hashable, I420] = OrderedDict()
        self._bytes = 0
        self._guard = threading.Lock()

    def get(self, key: Hashable) -> I420 | None:
        with self._guard:
            picture = self._pictures.get(key)
            if picture is not None:
                self._pictures.move_to_end(key)
            return picture

    def put(self, key: Hashable, picture: I420) -> None:
        if picture.nbytes > self._most:
            return
        picture.setflags(write=False)
        with self._guard:
            old = self._pictures.pop(key, None)
            self._bytes += picture.nbytes - (0 if old is None else old.nbytes)
            self._pictures[key] = picture
            while self._bytes > self._most:
                self._bytes -= self._pictures.popitem(last=False)[1].nbytes
