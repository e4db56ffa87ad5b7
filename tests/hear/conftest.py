"""What the tests of the ears share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

WHISPER = Path(__file__).parents[1] / "fixtures" / "whisper"


@pytest.fixture
def whisper_model() -> Path:
    """A real Whisper in CTranslate2's format that always says `sounds.WHISPER_SAYS`."""
    return WHISPER


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that cannot reach the Hugging Face Hub and has nothing in its cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
async def silent_server() -> AsyncIterator[str]:
    """Base URL of a server that accepts connections and never says a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
