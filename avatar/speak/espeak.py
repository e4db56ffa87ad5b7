"""espeak-ng: robotic, instant, speaks almost every language. The last resort, and always there."""

from __future__ import annotations

import contextlib
import json

from ..types import Choice
from . import wire
from .native import Voice, WorkerVoice
from .worker import Worker

_PREFERRED = {"en": "en-us", "zh": "cmn", "pt": "pt-br"}
"""The voice of a language that has several: elsewhere the one whose tag is shortest."""

_BRITISH = "gmw/en"
_FEMALE = "f3"
"""The variant that the built-in character speaks with."""


class Espeak(WorkerVoice):
    """All of espeak-ng's voices."""

    async def british(self, word: str) -> list[str]:
        """The phones of an English word in IPA, as southern British English has them."""
        phones: list[str] = []
        async with contextlib.aclosing(self.worker.run({"text": word, "voice": _BRITISH})) as frames:
            async for kind, payload in frames:
                if kind == wire.MARKS:
                    phones += [ipa for ipa, _, _ in json.loads(payload)["phones"]]
        return phones


async def espeak() -> Espeak:
    """Starts the worker. Raises `NotReady` where the library is not there."""
    worker = Worker("espeak-ng", "avatar.speak.espeak_worker")
    try:
        hello = await worker.hello()
    except BaseException:
        await worker.close()
        raise
    files: dict[str, str] = {}
    for tag, file in hello["voices"]:
        files.setdefault(tag, file)
    tags = sorted(files, key=lambda tag: (tag != "en-us", tag not in _PREFERRED.values(), len(tag), tag))
    female = [Voice(f"espeak-{tag}", tag, "espeak", f"{files[tag]}+{_FEMALE}") for tag in tags]
    male = [Voice(f"espeak-{tag}-male", tag, "espeak", files[tag], listed=tag == "en-us") for tag in tags]
    choice = Choice(
        "tts",
        "espeak",
        "espeak-ng speaks any language and is always there",
        "espeak-ng sounds robotic.",
    )
    return Espeak("espeak", worker, [*female, *male], choice)
