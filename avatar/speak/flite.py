"""flite: a permissively licensed English voice with phoneme times, where the system has it (apt install flite)."""

from __future__ import annotations

from ..errors import NotReady
from ..types import Choice
from .native import Voice, WorkerVoice
from .worker import Worker


async def flite() -> WorkerVoice:
    """Starts the worker. Raises `NotReady` where the library is not there."""
    worker = Worker("flite", "avatar.speak.flite_worker")
    try:
        hello = await worker.hello()
    except NotReady as error:
        raise NotReady(f"{error.message} apt install flite brings it.", field="tts") from None
    voices = [Voice(f"flite-{name}", "en-us", "flite", name) for name in hello["voices"]]
    return WorkerVoice("flite", worker, voices, Choice("tts", "flite", "flite speaks English with phoneme times"))
