"""Fixtures that more than one room uses. A room's own live beside its tests."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_timeout
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import settings

from checkpoints.fetch import ENTRIES, HERE, FetchError, fetch
from tests.absent import absent

settings.register_profile("any machine", deadline=None)  # a busy one may take a second for what takes a millisecond
settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long tests run by `make soak` alone; an option in pyproject.toml would be undone by anyone's own `-m`."""
    if "soak" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("soak")])
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    _long_first(items)


def _long_first(items: list[pytest.Item]) -> None:
    """Files side by side end together when those that may take minutes begin first, and then those of many tests."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def weight(path: Path) -> tuple[bool, int]:
        marks = [item.get_closest_marker("timeout") for item in files[path]]
        return any(mark is not None and mark.args[0] > 120 for mark in marks), len(files[path])

    items.sort(key=lambda item: weight(item.path), reverse=True)


_AGAIN_S = 30.0
_GRACE_S = 120.0


def _limit(item: pytest.Item) -> None:
    """Starts the clock of pytest-timeout anew. It stops with a test's first failure, and so would not run while its
    fixtures end or it is tried again, where a browser that hangs would hold everything up.

    It rings again until the phase ends: what it raises may land in a callback of asyncio's, which logs it and goes on.
    One that no ringing ends, because Python code no longer runs, is shown on stderr and ends its process."""
    settings = pytest_timeout.get_env_settings(item.config)
    if marker := item.get_closest_marker("timeout"):
        settings = settings._replace(timeout=marker.args[0])
    if settings.timeout:
        item.config.pluginmanager.hook.pytest_timeout_set_timer(item=item, settings=settings)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, _AGAIN_S)
        faulthandler.dump_traceback_later(
            settings.timeout + _GRACE_S, exit=True, file=item.config.stash[fault_handler_stderr_fd_key]
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _limit(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    _limit(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    _limit(item)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish() -> None:
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The face networks, fetched where they are not there yet."""
    try:
        fetch(next(entry for entry in ENTRIES if entry.name == "face"))
    except FetchError as error:
        absent(f"the face models cannot be had: {error}")
    return HERE / "face"


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real language model with random weights, 0.4 MB."""
    from tests.think.tiny_gguf import build

    return build(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def chat_server(tiny_gguf: Path) -> Iterator[str]:
    """Base URL of a real OpenAI-compatible server (llama.cpp's) that streams the tiny model's nonsense."""
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(tiny_gguf)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 8192
    params.n_parallel = 4
    params.kv_unified = True
    params.cpuparams.n_threads = 1  # more would spin at barriers on a busy machine
    params.verbosity = -1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server
