"""A GGUF model inside this process, through xllamacpp: llama.cpp's own server without a second program.

llama.cpp's server is reached over a Unix socket in a directory that only this user can open: no port, and cancelling
works as with any other endpoint, by closing the response.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from ..errors import EngineError, NotReady
from ..types import Choice, Message
from .openai_chat import OpenAIChat, Timeouts

log = logging.getLogger(__name__)

CONTEXT = 6144
"""Tokens for each conversation. A full history of English takes half of it; where one of Japanese outgrows it, its
older half is left out. Two of them cost about 1.4 GB with a model of 3 billion weights."""
PROMPT_CACHE_MIB = 256
"""llama.cpp would keep up to 8 GB of past prompts."""
SLOTS = 2
"""Conversations answered side by side; the others wait their turn. More would make all of them slow on a CPU."""
FIRST_TOKEN_S = 60.0
"""Nobody else's work is in the way: whatever it takes here is this machine reading the prompt."""


class LlamaCpp:
    """One GGUF file, loaded by `warm`."""

    def __init__(self, path: Path, why: str) -> None:
        self.choice = Choice("llm", f"llamacpp:{path.name}", why)
        self._path = path
        self._directory = ""
        self._server: Any = None
        self._chat: OpenAIChat | None = None

    async def warm(self) -> None:
        """Loads the model and makes it answer once. Raises `EngineError`."""
        if self._chat is None:
            self._directory = tempfile.mkdtemp(prefix="llm-")  # mode 0700
            socket = os.path.join(self._directory, "llm.sock")
            try:
                self._server = await asyncio.to_thread(_load, self._path, socket)
            except ImportError as error:
                self._remove()
                hint = " Install libgomp1 (sudo apt install libgomp1)." if "libgomp" in str(error) else ""
                raise EngineError(f"llama.cpp cannot start: {error}.{hint}", role="llm") from error
            except RuntimeError as error:
                self._remove()
                raise EngineError(
                    f"llama.cpp cannot load {self._path}: the file is damaged, of a kind it does not know, "
                    "or larger than the memory.",
                    role="llm",
                ) from error
            self._chat = OpenAIChat(
                self.choice,
                URL("http://localhost/v1"),
                self._path.name,
                label=self.choice.name,
                timeouts=Timeouts(first_token_s=FIRST_TOKEN_S),
                connector=aiohttp.UnixConnector(socket),
            )
        await self._chat.warm()

    async def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        if self._chat is None:
            raise EngineError(f"{self.choice.name} is not loaded yet.", role="llm")
        async with aclosing(self._chat.reply(messages, max_tokens=max_tokens)) as stream:
            async for text in stream:
                yield text

    async def close(self) -> None:
        """Frees the model; waits for the token that is being made."""
        chat, self._chat = self._chat, None
        if chat is not None:
            await chat.close()
        await asyncio.to_thread(self._unload)
        self._remove()

    def _unload(self) -> None:
        self._server = None  # its destructor ends llama.cpp's threads
        gc.collect()

    def _remove(self) -> None:
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = ""


def find(text: str) -> LlamaCpp:
    """The engine for the file named in a setting. Raises `NotReady` with what to do."""
    path = Path(text).expanduser()
    if not text:
        raise NotReady("llamacpp needs a model: --llm llamacpp:FILE.gguf.", field="llm")
    if not path.is_file():
        raise NotReady(
            f"There is no model file {path}: --llm llamacpp:FILE.gguf needs one in GGUF format.", field="llm"
        )
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise NotReady(f"The model file {path} cannot be read: {error.strerror}.", field="llm") from None
    if magic != b"GGUF":
        raise NotReady(f"{path} is not a GGUF file, the format that llama.cpp reads.", field="llm")
    if find_spec("xllamacpp") is None:
        raise NotReady(
            "llama.cpp is not installed: .venv/bin/pip install --require-hashes -r requirements-llm.txt",
            field="llm",
        )
    return LlamaCpp(path, f"{path} was asked for")


def _load(path: Path, socket: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames = [socket]  # the ending .sock makes it a Unix socket to llama.cpp
    params.n_ctx = CONTEXT * SLOTS
    params.n_parallel = SLOTS
    params.kv_unified = False  # in a shared one, long conversations side by side break each other off
    params.cache_ram_mib = PROMPT_CACHE_MIB
    # Sound and picture need a core while the next sentence is being thought of.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) - 1)
    params.verbosity = -1
    params.ui = False
    return xllamacpp.Server(params)
