"""Open JTalk: a clear Japanese voice that comes with its package, and exact phoneme times."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Awaitable, Callable

from ..errors import AvatarError, NotReady
from ..types import Choice
from . import kana
from .native import Voice, WorkerVoice
from .traced import Traced
from .worker import Worker

Reader = Callable[[str], Awaitable[list[str]]]
"""An English word → its British IPA, phone by phone."""

_LATIN = re.compile(r"[A-Za-z][A-Za-z']*")
_MAX_READINGS = 5_000
"""Words whose reading is remembered: some hundred kilobytes."""


class OpenJTalk(WorkerVoice):
    """Reads English words inside Japanese in katakana, where `reader` can pronounce them."""

    def __init__(self, worker: Worker, reader: Reader | None = None) -> None:
        super().__init__(
            "openjtalk",
            worker,
            [Voice("openjtalk-mei", "ja", "openjtalk", "mei")],
            Choice("tts", "openjtalk", "Open JTalk speaks Japanese with phoneme times", "Voice: Mei, CC BY 3.0."),
        )
        self._reader = reader
        self._readings: dict[str, str] = {}

    async def _prepare(self, traced: Traced) -> None:
        words = {match[0] for match in _LATIN.finditer(traced.text)}
        readings = {word: await self.read(word) for word in words}
        traced.sub(_LATIN, lambda match: [readings[match[0]] or match[0]])

    async def read(self, word: str) -> str:
        """The word in katakana; what is said letter by letter stays."""
        if word.lower() in kana.CUSTOMARY:
            return kana.CUSTOMARY[word.lower()]
        if word not in self._readings:
            spoken = [await self._read_part(part) for part in kana.parts(word)]
            if len(self._readings) >= _MAX_READINGS:
                self._readings.clear()
            self._readings[word] = "".join(spoken)
        return self._readings[word]

    async def _read_part(self, part: str) -> str:
        if part.lower() in kana.CUSTOMARY:
            return kana.CUSTOMARY[part.lower()]
        if kana.is_initials(part) or self._reader is None:
            return part
        try:
            return kana.from_ipa(await self._reader(part.lower()), part.lower()) or part
        except AvatarError:
            return part  # spelled out is still understood


def openjtalk(reader: Reader | None = None) -> OpenJTalk:
    """Raises `NotReady` where pyopenjtalk is not installed. The worker starts when it is warmed."""
    if importlib.util.find_spec("pyopenjtalk") is None:
        raise NotReady("Open JTalk is not installed: pip install -r requirements-ja.txt.", field="tts")
    return OpenJTalk(Worker("Open JTalk", "avatar.speak.openjtalk_worker"), reader)
