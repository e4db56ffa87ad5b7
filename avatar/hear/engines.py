"""Which speech recognition the server gets: one table of engines, probed here, loaded by `warm`.

| spec                         | engine                                                                      |
|------------------------------|-----------------------------------------------------------------------------|
| `auto`                       | Whisper where a model is on disk or can be fetched, else pocketsphinx       |
| `whisper`, `whisper:SIZE`    | Whisper, of the size that the machine is fast enough for, or of a named one |
| `whisper:DIRECTORY`          | a converted model on disk                                                   |
| `pocketsphinx`               | English only, nothing to fetch                                              |
| `http://HOST/v1[#MODEL]`     | an OpenAI-compatible endpoint                                               |
"""

from __future__ import annotations

import asyncio
import functools
import logging
from pathlib import Path

from ..errors import AvatarError, Invalid, NotReady
from ..seams import STT, STTStream
from ..types import Choice
from . import whisper_models
from .remote import Remote
from .sphinx import PocketSphinx
from .whisper import Whisper

log = logging.getLogger(__name__)

_SPECS = "auto, whisper, whisper:SIZE, whisper:DIRECTORY, pocketsphinx, http://HOST:PORT/v1[#MODEL]"


async def choose_stt(spec: str, data_dir: Path) -> STT:
    """The engine for `--stt`. Only looks at what is there; `warm` loads it.

    The engine's `choice` is final after `warm`: what a machine is fast enough for, and whether a download succeeds,
    shows only then. With `auto`, `warm` falls back to pocketsphinx instead of failing.
    Raises `Invalid` for a spec that means nothing, `NotReady` for a named engine that is not there.
    """
    kind, _, rest = spec.partition(":")
    if spec == "auto":
        return await _auto(data_dir)
    if spec == "pocketsphinx":
        return PocketSphinx("asked for")
    if kind == "whisper":
        return await _whisper(rest, data_dir)
    if kind in ("http", "https"):
        return await Remote.probe(spec)
    raise Invalid(f"There is no speech recognition named {spec!r}. Known are: {_SPECS}.", field="stt")


async def _auto(data_dir: Path) -> STT:
    if await asyncio.to_thread(whisper_models.local_names, data_dir):
        return _Auto(Whisper(data_dir, why="a model is on disk"))
    if await whisper_models.hub_answers():
        return _Auto(Whisper(data_dir, why="no model is on disk yet; it is fetched"))
    return PocketSphinx("no Whisper model is on disk and the Hugging Face Hub cannot be reached to fetch one")


def _whisper_directory(which: str) -> Path:
    known = ", ".join(whisper_models.SIZES)
    directory = Path(which).expanduser()
    if whisper_models.is_model(directory):
        return directory
    if directory.is_dir():
        raise NotReady(
            f"{directory} is not a converted Whisper model: it needs model.bin, config.json, tokenizer.json and "
            "vocabulary.json or vocabulary.txt."
        )
    if any(c in which for c in "/\\"):
        raise NotReady(f"There is no directory {directory}. Named sizes are: {known}.")
    raise Invalid(f"There is no Whisper model named {which!r}: it is a directory or one of {known}.", field="stt")


async def _whisper(which: str, data_dir: Path) -> STT:
    if which and which not in whisper_models.SIZES:
        return Whisper(data_dir, directory=_whisper_directory(which))
    look = functools.partial(whisper_models.find, which) if which else whisper_models.local_names
    if not await asyncio.to_thread(look, data_dir) and not await whisper_models.hub_answers():
        raise NotReady(
            f"No Whisper model{f' {which}' if which else ''} is on disk and the Hugging Face Hub cannot be reached. "
            f"Put a converted model into {data_dir / 'whisper' / (which or 'tiny')}, or use --stt pocketsphinx."
        )
    return Whisper(data_dir, size=which or None)


class _Auto:
    """Whisper, or pocketsphinx when Whisper cannot be had after all."""

    def __init__(self, whisper: Whisper) -> None:
        self._engine: STT = whisper
        self.choice: Choice = whisper.choice

    async def warm(self) -> None:
        try:
            await self._engine.warm()
        except Exception as error:  # whatever it is: `auto` always finds an engine
            log.warning("%s Falling back to pocketsphinx.", error, exc_info=not isinstance(error, AvatarError))
            await self._engine.close()
            self._engine = PocketSphinx(f"Whisper cannot be used: {error}")
            await self._engine.warm()
        self.choice = self._engine.choice

    def open(self, language: str) -> STTStream:
        return self._engine.open(language)

    async def close(self) -> None:
        await self._engine.close()
