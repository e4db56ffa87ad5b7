"""faster-whisper: Whisper on CTranslate2, in threads of its own.

Whisper decodes a whole utterance at a time, so the work is hidden where it can be: as soon as the user pauses, the
utterance is decoded on suspicion, and when the pause turns out to be the end, the text is there already. On a machine
that is fast enough partial texts are made about every second.

Algorithmic latency after the end of an utterance: none where the pause's decode is done, else one decode.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..errors import EngineError, NotReady
from ..seams import STTStream
from ..types import AudioChunk, Choice, Pcm, Transcript
from . import whisper_models
from .agreement import LocalAgreement, join
from .language import UnknownLanguage, primary_tag
from .resample import RATE
from .vad import Vad
from .voice import VoiceTracker
from .whisper_decode import Model, WhisperOptions

log = logging.getLogger(__name__)
T = TypeVar("T")

_TURN_BUDGET_S = 0.6
"""What recognition may take of a turn; `auto` picks the largest size that keeps it."""
_GPU_SIZE = "small"
"""Fetched where CUDA is: far within the budget there, and not yet a download of gigabytes."""


@dataclass(slots=True)
class _Job:
    """One decode of the beginning of an utterance."""

    end: int
    """Samples of the utterance that it covers, from its beginning or from where the text is decided."""
    voice_end: int
    """Where the last voice in them ended."""
    before: str
    """The decided text before it."""
    future: Future[Transcript]


class _Stream:
    """One utterance."""

    def __init__(self, engine: Whisper, model: Model, language: str) -> None:
        self._engine = engine
        self._model = model
        self._language = language
        self._parts: list[Pcm] = []
        self._length = 0
        self._voice = VoiceTracker(engine.vad())
        self._job: _Job | None = None
        """The newest early decode."""
        self._decided_text = ""
        self._decided_end = 0
        """Samples whose text is decided: a pause lies after them, and nothing after it needs them any more."""
        self._taken = 0
        """Samples covered by the last early decode whose text was taken."""
        self._agreement = LocalAgreement()
        self._shown = ""
        self._closed = False

    async def feed(self, chunk: AudioChunk) -> str | None:
        if self._closed:
            return None
        self._parts.append(chunk.pcm)
        self._length += len(chunk.pcm)
        self._voice.feed(chunk.pcm)
        partial = self._collect()
        self._decide()
        self._start_early()
        return partial

    def _collect(self) -> str | None:
        """The text of the early decode, if it is new."""
        job = self._job
        if job is None or not job.future.done() or job.end <= self._taken:
            return None
        self._taken = job.end
        if job.future.cancelled() or job.future.exception() is not None:
            return None  # the final decode will say what is wrong
        text = self._agreement.update(join(job.before, job.future.result().text))
        if text == self._shown:
            return None
        self._shown = text
        return text

    def _decide(self) -> None:
        """The user went on after a pause, and what was said up to it is known: only the rest is decoded from now on."""
        job = self._job
        if job is None or not job.future.done() or job.future.cancelled() or job.future.exception() is not None:
            return
        covered = job.end - job.voice_end >= _TAIL and self._voice.voice_end > job.end
        if covered and job.voice_end - self._decided_end >= _DECIDE and job.voice_end > self._decided_end:
            self._decided_text = join(job.before, job.future.result().text)
            self._decided_end = job.voice_end + _TAIL

    def _start_early(self, *, paused: bool = False) -> None:
        """Decodes what is there on suspicion, where that is due and affordable. `paused`: somebody says that this is a
        pause."""
        if self._job is not None and not self._job.future.done():
            return
        options, seconds = self._model.options, self._model.seconds
        covered = self._job.end if self._job is not None else 0
        voice_end = self._voice.voice_end
        if covered - voice_end >= _TAIL:
            return  # nothing was said since
        paused = (paused and self._voice.silence >= _TAIL) or self._voice.silence >= options.pause_s * RATE
        due = self._length - covered >= options.partial_every_s * RATE and voice_end > covered
        if (paused and seconds <= options.pause_budget_s) or (due and seconds <= options.partial_budget_s):
            future = self._engine.early(functools.partial(self._model.decode, self._sound(), self._language))
            if future is not None:
                self._job = _Job(self._length, voice_end, self._decided_text, future)

    def _decided(self) -> bool:
        """The newest early decode covers all that was said."""
        job = self._job
        return job is not None and job.end - self._voice.voice_end >= _TAIL and not job.future.cancelled()

    async def guess(self) -> Transcript | None:
        if self._closed or not self._voice.voice_end:
            return None
        self._start_early(paused=True)
        if self._job is not None and not self._decided():  # a partial is being decoded: it comes first
            await asyncio.wait([asyncio.wrap_future(self._job.future)])
            self._start_early(paused=True)
        job = self._job
        if self._closed or job is None or not self._decided():
            return None
        try:
            return _after(job.before, await asyncio.shield(asyncio.wrap_future(job.future)))
        except asyncio.CancelledError:
            if job.future.cancelled():
                return None  # closed meanwhile
            raise
        except Exception:  # the final decode will say what is wrong
            return None

    def _sound(self) -> Pcm:
        self._parts = [np.concatenate(self._parts)] if self._parts else [np.zeros(0, np.int16)]
        return self._parts[0][self._decided_end :]

    async def finish(self) -> Transcript:
        if self._closed:
            return Transcript("")
        self._closed = True
        job = self._job
        try:
            if not self._voice.voice_end:
                return Transcript("")  # Whisper makes words up where there is none
            if job is not None and self._decided():
                return _after(job.before, await asyncio.wrap_future(job.future))
            if job is not None:
                job.future.cancel()
            decode = functools.partial(self._model.decode, self._sound(), self._language)
            return _after(self._decided_text, await self._engine.final(decode))
        except Exception as error:  # whatever the library raises: the conversation goes on
            log.debug("Whisper failed", exc_info=True)
            raise EngineError(f"Whisper failed on this utterance: {error}.") from error
        finally:
            self._parts.clear()

    async def close(self) -> None:
        self._closed = True
        self._parts.clear()
        if self._job is not None:
            self._job.future.cancel()


def _after(before: str, rest: Transcript) -> Transcript:
    return Transcript(join(before, rest.text), rest.language)


_DECIDE = 6 * RATE
"""Speech up to a pause that is decided there. Less stays in the decoder's sight: it understands a word better the more
of its sentence it hears."""
_TAIL = round(0.1 * RATE)
"""Silence after the last voice without which an early text is no final one: its last sound may be cut."""


class Whisper:
    """The engine: one model, one thread for final decodes and one for early ones."""

    def __init__(
        self,
        data_dir: Path,
        *,
        size: str | None = None,
        directory: Path | None = None,
        why: str = "asked for",
        options: WhisperOptions | None = None,
    ) -> None:
        """A model in `directory`, or of a named `size`; with neither `warm` picks a size that this machine is fast
        enough for. Named sizes that are not on disk are fetched by `warm`."""
        self._data_dir = data_dir
        self._size = size
        self._directory = directory
        self._options = options or WhisperOptions()
        name = "whisper" if directory is None and size is None else f"whisper:{size or directory}"
        self.choice = Choice("stt", name, why)
        self.vad: Callable[[], Vad] = Vad.load()
        self._model: Model | None = None
        self._final = ThreadPoolExecutor(1, "whisper")
        self._early = ThreadPoolExecutor(1, "whisper-early")
        self._early_busy = False

    async def warm(self) -> None:
        """Fetches, loads and measures; afterwards `choice` says which model it is and why. Raises `NotReady`."""
        if self._model is not None:
            return
        if self._directory is not None:
            name, why = str(self._directory), self.choice.why
            model = await self._load(self._directory)
        elif self._size is not None:
            name, why = self._size, self.choice.why
            model = await self._load(await self._path(name))
        else:
            name, why, model = await self._pick()
        if not model.seconds:
            await self._run(self._final, model.measure)
        await self._run(self._final, functools.partial(model.decode, np.zeros(RATE, np.int16), "en"))
        self._model = model
        self.choice = Choice("stt", f"whisper:{name}", why, self._note(name, model))

    def _note(self, name: str, model: Model) -> str:
        notes = []
        if len(model.languages) == 1:
            notes.append("This model knows English only.")
        elif name == "tiny":
            notes.append(
                "The smallest Whisper: plain English works well, Japanese and other languages roughly. "
                "--stt whisper:small understands better and takes longer."
            )
        if model.seconds > _TURN_BUDGET_S:
            notes.append(f"An utterance takes about {model.seconds:.1f} s on this machine; a smaller model is faster.")
        return " ".join(notes)

    async def _pick(self) -> tuple[str, str, Model]:
        """The name of the largest size that keeps the budget, why it is that one, and the model.

        One size is loaded and timed, the others are judged by their cost relative to it. A size that is not on disk is
        fetched only where none is."""
        sizes = whisper_models.SIZES
        local = await asyncio.to_thread(whisper_models.local_names, self._data_dir)
        if _cuda():
            name = local[-1] if local else _GPU_SIZE
            return name, "CUDA is available", await self._load(await self._path(name))
        name = local[0] if local else "tiny"
        candidates = local or ("tiny", "base")
        model = await self._load(await self._path(name))
        larger = [other for other in candidates if sizes[other].cost > sizes[name].cost]
        goal = _TURN_BUDGET_S * sizes[name].cost / min((sizes[other].cost for other in larger), default=1.0)
        per_cost = await self._run(self._final, functools.partial(model.measure, goal)) / sizes[name].cost
        fitting = [other for other in larger if per_cost * sizes[other].cost <= _TURN_BUDGET_S]
        if fitting:
            best = max(fitting, key=lambda other: sizes[other].cost)
            try:
                bigger = await self._load(await self._path(best))
            except NotReady as error:
                log.warning("%s Staying with %s.", error.message, name)
            else:
                bigger.expect(per_cost * sizes[best].cost)
                return best, f"{best} takes about {bigger.seconds:.2f} s per utterance on this machine", bigger
        why = f"{name} takes about {model.seconds:.2f} s per utterance on this machine"
        if larger and not fitting:
            why += f"; {larger[0]} would take {per_cost * sizes[larger[0]].cost:.1f} s, too slow to talk"
        return name, why, model

    async def _path(self, name: str) -> Path:
        found = await asyncio.to_thread(whisper_models.find, name, self._data_dir)
        return found if found is not None else await whisper_models.fetch(name, self._data_dir)

    async def _load(self, directory: Path) -> Model:
        device = "cuda" if _cuda() else "cpu"
        model = await self._run(self._final, functools.partial(Model, directory, device, self._options))
        if device == "cuda":
            try:
                await self._run(self._final, model.measure)
            except RuntimeError as error:  # the driver is there, cuBLAS or cuDNN is not
                log.warning("Whisper cannot use the GPU (%s) and runs on the CPU", error)
                return await self._run(self._final, functools.partial(Model, directory, "cpu", self._options))
        return model

    async def _run(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    def open(self, language: str) -> STTStream:
        if self._model is None:
            raise EngineError("Whisper is still loading.", code="not_ready")
        tag = primary_tag(language)
        if tag != "auto" and tag not in self._model.languages:
            return UnknownLanguage(
                f"The speech recognition {self.choice.name} does not know the language {language!r}. "
                "Set another language, or auto."
            )
        return _Stream(self, self._model, tag)

    def early(self, decode: Callable[[], Transcript]) -> Future[Transcript] | None:
        """Starts a decode that nobody waits for yet; None while another one runs."""
        if self._early_busy or self._model is None:
            return None
        self._early_busy = True
        future = self._early.submit(decode)
        future.add_done_callback(self._early_done)
        return future

    def _early_done(self, _: Future[Transcript]) -> None:
        self._early_busy = False

    async def final(self, decode: Callable[[], Transcript]) -> Transcript:
        """Runs a decode that a turn waits for."""
        return await self._run(self._final, decode)

    async def close(self) -> None:
        self._final.shutdown(wait=False, cancel_futures=True)
        self._early.shutdown(wait=False, cancel_futures=True)
        self._model = None


@functools.cache
def _cuda() -> bool:
    try:
        import ctranslate2

        return bool(ctranslate2.get_cuda_device_count())
    except (ImportError, RuntimeError):
        return False
