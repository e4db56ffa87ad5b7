"""Rigs that stay in memory: those used last, each made once however many sessions ask for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import EngineError, Invalid

R = TypeVar("R")


class Rigs(Generic[R]):
    """Up to `most` rigs by their avatar."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rigs: OrderedDict[str, R] = OrderedDict()
        self._loading = asyncio.Lock()

    async def get(self, avatar: str, make: Callable[[], R], good: Callable[[R], bool] = lambda rig: True) -> R:
        """The rig that is there and `good`, else what `make` makes in a thread; one is made at a time.

        Raises `Invalid` where the portrait cannot be moved, `EngineError` where it cannot be read.
        """
        async with self._loading:
            rig = self._rigs.get(avatar)
            if rig is None or not good(rig):
                try:
                    rig = await asyncio.to_thread(make)
                except ValueError as error:
                    raise Invalid(f"The portrait cannot be moved: {error}", field="avatar") from error
                except OSError as error:
                    raise EngineError(f"The portrait {avatar} cannot be read: {error.strerror or error}") from error
                self._rigs[avatar] = rig
                if len(self._rigs) > self._most:
                    self._rigs.popitem(last=False)
            self._rigs.move_to_end(avatar)
        return rig

    def clear(self) -> None:
        self._rigs.clear()
